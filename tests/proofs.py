"""DPoP proofs as a client makes them, or changed, with joserfc; the API's own code has no part in it."""

import hashlib
import secrets
import time
from collections.abc import Mapping
from typing import Any

from joserfc.jwk import ECKey, Key

from api.contract_tests.forging import b64, sign
from tests.tenant import ABSENT, KIND


class Prover:
    """A client's key, and proofs that it holds it.

    Args:
        key: The key; by default a new one for ES256.
    """

    def __init__(self, key: Key | None = None) -> None:
        self.key = key or ECKey.generate_key("P-256")
        self.jwk = self.key.as_dict(private=False)
        self.cnf = {"jkt": self.key.thumbprint()}
        """What a token that is bound to the key says."""

    def proof(
        self, url: str, token: str, header: Mapping[str, Any] | None = None, method: str = "GET", **changed: Any
    ) -> str:
        """A proof for a request, with changes to its header and claims."""
        alg = KIND[type(self.key)][0]
        members = {"typ": "dpop+jwt", "alg": alg, "jwk": self.jwk, **(header or {})}
        claims = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url,
            "iat": int(time.time()),
            "ath": b64(hashlib.sha256(token.encode()).digest()),
            **changed,
        }
        used = members["alg"] if members.get("alg") in KIND[type(self.key)] else alg
        return sign(_present(members), _present(claims), self.key, str(used))

    def headers(self, url: str, token: str, **changed: Any) -> dict[str, str]:
        """The header fields of a request."""
        return {"Authorization": f"DPoP {token}", "DPoP": self.proof(url, token, **changed)}


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not ABSENT}
