"""Whom an operation lets in: by the OpenAPI Specification and RFC 6750 alone. It imports nothing of the engine.

What these leave open is decided here as the documentation says: a bad token is never anonymous, and of several refusals
the one that came closest is told.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Token(NamedTuple):
    """An access token: whether it is good, and what it grants."""

    valid: bool
    scopes: frozenset[str]


class Presented(NamedTuple):
    """What a client presents.

    Args:
        authorization: A bearer token, whether a Basic password is right, `malformed` (the word Bearer alone), or none.
        keys: Whether the API key sent for a scheme is right.
    """

    authorization: Token | bool | str | None
    keys: Mapping[str, bool]


class Outcome(NamedTuple):
    """What must come out: the status, and in a bearer challenge `error` and the scopes that are named."""

    status: int
    error: str | None = None
    scope: frozenset[str] = frozenset()


LET_IN, NOBODY = Outcome(200), Outcome(401)
_ORDER = (403, 401)


def outcome(document: Mapping[str, Any], method: str, path: str, presented: Presented) -> Outcome:
    """What a request for an operation must be answered with; 200 stands for whatever its handler answers."""
    security = document["paths"][path][method].get("security", document.get("security", []))
    kinds = {name: _kind(scheme) for name, scheme in document["components"]["securitySchemes"].items()}
    if not security:
        return LET_IN
    if presented.authorization == "malformed" and any(kinds[name] == "token" for each in security for name in each):
        return Outcome(400, "invalid_request")
    refusals: list[Outcome] = []
    for alternative in filter(None, security):
        verdicts = list(_verdicts(alternative, kinds, presented))
        if all(verdict == LET_IN for verdict in verdicts):
            return LET_IN
        refusals += [verdict for verdict in verdicts if verdict and verdict != LET_IN][:1]
    if refusals:
        return min(refusals, key=lambda refusal: _ORDER.index(refusal.status))
    return LET_IN if {} in security else NOBODY


def _kind(scheme: Mapping[str, Any]) -> str:
    if scheme["type"] in ("oauth2", "openIdConnect") or scheme.get("scheme", "").lower() == "bearer":
        return "token"
    return "password" if scheme["type"] == "http" else "key"


def _verdicts(
    alternative: Mapping[str, list[str]], kinds: Mapping[str, str], presented: Presented
) -> Iterator[Outcome | None]:
    """What each scheme says for itself; None without credentials for it."""
    needed = frozenset(scope for name in alternative if kinds[name] == "token" for scope in alternative[name])
    for name in alternative:
        match kinds[name], presented.authorization:
            case "token", Token(valid, scopes):
                granted = LET_IN if needed <= scopes else Outcome(403, "insufficient_scope", needed)
                yield granted if valid else Outcome(401, "invalid_token")
            case "password", bool(right):
                yield LET_IN if right else NOBODY
            case "key", _ if name in presented.keys:
                yield LET_IN if presented.keys[name] else NOBODY
            case _:
                yield None
