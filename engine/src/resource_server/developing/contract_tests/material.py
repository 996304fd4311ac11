"""What the credentials for one operation are made from."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from resource_server.developing.contract_tests.operations import ANY_CALLER, Caller
from resource_server.developing.contract_tests.proving import Forger
from resource_server.developing.contract_tests.results import NotRun
from resource_server.developing.contract_tests.sources import read_token
from resource_server.developing.contract_tests.trust import Trust
from resource_server.tokens.keys import PublicKey

_LIFETIME = 3_600  # seconds
_SECRET_LENGTH = 16  # characters, below which a word may stand in an answer by chance


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request presents: header fields, what stands in its query, and a proof.

    Args:
        fields: Values of `Authorization`.
        query: A token in the query.
        prove: Makes proofs for a method and a URL.
        times: How often all of it is sent; the last answer counts.
    """

    fields: tuple[str, ...] = ()
    query: str | None = None
    prove: Callable[[str, str], Sequence[str]] | None = None
    times: int = 1

    @property
    def secrets(self) -> set[str]:
        """What no answer may repeat and no report show."""
        return secrets_in(word for value in (*self.fields, self.query or "") for word in value.split())


def secrets_in(words: Iterable[str]) -> set[str]:
    """The words that are long enough to be secrets, and the signatures in them."""
    found = {part for word in words for part in (word, word.rpartition(".")[2])}
    return {part for part in found if len(part) >= _SECRET_LENGTH}


class Material:
    """What credentials for one operation are made from.

    Args:
        trust: What the API trusts.
        scopes: What a token for the operation must grant.
        caller: What it says of who calls.
    """

    def __init__(self, trust: Trust, scopes: Sequence[str], caller: Caller = ANY_CALLER) -> None:
        self._trust = trust
        self.scopes = scopes
        self.caller = caller

    def signed(self, changes: Mapping[str, Any] = MappingProxyType({}), without: Sequence[frozenset[str]] = ()) -> str:
        """A token that the issuer has signed, as `Trust.token` gives it."""
        return self._trust.token(self.scopes, changes, without=without, caller=self.caller)

    @cached_property
    def prover(self) -> Forger:
        """The key of a client, which tokens can be bound to."""
        return Forger()

    @property
    def good(self) -> str:
        """A token without any defect. Raises `NotRun`."""
        if isinstance(self._good, NotRun):
            raise self._good
        return self._good

    @cached_property
    def _good(self) -> str | NotRun:
        try:
            return self.signed()
        except NotRun as reason:
            return reason

    @property
    def header(self) -> dict[str, Any]:
        """The good token's header, or what it would look like."""
        return dict(self._plausible[0])

    @property
    def claims(self) -> dict[str, Any]:
        """The good token's claims, or what they would look like."""
        return dict(self._plausible[1])

    @property
    def public_key(self) -> PublicKey:
        """The public key that the header names."""
        key = self._trust.published.get((self.header.get("kid"), self.header["alg"]))
        if key is None:
            raise NotRun("the issuer's public keys can't be fetched")
        return key

    @cached_property
    def _plausible(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        if isinstance(self._good, str):
            jwt = read_token(self._good)
            return jwt.header, jwt.claims
        for kid, alg in self._trust.published:
            now = int(time.time())
            claims = {"iss": self._trust.issuer, "sub": "auth0|ada", "aud": self._trust.audience, "iat": now}
            header = {"alg": alg, "typ": "JWT", **({"kid": kid} if kid is not None else {})}
            return header, {**claims, "exp": now + _LIFETIME, "scope": " ".join(self.scopes)}
        raise NotRun("the issuer's public keys can't be fetched")
