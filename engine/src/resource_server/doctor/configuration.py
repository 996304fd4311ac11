"""Whether the API could serve a valid token now, as far as its configuration is concerned."""

import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.request import getproxies

from resource_server.contract.loading import read_contract
from resource_server.contract.spec import ContractError, declared_scopes, operations
from resource_server.doctor.advice import reaching
from resource_server.doctor.findings import Finding, duration, failed, not_checked, passed, shown, warning
from resource_server.doctor.kinds import host_of
from resource_server.networks import is_local
from resource_server.serving.making import ApplicationError, make
from resource_server.settings import Settings, SettingsError, lacks_final_slash
from resource_server.tokens.dpop import Proof
from resource_server.tokens.errors import ReplaysUnavailable
from resource_server.tokens.issuer import Issuer, IssuerError
from resource_server.tokens.keys import ALGORITHMS
from resource_server.validating import make_dpop, make_mtls


def settings_finding(error: SettingsError) -> Finding:
    """What a setting that can't be used means."""
    return failed("settings", str(error), "", "The API doesn't start, and nothing else can be checked.", _AS_IT_SAYS)


def configuration_findings(factory: str, settings: Settings, now: float) -> Iterator[Finding]:
    """What comes of each check of the configuration. Fetches the issuers' metadata and keys.

    Args:
        factory: The function that makes the API, like `api.app:create_app`.
        settings: The settings of the API.
        now: The time in seconds since the epoch.
    """
    yield _settings(settings)
    yield _audience(settings.audience)
    for url in settings.issuers:
        yield from _issuer(url, settings, now)
    yield from _contract(factory, settings)
    yield from _store(settings, now)
    yield _public_url(settings.base_url)
    origins = ", ".join(settings.cors_origins)
    meaning = f"Pages of {'these' if origins else 'no other'} origins can call the API."
    yield passed("CORS", origins or "no origins", meaning=meaning)
    yield _proxies(settings)
    if mtls := make_mtls(settings):
        taken = "required" if mtls.required else "taken"
        meaning = f"Tokens that are bound to a client certificate are {taken}; the proxies have to set that field."
        yield passed("certificates", f"in {settings.client_certificate_header}", meaning=meaning)


def _settings(settings: Settings) -> Finding:
    issuers = ", ".join(settings.issuers)
    for url in filter(lacks_final_slash, settings.issuers):
        meaning = "Auth0's issuers end with a slash, so no token has this one, and every token is refused."
        return failed("settings", issuers, f"{url}/", meaning, f"Write AUTH0_DOMAIN={url.partition('://')[2]}")
    meaning = "The development issuer's tokens are taken." if settings.development_issuer else ""
    return passed("settings", f"tokens of {settings.named_issuers} are taken", meaning=meaning)


def _audience(audience: str) -> Finding:
    advice = "Set AUTH0_AUDIENCE to your API's identifier."
    if audience.endswith(("/api/v2/", "/userinfo")):
        meaning = "That is an API of Auth0's own. Tokens for it say nothing about this one."
    elif len(audience) == 32 and audience.isalnum():
        meaning = "It looks like a Client ID of Auth0's, which ID tokens have for an audience, and access tokens never."
    else:
        return passed("audience", audience, meaning="Clients have to request tokens for it.")
    return warning("audience", audience, "", meaning, advice)


def _contract(factory: str, settings: Settings) -> Iterator[Finding]:
    try:
        contract = read_contract(settings.specification)
        app = make(factory, replace(settings, dpop="disabled", metrics_port=0))
    except (ApplicationError, ContractError) as error:
        yield failed("contract", str(error), "", "It isn't served.", "Mend it as it says.")
        return
    except Exception as error:  # noqa: BLE001  # whatever a person's modules raise
        why = f"{type(error).__name__}: {error}"
        yield failed("contract", why, "", "The API doesn't start.", f"{factory} raises it.")
        return
    found = list(operations(contract))
    protected = sum(bool(security) and {} not in security for *_, security in found)
    counted = f"{settings.specification.name}: {len(found)} operations, {protected} of them need credentials"
    yield passed("contract", counted)
    if app.resolver:
        meaning = "It says for each host whose tokens are taken there, beside AUTH0_DOMAIN. It isn't asked here."
        yield not_checked("issuers", app.resolver.name, meaning=meaning)
    for route, callers in app.beside.items():
        yield passed("beside it", route, meaning=callers)
    counts = ", ".join((*settings.scope_claims, *(("permissions",) if settings.permissions else ())))
    scopes = " ".join(declared_scopes(contract)) or "none"
    yield passed("scopes", scopes, meaning=f"They are looked for in {counts}.")


def _public_url(url: str | None) -> Finding:
    if url is None:
        meaning = "It isn't known, so bound tokens aren't taken, and challenges lead to no metadata."
        return not_checked("public URL", meaning=meaning, advice="Set PUBLIC_URL if that is wanted.")
    if url.startswith("http://") and not is_local(url):
        return warning(
            "public URL", url, "", "Tokens that are sent there can be read on the way.", "Serve it by https."
        )
    return passed("public URL", url, meaning="Proofs have to be made for URLs below it.")


