"""Proofs that a client holds the key which its access token is bound to: DPoP (RFC 9449)."""

import asyncio
import math
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from resource_server.tokens.checks import Check, is_text, optional, required
from resource_server.tokens.claims import is_date
from resource_server.tokens.clock import now
from resource_server.tokens.credentials import Credentials
from resource_server.tokens.errors import Flaw, InvalidProof, InvalidToken, Refusal, ReplaysUnavailable, UseNonce
from resource_server.tokens.jwt import MAX_REMEMBERED, SignedJWT, header_of
from resource_server.tokens.keys import ALGORITHMS, PublicKey, public_key, verifies, verify_signature
from resource_server.tokens.nonces import Nonces
from resource_server.tokens.replays import ReplayCache
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
        replays: ReplayCache,
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
        jwt, key = parsed_proof(credentials.proofs)
        if key.thumbprint != thumbprint:
            raise InvalidToken(Refusal.OTHER_KEY)
        return self._check(jwt, key, credentials, access_token_hash(credentials.token))

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
        jwt, key = parsed_proof(proofs)
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

    def _check(self, jwt: SignedJWT, key: "ProofKey", credentials: Credentials, ath: str | None) -> Proof:
        if not verify_signature(key.alg, key.key, jwt.signing_input, jwt.signature):
            raise InvalidProof(Flaw.SIGNATURE)
        self._check_claims(jwt.claims, credentials, ath)
        known_by = sha256(f"{key.thumbprint} {jwt.claims['jti']}".encode("utf-8", "surrogatepass")).digest()
        return Proof(known_by, jwt.claims["iat"] + PAST + CLOCKS, key.thumbprint)

    def _check_claims(self, claims: dict[str, Any], credentials: Credentials, ath: str | None) -> None:
        expected = ExpectedProof(credentials.method, credentials.url, ath, self._clock(), self.nonces)
        for check in PROOF_CHECKS:
            if check.holds(claims, expected):
                continue
            if check.refusal is Flaw.NONCE and self.nonces:
                raise UseNonce(self.nonces.current())
            raise InvalidProof(check.refusal)


class ExpectedProof(NamedTuple):
    """What a proof's claims are compared with.

    Args:
        method: The request's.
        url: The request's, without its query.
        ath: The hash of the access token; `None` if there is none yet.
        now: The time in seconds since the epoch.
        nonces: Know which nonces are good; `None` if none is needed.
    """

    method: str
    url: str
    ath: str | None
    now: float
    nonces: Nonces | None = None


def access_token_hash(token: str) -> str:
    """The hash that a proof must have of its access token (RFC 9449, section 4.2)."""
    return urlsafe_b64encode(digest(token)).decode().rstrip("=")


def _method(claims: dict[str, Any], expected: ExpectedProof) -> bool:
    return bool(claims["htm"] == expected.method)


def _uri(claims: dict[str, Any], expected: ExpectedProof) -> bool:
    return names(claims["htu"], expected.url)


def _nonce(claims: dict[str, Any], expected: ExpectedProof) -> bool:
    return expected.nonces is None or expected.nonces.accepts(claims.get("nonce"))


def _in_time(claims: dict[str, Any], expected: ExpectedProof) -> bool:
    begins, ends = claims.get("nbf", expected.now), claims.get("exp", math.inf)
    made = -FUTURE <= expected.now - claims["iat"] <= PAST
    return bool(made and begins <= expected.now + FUTURE and ends > expected.now - FUTURE)


def _hash_is_text(claims: dict[str, Any], expected: ExpectedProof) -> bool:
    return expected.ath is None or is_text(claims.get("ath"))


def _of_token(claims: dict[str, Any], expected: ExpectedProof) -> bool:
    return expected.ath in (None, claims.get("ath"))


def _is_identifier(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MOST


PROOF_CHECKS: tuple[Check[Flaw], ...] = (
    required("jti", f"a text of 1 to {_MOST} characters", _is_identifier, Flaw.CLAIMS),
    required("htm", "a text", is_text, Flaw.CLAIMS),
    required("htu", "a text", is_text, Flaw.CLAIMS),
    Check("claims", ("ath",), "a text", _hash_is_text, Flaw.CLAIMS),
    required("iat", "a number of seconds", is_date, Flaw.CLAIMS),
    optional("exp", "a number of seconds", is_date, Flaw.CLAIMS),
    optional("nbf", "a number of seconds", is_date, Flaw.CLAIMS),
    Check("method", ("htm",), "the request's method", _method, Flaw.METHOD),
    Check("URI", ("htu",), "the request's URL, without its query", _uri, Flaw.URI),
    Check("nonce", ("nonce",), "one that the API has sent", _nonce, Flaw.NONCE),
    Check("time", ("iat", "exp", "nbf"), f"made in the last {PAST} seconds", _in_time, Flaw.TIME),
    Check("token", ("ath",), "the hash of the access token", _of_token, Flaw.TOKEN),
)
"""What must hold of a proof's claims (RFC 9449, section 4.3), and what to answer when it doesn't."""


class ProofKey(NamedTuple):
    """A proof's key, and what it signs with; the thumbprint is RFC 7638's."""

    alg: str
    key: PublicKey
    thumbprint: str


def parsed_proof(proofs: tuple[str, ...]) -> tuple[SignedJWT, ProofKey]:
    """Take the one proof of a request apart, and find its key. Its signature isn't verified.

    Raises:
        InvalidProof: There isn't exactly one, it is malformed, or it has no key that may be used.
    """
    if len(proofs) != 1:
        raise InvalidProof(Flaw.SEVERAL if proofs else Flaw.MISSING)
    try:
        jwt = SignedJWT.parse(proofs[0])
    except InvalidToken as error:
        raise InvalidProof(Flaw.MALFORMED) from error
    segment = jwt.signing_input.partition(b".")[0]
    return jwt, _remembered_key(segment) if len(segment) <= MAX_REMEMBERED else _proof_key(segment)


def _proof_key(segment: bytes) -> ProofKey:
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
    return ProofKey(alg, key, key.thumbprint())


_remembered_key = lru_cache(1_024)(_proof_key)
