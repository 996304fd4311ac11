"""Proofs that a client holds the key which its access token is bound to: DPoP (RFC 9449)."""

import asyncio
import math
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from resource_server.tokens.claims import is_date
from resource_server.tokens.clock import now
from resource_server.tokens.credentials import Credentials
from resource_server.tokens.errors import Flaw, InvalidProof, InvalidToken, Refusal, ReplaysUnavailable, UseNonce
from resource_server.tokens.jwt import MAX_REMEMBERED, SignedJWT, header_of
from resource_server.tokens.keys import ALGORITHMS, PublicKey, public_key, verifies, verify_signature
from resource_server.tokens.nonces import Nonces
from resource_server.tokens.replays import Replays
from resource_server.tokens.uris import names
from resource_server.tokens.verified import digest

PROOF_ALGORITHMS = ALGORITHMS
"""What proofs may be signed with: all asymmetric, so the key beside the signature can be public."""

PAST, FUTURE = 300, 30
"""Seconds since a proof was made, and until it will have been, by the client's clock."""

CLOCKS = 60
"""Seconds by which the clocks of machines that share what has been used may differ."""

_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))  # RFC 7518, section 6
_MOST_WAITING = 40
"""Requests of an event loop at a time, each of which waits for less than a second or two."""

_MOST = 1_024  # characters of `jti`, which RFC 9449 doesn't limit


class Proof(NamedTuple):
    """A proof that holds: what it is known again by, until when that matters, and which key it proves (RFC 7638)."""

    id: bytes
    until: float
    thumbprint: str


class DPoP:
    """Checks proofs as RFC 9449, section 4.3 says, and uses each once.

    Args:
        replays: Remembers which have been used.
        required: Whether tokens that are bound to no key are refused.
        nonces: Makes the nonces that proofs must have; without them they need none.
        clock: The time in seconds since the epoch; for tests.
    """

    def __init__(
        self,
        replays: Replays,
        *,
        required: bool = False,
        nonces: Nonces | None = None,
        clock: Callable[[], float] = now,
    ) -> None:
        self.required = required
        self.nonces = nonces
        self._replays = replays
        self._waiting = 0
        self._clock = clock

    def check(self, credentials: Credentials, thumbprint: str) -> Proof:
        """Check the proof that stands beside an access token, but not yet whether it has been used.

        Checks, in this order: that there is one, form, type, algorithm, key, that it is the one of the token,
        signature, claims, method, URI, nonce, time, token.

        Args:
            credentials: The token and what stands beside it.
            thumbprint: Of the key which the token is bound to (RFC 7638).

        Raises:
            InvalidProof: It isn't acceptable.
            InvalidToken: The token is bound to another key.
            UseNonce: It lacks a nonce of this server.
        """
        jwt, key = _parsed(credentials.proofs)
        if key.thumbprint != thumbprint:
            raise InvalidToken(Refusal.OTHER_KEY)
        ath = urlsafe_b64encode(digest(credentials.token)).decode().rstrip("=")
        return self._check(jwt, key, credentials, ath)

    def check_without_token(self, proofs: tuple[str, ...], method: str, url: str) -> Proof:
        """Check the proof on a request for a token, which is to be bound to the proof's key (RFC 9449, section 5).

        Checks what `check` does, but for the token: there is none yet.

        Args:
            proofs: The values of all `DPoP` header fields of the request.
            method: The request's.
            url: The token endpoint's.

        Raises:
            InvalidProof: It isn't acceptable.
            UseNonce: It lacks a nonce of this server.
        """
        jwt, key = _parsed(proofs)
        return self._check(jwt, key, Credentials("DPoP", "", proofs, method, url), None)

    def use(self, proof: Proof) -> None:
        """Use a proof; may block for a second.

        Raises:
            InvalidProof: It has been used before.
            ReplaysUnavailable: That can't be known now.
        """
        if not self._replays.use(proof.id, proof.until):
            raise InvalidProof(Flaw.REPLAYED)

    async def use_later(self, proof: Proof) -> None:
        """Use a proof, in a thread of its own. Raises as `use`, and when too many wait already."""
        if self._waiting >= _MOST_WAITING:
            raise ReplaysUnavailable
        self._waiting += 1
        try:
            await asyncio.to_thread(self.use, proof)
        finally:
            self._waiting -= 1

    def _check(self, jwt: SignedJWT, key: "_ProofKey", credentials: Credentials, ath: str | None) -> Proof:
        if not verify_signature(key.alg, key.key, jwt.signing_input, jwt.signature):
            raise InvalidProof(Flaw.SIGNATURE)
        self._check_claims(jwt.claims, credentials, ath)
        known_by = sha256(f"{key.thumbprint} {jwt.claims['jti']}".encode("utf-8", "surrogatepass")).digest()
        return Proof(known_by, jwt.claims["iat"] + PAST + CLOCKS, key.thumbprint)

    def _check_claims(self, claims: dict[str, Any], credentials: Credentials, ath: str | None) -> None:
        if not _well_typed(claims, ("jti", "htm", "htu") if ath is None else ("jti", "htm", "htu", "ath")):
            raise InvalidProof(Flaw.CLAIMS)
        if claims["htm"] != credentials.method:
            raise InvalidProof(Flaw.METHOD)
        if not names(claims["htu"], credentials.url):
            raise InvalidProof(Flaw.URI)
        if self.nonces and not self.nonces.accepts(claims.get("nonce")):
            raise UseNonce(self.nonces.current())
        now = self._clock()
        begins, ends = claims.get("nbf", now), claims.get("exp", math.inf)
        if not -FUTURE <= now - claims["iat"] <= PAST or begins > now + FUTURE or ends <= now - FUTURE:
            raise InvalidProof(Flaw.TIME)
        if ath not in (None, claims.get("ath")):
            raise InvalidProof(Flaw.TOKEN)