def _proxies(settings: Settings) -> Finding:
    trusted = ", ".join(map(str, settings.trusted_proxies)) or "none in front is trusted"
    out = getproxies().get("https") or getproxies().get("all")
    meaning = f"Issuers are asked through {host_of(out) or 'a proxy'}." if out else "Issuers are asked directly."
    return passed("proxies", trusted, meaning=meaning)


_FAR = 300
"""Seconds by which a clock may be wrong before no token can be judged."""


def _issuer(url: str, settings: Settings, now: float) -> Iterator[Finding]:
    """What comes of each check of an issuer."""
    issuer, began = settings.issuer(url), time.monotonic()
    if url in (settings.jwks_urls or ()):
        yield passed("issuer", url, meaning="JWKS_URL says where its keys are; its metadata aren't asked.")
        yield _keys(issuer, settings)
        return
    try:
        issuer.metadata()
    except IssuerError as error:
        yield _no_metadata(url, settings, error)
        return
    yield passed("issuer", url, meaning="Its metadata names it exactly so.")
    yield _keys(issuer, settings)
    yield _clock(issuer, settings, now + time.monotonic() - began)


def _no_metadata(url: str, settings: Settings, error: IssuerError) -> Finding:
    other = url.removesuffix("/") if url.endswith("/") else f"{url}/"
    meaning = "No keys can be fetched, so no token can be checked: requests are answered with 401 or 503."
    try:
        Issuer(other, settings.algorithms).metadata()
    except IssuerError:
        remedy = reaching(error)
        if settings.development_issuer:
            remedy = "Start it with `make run`, or set AUTH0_DOMAIN and AUTH0_AUDIENCE."
        return failed("issuer", str(error), url, meaning, remedy)
    meaning = "The issuer calls itself otherwise, and so do its tokens: every token is refused."
    return failed("issuer", other, url, meaning, f"Write AUTH0_DOMAIN={other}")


def _keys(issuer: Issuer, settings: Settings) -> Finding:
    try:
        keys = issuer.fetch_keys().keys
        published = settings.issuer(issuer.url, ALGORITHMS).fetch_keys().keys
    except IssuerError as error:
        return failed("keys", str(error), "", "No token can be checked.", reaching(error))
    verified = {alg for _, alg in keys}
    kids = ", ".join(sorted({shown(kid) for kid, _ in keys if kid is not None})) or "none"
    found = ("keys", kids, f"keys for {', '.join(settings.algorithms)}")
    missing = [alg for alg in settings.algorithms if alg not in verified]
    if not missing:
        return passed(*found)
    others = ", ".join(sorted({alg for _, alg in published})) or "no algorithm at all"
    meaning = f"It publishes no key for {', '.join(missing)}, but for {others}."
    if verified:
        return warning(*found, meaning, "Leave out of TOKEN_ALGORITHMS what the issuer doesn't sign with.")
    if published:
        return failed(*found, meaning, "Set TOKEN_ALGORITHMS to what the issuer signs with.")
    advice = "No key of its key set can be used: the log of the API says why, and that is the issuer's to mend."
    return failed(*found, meaning, advice)


def _clock(issuer: Issuer, settings: Settings, now: float) -> Finding:
    began = time.monotonic()
    try:
        theirs = issuer.clock()
    except IssuerError as error:
        return not_checked("clock", str(error))
    if theirs is None:
        return not_checked("clock", "the issuer's answers have no Date")
    difference, took = abs(now - theirs), time.monotonic() - began
    if difference <= settings.leeway + 1 + took:  # a Date has no fractions
        return passed("clock", "as the issuer's, to the second or two")
    found = f"{duration(difference)} {'ahead of' if now > theirs else 'behind'} the issuer's"
    meaning = "Tokens expire too early." if now > theirs else "New tokens may not be valid yet."
    come = failed if difference > _FAR else warning
    return come("clock", found, f"{settings.leeway:g} seconds at most", meaning, "Set this clock by NTP.")


_MATTERS = 360
"""Seconds for which a proof that has just been made matters."""


def _store(settings: Settings, now: float) -> Iterator[Finding]:
    """What comes of using a proof that nobody has made."""
    place = "Redis" if settings.redis_url else "SQLite, for this machine"
    try:
        dpop = make_dpop(settings)
        if dpop is None:
            yield not_checked("used proofs", meaning="Bound tokens (DPoP) aren't taken.")
            return
        dpop.use(Proof(secrets.token_bytes(32), now + _MATTERS, ""))
    except SettingsError as error:
        yield failed("used proofs", str(error), "", "The API doesn't start.", _AS_IT_SAYS)
    except ReplaysUnavailable as error:
        found = f"{place}: {error.__cause__ or 'what has been remembered is lost'}"
        yield failed("used proofs", found, "", "Bound tokens are answered with 503; Bearer tokens are taken.", _REMEDY)
    else:
        meaning = "Bound tokens are required." if dpop.required else "Bound tokens are taken."
        yield passed("used proofs", f"remembered in {place}", meaning=meaning)


_AS_IT_SAYS = "Correct it as it says."
_REMEDY = "Have Redis answer, with maxmemory-policy noeviction; without REDIS_URL make room in the temporary folder."
