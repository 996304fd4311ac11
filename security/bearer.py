"""Bearer tokens on the request (RFC 6750, section 2). Only the header field is accepted: URLs end up in logs."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from security.errors import InvalidRequest


def bearer_token(authorization: Sequence[str], query_string: bytes = b"") -> str | None:
    """Find the access token that a request presents.

    Checks how the token is presented, not the token.

    Args:
        authorization: The values of all `Authorization` header fields of the request.
        query_string: The query component, undecoded: a second token there makes the request invalid.

    Returns:
        The token; `None` without credentials, or with those of another scheme.

    Raises:
        InvalidRequest: Several header fields, no token or several words after `Bearer`, a token in the query too.
    """
    if len(authorization) > 1:
        raise InvalidRequest
    credentials = authorization[0].strip(" ") if authorization else ""
    if not _BEARER.match(credentials):
        return None
    token = credentials[len("Bearer") :].lstrip(" ")
    if not token or credentials[len("Bearer")] != " " or " " in token or "\t" in token or _names_a_token(query_string):
        raise InvalidRequest
    return token


# RFC 9110, sections 5.6.2 and 11.4: the scheme ends where its characters do. For what is in the token there are errors
# of its own.
_BEARER = re.compile(r"(?i:bearer)(?![!#$%&'*+.^_`|~0-9A-Za-z-])")


def _names_a_token(query_string: bytes) -> bool:
    # Names are compared decoded: %61ccess_token is access_token, too. Latin-1 so that no byte is an error.
    return bool(query_string) and any(
        name == "access_token" for name, _ in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    )
