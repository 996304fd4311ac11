"""Every check of a JWT, in the order of the validator, each with its outcome and with the validator's own pieces."""

from collections.abc import Iterator
from typing import Any

from resource_server.doctor.actual import Actual, actual
from resource_server.doctor.advice import advice
from resource_server.doctor.closer import Case
from resource_server.doctor.findings import Finding, Verdict, shown
from resource_server.tokens.claims import CHECKS, Expected, bound_to
from resource_server.tokens.errors import InvalidToken, IssuerUnavailable, MissingCredentials, Refusal
from resource_server.tokens.headers import HEADER_CHECKS, Accepted, is_typed
from resource_server.tokens.issuer import IssuerError
from resource_server.tokens.keys import KeyIndex, verify_signature
from resource_server.validating import takes_proofs

_HEADER = ("header", "algorithm", "extensions", "type")
_CLAIMS = ("claims", "purpose", "audience", "expiry", "start", "age")
"""What the rows of the validator's tables are called."""


def checks(case: Case, scheme: str) -> Iterator[Finding]:
    """What comes of each check, those after a failed one included as far as they can be evaluated.

    Args:
        case: The token, taken apart.
        scheme: How it is sent: `Bearer` or `DPoP`.
    """
    settings = case.settings
    rfc9068 = settings.profile == "rfc9068"
    yield from _rows(_HEADER, HEADER_CHECKS, case.jwt.header, Accepted(settings.algorithms, rfc9068), case)
    yield from _signature(case)
    expected = Expected(
        settings.audience,
        case.now,
        settings.leeway,
        settings.max_age,
        scope_claims=(*settings.scope_claims, *(("permissions",) if settings.permissions else ())),
        subject=settings.subject,
        rfc9068=rfc9068,
        typed=is_typed(case.jwt.header),
    )
    yield from _rows(_CLAIMS, CHECKS, case.claims, expected, case)
    yield _binding(case, scheme)


def refused(check: str, refusal: Refusal, found: Actual, case: Case | None) -> Finding:
    """A check that has failed, with what the API answers then."""
    return Finding(check, Verdict.FAILED, found.value, found.expected, refusal.value, advice(refusal, case))


def _rows(names: tuple[str, ...], table: Any, members: dict[str, Any], compared: Any, case: Case) -> Iterator[Finding]:
    usable = True  # until the first row says that the others can't be evaluated
    for index, (name, (holds, refusal)) in enumerate(zip(names, table, strict=True)):
        if not usable:
            yield _not_checked(name)
            continue
        found = actual(name, case)
        if holds(members, compared):
            yield Finding(name, Verdict.WARNING if found.advice else Verdict.PASSED, *found)
        else:
            usable = index > 0
            yield refused(name, refusal, found, case)


def _not_checked(check: str) -> Finding:
    return Finding(check, Verdict.NOT_CHECKED)


def _signature(case: Case) -> Iterator[Finding]:
    issuer, found = case.claims.get("iss"), actual("issuer", case)
    trusted = next((url for url in case.settings.issuers if url == issuer), None)
    yield Finding("issuer", Verdict.PASSED, *found) if trusted else refused("issuer", Refusal.ISSUER, found, case)
    alg, kid = case.jwt.header.get("alg"), case.jwt.header.get("kid")
    if trusted is None or alg not in case.settings.algorithms or not isinstance(kid, str | None):
        yield _not_checked("key")
        yield _not_checked("signature")
        return
    try:
        keys = case.settings.issuer(trusted).fetch_keys().keys
    except IssuerError as error:
        remedy = "Find out why the issuer's keys can't be had: `python -m api doctor` without a token says more."
        yield Finding("key", Verdict.FAILED, str(error), "", IssuerUnavailable.description, remedy)
        yield _not_checked("signature")
        return
    yield from _verified(case, keys)


def _verified(case: Case, keys: KeyIndex) -> Iterator[Finding]:
    alg, published = case.jwt.header["alg"], sorted({kid for kid, _ in keys if kid is not None})
    key = keys.get((case.jwt.header.get("kid"), alg))
    found = actual("key", case)._replace(expected=f"{' or '.join(map(shown, published)) or 'none'}, as published")
    if key is None:
        yield refused("key", Refusal.UNKNOWN_KEY, found, case)
        yield _not_checked("signature")
        return
    yield Finding("key", Verdict.PASSED, *found)
    found = Actual(f"{alg}, {len(case.jwt.signature)} bytes")
    verified = verify_signature(alg, key, case.jwt.signing_input, case.jwt.signature)
    passed = Finding("signature", Verdict.PASSED, *found)
    yield passed if verified else refused("signature", Refusal.SIGNATURE, found, case)


def _binding(case: Case, scheme: str) -> Finding:
    bound = "cnf" in case.claims
    found = Actual(f"cnf {shown(case.claims['cnf'])}" if bound else "bound to nothing")
    if scheme == "Bearer":
        refusal = Refusal.SENDER_CONSTRAINED if bound else Refusal.NOT_BOUND
        wrong = bound or case.settings.dpop == "required"
        return refused("binding", refusal, found, case) if wrong else Finding("binding", Verdict.PASSED, *found)
    if not takes_proofs(case.settings):
        remedy = "Set PUBLIC_URL, and DPOP not to disabled, to have the API take bound tokens."
        return Finding("binding", Verdict.FAILED, found.value, "", MissingCredentials.description, remedy)
    try:
        thumbprint = bound_to(case.claims)
    except InvalidToken as error:
        return refused("binding", error.refusal, found, case)
    if thumbprint is None:
        return refused("binding", Refusal.NOT_BOUND, found, case)
    return Finding("binding", Verdict.PASSED, found.value, meaning="The proof that goes with it isn't looked at here.")
