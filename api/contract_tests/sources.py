"""Where access tokens come from: the environment, an issuer by client credentials, or the development issuer."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from api.contract_tests.results import NotRun
from api.development.clients import is_local
from security.claims import granted_scopes
from security.errors import InvalidToken
from security.jwt import SignedJWT

MARGIN = 120
"""Seconds by which a token has expired before it is used as one: servers allow for clocks that differ."""


class TokenSource(Protocol):
    """Gives access tokens that the issuer has signed."""

    def token(self, scopes: Collection[str], *, without: Collection[str] = (), **changes: Any) -> str:
        """A good token.

        Args:
            scopes: What it must grant.
            without: What it must not grant.
            changes: Claims that it must have in place of good ones.

        Raises:
            NotRun: This source can't give such a token.
        """


@dataclass(frozen=True)
class GivenTokens:
    """Tokens that somebody else has got: one that is good, and some that have expired or soon will.

    Args:
        good: A good token, if there is one.
        kept: Tokens that were good once.
        wait: Seconds that may be spent on waiting for one to expire.
        clock: The time in seconds since the epoch; for tests.
        sleep: Waits for so many seconds; for tests.
    """

    good: str | None
    kept: Sequence[str] = ()
    wait: float = 0
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def token(self, scopes: Collection[str], *, without: Collection[str] = (), **changes: Any) -> str:
        if changes.keys() == {"exp"}:
            return self._expired()
        if changes:
            raise NotRun(f"only the issuer can sign another {', '.join(changes)}")
        if self.good is None:
            raise NotRun("no token: set CONTRACT_TOKEN, or CONTRACT_CLIENT_ID and CONTRACT_CLIENT_SECRET")
        check_scopes(self.good, scopes, without, "CONTRACT_TOKEN")
        return self.good

    def _expired(self) -> str:
        tokens = [*self.kept, *([self.good] if self.good else [])]
        if not tokens:
            raise NotRun("no expired token: set CONTRACT_EXPIRED_TOKEN, or keep one with --keep for a later run")
        token = min(tokens, key=_expiry)
        left = _expiry(token) + MARGIN - self.clock()
        if left > max(0, self.wait):
            raise NotRun(f"no token has expired yet: one will have in {left:.0f} seconds, for which --wait would wait")
        self.sleep(max(0, left))
        return token


@dataclass(frozen=True)
class ClientCredentials:
    """Asks an issuer's token endpoint (RFC 6749, section 4.4), with Auth0's parameter `audience`.

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

    def token(self, scopes: Collection[str], *, without: Collection[str] = (), **changes: Any) -> str:
        if changes.keys() - {"aud"}:
            raise NotRun(f"client credentials don't give a token with another {', '.join(changes)}")
        if changes and not self.other_audience:
            raise NotRun("CONTRACT_OTHER_AUDIENCE is not set: the identifier of another API that the client may call")
        asked = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "audience": self.other_audience if changes else self.audience,
            **({"scope": " ".join(sorted(scopes))} if scopes else {}),
        }
        answer = _post(self.token_endpoint, data=asked)
        if not changes:
            check_scopes(answer, scopes, without, f"the client {self.client_id}")
        return answer


@dataclass(frozen=True)
class DevelopmentTokens:
    """Has the development issuer sign whatever is asked for.

    Args:
        signing_endpoint: Where it does.
        audience: The API that is tested.
    """

    signing_endpoint: str
    audience: str

    def token(self, scopes: Collection[str], *, without: Collection[str] = (), **changes: Any) -> str:
        claims = {"scope": " ".join(sorted(scopes)), **changes}
        return _post(self.signing_endpoint, json={"audience": self.audience, "scope": "", "claims": claims})


@dataclass(frozen=True)
class FirstOf:
    """The first of several sources that can give a token."""

    sources: Sequence[TokenSource]

    def token(self, scopes: Collection[str], *, without: Collection[str] = (), **changes: Any) -> str:
        reasons = []
        for source in self.sources:
            try:
                return source.token(scopes, without=without, **changes)
            except NotRun as reason:
                reasons.append(str(reason))
        raise NotRun("; ".join(reasons))


def environment_sources(
    environ: Mapping[str, str], *, token_endpoint: str, audience: str, kept: Sequence[str], wait: float
) -> list[TokenSource]:
    """The sources that the environment names.

    Args:
        environ: `CONTRACT_TOKEN` and `CONTRACT_EXPIRED_TOKEN`, `CONTRACT_CLIENT_ID` and `_SECRET`,
            `CONTRACT_OTHER_CLIENT_ID` and `_SECRET`, `CONTRACT_OTHER_AUDIENCE`, each of which may be missing.
        token_endpoint: Where client credentials get tokens.
        audience: The API that is tested.
        kept: Tokens of earlier runs.
        wait: Seconds that may be spent on waiting for a token to expire.
    """
    expired = environ.get("CONTRACT_EXPIRED_TOKEN")
    given = GivenTokens(environ.get("CONTRACT_TOKEN") or None, [*([expired] if expired else []), *kept], wait)
    other = environ.get("CONTRACT_OTHER_AUDIENCE") or None
    sources: list[TokenSource] = [given]
    for name in ("CONTRACT_CLIENT", "CONTRACT_OTHER_CLIENT"):
        client_id, secret = environ.get(f"{name}_ID"), environ.get(f"{name}_SECRET")
        if client_id and secret:
            sources.append(ClientCredentials(token_endpoint, client_id, secret, audience, other))
    return sources


def check_scopes(token: str, scopes: Collection[str], without: Collection[str], what: str) -> None:
    """Check what a token grants. Raises `NotRun` when it isn't what it should be."""
    granted = granted_scopes(read_token(token).claims, "scope", "scp", "permissions")
    if missing := set(scopes) - granted:
        raise NotRun(f"{what} isn't granted {' '.join(sorted(missing))}")
    if superfluous := granted.intersection(without):
        raise NotRun(f"{what} is granted {' '.join(sorted(superfluous))}, whatever is asked for")


def read_token(token: str) -> SignedJWT:
    """What a token says, unverified.

    Raises:
        NotRun: It isn't a signed JWT.
    """
    try:
        return SignedJWT.parse(token)
    except InvalidToken as refusal:
        raise NotRun(refusal.description) from refusal


def _expiry(token: str) -> float:
    expiry = read_token(token).claims.get("exp", 0)
    return float(expiry) if isinstance(expiry, int | float) else 0


def _post(url: str, **body: Any) -> str:
    try:
        answer = httpx.post(url, trust_env=not is_local(url), timeout=10, **body)
        members: Mapping[str, Any] = answer.json()
        if answer.is_error:
            raise NotRun(f"{url} gives no token: {members.get('error')}: {members.get('error_description', '')}")
        return str(members["access_token"])
    except (httpx.HTTPError, ValueError, LookupError, AttributeError) as error:
        raise NotRun(f"{url} gives no token: {type(error).__name__}: {error}") from error
