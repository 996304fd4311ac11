"""What credentials are made from: what the API trusts, its issuer's public keys, and tokens that it has signed."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from api.contract_tests.results import NotRun
from api.contract_tests.sources import TokenSource, read_token
from security.keys import KeyIndex, PublicKey, verify_signature

_LIFETIME = 3_600  # seconds
_SECRET_LENGTH = 16  # characters, below which a word may stand in an answer by chance


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request presents: header fields, and what stands in its query."""

    fields: tuple[str, ...] = ()
    query: str | None = None

    @property
    def secrets(self) -> list[str]:
        """What no answer may repeat: the last segments of its tokens, and what is opaque."""
        words = [word for value in (*self.fields, self.query or "") for word in value.split()[1:] or [value]]
        return [last for word in words if len(last := word.rpartition(".")[2]) >= _SECRET_LENGTH]


@dataclass(frozen=True)
class Trust:
    """What the API that is tested trusts.

    Args:
        issuer: The issuer, exact to the character.
        audience: The API's identifier.
        keys: Fetches the issuer's public keys.
        source: Gives tokens that the issuer has signed.
        signs: Whether the issuer signs whatever it is asked for, so that every row can be run.
    """

    issuer: str
    audience: str
    keys: Callable[[], KeyIndex]
    source: TokenSource
    signs: bool

    @cached_property
    def published(self) -> KeyIndex:
        """The issuer's public keys."""
        return self.keys()

    def has_signed(self, token: str) -> bool:
        """Whether a key that the issuer publishes has signed a token. Checks nothing else."""
        jwt = read_token(token)
        alg = str(jwt.header.get("alg"))
        key = self.published.get((jwt.header.get("kid"), alg))
        return key is not None and verify_signature(alg, key, jwt.signing_input, jwt.signature)


class Material:
    """What credentials for one operation are made from.

    Args:
        trust: What the API trusts.
        scopes: What a token for the operation must grant.
    """

    def __init__(self, trust: Trust, scopes: Sequence[str]) -> None:
        self.trust = trust
        self.scopes = scopes

    def signed(self, *, without: Collection[str] = (), **changes: Any) -> str:
        """A token that the issuer has signed, good but for the changed claims.

        Args:
            without: Scopes that it must not grant.
            changes: Claims in place of good ones.

        Raises:
            NotRun: There is none to be had.
        """
        token = self.trust.source.token(self.scopes, without=without, **changes)
        if not self.trust.has_signed(token):
            raise NotRun("the issuer doesn't publish the key that signed the token any more")
        return token

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
        except NotRun as reason:  # asked once, as it may take an issuer long to say so
            return reason

    @cached_property
    def _plausible(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Header and claims of a good token, or what they would look like."""
        try:
            jwt = read_token(self.good)
        except NotRun:
            now = int(time.time())
            times = {"iat": now, "exp": now + _LIFETIME}
            claims = {"iss": self.trust.issuer, "sub": "auth0|ada", "aud": self.trust.audience, **times}
            (kid, alg), _ = self._published
            return {"alg": alg, "typ": "JWT", "kid": kid}, {**claims, "scope": " ".join(self.scopes)}
        return jwt.header, jwt.claims

    @property
    def public_key(self) -> PublicKey:
        """The public key that the good token's header names, or another one of the issuer's."""
        return self.trust.published.get((self.header.get("kid"), self.header["alg"])) or self._published[1]

    @property
    def _published(self) -> tuple[tuple[str | None, str], PublicKey]:
        for (kid, alg), key in self.trust.published.items():
            if kid is not None:
                return (kid, alg), key
        raise NotRun("the issuer's public keys can't be fetched")

    @property
    def header(self) -> dict[str, Any]:
        """A good token's header."""
        return dict(self._plausible[0])

    @property
    def claims(self) -> dict[str, Any]:
        """A good token's claims."""
        return dict(self._plausible[1])
