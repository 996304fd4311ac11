"""Authorization by the contract: Connexion's security layer, with challenges and without its gaps.

Each operation finds the token that its request presents, has its requirements verified, and refuses with a challenge.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from connexion.lifecycle import ConnexionRequest
from connexion.utils import get_function_from_name
from starlette.exceptions import HTTPException
from starlette.types import Scope

from resource_server.contract.spec import TOKEN_KINDS, needs_access_token, scheme_kind
from resource_server.networks import comes_from
from resource_server.serving.exchange import Exchange
from resource_server.serving.requirements import SECURITY_MAP, NothingPresented, Requirements, takes
from resource_server.tokens import CREDENTIALS, VALIDATOR, AccessToken
from resource_server.tokens.credentials import PEER, Credentials, host_in, names_a_token, presented
from resource_server.tokens.errors import (
    InsufficientClaims,
    InvalidRequest,
    MissingCredentials,
    Protection,
    SecurityError,
)
from resource_server.tokens.resource import ProtectedResource
from resource_server.tokens.rules import ClaimRule, unmet

_SCHEMES = {"basic": "Basic", "apiKey": "ApiKey"}


class Authorization:
    """Authorizes the requests of one operation.

    Args:
        security: Its requirements.
        schemes_by_name: The contract's security schemes.
        resource: What it belongs to.
        operation: What else the contract says of it.
        rules: What must hold of the claims of an access token.
        integers: The parameters of its path that are whole numbers.
    """

    def __init__(
        self,
        security: Sequence[Mapping[str, list[str]]],
        schemes_by_name: Mapping[str, Mapping[str, Any]],
        resource: ProtectedResource,
        operation: Mapping[str, Any] = MappingProxyType({}),
        *,
        rules: Sequence[ClaimRule] = (),
        integers: Collection[str] = (),
    ) -> None:
        self._verify = Requirements(SECURITY_MAP).verification(security, schemes_by_name)
        schemes = [schemes_by_name[name] for requirement in security for name in requirement]
        self._schemes = tuple(
            dict.fromkeys(name for scheme in schemes for name in _spoken(scheme, resource.protection))
        )
        token_schemes = tuple(name for name in self._schemes if name in ("Bearer", "DPoP"))
        self._protection = resource.protection._replace(schemes=token_schemes)
        self._validator = resource.validator
        self._url = resource.url
        self._acr_values: str | None = operation.get("x-acr-values")
        self._max_age: int | None = operation.get("x-max-age")
        self._rules = rules
        self._integers = integers
        self._needs_token = needs_access_token(security, schemes_by_name)

    async def __call__(self, exchange: Exchange) -> None:
        """Authorize a request.

        Raises:
            SecurityError: It is refused.
            HTTPException: It is refused, by a function that isn't for access tokens.
        """
        credentials = await self._authorize(exchange.scope)
        nonces = self._validator.dpop and self._validator.dpop.nonces
        if nonces and credentials and credentials.proofs:
            # The newest, so that a client always has one that is good (RFC 9449, section 8.2).
            exchange.fields.append((b"dpop-nonce", nonces.current().encode()))

    def refuse_another(self, exchange: Exchange) -> None:
        """Refuse a token in the form that is a request's body, beside the one in its header (RFC 6750, section 2.2).

        Raises:
            InvalidRequest: There is one.
        """
        credentials: Credentials | None = exchange.scope[CREDENTIALS]
        if credentials and names_a_token(exchange.body):
            refusal = InvalidRequest(credentials.scheme)
            refusal.protection = self._protection
            raise refusal

    async def _authorize(self, scope: Scope) -> Credentials | None:
        scope[VALIDATOR] = self._validator
        scope[CREDENTIALS] = credentials = None
        try:
            if self._protection.schemes:
                scope[CREDENTIALS] = credentials = self._presented(scope)
            request = ConnexionRequest(scope)
            await self._verify(request)
            token = _access_token(request.context["token_info"])
            if token is not None or self._needs_token:
                self._check(token or _NO_TOKEN, scope["path_params"])
        except NothingPresented:
            raise MissingCredentials(self._protection, self._schemes) from None
        except SecurityError as refusal:
            refusal.protection = self._protection
            if credentials:
                refusal.scheme = credentials.scheme
            raise
        except HTTPException as refusal:
            if refusal.status_code == 401 and not refusal.headers:
                refusal.headers = MissingCredentials(self._protection, self._schemes).headers
            raise
        return credentials

    def _check(self, token: AccessToken, path: Mapping[str, str]) -> None:
        """Check what the contract requires of an access token beside scopes."""
        if self._rules:
            as_handled = {name: _usual(text) if name in self._integers else text for name, text in path.items()}
            if claims := unmet(self._rules, token, as_handled):
                raise InsufficientClaims(claims)
        if self._acr_values is not None or self._max_age is not None:
            self._validator.require_authentication(token, self._acr_values, self._max_age)

    def _presented(self, scope: Scope) -> Credentials | None:
        fields = _fields(scope, b"authorization")
        credentials = presented(fields, scope["query_string"], self._protection.schemes)
        if credentials is not None and self._validator.resolver:
            credentials.host = host_in(scope)
        mtls = self._validator.mtls
        if credentials is not None and mtls:
            peer = {"client": scope.get(PEER) or scope.get("client")}
            if comes_from(peer, mtls.trusted_proxies):
                credentials.certificates = tuple(_fields(scope, mtls.header.encode()))
        if credentials is None or credentials.scheme == "Bearer":
            return credentials
        # As the client has sent it: a proxy may have changed the rest of the URL, so that is configured.
        path = scope.get("raw_path") or scope["path"].encode()
        return replace(
            credentials,
            proofs=tuple(_fields(scope, b"dpop")),
            method=scope["method"],
            url=f"{self._url}{path.decode('latin-1')}",
        )


def _usual(text: str) -> str:
    """A whole number as it is usually written, which is the one that the handler gets."""
    try:
        return str(int(text))
    except ValueError:  # which validation will refuse
        return text


def _access_token(token_info: Any) -> AccessToken | None:
    """The one access token among what verifying has found."""
    if isinstance(token_info, AccessToken):
        return token_info
    found = token_info.values() if isinstance(token_info, dict) else ()
    return next((info for info in found if isinstance(info, AccessToken)), None)


_NO_TOKEN = AccessToken({}, frozenset())
"""Meets no rule."""


def _spoken(scheme: Mapping[str, Any], protection: Protection) -> Iterator[str]:
    """The authentication schemes of HTTP that a security scheme stands for."""
    kind = scheme_kind(scheme)
    if kind not in TOKEN_KINDS:
        yield _SCHEMES[kind]
        return
    yield from protection.schemes if takes_proofs(scheme) else ("Bearer",)


def takes_proofs(scheme: Mapping[str, Any]) -> bool:
    """Whether the function that validates a scheme's tokens takes the request, where their proofs are."""
    function = scheme.get("x-tokenInfoFunc") or scheme.get("x-bearerInfoFunc")
    return bool(function) and takes(get_function_from_name(function), "request")


def _fields(scope: Scope, wanted: bytes) -> list[str]:
    # RFC 9110, section 5.5: white space around a value is none of it. Not every server takes it away.
    return [value.decode("latin-1").strip(" \t") for name, value in scope["headers"] if name == wanted]
