"""What a text is that somebody takes for an access token, and whose: by what it looks like, and says of itself.

Whether what a JWT says is so, only its signature can tell.
"""

import ast
import binascii
import json
import re
from base64 import b64decode
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from resource_server.doctor.findings import Finding, failed, warning
from resource_server.tokens.claims import CHECKS, Expected
from resource_server.tokens.credentials import presented
from resource_server.tokens.errors import InvalidRequest, Refusal
from resource_server.tokens.jwt import SignedJWT, header_of


class Kind(NamedTuple):
    """A kind of thing.

    Args:
        name: For programs.
        description: For people; says nothing of what is in it.
        advice: What to do, if it isn't what an API takes.
        inner: The token that is in it, if that is of use.
    """

    name: str
    description: str
    advice: str = ""
    inner: str | None = None


class Presented(NamedTuple):
    """What follows the scheme, the scheme, and what is to be said of both."""

    token: str
    scheme: str = "Bearer"
    findings: tuple[Finding, ...] = ()


def presented_as(text: str) -> Presented:
    """The header field that a text is, or that it would be sent in (RFC 6750, section 2.1); by itself as `Bearer`."""
    field = re.fullmatch(r"(?is)(?:Authorization:\s*)?(Bearer|DPoP)(?::\s*|\s+|$)(.*)", text)
    scheme, token = ("DPoP" if field[1].lower() == "dpop" else "Bearer", field[2]) if field else ("Bearer", text)
    about = ("header field", "it begins with Bearer", "Authorization: Bearer <token>")
    try:
        credentials = presented([f"{scheme} {token}"], schemes=(scheme,))
    except InvalidRequest as error:
        advice = f"After {scheme} there must be one token, and nothing else: look at what the client sends."
        return Presented(token, scheme, (failed(about[0], "", about[2], error.description, advice),))
    token = credentials.token if credentials else token
    if not field or scheme == "DPoP":  # which has to be said
        return Presented(token, scheme)
    advice = "Give a client that adds Bearer itself the token alone."
    return Presented(token, scheme, (warning(*about, "That is all of the header field.", advice),))


_LONGEST_READ = 100_000
_JWT = r"eyJ[\w-]*\.[\w-]+\.[\w-]*"
"""What looks like a signed one."""


def kind_of(text: str) -> Kind | None:
    """The kind of a text that is no signed JWT, or in which one is hidden; `None` if nothing is known of it."""
    if not text:
        return Kind("empty", "nothing at all", "Nothing was given: the variable or file that the token is in is empty.")
    if len(text) > _LONGEST_READ:
        return None
    looks = (_scheme, _placeholder, _wrapped, _response, _encrypted, _foreign, _identifier, _encoded, _incomplete)
    return next(filter(None, (look(text) for look in looks)), None)


def _scheme(text: str) -> Kind | None:
    if found := re.match(r"(?is)(?:Authorization:\s*)?(Bearer|DPoP)[\s:]+(.*)", text):
        advice = f"{found[1]} was sent twice: give the client the token alone, or have it not add the scheme."
        return Kind("scheme_twice", "a token with its scheme before it", advice, found[2])
    if found := re.match(r"(?is)(Bearer|DPoP)(?:%20|\+)?(eyJ.*)", text):
        advice = f"A space is missing between {found[1]} and the token."
        return Kind("scheme_joined", "a token with its scheme joined to it", advice, found[2])
    if found := re.match(r"(?i)(Basic|Token|JWT|OAuth|ApiKey|Digest|SSWS|AWS4-HMAC-SHA256)[\s:]+\S", text):
        advice = f"The scheme is {found[1]}: it has to be Bearer, with an access token behind it."
        return Kind("other_scheme", "credentials of another scheme", advice)
    return None


def _placeholder(text: str) -> Kind | None:
    if text in ("undefined", "null", "None", "nil", "NaN", "false", "true"):
        advice = f"The client sent the word {text}: it has no token yet. Wait for the login before calling the API."
        return Kind("unset", "the name of an empty value", advice)
    if re.match(r"\[object |<(coroutine|function|Promise|bound method)|Promise ?\{|function ", text):
        advice = "The client sent an object in place of its token: await the function that gets it, send access_token."
        return Kind("object", "the name of a program's object", advice)
    if re.fullmatch(r"\$\{?\{?[\w.: -]+\}?\}?|%\w+%|\{\{.*\}\}|<[\w ./-]+>|(YOUR|MY)_\w+", text):
        advice = "A placeholder was sent as it stands: the client's tool hasn't replaced it by the token."
        return Kind("placeholder", "a placeholder", advice)
    if text.endswith(("…", "...")):
        return Kind("abbreviated", "an abbreviation", "The token was shortened for display: copy all of it.")
    return None


