"""What kind of JWT a JWT is and whose, by what it says of itself. Whether that is so, only its signature can tell."""

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from resource_server.doctor.texts import Kind
from resource_server.tokens.claims import CHECKS, Expected
from resource_server.tokens.errors import Refusal
from resource_server.tokens.jwt import SignedJWT


class Said(NamedTuple):
    """What a JWT says, and where its issuer is."""

    header: dict[str, Any]
    claims: dict[str, Any]
    issuer: str
    host: str

    @classmethod
    def by(cls, jwt: SignedJWT) -> "Said":
        """What this one says."""
        issuer = str(jwt.claims.get("iss", ""))
        return cls(jwt.header, jwt.claims, issuer, host_of(issuer))


def host_of(url: str) -> str:
    """The host of a URL; empty if it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


_ENTRA = ("login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn")
_GRAPH = ("00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com")
_OKTA = (".okta.com", ".oktapreview.com", ".okta-emea.com", ".okta-gov.com")


def _is_auth0(said: Said) -> bool:
    subject = str(said.claims.get("sub"))
    return said.host.endswith(".auth0.com") or "gty" in said.claims or "|" in subject or subject.endswith("@clients")


def _is_keycloak(said: Said) -> bool:
    types = ("Bearer", "ID", "Refresh", "Offline")
    roles = {"realm_access", "resource_access"}
    return "/realms/" in said.issuer or said.claims.get("typ") in types or not roles.isdisjoint(said.claims)


def _is_zitadel(said: Said) -> bool:
    return said.host.endswith(".zitadel.cloud") or any(name.startswith("urn:zitadel:") for name in said.claims)


_PROVIDERS: tuple[tuple[str, Callable[[Said], bool]], ...] = (
    ("Keycloak", _is_keycloak),
    ("Entra (version 1)", lambda said: said.host == "sts.windows.net"),
    ("Azure AD B2C", lambda said: said.host.endswith(".b2clogin.com") or "tfp" in said.claims),
    ("Entra External ID", lambda said: said.host.endswith(".ciamlogin.com")),
    ("Entra", lambda said: said.host in _ENTRA),
    ("Okta (org server)", lambda said: said.host.endswith(_OKTA) and "/oauth2/" not in said.issuer),
    ("Okta", lambda said: said.host.endswith(_OKTA) or {"cid", "ver", "scp"} <= said.claims.keys()),
    ("Cognito", lambda said: said.host.startswith("cognito-idp.") or "token_use" in said.claims),
    ("Firebase", lambda said: said.host == "securetoken.google.com" or "firebase" in said.claims),
    ("Google", lambda said: said.issuer in ("accounts.google.com", "https://accounts.google.com")),
    ("Zitadel", _is_zitadel),
    (
        "Clerk",
        lambda said: said.host.endswith(".clerk.accounts.dev") or str(said.claims.get("sid")).startswith("sess_"),
    ),
    ("Supabase", lambda said: said.host.endswith((".supabase.co", ".supabase.in")) or said.issuer == "supabase"),
    ("GitHub Actions", lambda said: said.host == "token.actions.githubusercontent.com"),
    ("GitLab", lambda said: {"project_path", "pipeline_id"} <= said.claims.keys()),
    ("Kubernetes", lambda said: "kubernetes.io" in said.claims),
    ("AD FS", lambda said: "/adfs" in said.issuer or "apptype" in said.claims),
    ("PingOne", lambda said: said.host.startswith("auth.pingone.")),
    ("Auth0", _is_auth0),
)
"""By what a provider's JWTs are known; the first that fits counts."""


def provider_of(said: Said) -> str:
    """Whose JWT it is, if it says so; otherwise empty."""
    return next((name for name, fits in _PROVIDERS if fits(said)), "")


SHARED = {
    "GitHub Actions": "Anybody's workflow can get this audience: have your own code check repository_owner_id.",
    "GitLab": "Anybody's pipeline can get this audience: have your own code check namespace_id.",
    "Google": "Anybody's program can get this audience: have your own code check sub or email.",
}
"""Whose issuer everybody may use, who then chooses the audience; and what has to be checked as well."""

_ADVICE = {
    "dpop_proof": "This is a DPoP proof: it belongs in the header field DPoP, beside 'Authorization: DPoP <token>'.",
    "logout_token": "This is a logout token, which tells an application that a session ended: send the access token.",
    "refresh_token": "This is a refresh token: exchange it at the token endpoint, and send the access_token it gives.",
    "client_assertion": "This is a client assertion, for the token endpoint: send the access token of its answer.",
    "okta_token": "Only Okta can check its org server's tokens: request one from a custom authorization server.",
    "custom_token": "This is Firebase's custom token: have the client log in with it, and send the token that it gets.",
    "api_key": "This is an API key of Supabase's: send the access token of the user's session.",
    "id_token": "This is an ID token, which is for the application that logs users in: send access_token of the token "
    "response.",
    "id_token of Google": "Google's access tokens are for its own APIs: send one of an authorization server that logs "
    "people in with Google.",
    "id_token of Firebase": "",  # which is what its APIs are sent
    "graph_token": "Only Microsoft Graph can check this token: request one with scope=api://<this API's ID>/.default.",
}
"""By kind, what to do; the other kinds are what APIs take."""

