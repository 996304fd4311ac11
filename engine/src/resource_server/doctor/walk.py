"""A walk through all that is checked of an access token and its proof, by the validator's own tables and pieces."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from resource_server.doctor.advice import ADVICE, CLOCKS, Case, advice, in_milliseconds, reaching
from resource_server.doctor.findings import Finding, duration, failed, moment, not_checked, passed, shown, warning
from resource_server.doctor.kinds import SHARED, Kind, Presented, kind_of, kind_of_jwt, presented_as
from resource_server.settings import Settings
from resource_server.tokens import Auth0JWTBearerTokenValidator
from resource_server.tokens.checks import Check, broken
from resource_server.tokens.claims import CHECKS, AccessToken, bound_to, granted_scopes, is_date
from resource_server.tokens.dpop import PROOF_CHECKS, ExpectedProof, access_token_hash, parsed_proof
from resource_server.tokens.errors import (
    Flaw,
    InvalidProof,
    InvalidToken,
    IssuerUnavailable,
    MissingCredentials,
    Refusal,
)
from resource_server.tokens.headers import HEADER_CHECKS, is_typed
from resource_server.tokens.issuer import IssuerError
from resource_server.tokens.jwt import SignedJWT
from resource_server.tokens.keys import verification_keys, verify_signature
from resource_server.validating import make_mtls, takes_proofs, validator_options

_UNKNOWN = Kind("unknown", "text of a kind that isn't known")


@dataclass
class Walk:
    """What has been found out about a token.

    Args:
        presented: The text, and how it would be sent.
        kind: What kind of thing it is.
        jwt: The token, or the one that is in the text, if it could be taken apart.
        findings: What has come of each check, in order.
        access_token: What the API's operations would see; nothing if the token is refused.
    """

    presented: Presented
    kind: Kind = _UNKNOWN
    jwt: SignedJWT | None = None
    findings: list[Finding] = field(default_factory=list)
    access_token: AccessToken | None = None

    @property
    def failed(self) -> Finding | None:
        """The first check that has failed: what the API answers with."""
        return next((finding for finding in self.findings if finding.failed), None)

    @property
    def advice(self) -> str:
        """The one thing to do first; empty if nothing is wrong."""
        return (self.kind.advice or self.failed.advice) if self.failed else ""


def walk(text: str, settings: Settings, now: float, proof: str | None = None) -> Walk:
    """Walk through every check. Fetches the issuer's public keys, and sends the token nowhere.

    Args:
        text: What somebody takes for an access token, by itself or with `Bearer` or `DPoP` before it.
        settings: What the API accepts.
        now: The time in seconds since the epoch.
        proof: What stands in the header field `DPoP`, with a token that is sent so.
    """
    walked = recognized(text)
    if not walked.jwt:
        return walked
    options = validator_options(replace(settings, dpop="disabled"))
    validator = Auth0JWTBearerTokenValidator(settings.issuers, settings.audience, **options)
    expected = validator.expected(now)._replace(typed=is_typed(walked.jwt.header))
    case = Case(walked.jwt, settings, expected)
    walked.findings += _rows(HEADER_CHECKS, case, case.jwt.header, validator.accepted)
    walked.findings += _signature(case)
    walked.findings += _rows(CHECKS, case, case.claims, expected)
    walked.findings += _binding(case, walked.presented, proof)
    if not walked.failed:
        walked.findings += _accepted(walked.kind, case.provider)
        scopes = granted_scopes(case.claims, *validator.scope_claims)
        walked.access_token = AccessToken(case.claims, scopes)
    return walked


def _accepted(kind: Kind, provider: str) -> Iterator[Finding]:
    """What is to be said of a token although it is accepted."""
    if provider in SHARED:
        meaning = "It is accepted, but this issuer's tokens are everybody's."
        yield warning("kind", kind.name, "", meaning, SHARED[provider])
    elif kind.advice:
        meaning = "It is accepted, as nothing that is checked tells it from an access token."
        yield warning("kind", kind.name, "", meaning, kind.advice)


def recognized(text: str) -> Walk:
    """The first part of a walk, for which no settings are needed: what kind of thing a text is."""
    walked = Walk(presented_as(text))
    token = walked.presented.token
    walked.findings += walked.presented.findings
    form = ("form", f"{len(token)} characters, {token.count('.') + 1} parts", "3 parts of base64url")
    if not walked.failed:
        try:
            walked.jwt = SignedJWT.parse(token)
        except InvalidToken as error:
            walked.findings.append(_refused(*form, error.refusal))
        else:
            walked.findings.append(passed(*form))
            walked.kind = kind_of_jwt(walked.jwt)
            return walked
    long = walked.failed and walked.failed.meaning == Refusal.OVERSIZED
    walked.kind = (Kind("long", "a very long text") if long else kind_of(token)) or _UNKNOWN
    if walked.kind.inner:  # so that it can be said whether that would do
        with suppress(InvalidToken):
            walked.jwt = SignedJWT.parse(walked.kind.inner)
    return walked


def _refused(check: str, found: str, expected: str, refusal: Refusal, case: Case | None = None) -> Finding:
    """A check that has failed, with what the API answers then."""
    return failed(check, found, expected, refusal.value, advice(refusal, case))


def _rows(checks: tuple[Check[Refusal], ...], case: Case, members: dict[str, Any], compared: Any) -> Iterator[Finding]:
    """What comes of the rows of a table, those after one that fails included as far as they can be asked."""
    failing, unusable = list(broken(checks, members, compared)), set[str]()
    for name, group in groupby(checks, key=lambda check: check.name):
        rows = list(group)
        names = list(dict.fromkeys(each for check in rows for each in check.of))
        bad = [check for check in rows if check in failing]
        for check in bad:
            found = _values(check.of, members, case.now)
            if len(rows) > 1 and len(check.of) == 1 and check.of[0] in members:
                found = f"{check.of[0]} {found}"  # which of the rows it is
            yield _refused(name, found, _must(check, case), check.refusal, case._replace(row=check))
        if not bad and not unusable.isdisjoint(names):
            yield not_checked(name)
        elif not bad:
            doubt = _doubt(name, case)
            come = warning if any(doubt) else passed
            yield come(name, _values(names, members, case.now), _must(rows[0], case), *doubt)
        unusable.update(each for check in bad for each in check.of)


def _values(names: Sequence[str], members: dict[str, Any], now: float) -> str:
    """The one member's value, with the moment that it is; or several with their names."""
    present = [name for name in names if name in members]
    if len(names) == 1 and present:
        value = members[names[0]]
        dated = names[0] in ("exp", "nbf", "iat") and is_date(value)
        return f"{shown(value)}, {moment(value, now)}" if dated else shown(value)
    return ", ".join(f"{name} {shown(members[name])}" for name in present) or f"no {' or '.join(names)}"


