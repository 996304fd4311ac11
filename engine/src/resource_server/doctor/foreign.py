"""Kinds of things that other programs make: cookies, keys, assertions, and JWTs that aren't whole."""

import binascii
import re
from base64 import b64decode
from typing import Any, NamedTuple

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


def encrypted(text: str) -> Kind | None:
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
    r"sk[-_]|pk_|rk_": "another service",
    r"A[KS]IA[0-9A-Z]{16}$": "AWS",
}


def foreign(text: str) -> Kind | None:
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


def encoded(text: str) -> Kind | None:
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


def incomplete(text: str) -> Kind | None:
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
