"""DPoP proofs as no client should make them: with any header, over any claims."""

from collections.abc import Mapping
from typing import Any

from resource_server.developing.contract_tests.forging import present, sign
from resource_server.developing.proving import Prover


class Forger(Prover):
    """A client's key, and proofs that it is held, changed."""

    def forged(self, method: str, url: str, token: str, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A proof for a request, with changes to its header and claims, really signed."""
        members = {**self._header(), **(header or {})}
        return sign(present(members), present({**self._claims(method, url, token), **claims}), self.key, self._alg)
