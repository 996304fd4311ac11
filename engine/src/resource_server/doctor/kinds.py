"""What kind of thing a text is that somebody takes for an access token."""

import ast
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from resource_server.doctor.foreign import JWT, Kind, encoded, encrypted, foreign, incomplete

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


_LOOKS = (_scheme, _placeholder, _wrapped, _response, encrypted, foreign, encoded, incomplete)
