"""What a text is that somebody takes for an access token, and how it would be sent (RFC 6750, section 2.1)."""

import ast
import binascii
import json
import re
from base64 import b64decode
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from resource_server.doctor.findings import Finding, Verdict
from resource_server.tokens.credentials import presented
from resource_server.tokens.errors import InvalidRequest
from resource_server.tokens.jwt import header_of


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


JWT = re.compile(r"eyJ[\w-]*\.[\w-]+\.[\w-]*")
"""What looks like a signed one."""


_LONGEST_READ = 100_000


def kind_of(text: str) -> Kind | None:
    """The kind of a text that is no signed JWT, or in which one is hidden; `None` if nothing is known of it."""
    if not text:
        return Kind("empty", "nothing at all", "Nothing was given: the variable or file that the token is in is empty.")
    if len(text) > _LONGEST_READ:
        return None
    return next(filter(None, (look(text) for look in _LOOKS)), None)


def _scheme(text: str) -> Kind | None:
    if found := re.match(r"(Bearer|DPoP)[\s:]+(.*)", text, re.IGNORECASE | re.DOTALL):
        advice = f"{found[1]} was sent twice: give the client the token alone, or have it not add the scheme."
        return Kind("scheme_twice", "a token with its scheme before it", advice, found[2])
    if found := re.match(r"(Bearer|DPoP)(eyJ.*)", text, re.IGNORECASE | re.DOTALL):
        advice = f"A space is missing between {found[1]} and the token."
        return Kind("scheme_joined", "a token with its scheme joined to it", advice, found[2])
    if found := re.match(r"(Basic|Token|JWT|OAuth|ApiKey)[\s:]+\S", text, re.IGNORECASE):
        advice = f"The scheme is {found[1]}: it has to be Bearer, as in 'Authorization: Bearer <token>'."
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
    if found := re.fullmatch(r"b(['\"])(.*)\1", text, re.DOTALL):
        advice = "Python's b'…' was sent around the token: decode the bytes before sending them."
        return Kind("bytes", "a token written as Python's bytes", advice, found[2])
    if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        advice = "Quotes were sent around the token: take them off, mostly by reading it with JSON.parse."
        return Kind("quoted", "a token in quotes", advice, text.strip(_QUOTES))
    if re.search(r"\s", text) and JWT.fullmatch(joined := "".join(text.split())):
        advice = "White space got into the token: copy it as one line, and strip the end of it when reading a file."
        return Kind("wrapped", "a token with white space in it", advice, joined)
    if "%" in text and JWT.fullmatch(unquote(text).strip()):
        advice = "The token was percent-encoded: header fields are sent as they are."
        return Kind("percent_encoded", "a token that is percent-encoded", advice, unquote(text).strip())
    return None


_QUOTES = "\"'`\u201c\u201d\u2018\u2019"
_RESPONSE = ("access_token", "accessToken", "id_token", "idToken")


def _response(text: str) -> Kind | None:
    advice = "A whole token response was sent: send the value of its access_token, and nothing else of it."
    found = re.search(r"(?:^|[?#&])access_token=([^&\s]+)", text)
    if found:
        return Kind("token_response", "a token response, as a URL or form has it", advice, unquote(found[1]))
    if not text.lstrip().startswith("{"):
        return None
    document = _document(text)
    if document is None:
        return None
    if "signature" in document or "signatures" in document:
        advice = "The JWT is in JSON serialization: have the client make the compact one, three parts with dots."
        return Kind("json_serialization", "a JWS in JSON serialization", advice)
    if not any(name in document for name in _RESPONSE):
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
    direct = header.get("alg") == "dir"
    if direct and "iss" in header and not cookie:
        advice = "Auth0 issues such a token when the request names no audience: send audience= with AUTH0_AUDIENCE."
        return Kind("opaque", "Auth0's opaque access token for /userinfo, which only Auth0 can read", advice)
    if cookie or (direct and "enc" in header):
        advice = "A session cookie was sent: it is for the web application, which has to send its access token to APIs."
        return Kind("session_cookie", "an encrypted session cookie", advice)
    return Kind("jwe", "an encrypted JWT (JWE)") if "enc" in header else None


def _decoded_header(segment: str) -> dict[str, Any]:
    try:
        return header_of(segment.encode())
    except (ValueError, binascii.Error, RecursionError):
        return {}