def _wrapped(text: str) -> Kind | None:
    """Something around a token, or within."""
    if found := re.fullmatch(r"(?s)b(['\"])(.*)\1", text):
        advice = "Python's b'…' was sent around the token: decode the bytes before sending them."
        return Kind("bytes", "a token written as Python's bytes", advice, found[2])
    if found := re.fullmatch(rf"(?s)\\?{_QUOTE}(.*?)\\?{_QUOTE}", text):
        advice = "Quotes were sent around the token: take them off, mostly by reading it with JSON.parse."
        return Kind("quoted", "a token in quotes", advice, found[1])
    changes = (
        ("wrapped", "a token with white space in it", _WRAP, "".join(text.split())),
        ("invisible", "a token with characters that can't be seen", _INVISIBLE, "".join(filter(str.isprintable, text))),
        ("percent_encoded", "a token that is percent-encoded", _PERCENT, unquote(text).strip()),
        ("encoded", "a token, encoded once more", _BTOA, _base64(text).strip()),
        (
            "followed",
            "a token with something behind it",
            "Something stands after the token: cut it off.",
            text.rstrip(";,.)]}"),
        ),
    )
    if "," in text and all(re.fullmatch(_JWT, each) for each in text.split(",")):
        return Kind("several", "several tokens", "Several tokens were sent: send one.", text.partition(",")[0])
    return next((Kind(*row) for row in changes if row[-1] != text and re.fullmatch(_JWT, row[-1])), None)


_QUOTE = "[\"'`\u201c\u201d\u2018\u2019]"
_WRAP = "White space got into the token: copy it as one line, and strip the end of it when reading a file."
_INVISIBLE = "Characters that can't be seen got into the token, a byte order mark perhaps: copy it without them."
_PERCENT = "The token was percent-encoded: header fields are sent as they are."
_BTOA = "The token was encoded in Base64 once more (btoa): send it as it came."


def _response(text: str) -> Kind | None:
    advice = "A whole token response was sent: send the value of its access_token, and nothing else of it."
    if found := re.search(r"(?:^|[?#&])access_token=([^&\s]+)", text):
        return Kind("token_response", "a token response, as a URL or form has it", advice, unquote(found[1]))
    document = _document(text) if text.lstrip().startswith("{") else None
    if document is None:
        return None
    if "signature" in document or "signatures" in document:
        advice = "The JWT is in JSON serialization: have the client make the compact one, three parts with dots."
        return Kind("json_serialization", "a JWS in JSON serialization", advice)
    if "private_key" in document:
        advice = (
            f"This is the key file of a service account: send the access token that a client gets with it.{_REVOKE}"
        )
        return Kind("private_key", "a private key", advice)
    if document.keys().isdisjoint(("access_token", "accessToken", "id_token", "idToken")):
        return Kind("json", "a JSON document", "A JSON document was sent: an access token is text with dots in it.")
    token = document.get("access_token", document.get("accessToken"))
    return Kind("token_response", "a whole token response", advice, token if isinstance(token, str) else None)


