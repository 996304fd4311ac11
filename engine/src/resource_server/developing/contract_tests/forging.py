"""JWTs put together by hand: with any header, over any claims, signed by whoever has a key, or by nobody."""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


ABSENT = object()
"""In place of a claim's or header member's value: leave it away."""


def present(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members that are not to be left away."""
    return {name: value for name, value in members.items() if value is not ABSENT}


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def segment(part: Mapping[str, Any] | bytes) -> str:
    """A segment of a JWT, from its members or from any bytes."""
    return b64(part if isinstance(part, bytes) else json.dumps(part).encode())


def sign(header: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes, key: Key, alg: str) -> str:
    """A compact JWS, really signed, whatever its header says."""
    signing_input = f"{segment(header)}.{segment(payload)}"
    return f"{signing_input}.{b64(JWSRegistry.algorithms[alg].sign(signing_input.encode(), key))}"


def mac(header: Mapping[str, Any], claims: Mapping[str, Any], secret: bytes) -> str:
    """A compact JWS with an HMAC, as the header's `alg` says, with any bytes for a secret."""
    signing_input = f"{segment(header)}.{segment(claims)}"
    digest = f"sha{header['alg'][2:]}"
    return f"{signing_input}.{b64(hmac.digest(secret, signing_input.encode(), digest))}"


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """A compact JWS with an empty signature."""
    return f"{segment(header)}.{segment(claims)}."


def key_like(alg: str) -> RSAKey | ECKey | OKPKey:
    """A new key of the kind that signs with an algorithm."""
    if alg in _CURVES:
        return ECKey.generate_key(_CURVES[alg])
    return OKPKey.generate_key("Ed25519") if alg in ("EdDSA", "Ed25519") else RSAKey.generate_key(2048)
