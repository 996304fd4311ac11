"""What must come out of a request, going by the security requirements of an OpenAPI document.

The oracle is given the document, one operation and the credentials that a client presents. It was written from the
standards and the documentation alone, and imports nothing of the engine.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Token(NamedTuple):
    """A bearer access token as the API sees it after checking it."""

    valid: bool  # signature, expiry, audience, issuer are all right
    scopes: frozenset[str]  # what it grants
    claims: Mapping[str, Any] = {}  # what else it says


class Presented(NamedTuple):
    """The credentials that a client sends with one request."""

    # Token: `Authorization: Bearer <token>`; True/False: Basic with a right/wrong password;
    # "malformed": `Authorization: Bearer` with nothing after it; None: no such header field
    authorization: Token | bool | str | None
    # by the name of an apiKey security scheme: a right or a wrong key; absent: none was sent
    keys: Mapping[str, bool]


class Outcome(NamedTuple):
    """The answer that the client must get."""

    status: int  # 200: the handler is reached; else 400, 401, 403
    error: str | None  # the `error` attribute of the Bearer challenge, or None
    scope: frozenset[str]  # with 403: the scopes that the `scope` attribute names; else empty


NO_SCOPES: frozenset[str] = frozenset()
REACHED = Outcome(200, None, NO_SCOPES)
UNAUTHENTICATED = Outcome(401, None, NO_SCOPES)
INVALID_TOKEN = Outcome(401, "invalid_token", NO_SCOPES)
INVALID_REQUEST = Outcome(400, "invalid_request", NO_SCOPES)
PRECEDENCE = (403, 401, 400)  # of several refusals, the status named first here wins
SCOPED = ("oauth2", "openIdConnect")  # the scheme types whose scopes are enforced


def kind_of(scheme: Mapping[str, Any]) -> str:
    """Say what a security scheme takes: "bearer", "basic" or "apiKey"."""
    kind = str(scheme["type"])
    if kind in SCOPED:
        return "bearer"
    if kind == "http":
        kind = scheme["scheme"].lower()
    if kind not in ("bearer", "basic", "apiKey"):
        raise ValueError(f"no rule for this security scheme: {scheme!r}")
    return kind


def judge_token(token: Token, needed: frozenset[str]) -> Outcome:
    """Judge a token against all the scopes that one alternative needs of it."""
    if not token.valid:
        return INVALID_TOKEN
    return REACHED if needed <= token.scopes else Outcome(403, "insufficient_scope", needed)


def judge_scheme(name: str, kind: str, needed: frozenset[str], presented: Presented) -> Outcome | None:
    """Judge what was presented for one scheme: None if nothing was, REACHED if it is good."""
    sent = presented.authorization
    if kind == "bearer":
        return judge_token(sent, needed) if isinstance(sent, Token) else None
    right = presented.keys.get(name) if kind == "apiKey" else sent
    if not isinstance(right, bool):
        return None
    return REACHED if right else UNAUTHENTICATED


def judge_alternative(
    alternative: Mapping[str, list[str]], schemes: Mapping[str, Any], presented: Presented
) -> Outcome | None:
    """Judge one non-empty alternative: None if nothing was presented for it, REACHED if it is met.

    A token serves all bearer-token schemes of the alternative together. So a token that lacks
    any scope that the alternative needs is bad for each of them, including the first.
    """
    needed = frozenset(
        scope for name, scopes in alternative.items() if schemes[name]["type"] in SCOPED for scope in scopes
    )
    verdicts = [judge_scheme(name, kind_of(schemes[name]), needed, presented) for name in alternative]
    for verdict in verdicts:
        if verdict is not None and verdict != REACHED:
            return verdict
    return None if None in verdicts else REACHED


def look_up(claims: Any, name: str) -> Any:
    """Find a claim; a part of the name after a dot may lead into an object. Nothing found is None."""
    words = name.split(".")
    for taken in range(len(words), 0, -1):
        found = claims.get(".".join(words[:taken]), claims)
        if found is claims:
            continue
        for word in words[taken:]:
            found = found[word] if isinstance(found, dict) and word in found else None
        return found
    return None


def same(one: Any, other: Any) -> bool:
    """Say whether two values are the same in JSON."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return isinstance(one, str | int | float) and one == other


def is_good(keyword: str, value: Any, wanted: Any, variables: Mapping[str, str]) -> bool:
    """Say whether a claim's value is what one keyword of `x-claims` asks for."""
    items = value if isinstance(value, list) else []
    match keyword:
        case "equals":
            return same(value, wanted)
        case "oneOf":
            return [same(value, each) for each in wanted].count(True) > 0
        case "contains":
            all_of = wanted if isinstance(wanted, list) else [wanted]
            return {True} >= {any(same(item, each) for item in items) for each in all_of}
        case "containsOneOf":
            return any(same(item, each) for item in items for each in wanted)
        case "equalsPathParameter":
            return type(value) in (str, int) and f"{value}" == variables[wanted]
    raise ValueError(f"no rule for {keyword!r}")


def has_claims(rules: Mapping[str, Mapping[str, Any]], claims: Mapping[str, Any], variables: Mapping[str, str]) -> bool:
    """Say whether a token's claims are what `x-claims` asks for."""
    return all(
        is_good(keyword, look_up(claims, name), wanted, variables)
        for name, rule in rules.items()
        for keyword, wanted in rule.items()
    )


def outcome(
    document: Mapping[str, Any], method: str, path: str, presented: Presented, variables: Mapping[str, str] = {}
) -> Outcome:
    """Say what must come out when the operation is called with these credentials.

    Of several alternatives that are met the first counts. If a token is a part of it, that must have the claims.
    """
    operation = document["paths"][path][method]
    alternatives = operation["security"] if "security" in operation else document.get("security")
    if not alternatives:
        return REACHED
    schemes = document.get("components", {}).get("securitySchemes", {})
    takes_tokens = any(kind_of(schemes[name]) == "bearer" for alternative in alternatives for name in alternative)
    if presented.authorization == "malformed" and takes_tokens:
        return INVALID_REQUEST
    verdicts = [judge_alternative(alternative, schemes, presented) for alternative in alternatives if alternative]
    if REACHED in verdicts:
        met = [alternative for alternative in alternatives if alternative][verdicts.index(REACHED)]
        if isinstance(presented.authorization, Token) and any(kind_of(schemes[name]) == "bearer" for name in met):
            for rules in (document.get("x-claims", {}), operation.get("x-claims", {})):
                if not has_claims(rules, presented.authorization.claims, variables):
                    return Outcome(403, "insufficient_claims", NO_SCOPES)
        return REACHED
    refusals = [verdict for verdict in verdicts if verdict is not None]
    if refusals:  # min() gives the first in order among equals
        return min(refusals, key=lambda refusal: PRECEDENCE.index(refusal.status))
    return REACHED if {} in alternatives else UNAUTHENTICATED
