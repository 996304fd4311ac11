"""Where access tokens come from: the environment, an issuer by client credentials, or the development issuer.

Sources don't look at what they give: `Trust` does.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from resource_server.developing.contract_tests.operations import ANY_CALLER, Caller
from resource_server.developing.contract_tests.results import NotRun
from resource_server.networks import is_local
from resource_server.tokens.errors import InvalidToken
from resource_server.tokens.jwt import SignedJWT

MARGIN = 120
"""Seconds by which a token has expired before it is used as one: servers allow for clocks that differ."""


class TokenSource(Protocol):
    """Gives access tokens that the issuer has signed."""

    def token(self, scopes: Collection[str], changes: Mapping[str, Any], caller: Caller = ANY_CALLER) -> str:
        """A token.

        Args:
            scopes: What it should grant.
            changes: Claims that it should have in place of good ones.
            caller: What it should say of who calls, if that can be chosen.

        Raises:
            NotRun: This source has no such token.
        """


@dataclass(frozen=True)
class GivenTokens:
    """Tokens that somebody else has got: one that is good, and some that have expired or soon will.

    Args:
        good: A good token, if there is one.
        kept: Tokens that were good once.
        wait: Seconds that may be spent on waiting for one to expire.
        clock: The time in seconds since the epoch; for tests.
        sleep: Waits for so many seconds.
    """

    good: str | None
    kept: Sequence[str] = ()
    wait: float = 0
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def token(self, scopes: Collection[str], changes: Mapping[str, Any], caller: Caller = ANY_CALLER) -> str:
        if changes.keys() == {"exp"}:
            return self._expired()
        if changes:
            raise NotRun(f"only the issuer can sign another {', '.join(changes)}")
        if self.good is None:
            raise NotRun("no token: set CONTRACT_TOKEN, or CONTRACT_CLIENT_ID and CONTRACT_CLIENT_SECRET")
        return self.good

    def _expired(self) -> str:
        expiries = {token: expiry(token) for token in (*self.kept, *([self.good] if self.good else []))}
        token = min(expiries, key=lambda token: expiries[token], default=None)
        if token is None:
            raise NotRun("no expired token: set CONTRACT_EXPIRED_TOKEN, or keep one with --keep for a later run")
        left = expiries[token] + MARGIN - self.clock()
        if left > max(0, self.wait):
            raise NotRun(f"no token has expired yet: one will have in {left:.0f} seconds, for which --wait would wait")
        if left > 0:
            self.sleep(left)
        return token


@dataclass(frozen=True)
class ClientCredentials:
    """Asks an issuer's token endpoint (RFC 6749, section 4.4), with Auth0's parameter `audience`; never twice the same.

    Args:
        token_endpoint: Where to ask.
        client_id: Who asks.
        client_secret: The client's password.
        audience: The API that is tested.
        other_audience: Another API, for which the client may have tokens, too.
    """

    token_endpoint: str
    client_id: str
    client_secret: str
    audience: str
    other_audience: str | None = None
    _answers: dict[tuple[str, ...], str | NotRun] = field(default_factory=dict)

    def token(self, scopes: Collection[str], changes: Mapping[str, Any], caller: Caller = ANY_CALLER) -> str:
        if changes.keys() - {"aud"}:
            raise NotRun(f"client credentials don't give a token with another {', '.join(changes)}")
        if changes and not self.other_audience:
            raise NotRun("CONTRACT_OTHER_AUDIENCE is not set: the identifier of another API that the client may call")
        audience, scopes = (self.other_audience or "", ()) if changes else (self.audience, tuple(sorted(scopes)))
        asked = (audience, *scopes)
        if asked not in self._answers:
            self._answers[asked] = self._ask(audience, " ".join(scopes))
        answer = self._answers[asked]
        if isinstance(answer, NotRun):
            raise answer
        return answer

    def _ask(self, audience: str, scope: str) -> str | NotRun:
        client = {"client_id": self.client_id, "client_secret": self.client_secret}
        asked = {"grant_type": "client_credentials", **client, "audience": audience}
        try:
            return _post(self.token_endpoint, data={**asked, "scope": scope} if scope else asked)
        except NotRun as reason:
            return reason


@dataclass(frozen=True)
class DevelopmentTokens:
    """Has the development issuer sign whatever is asked for.

    Args:
        signing_endpoint: Where it does.
        audience: The API that is tested.
    """

    signing_endpoint: str
    audience: str

    def token(self, scopes: Collection[str], changes: Mapping[str, Any], caller: Caller = ANY_CALLER) -> str:
        claims = {"scope": " ".join(sorted(scopes)), **caller.claims(), **changes}
        return _post(self.signing_endpoint, json={"audience": self.audience, "claims": claims})


def environment_sources(
    environ: Mapping[str, str],
    *,
    token_endpoint: str,
    audience: str,
    kept: Sequence[str] = (),
    wait: float = 0,
    sleep: Callable[[float], None] = time.sleep,
) -> list[TokenSource]:
    """The sources that the environment names.

    Args:
        environ: `CONTRACT_TOKEN` and `CONTRACT_EXPIRED_TOKEN`, `CONTRACT_CLIENT_ID` and `_SECRET`,
            `CONTRACT_OTHER_CLIENT_ID` and `_SECRET`, `CONTRACT_OTHER_AUDIENCE`, each of which may be missing.
        token_endpoint: Where client credentials get tokens.
        audience: The API that is tested.
        kept: Tokens of earlier runs.
        wait: Seconds that may be spent on waiting for a token to expire.
        sleep: Waits for so many seconds.
    """
    expired = environ.get("CONTRACT_EXPIRED_TOKEN")
    given = [*([expired] if expired else []), *kept]
    sources: list[TokenSource] = [GivenTokens(environ.get("CONTRACT_TOKEN") or None, given, wait, sleep=sleep)]
    other = environ.get("CONTRACT_OTHER_AUDIENCE") or None
    for name in ("CONTRACT_CLIENT", "CONTRACT_OTHER_CLIENT"):
        client_id, secret = environ.get(f"{name}_ID"), environ.get(f"{name}_SECRET")
        if client_id and secret:
            sources.append(ClientCredentials(token_endpoint, client_id, secret, audience, other))
    return sources


def read_token(token: str) -> SignedJWT:
    """What a token says, unverified.

    Raises:
        NotRun: It isn't a signed JWT.
    """
    try:
        return SignedJWT.parse(token)
    except InvalidToken as refusal:
        raise NotRun(refusal.description) from refusal


def expiry(token: str) -> float:
    """When a token expires, in seconds since the epoch; one that doesn't say, or can't be read, never does."""
    try:
        exp = read_token(token).claims.get("exp")
    except NotRun:
        return float("inf")
    return exp if isinstance(exp, int | float) else float("inf")


def _post(url: str, **body: Any) -> str:
    try:
        answer = httpx.post(url, trust_env=not is_local(url), timeout=10, **body)
        members: Mapping[str, Any] = answer.json()
        if answer.is_error:
            raise NotRun(f"{url} gives no token: {members.get('error')}: {members.get('error_description', '')}")
        return str(members["access_token"])
    except (httpx.HTTPError, ValueError, LookupError, AttributeError) as error:
        raise NotRun(f"{url} gives no token: {type(error).__name__}: {error}") from error
