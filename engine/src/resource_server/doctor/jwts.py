"""What kind of JWT a JWT is, by what it says of itself."""

from typing import Any
from urllib.parse import urlsplit

from resource_server.doctor.foreign import Kind
from resource_server.tokens.claims import CHECKS, Expected
from resource_server.tokens.errors import Refusal
from resource_server.tokens.jwt import SignedJWT

_ID_TOKEN = Kind(
    "id_token",
    "an ID token (OpenID Connect)",
    "This is an ID token, which is for the application that logs users in: send access_token of the token response.",
)
_LOGOUT_TOKEN = Kind(
    "logout_token",
    "a logout token (OpenID Connect Back-Channel Logout)",
    "This is a logout token, which tells an application that a session has ended: send the access token.",
)
_DPOP_PROOF = Kind(
    "dpop_proof",
    "a DPoP proof (RFC 9449)",
    "This is a DPoP proof: it belongs in the header field DPoP, beside 'Authorization: DPoP <token>'.",
)
_CLIENT_ASSERTION = Kind(
    "client_assertion",
    "a client assertion (RFC 7523)",
    "This is a client assertion, for the token endpoint: send the access token that comes back from there.",
)
_REFRESH_TOKEN = Kind(
    "refresh_token",
    "a refresh token",
    "This is a refresh token: exchange it at the token endpoint, and send the access_token that comes back.",
)

_OF_A_PERSON = ("nickname", "name", "picture", "email", "email_verified", "updated_at", "sid", "auth_time")


def kind_of_jwt(jwt: SignedJWT) -> Kind:
    """The kind of a JWT. Whether it is what it says, only its signature can tell."""
    claims = jwt.claims
    typ = str(jwt.header.get("typ", "")).lower().removeprefix("application/")
    if typ == "dpop+jwt" or {"htm", "htu"} <= claims.keys():
        return _DPOP_PROOF
    if typ == "logout+jwt" or "events" in claims:
        return _LOGOUT_TOKEN
    if claims.get("typ") in ("Refresh", "Offline"):  # Keycloak's
        return _REFRESH_TOKEN
    if typ == "client-authentication+jwt" or ("iss" in claims and claims["iss"] == claims.get("sub")):
        return _CLIENT_ASSERTION
    if typ != "at+jwt" and _is_id_token(claims):
        return _ID_TOKEN
    bound = ", bound to a key or certificate" if "cnf" in claims else ""
    return Kind("access_token", f"an access token {_profile(typ, claims)}{bound}")


def _is_id_token(claims: dict[str, Any]) -> bool:
    if claims.get("typ") == "ID" or claims.get("token_use") == "id":  # Keycloak, Cognito
        return True
    if any(not holds(claims, _ANY) for holds, refusal in CHECKS if refusal is Refusal.TYPE):
        return True
    granted = any(name in claims for name in ("scope", "scp", "permissions"))
    of_a_client = isinstance(claims.get("aud"), str) and "://" not in claims["aud"]
    return of_a_client and not granted and any(name in claims for name in _OF_A_PERSON)


_ANY = Expected("", 0, 0, None)


def _profile(typ: str, claims: dict[str, Any]) -> str:
    if typ == "at+jwt":
        return "as RFC 9068 has it"
    try:
        host = urlsplit(str(claims.get("iss"))).hostname or ""
    except ValueError:
        host = ""
    subject = str(claims.get("sub"))
    of_auth0 = host.endswith(".auth0.com") or "gty" in claims or "|" in subject or subject.endswith("@clients")
    return "of Auth0's" if of_auth0 else "of another profile"