_SERVICES = {
    r"gh[opsru]_|github_pat_": "GitHub",
    r"ya29\.|AIza": "Google",
    r"xox[abprs]-": "Slack",
    r"EAA[A-Z]": "Facebook",
    r"glpat-": "GitLab",
    r"sb_(secret|publishable)_": "Supabase",
    r"sk[-_]|pk_|rk_": "another service",
    r"A[KS]IA[0-9A-Z]{16}$": "AWS",
}


def _foreign(text: str) -> Kind | None:
    """Keys and tokens that say by their beginning whose they are."""
    for prefix, service in _SERVICES.items():
        if re.match(prefix, text):
            advice = f"This is a key or token of {service}: send the access token of this API's authorization server."
            return Kind("api_key", f"a key or token of {service}", advice)
    if re.match(r"v[1-4]\.(local|public)\.", text):
        return Kind("paseto", "a PASETO", "A PASETO was sent: this API takes signed JWTs of its authorization server.")
    if re.match(r"gAAAAA[\w-]", text):
        advice = "This is a Fernet token, a session or secret of some program: send the access token."
        return Kind("fernet", "a Fernet token", advice)
    if re.match(r"v1\.[\w-]+$", text):
        advice = "This is a refresh token: exchange it at the token endpoint, and send access_token of the answer."
        return Kind("refresh_token", "an Auth0 refresh token", advice)
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text, re.IGNORECASE):
        advice = "This is an id (UUID), a session's or an API key perhaps: send the access token."
        return Kind("api_key", "an id (UUID)", advice)
    return None


def _encoded(text: str) -> Kind | None:
    """What is in Base64."""
    decoded = text if text.lstrip().startswith("<") else _base64(text)
    if re.search(r"saml|<\w*:?Assertion", decoded[:2_000], re.IGNORECASE) and decoded.lstrip().startswith("<"):
        advice = "This is a SAML assertion: exchange it for an access token at the authorization server."
        return Kind("saml", "a SAML assertion", advice)
    if JWT.fullmatch(decoded.strip()):
        advice = "The token was encoded in Base64 once more (btoa): send it as it came."
        return Kind("encoded", "a token, encoded once more", advice, decoded.strip())
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
    if JWT.fullmatch(text) and "alg" in _decoded_header(parts[0]):
        return Kind("cut", "a JWT that is cut or altered", "The JWT is damaged: copy it anew, to its end.")
    if len(parts) == 3 and re.fullmatch(r"[\w+/=.-]+", text) and re.search(r"[+/=]", text):
        advice = "The JWT is in ordinary Base64: it has to be base64url, with - and _, without =."
        return Kind("base64", "a JWT in ordinary Base64", advice)
    if "," in text and all(map(JWT.fullmatch, text.split(","))):
        return Kind("several", "several tokens", "Several tokens were sent: send one.", text.partition(",")[0])
    return None


_LOOKS = (_scheme, _placeholder, _wrapped, _response, _encrypted, _foreign, _encoded, _incomplete)


_FIELD = re.compile(r"(?:Authorization:\s*)?(Bearer|DPoP)(?::\s*|\s+|$)(.*)", re.IGNORECASE | re.DOTALL)
_SCHEMES = {"bearer": "Bearer", "dpop": "DPoP"}


class Presented(NamedTuple):
    """What follows the scheme, the scheme, and what is to be said of both."""

    token: str
    scheme: str = "Bearer"
    findings: tuple[Finding, ...] = ()


def presented_as(text: str) -> Presented:
    """The header field that a text is, or that it would be sent in; by itself a token is sent as `Bearer`."""
    field = _FIELD.fullmatch(text)
    scheme, token = (_SCHEMES[field[1].lower()], field[2]) if field else ("Bearer", text)
    try:
        credentials = presented([f"{scheme} {token}"], schemes=(scheme,))
    except InvalidRequest as error:
        advice = f"After {scheme} there must be one token, and nothing else: look at what the client sends."
        return Presented(token, scheme, (_about_field(Verdict.FAILED, "", error.description, advice),))
    token = credentials.token if credentials else token
    if not field or scheme == "DPoP":  # which has to be said
        return Presented(token, scheme)
    advice = "Give a client that adds Bearer itself the token alone."
    found = _about_field(Verdict.WARNING, "it begins with Bearer", "That is all of the header field.", advice)
    return Presented(token, scheme, (found,))


def _about_field(verdict: Verdict, found: str, meaning: str, advice: str) -> Finding:
    return Finding("header field", verdict, found, "Authorization: Bearer <token>", meaning, advice)