def _must(check: Check[Refusal], case: Case) -> str:
    """What must be, with the values of these settings."""
    now, settings = f"{moment(case.now, case.now)}, give or take {case.settings.leeway:g} seconds", case.settings
    said = {
        "algorithm": " or ".join(settings.algorithms),
        "audience": shown(settings.audience),
        "expiry": f"later than {now}",
        "start": f"not later than {now}" if "nbf" in case.claims else "",
        "age": "" if settings.max_age is None else f"not more than {duration(settings.max_age)} ago",
    }
    return said.get(check.name, f"{' and '.join(check.of)} {check.must}" if check.name != "claims" else check.must)


def _doubt(name: str, case: Case) -> tuple[str, str]:
    """What is odd although it passes, and what to do."""
    expires, issued = case.claims.get("exp"), case.claims.get("iat")
    if name == "expiry" and is_date(expires) and in_milliseconds(expires, case.now):
        return "It is accepted, and will hardly ever expire.", "exp is in milliseconds: have it written in seconds."
    if name == "age" and is_date(issued) and issued > case.now + case.settings.leeway:
        return "It is accepted, as nothing says how old it may be.", CLOCKS.format("It was issued in the future")
    return "", ""


def _signature(case: Case) -> Iterator[Finding]:
    settings, issuer = case.settings, case.claims.get("iss")
    found, expected = shown(issuer) if "iss" in case.claims else "no iss", " or ".join(map(shown, settings.issuers))
    trusted = next((url for url in settings.issuers if url == issuer), None)
    if trusted:
        yield passed("issuer", found, expected)
    else:
        yield _refused("issuer", found, expected, Refusal.ISSUER, case)
    alg, kid = case.jwt.header.get("alg"), case.jwt.header.get("kid")
    if trusted is None or alg not in settings.algorithms or not isinstance(kid, str | None):
        yield from (not_checked("key"), not_checked("signature"))
        return
    try:
        key_set = settings.issuer(trusted).key_set()
    except IssuerError as error:
        yield failed("key", str(error), "", IssuerUnavailable.description, reaching(error))
        yield not_checked("signature")
        return
    keys, case = verification_keys(key_set, settings.algorithms), case._replace(published=tuple(key_set["keys"]))
    published = " or ".join(map(shown, sorted({kid for kid, _ in keys if kid is not None}))) or "none"
    said = ("key", f"kid {shown(kid)}" if kid is not None else "no kid", f"{published}, as published")
    key = keys.get((kid, alg))
    if key is None:
        yield _refused(*said, Refusal.UNKNOWN_KEY, case)
        yield not_checked("signature")
        return
    yield passed(*said)
    signature = ("signature", f"{alg}, {len(case.jwt.signature)} bytes", "")
    good = verify_signature(alg, key, case.jwt.signing_input, case.jwt.signature)
    yield passed(*signature) if good else _refused(*signature, Refusal.SIGNATURE, case)