_DESCRIPTIONS = {
    "dpop_proof": "a DPoP proof (RFC 9449)",
    "logout_token": "a logout token (OpenID Connect Back-Channel Logout)",
    "refresh_token": "a refresh token",
    "client_assertion": "a client assertion (RFC 7523)",
    "okta_token": "an access token for Okta itself",
    "custom_token": "a custom token",
    "api_key": "an API key",
    "id_token": "an ID token (OpenID Connect)",
    "graph_token": "an access token for Microsoft Graph",
    "session_token": "a session token",
    "workload_token": "an identity token of a program",
    "access_token": "an access token",
    "jwt": "a JWT that doesn't say what it is for",
}


def kind_of_jwt(jwt: SignedJWT) -> Kind:
    """The kind of a JWT, with whose it is."""
    said = Said.by(jwt)
    name, provider = _name(said), provider_of(said)
    whose = f" of {provider}" if provider and name not in ("graph_token", "okta_token") else ""
    typed = " as RFC 9068 has it" if name == "access_token" and _typ(said) == "at+jwt" else ""
    bound = ", bound to a key or certificate" if "cnf" in said.claims else ""
    advice = _ADVICE.get(f"{name} of {provider}", _ADVICE.get(name, ""))
    return Kind(name, _DESCRIPTIONS[name] + whose + typed + bound, advice)


def _typ(said: Said) -> str:
    return str(said.header.get("typ", "")).lower().removeprefix("application/")


def _name(said: Said) -> str:
    return next(name for name, fits in _KINDS if fits(said))


def _is_id_token(said: Said) -> bool:
    claims = said.claims
    if provider_of(said) in ("Google", "Firebase") or claims.get("token_use") == "id":
        return True
    if any(not check.holds(claims, _ANY) for check in CHECKS if check.refusal is Refusal.TYPE):
        return True
    of_a_client = isinstance(claims.get("aud"), str) and "://" not in claims["aud"]
    return of_a_client and not _grants(said) and any(name in claims for name in _OF_A_PERSON)


_ANY = Expected("", 0, 0, None)
_OF_A_PERSON = ("nickname", "name", "picture", "email", "email_verified", "preferred_username", "sid", "auth_time")
_GRANTS = ("scope", "scp", "permissions", "roles", "gty", "client_id", "cid", "realm_access", "resource_access")


def _grants(said: Said) -> bool:
    """Whether it has what access tokens have, and tokens of no other kind."""
    return any(name in said.claims for name in _GRANTS)


def _is_client_assertion(said: Said) -> bool:
    issued_to_itself = "iss" in said.claims and said.claims["iss"] == said.claims.get("sub")
    return _typ(said) == "client-authentication+jwt" or (issued_to_itself and not _grants(said))


_KINDS: tuple[tuple[str, Callable[[Said], bool]], ...] = (
    ("dpop_proof", lambda said: _typ(said) == "dpop+jwt" or {"htm", "htu"} <= said.claims.keys()),
    ("logout_token", lambda said: _typ(said) == "logout+jwt" or "events" in said.claims),
    ("refresh_token", lambda said: said.claims.get("typ") in ("Refresh", "Offline")),
    ("okta_token", lambda said: _typ(said).startswith("okta-internal")),
    ("custom_token", lambda said: "identitytoolkit.googleapis.com" in str(said.claims.get("aud"))),
    ("api_key", lambda said: said.claims.get("role") in ("anon", "service_role") and "ref" in said.claims),
    ("client_assertion", _is_client_assertion),
    ("graph_token", lambda said: "nonce" in said.header or said.claims.get("aud") in _GRAPH),
    ("access_token", lambda said: _typ(said) == "at+jwt" or said.claims.get("typ") == "Bearer"),
    ("id_token", lambda said: said.claims.get("typ") == "ID"),
    ("access_token", lambda said: provider_of(said) == "Supabase"),
    ("session_token", lambda said: provider_of(said) == "Clerk"),
    ("workload_token", lambda said: provider_of(said) in ("GitHub Actions", "GitLab", "Kubernetes")),
    ("id_token", _is_id_token),
    ("access_token", lambda said: _grants(said) or provider_of(said) == "Auth0"),
    ("jwt", lambda _: True),
)
"""By what kinds are known; the first that fits counts."""
