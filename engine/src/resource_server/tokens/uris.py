"""Comparing the URI that a proof was made for with the one that was asked for (RFC 9449, section 4.3)."""

import re

_URI = re.compile(
    r"(https?)://"
    r"(\[[0-9a-f:.]+\]|(?:[a-z0-9._~!$&'()*+,;=-]|%[0-9a-f]{2})+)"
    r"(?::([0-9]{0,9}))?"
    r"((?:/(?:[a-z0-9._~!$&'()*+,;=:@\"<>^`{|}\[\]-]|%[0-9a-f]{2})*)*)"
    r"(?:[?#].*)?",
    re.ASCII | re.DOTALL | re.IGNORECASE,
)
"""Scheme, host, port and path (RFC 3986, section 3), with neither a user nor a zone.

A path may have what browsers don't escape, though it should be (URL Standard, path percent-encode set).
"""

_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_TO_BE_ESCAPED = re.compile(r'["<>^`{|}\[\]]')
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535


def names(htu: str, url: str) -> bool:
    """Whether a proof's `htu` names the URL that was asked for.

    None names a URL with dot segments: servers may take them for data, and so serve something else than it says.
    """
    asked = normalized(url)
    return asked is not None and not _DOTS.search(url) and normalized(htu) == asked


_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?:[/?#]|$)", re.IGNORECASE)


def normalized(uri: str) -> str | None:
    """An http or https URI without query and fragment, normalized by its syntax and its scheme.

    As RFC 3986, sections 6.2.2 and 6.2.3 say: case of scheme, host and escapes; escapes that need not be; dot segments;
    the scheme's own port; an empty path.

    Returns:
        The URI; `None` for what is no such URI, or names a user.
    """
    parts = _URI.fullmatch(uri)
    if parts is None:
        return None
    scheme, host = parts[1].lower(), _ESCAPED.sub(_plain, parts[2]).lower()
    path = _TO_BE_ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", _ESCAPED.sub(_plain, parts[4]))
    port = int(parts[3] or _DEFAULT_PORTS[scheme])
    if port > _LAST_PORT:
        return None
    where = "" if port == _DEFAULT_PORTS[scheme] else f":{port}"
    return f"{scheme}://{host}{where}{_without_dots(path)}"


def is_public_url(url: str) -> bool:
    """Whether a URL is in its normal form, without a final slash, a query and a fragment.

    Clients compare it to the character, and what follows it would be taken in by a query.
    """
    return bool(url) and (normalized(url) or "").rstrip("/") == url


def _plain(escaped: re.Match[str]) -> str:
    character = chr(int(escaped[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escaped[0].upper()


def _without_dots(path: str) -> str:
    """A path without dot segments (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")[1:] or [""]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
