"""Proofs as a client makes them (RFC 9449, section 4.2)."""

import secrets
import time
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key


class Prover:
    """A key, and proofs that it is held.

    Args:
        key: The key; by default a new one.
        alg: What it signs with.
    """

    def __init__(self, key: Key | None = None, alg: str = "ES256") -> None:
        self.key = key or ECKey.generate_key("P-256")
        self.jwk = self.key.as_dict(private=False)
        self.cnf = {"jkt": self.key.thumbprint()}
        """What a token that is bound to the key says."""
        self.nonce: str | None = None
        """The server's newest, if it wants one."""
        self._alg = alg

    def proof(self, method: str, url: str, token: str | None = None) -> str:
        """A proof for one request.

        Args:
            method: The request's.
            url: Where it goes; query and fragment are left out.
            token: The access token beside it, if there is one.
        """
        return jwt.encode(self._header(), self._claims(method, url, token), self.key, algorithms=[self._alg])

    def _header(self) -> dict[str, Any]:
        return {"typ": "dpop+jwt", "alg": self._alg, "jwk": self.jwk}

    def _claims(self, method: str, url: str, token: str | None) -> dict[str, Any]:
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url.partition("#")[0].partition("?")[0],
            "iat": int(time.time()),
        }
        if token is not None:
            claims["ath"] = urlsafe_b64encode(sha256(token.encode()).digest()).decode().rstrip("=")
        return claims if self.nonce is None else {**claims, "nonce": self.nonce}
