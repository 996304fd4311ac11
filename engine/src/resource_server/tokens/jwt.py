"""Signed JWTs in compact serialization, taken apart strictly (RFC 7515, RFC 7519, section 7.2, RFC 8725).

Nothing here is trusted yet: the signature is checked by the validator, with a key of the issuer.
"""

import binascii
import json
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from joserfc.util import urlsafe_b64decode

from resource_server.tokens.errors import InvalidToken, Refusal

MAX_TOKEN_LENGTH = 16 * 1024
"""Characters; longer than any header field that the usual servers let through."""


MAX_REMEMBERED = 2 * 1024
"""Characters of a header that is remembered: what anybody can send must not fill the memory."""

_MAX_DEPTH = 32


class SignedJWT(NamedTuple):
    """A JWT's parts, decoded but not verified."""

    header: dict[str, Any]
    claims: dict[str, Any]
    payload: str
    signing_input: bytes
    signature: bytes

    @classmethod
    def parse(cls, token: str) -> "SignedJWT":
        """Take a compact JWT apart.

        Checks its length, structure, base64url without padding, and that header and claims are JSON objects without
        duplicate members. Checks neither the signature nor any member.

        Args:
            token: The JWT, as it stands on the request.

        Raises:
            InvalidToken: It is too long, opaque, encrypted or malformed.
        """
        if len(token) > MAX_TOKEN_LENGTH:
            raise InvalidToken(Refusal.OVERSIZED)
        try:
            segments = token.encode("ascii").split(b".")
        except UnicodeEncodeError as error:
            raise InvalidToken(Refusal.MALFORMED) from error
        if len(segments) != 3:
            raise InvalidToken(_UNSIGNED.get(len(segments), Refusal.MALFORMED))
        header, payload, signature = segments
        try:
            # json.loads would guess UTF-16 and UTF-32, too; RFC 7519, section 7.2 says UTF-8.
            text = urlsafe_b64decode(payload).decode()
            return cls(
                header=header_of(header),
                claims=_json_object(text),
                payload=text,
                signing_input=header + b"." + payload,
                signature=urlsafe_b64decode(signature),
            )
        except (binascii.Error, ValueError, RecursionError) as error:
            raise InvalidToken(Refusal.MALFORMED) from error


_UNSIGNED = {1: Refusal.OPAQUE, 5: Refusal.ENCRYPTED}
"""What a token that isn't a signed JWT most likely is, by its number of segments (RFC 7516, section 9)."""


def header_of(segment: bytes) -> dict[str, Any]:
    """A header, decoded. An issuer's tokens have the same one, and a client's proofs, so it is remembered.

    Raises:
        ValueError: It is malformed.
    """
    return _remembered_header(segment) if len(segment) <= MAX_REMEMBERED else _decoded(segment)


def _decoded(segment: bytes) -> dict[str, Any]:
    return _json_object(urlsafe_b64decode(segment).decode())


_remembered_header = lru_cache(1_024)(_decoded)


def _json_object(text: str) -> dict[str, Any]:
    value = _DECODER.decode(text)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    if text.count("[") + text.count("{") > _MAX_DEPTH:
        _check_depth(value, _MAX_DEPTH)
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # fails on lone surrogates (RFC 8259, section 8.2)
    return value


def _check_depth(value: Any, levels: int) -> None:
    # Python's own limit differs between releases, and later readers of the claims may have a lower one.
    if isinstance(value, dict | list):
        if not levels:
            raise ValueError("nested too deeply")
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, levels - 1)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # RFC 7519, section 4: refuse duplicates rather than keep the last, on which parsers differ.
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_members, parse_constant=_refuse_constant)
