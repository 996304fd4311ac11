"""The header of an access token and what must hold of it (RFC 8725, section 3; RFC 9068, section 4)."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from resource_server.tokens.errors import InvalidToken, Refusal

Header = dict[str, Any]

_ACCESS_TOKEN_TYPES = frozenset(("jwt", "at+jwt", "application/jwt", "application/at+jwt"))
"""Auth0's default tokens say JWT, RFC 9068 says at+jwt. A token without `typ` is accepted, as RFC 7519 has it."""

_TYPED = frozenset(("at+jwt", "application/at+jwt"))

_NAMES = ("alg", "kid", "typ")


class Accepted(NamedTuple):
    """What headers are compared with.

    Args:
        algorithms: What tokens may be signed with.
        typed: Whether they must say that they are access tokens (RFC 9068, section 4).
    """

    algorithms: Collection[str]
    typed: bool = False


def is_typed(header: Header) -> bool:
    """Whether a token says that it is an access token (RFC 8725, section 3.11)."""
    return str(header.get("typ", "")).lower() in _TYPED


def check_header(header: Header, accepted: Accepted) -> None:
    """Check the header of a JWT, in the order of the table. Checks neither that its key exists nor the signature.

    Args:
        header: Decoded, but not trusted yet.
        accepted: What it is compared with.

    Raises:
        InvalidToken: A row of the table doesn't hold.
    """
    for holds, refusal in HEADER_CHECKS:
        if not holds(header, accepted):
            raise InvalidToken(refusal)


def _well_typed(header: Header, _: Accepted) -> bool:
    return "alg" in header and all(isinstance(header.get(name, ""), str) for name in _NAMES)


def _algorithm(header: Header, accepted: Accepted) -> bool:
    return header["alg"] in accepted.algorithms


def _without_extensions(header: Header, _: Accepted) -> bool:
    return "crit" not in header and "b64" not in header  # RFC 7515, section 4.1.11; RFC 7797, section 7


def _access_token_type(header: Header, accepted: Accepted) -> bool:
    return is_typed(header) or (not accepted.typed and header.get("typ", "JWT").lower() in _ACCESS_TOKEN_TYPES)


HEADER_CHECKS: tuple[tuple[Callable[[Header, Accepted], bool], Refusal], ...] = (
    (_well_typed, Refusal.MALFORMED),
    (_algorithm, Refusal.ALGORITHM),
    (_without_extensions, Refusal.CRITICAL),
    (_access_token_type, Refusal.TYPE),
)
"""What must hold, and what to answer when it doesn't; whoever evaluates a row has evaluated the first."""
