"""The claims of an access token and what must hold of them (RFC 7519, section 4.1; RFC 9068, section 4)."""

from collections.abc import Collection
from typing import Any, NamedTuple, TypeGuard

from authlib.oauth2.rfc7523 import JWTBearerToken

from resource_server.tokens.checks import Check, is_text, optional, required
from resource_server.tokens.errors import InvalidToken, Refusal

Claims = dict[str, Any]


class AccessToken(JWTBearerToken):  # type: ignore[misc]  # Authlib is not typed
    """The claims of a validated access token: a `dict`, and the scopes that were read from it.

    It carries no proof of its own: only the validator should make one.
    """

    scopes: frozenset[str]
    """The scopes that it grants."""

    def __init__(self, claims: Claims, scopes: frozenset[str]) -> None:
        super().__init__(claims)
        self.scopes = scopes

    def get_scope(self) -> str:
        """The scopes as one string (RFC 6749, section 3.3), for Authlib."""
        return " ".join(sorted(self.scopes))


class Expected(NamedTuple):
    """What the claims are compared with, at one moment. Times are in seconds, `now` since the epoch.

    Args:
        audience: The API's identifier.
        now: The time.
        leeway: By how much clocks may differ.
        max_age: How old a token may be.
        scope_claims: The claims that grant scopes.
        subject: Whether there must be a `sub`.
        rfc9068: Whether the claims of RFC 9068, section 2.2, must be there.
        typed: Whether the header says that it is an access token.
    """

    audience: str
    now: float
    leeway: float
    max_age: float | None
    scope_claims: Collection[str] = ("scope", "scp")
    subject: bool = True
    rfc9068: bool = False
    typed: bool = False


def granted_scopes(claims: Claims, *names: str) -> frozenset[str]:
    """The union of the scopes in the named claims, each a space-separated string or a list of strings.

    What is neither a string nor a list of them grants nothing. A name is one of `claim_at`.
    """
    granted: set[str] = set()
    for name in names:
        value = claim_at(claims, name)
        if isinstance(value, str):
            granted.update(value.split(" "))
        elif _is_strings(value):
            granted.update(value)
    granted.discard("")
    return frozenset(granted)


def claim_at(claims: Claims, name: str) -> Any:
    """A claim's value; nothing, if there is none.

    A name with dots leads into claims within claims, like `realm_access.roles` or `https://example.com/app.plan`: the
    longest claim that it begins with, and of that the member that each further part names.
    """
    first, rest = name, list[str]()
    while first not in claims:
        first, dot, last = first.rpartition(".")
        if not dot:
            return None
        rest.insert(0, last)
    value: Any = claims[first]
    for part in rest:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def check_claims(claims: Claims, expected: Expected) -> None:
    """Check the claims of a JWT whose signature has been verified, in the order of the table.

    Checks neither the issuer, which selects the key and so comes before the signature, nor what the token is bound to,
    nor any scope.

    Raises:
        InvalidToken: A row of the table doesn't hold.
    """
    for check in CHECKS:
        if not check.holds(claims, expected):
            raise InvalidToken(check.refusal)


class Binding(NamedTuple):
    """The thumbprints of what a token is bound to.

    Args:
        key: `jkt` (RFC 9449, section 6.1).
        certificate: `x5t#S256` (RFC 8705, section 3.1).
    """

    key: str | None = None
    certificate: str | None = None


def bound_to(claims: Claims, *, bearer: bool = False, certificates: bool = False) -> Binding:
    """What a token is bound to. If that is both a key and a certificate, both have to be proven.

    Args:
        claims: The token's.
        bearer: Whether it is presented as `Bearer`, so that no proof of a key is looked at.
        certificates: Whether client certificates are looked at.

    Raises:
        InvalidToken: It is bound to something that isn't looked at, alone or as well. What isn't known beside what is,
            is ignored (RFC 7800, section 3.1).
    """
    if "cnf" not in claims:
        return Binding()
    cnf = claims["cnf"]
    named = _BINDINGS & cnf.keys() if isinstance(cnf, dict) else set()
    unchecked = _UNCHECKED | ({"jkt"} if bearer else set()) | (set() if certificates else {"x5t#S256"})
    if not named or named & unchecked or not all(is_text(cnf[name]) for name in named):
        raise InvalidToken(Refusal.SENDER_CONSTRAINED if bearer else Refusal.OTHER_BINDING)
    return Binding(cnf.get("jkt"), cnf.get("x5t#S256"))


_UNCHECKED = frozenset(("jwk", "jwe", "kid", "jku", "osc"))
_BINDINGS = _UNCHECKED | {"jkt", "x5t#S256"}
"""The registered methods of confirmation (IANA, JWT Confirmation Methods); nobody here checks the former."""