def _well_typed(claims: dict[str, Any], texts: Sequence[str]) -> bool:
    return (
        all(isinstance(claims.get(name), str) for name in texts)
        and 0 < len(claims["jti"]) <= _MOST
        and is_date(claims.get("iat"))
        and all(is_date(claims[name]) for name in ("exp", "nbf") if name in claims)
    )


class _ProofKey(NamedTuple):
    alg: str
    key: PublicKey
    thumbprint: str


def _parsed(proofs: tuple[str, ...]) -> tuple[SignedJWT, _ProofKey]:
    if len(proofs) != 1:
        raise InvalidProof(Flaw.SEVERAL if proofs else Flaw.MISSING)
    try:
        jwt = SignedJWT.parse(proofs[0])
    except InvalidToken as error:
        raise InvalidProof(Flaw.MALFORMED) from error
    segment = jwt.signing_input.partition(b".")[0]
    return jwt, _remembered_key(segment) if len(segment) <= MAX_REMEMBERED else _proof_key(segment)


def _proof_key(segment: bytes) -> _ProofKey:
    """What the header of a proof says, which a client's proofs have in common."""
    header = header_of(segment)
    if header.get("typ") != "dpop+jwt":
        raise InvalidProof(Flaw.TYPE)
    if "crit" in header or "b64" in header:  # RFC 7515, section 4.1.11; RFC 7797, section 7
        raise InvalidProof(Flaw.MALFORMED)
    alg, jwk = header.get("alg"), header.get("jwk")
    if not isinstance(alg, str) or alg not in PROOF_ALGORITHMS:
        raise InvalidProof(Flaw.ALGORITHM)
    if not isinstance(jwk, dict) or not _PRIVATE.isdisjoint(jwk):
        raise InvalidProof(Flaw.KEY)
    try:
        key = public_key(jwk)
    except ValueError as error:
        raise InvalidProof(Flaw.KEY) from error
    if not verifies(key, alg):
        raise InvalidProof(Flaw.KEY)
    return _ProofKey(alg, key, key.thumbprint())


_remembered_key = lru_cache(1_024)(_proof_key)
