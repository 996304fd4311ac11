"""Access tokens on the request: `Bearer` (RFC 6750, section 2) and `DPoP` (RFC 9449, section 7.1).

Only header fields are accepted: URLs end up in logs.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from resource_server.tokens.errors import InvalidRequest

CREDENTIALS = "resource_server.tokens.credentials"
"""Where a request's ASGI scope holds its `Credentials`; `None` if it presents none."""

PEER = "resource_server.peer"
"""Where a request's ASGI scope holds who has sent it, if that is a proxy and `client` is whom the proxy names."""


@dataclass(slots=True)
class Credentials:
    """An access token as a request presents it; with `DPoP`, the proofs beside it and what they must be made for.

    `used` holds the proofs that this request has used: it may be verified against several requirements. `host` is the
    value of its `Host` field, as the trusted proxies have it; only a resolver of issuers needs it. `certificates` are
    the header fields in which a trusted proxy has passed on the client's certificate (`MutualTLS`).
    """

    scheme: str
    token: str
    proofs: tuple[str, ...] = ()
    method: str = ""
    url: str = ""
    used: set[bytes] = field(default_factory=set)
    host: str = ""
    certificates: tuple[str, ...] = field(default=(), repr=False)


def credentials_of(token: str, scope: Mapping[str, Any]) -> Credentials:
    """How a request presents an access token: with its proofs, as the ASGI scope says; by default as `Bearer`."""
    found: Credentials | None = scope.get(CREDENTIALS)
    return found if found is not None and found.token == token else Credentials("Bearer", token, host=host_in(scope))


def host_in(scope: Mapping[str, Any]) -> str:
    """The value of the one `Host` field that an ASGI scope has; empty if there is none, or several."""
    hosts = [value for name, value in scope.get("headers", ()) if name == b"host"]
    return hosts[0].decode("latin-1") if len(hosts) == 1 else ""


def presented(
    authorization: Sequence[str], query_string: bytes = b"", schemes: Collection[str] = ("Bearer",)
) -> Credentials | None:
    """Find the access token that a request presents.

    Checks how the token is presented, not the token.

    Args:
        authorization: The values of all `Authorization` header fields of the request.
        query_string: The query component, undecoded: a second token there makes the request invalid.
        schemes: Which of `Bearer` and `DPoP` are spoken, at least one; the first is asked for if it isn't clear.

    Returns:
        The scheme and the token; `None` without credentials, or with those of another scheme.

    Raises:
        InvalidRequest: Several header fields, no token or several words after the scheme, a token in the query too.
    """
    if len(authorization) > 1:
        raise InvalidRequest(next(iter(schemes)))
    credentials = authorization[0].strip(" ") if authorization else ""
    # RFC 9110, sections 5.6.2 and 11.4: the scheme ends where its characters do. For what is in the token there are
    # errors of its own.
    named = _SCHEME.match(credentials)
    scheme = _SCHEMES.get(named[0].lower()) if named else None
    if scheme is None or scheme not in schemes:
        return None
    token = credentials[len(scheme) :].lstrip(" ")
    separated = credentials[len(scheme) : len(scheme) + 1] == " "
    if not token or not separated or " " in token or "\t" in token or names_a_token(query_string):
        raise InvalidRequest(scheme)
    return Credentials(scheme, token)


_SCHEME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SCHEMES = {"bearer": "Bearer", "dpop": "DPoP"}


def names_a_token(query_string: bytes) -> bool:
    """Whether a query, or a form, has an access token (RFC 6750, sections 2.2 and 2.3)."""
    # Names are compared decoded: %61ccess_token is access_token, too. Latin-1 so that no byte is an error.
    return bool(query_string) and any(
        name == "access_token" for name, _ in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    )
