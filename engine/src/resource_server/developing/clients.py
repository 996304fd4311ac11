"""Who the development issuer knows: its clients and its sample users."""

import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, InvalidRequestError

from resource_server.networks import is_local

OIDC_SCOPES = frozenset(("openid", "profile", "email"))

_CODE_LIFETIME = 60  # seconds


# Without user, fragment, backslashes and whatever else browsers and Python may read each in a way of its own.
_REDIRECT = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::([0-9]{1,5}))?(?:[/?][!$-\[\]-~]*)?")


@dataclass(frozen=True)
class User:
    """A sample user and what the API's scopes they may be granted."""

    user_id: str
    name: str
    description: str
    scopes: tuple[str, ...]


def sample_users(scopes: Iterable[str]) -> dict[str, User]:
    """One user who may have every scope, one who may have none; by `user_id`."""
    every = tuple(scopes)
    ada = User("auth0|ada", "Ada", f"may have {', '.join(every) or 'no scope, as the API has none'}", every)
    ben = User("auth0|ben", "Ben", "may have no scope of the API", ())
    return {user.user_id: user for user in (ada, ben)}


@dataclass(frozen=True)
class Client(ClientMixin):  # type: ignore[misc]  # Authlib is not typed
    """A client; one with a secret is a machine, one without is a browser's."""

    client_id: str
    name: str
    secret: str | None = None

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        return None

    def get_allowed_scope(self, scope: str | None) -> str:
        return scope or ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Any address of this machine, with any port (RFC 8252, section 7.3)."""
        found = _REDIRECT.fullmatch(redirect_uri)
        return found is not None and int(found[1] or 0) < 2**16 and is_local(redirect_uri)

    def check_client_secret(self, client_secret: str) -> bool:
        return self.secret == client_secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return (method == "none") == (self.secret is None)

    def check_response_type(self, response_type: str) -> bool:
        return self.secret is None and response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == ("authorization_code" if self.secret is None else "client_credentials")


# Not secrets: whoever reaches the development issuer may have any token anyway.
MACHINE = Client("development", "Command line", "development")
BROWSER = Client("browser", "Browser")
CLIENTS: Mapping[str, Client] = MappingProxyType({client.client_id: client for client in (MACHINE, BROWSER)})


class InvalidTarget(OAuth2Error):  # type: ignore[misc]
    """The API that a token is asked for isn't one that it can be given for (RFC 8707, section 2)."""

    error = "invalid_target"


def requested_audience(request: Any) -> str | None:
    """The API that a request asks for: `audience`, as Auth0 has it, or `resource` (RFC 8707, section 2).

    Raises:
        InvalidTarget: It asks for several.
    """
    values: Mapping[str, list[str]] = request.payload.datalist
    asked = {value for name in ("audience", "resource") for value in values.get(name, ()) if value}
    if len(asked) > 1:
        raise InvalidTarget("A token is for one API: name one audience or resource.")
    return next(iter(asked), None)


def requested_claims(request: Any) -> dict[str, Any]:
    """The claims that a request asks for by itself, as a JSON object in `claims`: there is no secret to be kept.

    Raises:
        InvalidRequestError: It is none.
    """
    try:
        claims = json.loads(request.payload.data.get("claims") or "{}")
    except ValueError:
        claims = None
    if not isinstance(claims, dict):
        raise InvalidRequestError("claims must be a JSON object.")
    return claims


def _login(acr_values: str) -> dict[str, Any]:
    """That the user has just logged in, in the first of the ways that were asked for (RFC 9470, section 6)."""
    asked = acr_values.split()
    return {"auth_time": int(time.time()), **({"acr": asked[0]} if asked else {})}


@dataclass(frozen=True)
class AuthorizationCode(AuthorizationCodeMixin):  # type: ignore[misc]
    """What an authorization code stands for."""

    client_id: str
    redirect_uri: str
    scope: str
    audience: str | None
    user: User
    code_challenge: str | None
    code_challenge_method: str | None
    dpop_jkt: str | None
    login: Mapping[str, Any]
    """What a token says of how the user has logged in."""
    expires_at: float

    @classmethod
    def from_request(cls, request: Any) -> "AuthorizationCode":
        """What the authorization request asked for."""
        params: Mapping[str, str] = request.payload.data
        return cls(
            client_id=request.client.client_id,
            redirect_uri=params.get("redirect_uri", ""),
            scope=request.scope,
            audience=requested_audience(request),
            user=request.user,
            code_challenge=params.get("code_challenge"),
            code_challenge_method=params.get("code_challenge_method"),
            dpop_jkt=params.get("dpop_jkt") or None,
            login=_login(params.get("acr_values", "")),
            expires_at=time.monotonic() + _CODE_LIFETIME,
        )

    def has_expired(self) -> bool:
        """Whether it is too old to be redeemed."""
        return time.monotonic() >= self.expires_at

    def usable_by(self, client: Client) -> bool:
        """Whether it was issued to this client and hasn't expired."""
        return self.client_id == client.client_id and not self.has_expired()

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope
