"""The header of an access token and what must hold of it (RFC 8725, section 3; RFC 9068, section 4)."""

from collections.abc import Callable, Collection
from typing import Any

from resource_server.tokens.errors import InvalidToken, Refusal

Header = dict[str, Any]

_ACCESS_TOKEN_TYPES = frozenset(("jwt", "at+jwt", "application/jwt", "application/at+jwt"))
"""Auth0's default tokens say JWT, RFC 9068 says at+jwt. A token without `typ` is accepted, as RFC 7519 has it."""

_NAMES = ("alg", "kid", "typ")


def check_header(header: Header, algorithms: Collection[str]) -> None:
    """Check the header of a JWT, in the order of the table. Checks neither that its key exists nor the signature.

    Args:
        header: Decoded, but not trusted yet.
        algorithms: What the token may be signed with.

    Raises:
        InvalidToken: A row of the table doesn't hold.
    """
    for holds, refusal in HEADER_CHECKS:
        if not holds(header, algorithms):
            raise InvalidToken(refusal)


def _well_typed(header: Header, _: Collection[str]) -> bool:
    return "alg" in header and all(isinstance(header.get(name, ""), str) for name in _NAMES)


def _algorithm(header: Header, algorithms: Collection[str]) -> bool:
    return header["alg"] in algorithms


def _without_extensions(header: Header, _: Collection[str]) -> bool:
    return "crit" not in header and "b64" not in header  # RFC 7515, section 4.1.11; RFC 7797, section 7


def _access_token_type(header: Header, _: Collection[str]) -> bool:
    return header.get("typ", "JWT").lower() in _ACCESS_TOKEN_TYPES


HEADER_CHECKS: tuple[tuple[Callable[[Header, Collection[str]], bool], Refusal], ...] = (
    (_well_typed, Refusal.MALFORMED),
    (_algorithm, Refusal.ALGORITHM),
    (_without_extensions, Refusal.CRITICAL),
    (_access_token_type, Refusal.TYPE),
)
"""What must hold, and what to answer when it doesn't; whoever evaluates a row has evaluated the first."""
