"""Comparing the URI that a proof was made for with the one that was asked for (RFC 9449, section 4.3)."""

import re
from urllib.parse import urlsplit

_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_ALLOWED = re.compile(r"(?:%[0-9A-Fa-f]{2}|[!$&'()*+,;=:@/A-Za-z0-9._~-])*")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def normalized(uri: str) -> str | None:
    """An http or https URI without query and fragment, normalized by its syntax and its scheme.

    As RFC 3986, sections 6.2.2 and 6.2.3 say: case of scheme, host and escapes; escapes that need not be; dot segments;
    the scheme's own port; an empty path.

    Returns:
        The URI; `None` for what is no such URI, or names a user.
    """
    uri = re.split("[?#]", uri, maxsplit=1)[0]
    if not uri.isascii() or not uri.isprintable():
        return None
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return None
    scheme, host = parts.scheme.lower(), parts.hostname
    if scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc or not _ALLOWED.fullmatch(parts.path):
        return None
    host = f"[{host}]" if ":" in host else _ESCAPED.sub(_plain, host).lower()
    where = "" if port in (None, _DEFAULT_PORTS[scheme]) else f":{port}"
    return f"{scheme}://{host}{where}{_without_dots(_ESCAPED.sub(_plain, parts.path))}"


def _plain(escaped: re.Match[str]) -> str:
    character = chr(int(escaped[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escaped[0].upper()


def _without_dots(path: str) -> str:
    """A path without dot segments (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")[1:] or [""]
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
