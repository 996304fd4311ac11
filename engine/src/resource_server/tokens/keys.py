"""Which keys of an issuer's key set verify which algorithm (RFC 7517, RFC 7518, section 3.1)."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

logger = logging.getLogger(__name__)

PublicKey = RSAKey | ECKey | OKPKey
KeyIndex = Mapping[tuple[str | None, str], PublicKey]
"""Keys by `kid` and algorithm. `(None, alg)` is there only when exactly one key verifies `alg`."""

ALGORITHMS = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
"""The algorithms that can be configured: signatures only. A MAC would make the verifier able to issue tokens."""

_MIN_RSA_BITS = 2_048  # NIST SP 800-131A
_LARGEST = {"n": 8_192, "e": 64}
"""Bits of RSA's numbers; with more it would take long to compute."""


# What joserfc and cryptography raise on a malformed JWK; SecurityWarning where warnings are errors.
_UNUSABLE = (JoseError, ValueError, TypeError, LookupError, AttributeError, SecurityWarning, UnsupportedAlgorithm)


def verification_keys(key_set: object, algorithms: Iterable[str]) -> KeyIndex:
    """Index the keys of a key set that may verify signatures of the given algorithms.

    A key that is malformed, weak, symmetric, private or for key agreement is left out and named in the log. One for
    encryption or another algorithm, which an issuer may well publish, is left out silently. Its neighbours work. The
    same key twice is one key. When two keys share a `kid` and an algorithm, the first counts.

    Args:
        key_set: The parsed JWK set document.
        algorithms: Names from `ALGORITHMS`.

    Raises:
        ValueError: This is not a JWK set (RFC 7517, section 5).
    """
    keys = key_set.get("keys") if isinstance(key_set, dict) else None
    if not isinstance(keys, list):
        raise ValueError("not a JWK set")
    index: dict[tuple[str | None, str], PublicKey] = {}
    usable = [(key, alg) for key in map(_import_key, keys) if key for alg in algorithms if verifies(key, alg)]
    count = Counter(alg for _, alg in {(key.thumbprint(), alg) for key, alg in usable})
    for key, alg in usable:
        if key.kid is not None:
            index.setdefault((key.kid, alg), key)
        if count[alg] == 1:
            index[None, alg] = key
    return index


def _import_key(jwk: Any) -> PublicKey | None:
    try:
        return public_key(jwk)
    except ValueError as error:
        kid = jwk.get("kid") if isinstance(jwk, dict) else None
        logger.warning("A key of the issuer's key set is skipped, kid %r: %s", kid, error)
        return None


def verify_signature(alg: str, key: PublicKey, signing_input: bytes, signature: bytes) -> bool:
    """Verify a JWS signature (RFC 7515, section 5.2, step 8) with a key that `verification_keys` found for `alg`."""
    return JWSRegistry.algorithms[alg].verify(signing_input, signature, key)


def public_key(jwk: Any) -> PublicKey:
    """A key that may verify signatures.

    Raises:
        ValueError: It is malformed, weak, symmetric, private or for something else.
    """
    try:
        key = JWKRegistry.import_key(_as_published(jwk))
        if not isinstance(key, RSAKey | ECKey | OKPKey):
            raise ValueError("it is symmetric")
        if not isinstance(key.get("key_ops", []), list):  # joserfc would look for the operation within a text
            raise ValueError("its key_ops is no list")
        if key.is_private:
            raise ValueError("it is a private key, published")
        if isinstance(key, RSAKey) and key.public_key.key_size < _MIN_RSA_BITS:
            raise ValueError("it is too short")
        if isinstance(key, RSAKey) and key.public_key.key_size > _LARGEST["n"]:
            raise ValueError("it is too large")
        if isinstance(key, OKPKey) and key.curve_name not in ("Ed25519", "Ed448"):
            raise ValueError("it is for key agreement")
        key.check_key_op("verify")
    except _UNUSABLE as error:
        raise ValueError(str(error) or type(error).__name__) from error
    return key


def _as_published(jwk: Any) -> Any:
    """A key without what some issuers publish, and means nothing: members that are null, and padding.

    Raises:
        ValueError: It is so large that nothing should be computed with it.
    """
    if not isinstance(jwk, dict):
        return jwk
    # Six bits in a character of base64, and an octet more for whoever writes a sign.
    if any(len(str(jwk.get(name, "")).rstrip("=")) * 6 >= most + 16 for name, most in _LARGEST.items()):
        raise ValueError("it is too large")
    return {
        name: value.rstrip("=") if name in _NUMBERS and isinstance(value, str) else value
        for name, value in jwk.items()
        if value is not None
    }


_NUMBERS = ("n", "e", "x", "y")


def verifies(key: PublicKey, alg: str) -> bool:
    """Whether a key is one for an algorithm."""
    try:
        JWSRegistry.algorithms[alg].check_key(key)
    except JoseError:
        return False
    return True
