"""Access tokens on a request that came through a WSGI server (PEP 3333)."""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from resource_server.tokens.credentials import Credentials, presented


def credentials_in(environ: Mapping[str, Any], schemes: Collection[str], url: str | None) -> Credentials | None:
    """Find the access token that a request presents, and with `DPoP` the proofs beside it.

    Args:
        environ: The request's environment.
        schemes: Which of `Bearer` and `DPoP` are spoken.
        url: Where the server is reached from outside, without a final slash; proofs name it and the path.

    Returns:
        As `presented`, which says what is raised, too.
    """
    authorization = environ.get("HTTP_AUTHORIZATION")
    fields = [] if authorization is None else [authorization.strip(" \t")]
    credentials = presented(fields, environ.get("QUERY_STRING", "").encode("latin-1", "replace"), schemes)
    if credentials is not None:
        credentials.host = environ.get("HTTP_HOST", "")
    if credentials is None or credentials.scheme == "Bearer":
        return credentials
    # Servers join the fields of one name with commas, and no proof has one.
    proofs = environ["HTTP_DPOP"].split(",") if "HTTP_DPOP" in environ else ()
    return replace(
        credentials,
        proofs=tuple(proof.strip(" \t") for proof in proofs),
        method=environ["REQUEST_METHOD"],
        url=f"{url}{raw_path(environ)}",
    )


def certificates_in(environ: Mapping[str, Any], header: str) -> tuple[str, ...]:
    """The header field of a name, if there is one. Servers join several with commas, which no certificate has."""
    value = environ.get(f"HTTP_{header.upper().replace('-', '_')}")
    return () if value is None else (value.strip(" \t"),)


def peer_in(environ: Mapping[str, Any]) -> str | None:
    """Who has sent a request: as the server says, before Werkzeug's `ProxyFix` has had it be whom a proxy names."""
    address: str | None = environ.get("werkzeug.proxy_fix.orig", environ).get("REMOTE_ADDR")
    return address


def raw_path(environ: Mapping[str, Any]) -> str:
    """The path as the client has sent it; escaped anew, if the server doesn't tell."""
    target: str | None = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if target:
        return _ORIGIN.sub("", target).partition("?")[0]
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return quote(path.encode("latin-1"), safe="/!$&'()*+,;=:@~")


_ORIGIN = re.compile(r"^https?://[^/?]*", re.IGNORECASE)  # of the absolute form (RFC 9112, section 3.2.2)