def authenticated_since(claims: Claims, now: float, leeway: float, max_age: float | None) -> bool:
    """Whether the user has authenticated in the last seconds (RFC 9470, section 6.1); the future is none of them."""
    if max_age is None:
        return True
    return is_date(claims.get("auth_time")) and -leeway <= now - claims["auth_time"] <= max_age + leeway


def times(claims: Claims) -> Claims:
    """The claims that say something of the time."""
    return {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}


def still_holds(times: Claims, expected: Expected) -> bool:
    """Whether what depends on the time holds."""
    return _not_expired(times, expected) and _begun(times, expected) and _young_enough(times, expected)


def is_date(value: object) -> TypeGuard[float]:
    """Whether a claim's value is a time in seconds."""
    # RFC 7519, section 2: a JSON number. The bound refuses infinity (1e999) and what a float can't hold.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53


def _is_strings(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_scopes(value: object) -> bool:
    return isinstance(value, str) or _is_strings(value)


def _subject(claims: Claims, expected: Expected) -> bool:
    return isinstance(claims.get("sub", None if expected.subject else ""), str)


def _permissions(claims: Claims, expected: Expected) -> bool:
    return "permissions" not in expected.scope_claims or _is_strings(claims.get("permissions", []))


def _has_all_of_rfc_9068(claims: Claims, expected: Expected) -> bool:
    """RFC 9068, section 2.2: what must be there beside what always must."""
    return not expected.rfc9068 or ("iat" in claims and all(is_text(claims.get(name)) for name in ("client_id", "jti")))


_ID_TOKEN_CLAIMS = ("nonce", "at_hash", "c_hash", "s_hash")


def _is_access_token(claims: Claims, expected: Expected) -> bool:
    if expected.typed:
        return True
    # OpenID Connect Back-Channel Logout, section 2.4 and Core, section 2: claims of logout tokens and ID tokens. Some
    # providers put an ID token's into their access tokens, too, but none puts scopes into an ID token.
    if "events" in claims:
        return False
    return claims.keys().isdisjoint(_ID_TOKEN_CLAIMS) or bool(claims.get("scope") or claims.get("scp"))


def _audience(claims: Claims, expected: Expected) -> bool:
    aud = claims.get("aud", [])
    return expected.audience in ([aud] if isinstance(aud, str) else aud)


def _not_expired(claims: Claims, expected: Expected) -> bool:
    return bool(claims["exp"] > expected.now - expected.leeway)


def _begun(claims: Claims, expected: Expected) -> bool:
    return bool(claims.get("nbf", expected.now) <= expected.now + expected.leeway)


def _young_enough(claims: Claims, expected: Expected) -> bool:
    if expected.max_age is None:
        return True
    # A token that doesn't say how old it is, or says the future, could have any age.
    age = expected.now - claims.get("iat", float("-inf"))
    return bool(-expected.leeway <= age <= expected.max_age + expected.leeway)


_DATE, _SCOPES = "a number of seconds", "a text or a list of texts"
_OF_ID_TOKENS = "absent, as they are of logout tokens and ID tokens; beside scopes only events"

CHECKS: tuple[Check[Refusal], ...] = (
    Check("claims", ("sub",), "a text", _subject, Refusal.CLAIMS),
    required("exp", _DATE, is_date, Refusal.CLAIMS),
    optional("nbf", _DATE, is_date, Refusal.CLAIMS),
    optional("iat", _DATE, is_date, Refusal.CLAIMS),
    optional("aud", _SCOPES, _is_scopes, Refusal.CLAIMS),
    optional("scope", _SCOPES, _is_scopes, Refusal.CLAIMS),
    optional("scp", _SCOPES, _is_scopes, Refusal.CLAIMS),
    Check("claims", ("permissions",), "a list of texts", _permissions, Refusal.CLAIMS),
    Check("claims", ("client_id", "jti", "iat"), "there (TOKEN_PROFILE)", _has_all_of_rfc_9068, Refusal.CLAIMS),
    Check("purpose", ("events", *_ID_TOKEN_CLAIMS), _OF_ID_TOKENS, _is_access_token, Refusal.TYPE),
    Check("audience", ("aud",), "the API's identifier, or a list with it", _audience, Refusal.AUDIENCE),
    Check("expiry", ("exp",), "in the future", _not_expired, Refusal.EXPIRED),
    Check("start", ("nbf",), "in the past", _begun, Refusal.NOT_YET_VALID),
    Check("age", ("iat",), "not too long ago", _young_enough, Refusal.TOO_OLD),
)
"""What must hold, and what to answer when it doesn't."""