def _document(text: str) -> dict[str, Any] | None:
    read: tuple[Callable[[str], Any], ...] = (json.loads, ast.literal_eval)  # Python's dictionaries as str() has them
    for attempt in read:
        try:
            document = attempt(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        return document if isinstance(document, dict) else None
    return None


def _encrypted(text: str) -> Kind | None:
    """Encrypted JWTs and cookies, by the first part, which isn't encrypted."""
    cookie = re.match(r"(?:Cookie:\s*)?([\w.-]*(?:appSession|session)[\w.-]*)=", text, re.IGNORECASE)
    parts = text[cookie.end() if cookie else 0 :].split(".")
    header = _decoded_header(parts[0]) if len(parts) == 5 else {}
    direct = header.get("alg") == "dir" and "enc" in header
    if direct and "iss" in header and not cookie:
        advice = "Auth0 issues such a token when the request names no audience: send audience= with AUTH0_AUDIENCE."
        return Kind("opaque", "Auth0's opaque access token for /userinfo, which only Auth0 can read", advice)
    if cookie or direct:
        advice = "A session cookie was sent: it is for the web application, which has to send its access token to APIs."
        return Kind("session_cookie", "a session cookie", advice)
    if header.get("alg") == "RSA-OAEP" and header.get("cty") == "JWT" and "kid" not in header:
        return Kind("refresh_token", "an encrypted token, as Cognito's refresh tokens are", _REFRESH)
    return Kind("jwe", "an encrypted JWT (JWE)") if "enc" in header else None


_REFRESH = "This is a refresh token: exchange it at the token endpoint, and send the access_token it gives."


def _decoded_header(segment: str) -> dict[str, Any]:
    try:
        return header_of(segment.encode())
    except (ValueError, binascii.Error, RecursionError):
        return {}


_SERVICES = (
    (r"gh[opsru]_|github_pat_", "GitHub"),
    (r"ya29\.|1//0|GOCSPX-", "Google"),
    (r"xox[abeoprs]-|xapp-", "Slack"),
    (r"EAA[A-Z]", "Facebook"),
    (r"glpat-", "GitLab"),
    (r"sb_secret_", "Supabase"),
    (r"sk[-_]|rk_", "another service"),
    (r"AIza", "Google"),
    (r"sb_publishable_", "Supabase"),
    (r"pk_", "another service"),
    (r"A[KS]IA[0-9A-Z]{16}$", "AWS"),
)
_PUBLIC = ("AIza", "sb_publishable_", "pk_", "AKIA", "ASIA")
"""How keys begin that anybody may see."""


def _foreign(text: str) -> Kind | None:
    """Keys and tokens that say by their beginning whose they are."""
    for prefix, service in _SERVICES:
        if re.match(prefix, text):
            advice = f"This is a key or token of {service}: send the access token of this API's authorization server."
            advice += "" if text.startswith(_PUBLIC) else _REVOKE
            return Kind("api_key", f"a key or token of {service}", advice)
    if re.match(r"\s*-----BEGIN [A-Z ]*PRIVATE KEY-----", text):
        advice = f"This is a private key: send the access token that a client gets with it.{_REVOKE}"
        return Kind("private_key", "a private key", advice)
    if re.match(r"v[1-4]\.(local|public)\.", text):
        return Kind("paseto", "a PASETO", "A PASETO was sent: this API takes signed JWTs of its authorization server.")
    if re.match(r"gAAAAA[\w-]", text):
        advice = "This is a Fernet token, a session or secret of some program: send the access token."
        return Kind("fernet", "a Fernet token", advice)
    return Kind("refresh_token", "an Auth0 refresh token", _REFRESH) if re.match(r"v1\.[\w-]+$", text) else None


def _identifier(text: str) -> Kind | None:
    if re.fullmatch(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        advice = "This is an id (UUID), a session's or an API key perhaps: send the access token."
        return Kind("api_key", "an id (UUID)", advice)
    return None


_REVOKE = " It is a secret: revoke it if it left your servers."


def _encoded(text: str) -> Kind | None:
    """What is in Base64."""
    decoded = text if text.lstrip().startswith("<") else _base64(text)
    if re.search(r"saml|<\w*:?Assertion", decoded[:2_000], re.IGNORECASE) and decoded.lstrip().startswith("<"):
        advice = "This is a SAML assertion: exchange it for an access token at the authorization server."
        return Kind("saml", "a SAML assertion", advice)
    if re.fullmatch(r"[\x21-\x7e]+:[\x20-\x7e]*", decoded):
        advice = "This is a user name or Client ID and its secret, for Basic: get an access token with them first."
        return Kind("basic", "credentials for Basic", advice)
    return None


def _base64(text: str) -> str:
    try:
        return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        return ""


def _incomplete(text: str) -> Kind | None:
    """JWTs that are almost whole."""
    parts = text.split(".")
    if len(parts) == 2 and "alg" in _decoded_header(parts[0]):
        advice = "The signature is missing: copy the token to its end, three parts with two dots."
        return Kind("cut", "a JWT without its signature", advice)
    if re.fullmatch(_JWT, text) and "alg" in _decoded_header(parts[0]):
        return Kind("cut", "a JWT that is cut or altered", "The JWT is damaged: copy it anew, to its end.")
    if len(parts) == 3 and re.fullmatch(r"[\w+/=.-]+", text) and re.search(r"[+/=]", text):
        advice = "The JWT is in ordinary Base64: it has to be base64url, with - and _, without =."
        return Kind("base64", "a JWT in ordinary Base64", advice)
    return None


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

    def has(self, **claims: tuple[str, ...]) -> bool:
        """Whether a claim has one of some values."""
        return any(self.claims.get(name) in values for name, values in claims.items())

    @property
    def typ(self) -> str:
        """The type that the header names."""
        return str(self.header.get("typ", "")).lower().removeprefix("application/")

    @property
    def provider(self) -> str:
        """Whose it is, if it says so; otherwise empty."""
        return next((name for name, fits in _PROVIDERS if fits(self)), "")


def host_of(url: str) -> str:
    """The host of a URL; empty if it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


_ENTRA = ("login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn")
_OKTA = (".okta.com", ".oktapreview.com", ".okta-emea.com", ".okta-gov.com")
_GRAPH = ("00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com", "https://graph.microsoft.com/")
_MICROSOFTS = (
    *("graph.windows.net", "management.azure.com", "management.core.windows.net", "vault.azure.net"),
    *("storage.azure.com", "database.windows.net", "outlook.office.com", "outlook.office365.com"),
    *("api.loganalytics.io", "analysis.windows.net"),
)
_MICROSOFTS_IDS = (  # Azure AD Graph, Azure Resource Manager, Azure DevOps
    *("00000002-0000-0000-c000-000000000000", "797f4846-ba00-4fd7-ba43-dac1f8f63013"),
    "499b84ac-1321-427f-aa17-267ca6975798",
)


def is_microsofts(said: Said) -> bool:
    """Whether a token is for an API of Microsoft's own, which issues it in a form that only that API can check."""
    audience = str(said.claims.get("aud"))
    return audience in (*_GRAPH, *_MICROSOFTS_IDS) or host_of(audience) in _MICROSOFTS


def _is_auth0(said: Said) -> bool:
    subject = str(said.claims.get("sub"))
    return said.host.endswith(".auth0.com") or "gty" in said.claims or "|" in subject or subject.endswith("@clients")


def _is_keycloak(said: Said) -> bool:
    typed = said.has(typ=("Bearer", "ID", "Refresh", "Offline"))
    return "/realms/" in said.issuer or typed or not said.claims.keys().isdisjoint(("realm_access", "resource_access"))


def _is_zitadel(said: Said) -> bool:
    return said.host.endswith(".zitadel.cloud") or any(name.startswith("urn:zitadel:") for name in said.claims)


def _is_clerk(said: Said) -> bool:
    return said.host.endswith(".clerk.accounts.dev") or str(said.claims.get("sid")).startswith("sess_")


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
    ("Clerk", _is_clerk),
    ("Supabase", lambda said: said.host.endswith((".supabase.co", ".supabase.in")) or said.issuer == "supabase"),
    ("GitHub Actions", lambda said: said.host == "token.actions.githubusercontent.com"),
    ("GitLab", lambda said: {"project_path", "pipeline_id"} <= said.claims.keys()),
    ("Kubernetes", lambda said: "kubernetes.io" in said.claims),
    ("AD FS", lambda said: "/adfs" in said.issuer or "apptype" in said.claims),
    ("PingOne", lambda said: said.host.startswith("auth.pingone.")),
    ("Auth0", _is_auth0),
)
"""By what a provider's JWTs are known; the first that fits counts."""

SHARED = {
    "GitHub Actions": "Anybody's workflow can get this audience: have your own code check repository_owner_id.",
    "GitLab": "Anybody's pipeline can get this audience: have your own code check namespace_id.",
    "Google": "Anybody's program can get this audience: have your own code check sub or email.",
}
"""Whose issuer everybody may use, who then chooses the audience; and what has to be checked as well."""


def kind_of_jwt(jwt: SignedJWT) -> Kind:
    """The kind of a JWT, with whose it is."""
    said = Said.by(jwt)
    provider, name = said.provider, next(name for name, fits in _KINDS if fits(said))
    whose = f" of {provider}" if provider and name not in ("graph_token", "microsoft_token", "okta_token") else ""
    typed = " as RFC 9068 has it" if name == "access_token" and said.typ == "at+jwt" else ""
    bound = ", bound to a key or certificate" if "cnf" in said.claims else ""
    description, advice = _SAYS[name]
    secret = _REVOKE if said.has(role=("service_role",)) and name == "api_key" else ""
    return Kind(name, description + whose + typed + bound, _ADVICE.get(f"{name} of {provider}", advice) + secret)


def _grants(said: Said) -> bool:
    """Whether it has what access tokens have, and tokens of no other kind."""
    return not said.claims.keys().isdisjoint(_GRANTS)


_GRANTS = ("scope", "scp", "permissions", "roles", "gty", "client_id", "cid", "realm_access", "resource_access")
_OF_A_PERSON = ("nickname", "name", "picture", "email", "email_verified", "preferred_username", "sid", "auth_time")
_ANY = Expected("", 0, 0, None)


def _is_id_token(said: Said) -> bool:
    claims = said.claims
    if said.provider in ("Google", "Firebase") or said.has(token_use=("id",)):
        return True
    if any(not check.holds(claims, _ANY) for check in CHECKS if check.refusal is Refusal.TYPE):
        return True
    of_a_client = isinstance(claims.get("aud"), str) and "://" not in claims["aud"]
    return of_a_client and not _grants(said) and not claims.keys().isdisjoint(_OF_A_PERSON)


def _is_client_assertion(said: Said) -> bool:
    issued_to_itself = "iss" in said.claims and said.claims["iss"] == said.claims.get("sub")
    return said.typ == "client-authentication+jwt" or (issued_to_itself and not _grants(said))


OF_OKTA = "Only Okta can check its org server's tokens: request one from a custom authorization server."
OF_MICROSOFT = "Only the API of Microsoft's that it is for can check this token: request one with a scope of this API."
_SAYS = {
    "dpop_proof": (
        "a DPoP proof (RFC 9449)",
        "This is a DPoP proof: it belongs in the header field DPoP, beside 'Authorization: DPoP <token>'.",
    ),
    "logout_token": (
        "a logout token (OpenID Connect Back-Channel Logout)",
        "This is a logout token, which tells an application that a session ended: send the access token.",
    ),
    "refresh_token": ("a refresh token", _REFRESH),
    "client_assertion": (
        "a client assertion (RFC 7523)",
        "This is a client assertion, for the token endpoint: send the access token of its answer.",
    ),
    "okta_token": ("an access token for Okta itself", OF_OKTA),
    "custom_token": (
        "a custom token",
        "This is Firebase's custom token: have the client log in with it, and send the token that it gets.",
    ),
    "api_key": ("an API key", "This is an API key of Supabase's: send the access token of the user's session."),
    "id_token": (
        "an ID token (OpenID Connect)",
        "This is an ID token, which is for the application that logs users in: send access_token of the token "
        "response.",
    ),
    "graph_token": (
        "an access token for Microsoft Graph",
        "Only Microsoft Graph can check this token: request one with scope=api://<this API's ID>/.default.",
    ),
    "microsoft_token": ("an access token for an API of Microsoft's", OF_MICROSOFT),
    "session_token": ("a session token", ""),
    "workload_token": ("an identity token of a program", ""),
    "access_token": ("an access token", ""),
    "jwt": ("a JWT that doesn't say what it is for", ""),
}
"""By kind, what it is, and what to do if it isn't what APIs take."""

_ADVICE = {
    "id_token of Google": "Google's access tokens are for its own APIs: send one of an authorization server that logs "
    "people in with Google.",
    "id_token of Firebase": "",  # which is what its APIs are sent
}

_KINDS: tuple[tuple[str, Callable[[Said], bool]], ...] = (
    ("dpop_proof", lambda said: said.typ == "dpop+jwt" or {"htm", "htu"} <= said.claims.keys()),
    ("logout_token", lambda said: said.typ == "logout+jwt" or "events" in said.claims),
    ("refresh_token", lambda said: said.has(typ=("Refresh", "Offline"))),
    ("okta_token", lambda said: said.typ.startswith("okta-internal")),
    ("custom_token", lambda said: "identitytoolkit.googleapis.com" in str(said.claims.get("aud"))),
    ("api_key", lambda said: said.has(role=("anon", "service_role")) and "ref" in said.claims),
    ("client_assertion", _is_client_assertion),
    ("graph_token", lambda said: "nonce" in said.header or said.has(aud=_GRAPH)),
    ("microsoft_token", is_microsofts),
    ("access_token", lambda said: said.typ == "at+jwt" or said.has(typ=("Bearer",))),
    ("id_token", lambda said: said.has(typ=("ID",))),
    ("access_token", lambda said: said.provider == "Supabase"),
    ("session_token", lambda said: said.provider == "Clerk"),
    ("workload_token", lambda said: said.provider in ("GitHub Actions", "GitLab", "Kubernetes")),
    ("id_token", _is_id_token),
    ("access_token", lambda said: _grants(said) or said.provider == "Auth0"),
    ("jwt", lambda _: True),
)
"""By what kinds are known; the first that fits counts."""