def _binding(case: Case, presented: Presented, proof: str | None) -> Iterator[Finding]:
    bound = "cnf" in case.claims
    found = ("binding", f"cnf {shown(case.claims['cnf'])}" if bound else "bound to nothing", "")
    bearer, mtls = presented.scheme == "Bearer", make_mtls(case.settings)
    if not bearer and not takes_proofs(case.settings):
        remedy = "Set PUBLIC_URL, and DPOP not to disabled, to have the API take bound tokens."
        yield failed(*found, MissingCredentials.description, remedy)
        return
    try:
        binding = bound_to(case.claims, bearer=bearer, certificates=mtls is not None)
        if mtls and not binding.certificate:
            mtls.check((), None)
    except InvalidToken as error:
        yield _refused(*found, error.refusal, case)
        return
    if not binding.key and (not bearer or case.settings.dpop == "required"):
        yield _refused(*found, Refusal.NOT_BOUND, case)
        return
    unseen = [] if bearer or proof else ["The proof that goes with it isn't looked at: give it with --proof."]
    unseen += ["It needs the client's certificate, which isn't looked at."] if binding.certificate else []
    yield passed(*found, " ".join(unseen))
    if binding.key and proof:
        yield from _proof(proof, binding.key, presented.token, case)


def _flawed(name: str, flaw: Flaw, found: str = "", expected: str = "") -> Finding:
    """A check of a proof that has failed, with what the API answers then."""
    return failed(f"proof's {name}", found, expected, flaw.value, _OF_PROOFS[flaw])


def _proof(proof: str, thumbprint: str, token: str, case: Case) -> Iterator[Finding]:
    """What comes of each check of a proof. Which request it is for only the proof itself says."""
    try:
        jwt, key = parsed_proof((proof.removeprefix("DPoP:").strip(),))
    except InvalidProof as error:
        yield _flawed("form", error.refusal)
        return
    yield passed("proof's form", f"{shown(jwt.header.get('alg'))}, the key's thumbprint is {key.thumbprint}")
    keys, other = ("proof's key", key.thumbprint, thumbprint), Refusal.OTHER_KEY
    yield passed(*keys) if key.thumbprint == thumbprint else failed(*keys, other.value, ADVICE[other])
    if not verify_signature(key.alg, key.key, jwt.signing_input, jwt.signature):
        yield _flawed("signature", Flaw.SIGNATURE)
        return
    base, url = case.settings.base_url or "", str(jwt.claims.get("htu"))
    below = url if url.startswith(f"{base}/") and "?" not in url and "#" not in url else f"{base}/"
    expected = ExpectedProof(str(jwt.claims.get("htm")), below, access_token_hash(token), case.now)
    failing = list(broken(PROOF_CHECKS, jwt.claims, expected))
    for check in failing:
        values, must = _values(check.of, jwt.claims, case.now), f"below {base}" if check.name == "URI" else check.must
        yield _flawed(check.name, check.refusal, values, must)
    if not failing:
        made_for = f"{shown(jwt.claims['htm'])} {shown(url)}, {moment(jwt.claims['iat'], case.now)}"
        meaning = "Whether it has been used before, and needs a nonce, the API knows."
        yield passed("proof's claims", made_for, meaning=meaning)


_MAKE = "Have the client make it as RFC 9449, section 4.2 says, with a library."
_OF_PROOFS: dict[Flaw, str] = dict.fromkeys(Flaw, _MAKE) | {
    Flaw.MALFORMED: "Give the proof as it stands in the header field DPoP: three parts of base64url.",
    Flaw.TYPE: "That is no proof: it has typ dpop+jwt, and is made by the client for each request.",
    Flaw.ALGORITHM: "Proofs are signed with an asymmetric algorithm, as the challenge's algs lists them.",
    Flaw.KEY: "The proof's jwk has to be the public key alone, for its alg; replace a private one that was sent.",
    Flaw.SIGNATURE: "It was altered, or is signed with another key than its jwk.",
    Flaw.URI: "htu has to be the URL as the client calls it, without its query: compare it with PUBLIC_URL.",
    Flaw.TIME: "Make a proof for each request; if it is new, a clock is wrong: set the client's by NTP.",
    Flaw.TOKEN: "ath is the hash of another token: make a proof for each token, too, after each renewal.",
}
"""What to do about a flaw of a proof."""
