"""Bearer tokens on the request (RFC 6750, section 2). Only the header field is accepted: URLs end up in logs."""

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
    scheme, _, rest = authorization[0].strip(" ").partition(" ") if authorization else ("", "", "")
    if scheme.lower() != "bearer":
        return None
    token = rest.strip(" ")
    if not token or " " in token or "\t" in token or _names_a_token(query_string):
        raise InvalidRequest
    return token


def _names_a_token(query_string: bytes) -> bool:
    # Names are compared decoded: %61ccess_token is access_token, too. Latin-1 so that no byte is an error.
    names = (name for name, _ in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True))
    return bool(query_string) and "access_token" in names
