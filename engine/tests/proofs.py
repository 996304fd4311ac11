"""DPoP proofs as a client makes them, or changed, with joserfc; the API's own checks have no part in it."""

import re
from collections.abc import Mapping
from typing import Any

from joserfc.jwk import Key

from resource_server.developing.contract_tests.forging import present, sign
from resource_server.developing.contract_tests.proving import Forger
from tests.tenant import KIND


class Prover(Forger):
    """A client's key, and proofs that it holds it.

    Args:
        key: The key; by default a new one for ES256.
    """

    def __init__(self, key: Key | None = None) -> None:
        super().__init__(key, KIND[type(key)][0] if key else "ES256")

    def forged(self, method: str, url: str, token: str, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """As there; signed as the header says, if the key can."""
        members = {**self._header(), **(header or {})}
        alg = members["alg"] if members["alg"] in KIND[type(self.key)] else self._alg
        return sign(present(members), present({**self._claims(method, url, token), **claims}), self.key, str(alg))

    def headers(self, url: str, token: str, method: str = "GET", **changed: Any) -> dict[str, str]:
        """The header fields of a request, whose proof may be changed as for `forged`."""
        return {"Authorization": f"DPoP {token}", "DPoP": self.forged(method, url, token, **changed)}


def without_metadata(challenges: str) -> str:
    """Challenges without what tests/api/test_metadata.py is about."""
    return re.sub(r', resource_metadata="[^"]*"', "", challenges)
