"""The header of an access token and what must hold of it (RFC 8725, section 3; RFC 9068, section 4)."""

from collections.abc import Collection
from typing import Any, NamedTuple

from resource_server.tokens.checks import Check, is_text
from resource_server.tokens.errors import InvalidToken, Refusal

Header = dict[str, Any]

_ACCESS_TOKEN_TYPES = frozenset(("jwt", "at+jwt", "application/jwt", "application/at+jwt"))
"""Auth0's default tokens say JWT, RFC 9068 says at+jwt. A token without `typ` is accepted, as RFC 7519 has it."""

_TYPED = frozenset(("at+jwt", "application/at+jwt"))


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
    for check in HEADER_CHECKS:
        if not check.holds(header, accepted):
            raise InvalidToken(check.refusal)


def _has_algorithm(header: Header, _: Accepted) -> bool:
    return is_text(header.get("alg"))


def _key_is_text(header: Header, _: Accepted) -> bool:
    return is_text(header.get("kid", ""))


def _type_is_text(header: Header, _: Accepted) -> bool:
    return is_text(header.get("typ", ""))


def _algorithm(header: Header, accepted: Accepted) -> bool:
    return header["alg"] in accepted.algorithms


def _without_extensions(header: Header, _: Accepted) -> bool:
    return "crit" not in header and "b64" not in header  # RFC 7515, section 4.1.11; RFC 7797, section 7


def _access_token_type(header: Header, accepted: Accepted) -> bool:
    return is_typed(header) or (not accepted.typed and header.get("typ", "JWT").lower() in _ACCESS_TOKEN_TYPES)


HEADER_CHECKS: tuple[Check[Refusal], ...] = (
    Check("header", ("alg",), "a text", _has_algorithm, Refusal.MALFORMED),
    Check("header", ("kid",), "a text", _key_is_text, Refusal.MALFORMED),
    Check("header", ("typ",), "a text", _type_is_text, Refusal.MALFORMED),
    Check("algorithm", ("alg",), "one of TOKEN_ALGORITHMS", _algorithm, Refusal.ALGORITHM),
    Check("extensions", ("crit", "b64"), "absent", _without_extensions, Refusal.CRITICAL),
    Check("type", ("typ",), "JWT, at+jwt or absent", _access_token_type, Refusal.TYPE),
)
"""What must hold, and what to answer when it doesn't."""
