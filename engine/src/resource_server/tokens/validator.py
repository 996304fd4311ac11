"""The validator of access tokens, on joserfc, for Connexion and for Authlib's `ResourceProtector`."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import httpx
from authlib.oauth2.rfc7523 import JWTBearerTokenValidator
from joserfc.jwk import KeySet

from resource_server.tokens.certificates import MutualTLS
from resource_server.tokens.claims import (
    AccessToken,
    Expected,
    authenticated_since,
    bound_to,
    check_claims,
    granted_scopes,
    still_holds,
    times,
)
from resource_server.tokens.clock import now
from resource_server.tokens.credentials import Credentials, presented
from resource_server.tokens.dpop import DPoP, Proof
from resource_server.tokens.errors import (
    QUOTABLE,
    InsufficientAuthentication,
    InsufficientScope,
    InvalidToken,
    IssuerUnavailable,
    Refusal,
)
from resource_server.tokens.headers import Accepted, check_header, is_typed
from resource_server.tokens.issuer import LONGEST_FETCH, Issuer, issuer_url
from resource_server.tokens.issuers import IssuerResolver, IssuersPending, KeyCaches
from resource_server.tokens.jwt import SignedJWT
from resource_server.tokens.keycache import KeyCache, KeyPending
from resource_server.tokens.keys import ALGORITHMS, verify_signature
from resource_server.tokens.verified import TokenCache, Verified, digest

Pending = KeyPending | IssuersPending
"""What a request waits for, and then asks again with."""

RESOLVED = "resolved"
"""Stands for all issuers that a resolver has named, where each would be one too many: as in metrics."""


class Auth0JWTBearerTokenValidator(JWTBearerTokenValidator):  # type: ignore[misc]  # Authlib is not typed
    """Validates Auth0's access tokens, and those of any OpenID provider that issues JWTs.

    Checks, in this order: form, the header as `headers.HEADER_CHECKS` lists it, issuer, key, signature, the
    claims as `claims.CHECKS` lists them; last what the token is bound to, and the proof of that. Checks
    neither revocation nor whether the subject still exists: a JWT is good until it expires. Scopes are checked by
    `require_scopes`.

    Starting doesn't depend on the issuer: its metadata and keys are fetched when the first token comes.

    Args:
        domain: The tenant's host, or the issuer URL of any OpenID provider; several for custom domains. The token's
            `iss` selects among them and never leads anywhere else. May be empty with a resolver.
        audience: The API's identifier, one of which `aud` must name.
        resolver: Names further issuers, by the host of a request. The tokens of the domains are good at every host.
        realm: The protection space in challenges (RFC 9110, section 11.5); by default the audience.
        algorithms: What a token may be signed with, from `resource_server.tokens.keys.ALGORITHMS`.
        leeway: Seconds by which clocks may differ.
        max_age: Seconds since `iat` after which a token is refused, whatever `exp` says.
        permissions: Whether Auth0's RBAC claim `permissions` grants scopes, too.
        scope_claims: The claims that grant scopes; a name with dots leads into claims within claims.
        subject: Whether a token must have a `sub`.
        rfc9068: Whether tokens must be of RFC 9068's profile: `typ`, `client_id`, `jti` and `iat` included.
        metadata_urls: Where an issuer's metadata are, if not where OpenID Connect Discovery says.
        jwks_urls: Where an issuer's keys are, whatever its metadata say.
        max_stale: Seconds for which held keys stay good while the issuer can't be reached.
        token_cache_size: Of how many tokens the verified signature is remembered; 0 verifies each every time.
        dpop: Checks the proofs of tokens that are bound to a key; without it those are refused.
        mtls: Checks the certificates of tokens that are bound to one; without it those are refused.
        transport: Carries the requests to the issuer, for tests.
        clock: The time in seconds since the epoch, which claims are compared with; for tests.
        monotonic: Seconds that never go back, which the lifetime of keys is measured in; for tests.

    Raises:
        ValueError: An argument isn't usable; the message says what to write.
    """

    def __init__(
        self,
        domain: str | Iterable[str],
        audience: str,
        *,
        resolver: IssuerResolver | None = None,
        realm: str | None = None,
        algorithms: Collection[str] = ("RS256",),
        leeway: float = 5,
        max_age: float | None = None,
        permissions: bool = False,
        scope_claims: Collection[str] = ("scope", "scp"),
        subject: bool = True,
        rfc9068: bool = False,
        metadata_urls: Mapping[str, str] | None = None,
        jwks_urls: Mapping[str, str] | None = None,
        max_stale: float = 86_400,
        token_cache_size: int = 1_024,
        dpop: DPoP | None = None,
        mtls: MutualTLS | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(KeySet([]), realm=realm or audience)
        if not audience:
            raise ValueError("No audience: write the API's identifier")
        if not QUOTABLE.fullmatch(self.realm):
            raise ValueError(f"{self.realm!r} can't stand in a challenge: use ASCII without quotes and backslashes")
        if not algorithms or not ALGORITHMS.issuperset(algorithms):
            raise ValueError(
                f"The algorithms {', '.join(algorithms)!r} aren't all among {', '.join(sorted(ALGORITHMS))}"
            )
        domains = [domain] if isinstance(domain, str) else domain

        def issuer_at(url: str) -> Issuer:
            return Issuer(
                url,
                algorithms,
                metadata_url=(metadata_urls or {}).get(url),
                jwks_url=(jwks_urls or {}).get(url),
                transport=transport,
            )

        def keys_of(issuer: Issuer, on_fetch: Callable[[str, bool], None]) -> KeyCache:
            return KeyCache(issuer.url, issuer.fetch_keys, max_stale=max_stale, clock=monotonic, on_fetch=on_fetch)

        self.issuers = {url: issuer_at(url) for url in dict.fromkeys(map(issuer_url, domains))}
        """Those that are named once for all, and trusted at every host."""
        if not self.issuers and not resolver:
            raise ValueError("No issuer: name at least one domain, or give a resolver")
        self.audience = audience
        self.dpop = dpop
        self.mtls = mtls
        self.algorithms = frozenset(algorithms)
        self.resolver = resolver
        self._keys = {url: keys_of(issuer, self._fetched) for url, issuer in self.issuers.items()}
        self._resolved = KeyCaches(
            lambda url: keys_of(issuer_at(url), lambda _, succeeded: self._fetched(RESOLVED, succeeded)),
            resolver.max_issuers if resolver else 1,
            monotonic,
        )
        self.on_fetch: Callable[[str, bool], None] = lambda _, __: None
        """Is told, after each fetch of keys, of which issuer they are, or `RESOLVED`, and whether it has succeeded."""
        self._verified = TokenCache(token_cache_size)
        self._leeway = leeway
        self._max_age = max_age
        self.scope_claims = (*scope_claims, *(("permissions",) if permissions else ()))
        self._subject = subject
        self.accepted = Accepted(self.algorithms, rfc9068)
        """What headers are compared with."""
        self._clock = clock

    async def validate(self, token: str | Credentials) -> AccessToken:
        """Validate an access token without ever blocking the event loop.

        Args:
            token: The token, if it was presented as `Bearer`; or how it was presented, and for which host, which a
                resolver needs.

        Raises:
            InvalidToken: It is not acceptable.
            InvalidProof: Its proof is not acceptable.
            UseNonce: Its proof lacks a nonce of this server.
            IssuerUnavailable: Whether the token is acceptable can't be known now.
            ReplaysUnavailable: Whether the proof is acceptable can't be known now.
        """
        credentials = token if isinstance(token, Credentials) else Credentials("Bearer", token)
        pending: Pending | None = None
        while True:
            try:
                access_token, proof = self._check(credentials, pending)
                break
            except (KeyPending, IssuersPending) as raised:
                pending = raised
            if isinstance(pending, KeyPending):
                await asyncio.wrap_future(pending.fetch)
            else:
                await asyncio.wait((asyncio.wrap_future(pending.fetch),), timeout=pending.seconds)
        if proof and self.dpop and proof.id not in credentials.used:
            await self.dpop.use_later(proof)
            credentials.used.add(proof.id)
        return access_token

    def _fetched(self, issuer: str, succeeded: bool) -> None:  # noqa: FBT001  # as it is told
        self.on_fetch(issuer, succeeded)

    def unready(self) -> list[str]:
        """The issuers of which no usable keys are held, which begins to fetch them. Never blocks.

        Resolved ones don't count: none of them is needed before somebody presents its token.
        """
        return [url for url, keys in self._keys.items() if not keys.ready()]

    def require_authentication(self, token: AccessToken, acr_values: str | None, max_age: int | None) -> None:
        """Require that the user has authenticated strongly and recently enough (RFC 9470, section 5).

        Args:
            token: A valid token.
            acr_values: Space-separated, of which `acr` must be one.
            max_age: Seconds since `auth_time`.

        Raises:
            InsufficientAuthentication: That isn't so, or the token doesn't say.
        """
        strong = acr_values is None or token.get("acr") in acr_values.split()
        if not strong or not authenticated_since(token, self._clock(), self._leeway, max_age):
            raise InsufficientAuthentication(acr_values, max_age)

    def check(self, token: str | Credentials) -> AccessToken:
        """Validate an access token where there is no event loop; blocks while keys are fetched.

        Args:
            token: As `validate` takes it, which says what is raised, too.

        Raises:
            RuntimeError: The resolver's function is a coroutine's.
        """
        if self.resolver and self.resolver.is_async:
            raise RuntimeError(self.resolver.needs_loop)
        credentials = token if isinstance(token, Credentials) else Credentials("Bearer", token)
        pending: Pending | None = None
        while True:
            try:
                access_token, proof = self._check(credentials, pending)
                break
            except (KeyPending, IssuersPending) as raised:
                pending = raised
            try:
                pending.fetch.result(LONGEST_FETCH if isinstance(pending, KeyPending) else pending.seconds)
            except TimeoutError as error:
                if isinstance(pending, KeyPending):
                    raise IssuerUnavailable from error
        if proof and self.dpop and proof.id not in credentials.used:
            self.dpop.use(proof)
            credentials.used.add(proof.id)
        return access_token

    def authenticate_token(self, token_string: str) -> AccessToken:
        """Validate an access token that was presented as `Bearer`, for Authlib. Blocks and raises as `check`."""
        return self.check(token_string)

    def validate_request(self, request: Any) -> None:
        """Check how the request presents its token, for Authlib, which has split the header at white space."""
        presented([request.headers["Authorization"]])

    def validate_token(self, token: AccessToken, scopes: Sequence[str] | None, request: Any) -> None:
        """Check the scopes of a validated token, for Authlib: any of the list, all that one string names."""
        if scopes and not any(token.scopes.issuperset(alternative.split()) for alternative in scopes):
            raise InsufficientScope(scopes[0])

    def _check(self, credentials: Credentials, pending: Pending | None) -> tuple[AccessToken, Proof | None]:
        """Every check there is, in order; the one place that decides. Raises `Pending` when it needs a key, or issuers.

        A proof has yet to be used.
        """
        access_token = self._check_token(credentials.token, pending, credentials.host)
        bearer = credentials.scheme == "Bearer"
        # RFC 8705, section 3; RFC 9449, section 7.2: it is worth nothing without the proof of what it is bound to.
        binding = bound_to(access_token, bearer=bearer, certificates=self.mtls is not None)
        if self.mtls:
            self.mtls.check(credentials.certificates, binding.certificate)
        if bearer:
            if self.dpop and self.dpop.required:
                raise InvalidToken(Refusal.NOT_BOUND)
            return access_token, None
        if binding.key is None or not self.dpop:
            raise InvalidToken(Refusal.NOT_BOUND)
        return access_token, self.dpop.check(credentials, binding.key)

    def expected(self, now: float) -> Expected:
        """What claims are compared with at a time, in seconds since the epoch."""
        return Expected(
            self.audience,
            now,
            self._leeway,
            self._max_age,
            scope_claims=self.scope_claims,
            subject=self._subject,
            rfc9068=self.accepted.typed,
        )

    def _keys_of(self, issuer: object, host: str, pending: Pending | None) -> KeyCache:
        """The keys of a token's issuer, if a request for this host may present its tokens."""
        if isinstance(pending, KeyPending):
            return pending.keys  # they may be evicted meanwhile
        keys = self._keys.get(issuer) if isinstance(issuer, str) else None
        if keys is not None:
            return keys
        if not isinstance(issuer, str) or not self.resolver or not self.resolver.trusts(issuer, host, pending):
            raise InvalidToken(Refusal.ISSUER)
        return self._resolved.of(issuer)

    def _check_token(self, token: str, pending: Pending | None, host: str) -> AccessToken:
        expected = self.expected(self._clock())
        token_digest = digest(token)
        known = self._verified.get(token_digest)
        if (
            known is not None
            and still_holds(known.times, expected)
            and self._keys_of(known.issuer, host, pending).key(known.kid, known.alg, _key(pending)) is known.key
        ):
            return known.access_token()
        jwt = SignedJWT.parse(token)
        check_header(jwt.header, self.accepted)
        alg, kid = jwt.header["alg"], jwt.header.get("kid")
        keys = self._keys_of(jwt.claims.get("iss"), host, pending)
        key = keys.key(kid, alg, _key(pending))
        while not verify_signature(alg, key, jwt.signing_input, jwt.signature):
            key = keys.key(kid, alg, _key(pending), wrong=key)
        check_claims(jwt.claims, expected._replace(typed=is_typed(jwt.header)))
        scopes = granted_scopes(jwt.claims, *self.scope_claims)
        verified = Verified(jwt.claims["iss"], kid, alg, key, times(jwt.claims), scopes, jwt.payload)
        self._verified.put(token_digest, verified)
        return AccessToken(jwt.claims, scopes)


def _key(pending: Pending | None) -> KeyPending | None:
    return pending if isinstance(pending, KeyPending) else None


def require_scopes(token: AccessToken, required: Sequence[str]) -> None:
    """Require all of the given scopes.

    Raises:
        InsufficientScope: The token lacks one of them (RFC 6750, section 3.1).
    """
    if not token.scopes.issuperset(required):
        raise InsufficientScope(" ".join(required))
