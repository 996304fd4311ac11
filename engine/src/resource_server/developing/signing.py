"""The development issuer's keys and the access tokens that it signs, in Auth0's shape."""

import secrets
import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

LIFETIME = 86_400
"""Seconds for which an access token is good, as Auth0 has it by default."""


class SigningKeys:
    """An RSA key that signs, and the one before it, which is still published. Fresh with every start."""

    def __init__(self) -> None:
        self._keys: list[RSAKey] = []
        self.rotate()

    def rotate(self, *, withdraw: bool = False) -> str:
        """Sign with a new key from now on.

        Args:
            withdraw: Whether the previous key is no longer published, so that what it signed is refused.

        Returns:
            The new key's `kid`.
        """
        kid = secrets.token_urlsafe(16)
        key = RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})
        self._keys = [key, *([] if withdraw else self._keys[:1])]
        return kid

    def public(self) -> dict[str, Any]:
        """The key set document (RFC 7517, section 5)."""
        return dict(KeySet(list(self._keys)).as_dict(private=False))

    def sign(self, claims: dict[str, Any]) -> str:
        """A JWT over the claims, `iat` and `exp` added where they aren't given."""
        key, now = self._keys[0], int(time.time())
        return jwt.encode(
            {"alg": "RS256", "typ": "JWT", "kid": key.kid}, {"iat": now, "exp": now + LIFETIME, **claims}, key
        )
