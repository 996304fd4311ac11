"""An issuer, looked at: its metadata, its keys, and its clock."""

import time
from collections.abc import Iterator

from resource_server.doctor.findings import Finding, Verdict, shown
from resource_server.doctor.moments import duration
from resource_server.settings import Settings
from resource_server.tokens.issuer import Issuer, IssuerError
from resource_server.tokens.keys import ALGORITHMS

_FAR = 300
"""Seconds by which a clock may be wrong before no token can be judged."""


def issuer_findings(url: str, settings: Settings, now: float) -> Iterator[Finding]:
    """What comes of each check of an issuer.

    Args:
        url: The issuer identifier, as it is configured.
        settings: How its tokens are validated.
        now: The time in seconds since the epoch.
    """
    issuer, began = settings.issuer(url), time.monotonic()
    if url in (settings.jwks_urls or ()):
        yield Finding(
            "issuer", Verdict.PASSED, url, meaning="JWKS_URL says where its keys are; its metadata aren't asked."
        )
        yield _keys(issuer, settings)
        return
    try:
        issuer.metadata()
    except IssuerError as error:
        yield _no_metadata(url, settings, str(error))
        return
    yield Finding("issuer", Verdict.PASSED, url, meaning="Its metadata names it exactly so.")
    yield _keys(issuer, settings)
    yield _clock(issuer, settings, now + time.monotonic() - began)


def _no_metadata(url: str, settings: Settings, why: str) -> Finding:
    other = url.removesuffix("/") if url.endswith("/") else f"{url}/"
    meaning = "No keys can be fetched, so no token can be checked: requests are answered with 401 or 503."
    try:
        Issuer(other, settings.algorithms).metadata()
    except IssuerError:
        remedy = "Correct AUTH0_DOMAIN, or let this machine reach it: DNS, firewall, HTTPS_PROXY, certificates."
        if settings.development_issuer:
            remedy = "Start it with `make run`, or set AUTH0_DOMAIN and AUTH0_AUDIENCE."
        return Finding("issuer", Verdict.FAILED, why, url, meaning, remedy)
    meaning = "The issuer calls itself otherwise, and so do its tokens: every token is refused."
    return Finding("issuer", Verdict.FAILED, other, url, meaning, f"Write AUTH0_DOMAIN={other}")


def _keys(issuer: Issuer, settings: Settings) -> Finding:
    wanted = ", ".join(settings.algorithms)
    try:
        keys = issuer.fetch_keys().keys
        published = settings.issuer(issuer.url, ALGORITHMS).fetch_keys().keys
    except IssuerError as error:
        meaning, remedy = (
            "No token can be checked.",
            "See to it that what its metadata name, or JWKS_URL, can be reached from here.",
        )
        return Finding("keys", Verdict.FAILED, str(error), meaning=meaning, advice=remedy)
    verified = {alg for _, alg in keys}
    kids = ", ".join(sorted({shown(kid) for kid, _ in keys if kid is not None})) or "none"
    missing = [alg for alg in settings.algorithms if alg not in verified]
    if not missing:
        return Finding("keys", Verdict.PASSED, kids, f"keys for {wanted}")
    others = ", ".join(sorted({alg for _, alg in published})) or "no algorithm at all"
    meaning = f"It publishes no key for {', '.join(missing)}, but for {others}."
    if verified:
        advice = "Leave out of TOKEN_ALGORITHMS what the issuer doesn't sign with."
        return Finding("keys", Verdict.WARNING, kids, f"keys for {wanted}", meaning, advice)
    advice = "Set TOKEN_ALGORITHMS to what the issuer signs with."
    return Finding("keys", Verdict.FAILED, kids, f"keys for {wanted}", meaning, advice)


def _clock(issuer: Issuer, settings: Settings, now: float) -> Finding:
    began = time.monotonic()
    try:
        theirs = issuer.clock()
    except IssuerError as error:
        return Finding("clock", Verdict.NOT_CHECKED, str(error))
    if theirs is None:
        return Finding("clock", Verdict.NOT_CHECKED, "the issuer's answers have no Date")
    difference, took = abs(now - theirs), time.monotonic() - began
    if difference <= settings.leeway + 1 + took:  # a Date has no fractions
        return Finding("clock", Verdict.PASSED, "as the issuer's, to the second or two")
    found = f"{duration(difference)} {'ahead of' if now > theirs else 'behind'} the issuer's"
    meaning = "Tokens expire too early." if now > theirs else "New tokens may not be valid yet."
    verdict = Verdict.FAILED if difference > _FAR else Verdict.WARNING
    return Finding("clock", verdict, found, f"{settings.leeway:g} seconds at most", meaning, "Set this clock by NTP.")
