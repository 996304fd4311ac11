"""DPoP proofs (RFC 9449, section 4.2), as clients make them, or changed."""

import secrets
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from joserfc.jwk import ECKey, Key

from api.contract_tests.forging import b64, sign

ABSENT = object()
"""In place of a claim's or header member's value: leave it away."""


class Prover:
    """A client's key, and proofs that it holds it.

    Args:
        key: The key; by default a new one.
        alg: What it signs with.
    """

    def __init__(self, key: Key | None = None, alg: str = "ES256") -> None:
        self.key = key or ECKey.generate_key("P-256")
        self.alg = alg
        self.jwk = self.key.as_dict(private=False)
        self.cnf = {"jkt": self.key.thumbprint()}
        """What a token that is bound to the key says."""
        self.nonce: str | None = None
        """The server's newest."""

    def proof(
        self, url: str, token: str, header: Mapping[str, Any] | None = None, method: str = "GET", **changed: Any
    ) -> str:
        """A proof for a request, with changes to its header and claims."""
        members = {"typ": "dpop+jwt", "alg": self.alg, "jwk": self.jwk, **(header or {})}
        claims = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url,
            "iat": int(time.time()),
            "ath": b64(sha256(token.encode()).digest()),
            **({"nonce": self.nonce} if self.nonce else {}),
            **changed,
        }
        return sign(_present(members), _present(claims), self.key, self.alg)


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not ABSENT}
