"""What a closer look at a refused token tells: mistakes that are known, each with what mends it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from resource_server.doctor.findings import shown
from resource_server.doctor.moments import distance
from resource_server.networks import is_local
from resource_server.settings import Settings
from resource_server.tokens.errors import Refusal
from resource_server.tokens.jwt import SignedJWT
from resource_server.tokens.keys import ALGORITHMS


class Case(NamedTuple):
    """A token that has been taken apart, what it is compared with, and when."""

    jwt: SignedJWT
    settings: Settings
    now: float

    @property
    def claims(self) -> dict[str, Any]:
        """The token's claims."""
        return self.jwt.claims


def _issuer(case: Case) -> str | None:
    issuer, trusted = case.claims.get("iss"), case.settings.issuers
    if not isinstance(issuer, str):
        return "The token names no issuer (iss): it is none of an OpenID provider."
    name = shown(issuer)
    of_both = _is_auth0(issuer) != any(map(_is_auth0, trusted)) and not any(map(is_local, (issuer, *trusted)))
    mistakes = (
        (
            any(issuer.rstrip("/") == url.rstrip("/") for url in trusted),
            f"Only the final slash differs: write AUTH0_DOMAIN as {name}, or a tenant's host alone.",
        ),
        (
            issuer.startswith("https://sts.windows.net/"),
            "The token is one of version 1: set requestedAccessTokenVersion to 2 in the API's manifest in Entra.",
        ),
        (
            any(issuer.lower() == url.lower() for url in trusted),
            "Only capital letters differ: AUTH0_DOMAIN must be, to the character, what the issuer's metadata say.",
        ),
        (
            any(_host(issuer) == _host(url) for url in trusted),
            f"Another tenant at the same host issued it, {name}, and strangers may be that. Request the token from the "
            "one that AUTH0_DOMAIN names; to trust another is a decision about whose tokens are taken.",
        ),
        (
            case.settings.development_issuer,
            "Without AUTH0_DOMAIN only the development issuer's tokens are taken: set it, and AUTH0_AUDIENCE.",
        ),
        (
            of_both,
            f"A custom domain issues tokens of its own. If {name} is your tenant's, AUTH0_DOMAIN may name it, too; "
            "whose it is, the token itself can't prove.",
        ),
    )
    otherwise = f"The issuer is {name}, and AUTH0_DOMAIN names no such: request the token from one it names."
    return next((sentence for made, sentence in mistakes if made), otherwise)


def _audience(case: Case) -> str | None:
    aud, wanted = case.claims.get("aud"), case.settings.audience
    named = [aud] if isinstance(aud, str) else list(aud or ())
    mistakes = (
        (not named, "The token names no audience (aud): have the authorization server issue it for this API."),
        (
            any(name.rstrip("/") == wanted.rstrip("/") for name in named),
            "Only the final slash differs: ask for the audience exactly as AUTH0_AUDIENCE has it.",
        ),
        (
            any(name.lower() == wanted.lower() for name in named),
            "Only capitals differ: ask for the audience exactly as AUTH0_AUDIENCE has it.",
        ),
        (
            any(name.endswith("/api/v2/") for name in named),
            "This token is for Auth0's Management API: request one with audience= and AUTH0_AUDIENCE.",
        ),
        (
            all(name.endswith("/userinfo") for name in named),
            "This token is for /userinfo only: request one with audience= and AUTH0_AUDIENCE.",
        ),
        (
            "account" in named,
            "Keycloak names this audience by itself: add an audience mapper for AUTH0_AUDIENCE to the client.",
        ),
        (
            wanted in (case.claims.get("azp"), case.claims.get("client_id")),
            "AUTH0_AUDIENCE is a Client ID: set it to the API's identifier.",
        ),
    )
    otherwise = f"Request a token with audience={wanted}: this one is for another API."
    return next((sentence for made, sentence in mistakes if made), otherwise)


def _algorithm(case: Case) -> str | None:
    alg = case.jwt.header["alg"]
    if alg.lower() == "none":
        return "The token isn't signed at all (alg none): nobody should take it."
    if alg in ALGORITHMS:
        return f"If the issuer signs with {alg}, set TOKEN_ALGORITHMS to it."
    return None


def _not_yet(case: Case) -> str | None:
    begins = case.claims["nbf"]
    if in_milliseconds(begins, case.now):
        return _MILLISECONDS.format("nbf")
    return CLOCKS.format(f"It becomes valid {distance(begins, case.now)}")


def _too_old(case: Case) -> str | None:
    issued = case.claims.get("iat", 0)
    if in_milliseconds(issued, case.now):
        return _MILLISECONDS.format("iat")
    return CLOCKS.format("It was issued in the future") if issued > case.now else None


def _expired(case: Case) -> str | None:
    expired = case.claims["exp"]
    if "iat" in case.claims and expired <= case.claims["iat"]:
        return "It expires before it is issued: whoever makes the token has mixed up exp and its lifetime."
    return f"It expired {distance(expired, case.now)}: have the client request a new one, before the old one ends."


def _signature(case: Case) -> str | None:
    whole = {"ES256": 64, "ES384": 96, "ES512": 132, "EdDSA": 64, "Ed25519": 64}.get(case.jwt.header["alg"], 256)
    if len(case.jwt.signature) < whole:
        return "The end of the signature is missing: copy the token to its end."
    return "It was altered, or is of a test environment whose keys have the same names: request a new one."


def _claims(case: Case) -> str | None:
    lacking = [name for name in ("sub", "exp") if name not in case.claims]
    if lacking:
        return f"The token lacks {' and '.join(lacking)}, which every access token needs: have the issuer add it."
    return None


def _binding(case: Case) -> str | None:
    cnf = case.claims.get("cnf")
    if isinstance(cnf, Mapping) and "x5t#S256" in cnf:
        return "The token is bound to a certificate (mutual TLS), which this API can't check: turn that off for it."
    return None


def _not_bound(case: Case) -> str | None:
    if case.settings.dpop == "required":
        return "This API takes bound tokens only (DPOP=required): request one with a proof, and send it as DPoP."
    return None


CLOSER: dict[Refusal, Callable[[Case], str | None]] = {
    Refusal.ISSUER: _issuer,
    Refusal.AUDIENCE: _audience,
    Refusal.ALGORITHM: _algorithm,
    Refusal.NOT_YET_VALID: _not_yet,
    Refusal.TOO_OLD: _too_old,
    Refusal.EXPIRED: _expired,
    Refusal.SIGNATURE: _signature,
    Refusal.CLAIMS: _claims,
    Refusal.SENDER_CONSTRAINED: _binding,
    Refusal.NOT_BOUND: _not_bound,
}
"""By refusal, what looks closer at the case."""

CLOCKS = "{}: a clock is wrong, set the issuer's and this one by NTP."
"""To do about a token of the future."""

_MILLISECONDS = "{} is in milliseconds: whoever makes the token must write seconds (RFC 7519, section 2)."


def in_milliseconds(seconds: float, now: float) -> bool:
    """Whether a claim's value is a time in milliseconds, by mistake."""
    return abs(seconds / 1_000 - now) < 100 * 31_557_600 and seconds > 100 * now


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_auth0(url: str) -> bool:
    return (_host(url) or "").endswith(".auth0.com")
