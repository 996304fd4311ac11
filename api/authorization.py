"""Authorization by the contract: Connexion's security layer, with challenges and without its gaps.

Connexion calls the function that `x-tokenInfoFunc` names. What is replaced here, through its `security_map` and its
list of middlewares: how the token is found and refused, and how alternatives combine. In Connexion an empty
requirement (`{}`) makes any invalid token anonymous; here only the absence of credentials does.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from connexion.lifecycle import ConnexionRequest
from connexion.middleware.security import SecurityAPI, SecurityMiddleware, SecurityOperation
from connexion.operations import AbstractOperation
from connexion.security import NO_VALUE, AbstractSecurityHandler, SecurityHandlerFactory
from connexion.spec import Specification
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from security import VALIDATOR, Auth0JWTBearerTokenValidator, require_scopes
from security.bearer import bearer_token
from security.errors import MissingCredentials, SecurityError

Verify = Callable[[ConnexionRequest], Awaitable[Any]]
"""Returns what handlers receive as `token_info`, or `NO_VALUE` without credentials; raises when they are bad."""


class OAuth2Handler(AbstractSecurityHandler):  # type: ignore[misc]  # Connexion's classes are not typed
    """Handles the schemes of type oauth2, for one application's validator."""

    security_definition_key = "x-tokenInfoFunc"
    environ_key = ""  # the contract alone says who validates

    def __init__(self, validator: Auth0JWTBearerTokenValidator) -> None:
        self._validator = validator

    def get_fn(self, security_scheme: dict[str, Any], required_scopes: list[str]) -> Verify:
        """The function that verifies a request against one requirement."""
        token_info = self._resolve_func(security_scheme)

        async def verify(request: ConnexionRequest) -> Any:
            token = bearer_token(request.headers.getlist("authorization"), request.scope["query_string"])
            if token is None:
                return NO_VALUE
            request.scope[VALIDATOR] = self._validator
            claims = await token_info(token, request=request)
            require_scopes(claims, required_scopes)
            return claims

        return verify


class _Alternatives(SecurityHandlerFactory):  # type: ignore[misc]
    """Combines an operation's security requirements: any one of them suffices."""

    def __init__(self, security_map: dict[str, Any] | None, realm: str) -> None:
        super().__init__(security_map)
        self._realm = realm

    def verify_security(self, auth_funcs: Sequence[Callable[[ConnexionRequest], Any]]) -> Verify:
        """The function that verifies a request against the requirements, in order."""
        # verify_none stands for the empty requirement, whose turn comes when nothing was presented.
        optional = self.verify_none in auth_funcs
        requirements = [verify for verify in auth_funcs if verify is not self.verify_none]

        async def verify(request: ConnexionRequest) -> None:
            refusals: list[SecurityError | HTTPException] = []
            for requirement in requirements:
                try:
                    token_info = requirement(request)
                    while inspect.iscoroutine(token_info):
                        token_info = await token_info
                except (SecurityError, HTTPException) as refusal:
                    refusals.append(refusal)
                    continue
                if token_info is not NO_VALUE:
                    _expose(request, token_info)
                    return
            if refusals:
                raise min(refusals, key=_precedence)
            if not optional:
                raise MissingCredentials(self._realm)
            _expose(request, {})

        return verify


def _expose(request: ConnexionRequest, token_info: dict[str, Any]) -> None:
    """Have Connexion pass these to the handler."""
    request.context.update(user=token_info.get("sub"), token_info=token_info)


def _precedence(refusal: SecurityError | HTTPException) -> int:
    """Which refusal to answer with when no requirement is met: the one that came closest, lowest first."""
    status = refusal.status_code
    return (403, 503, 401, 400, status).index(status)


class _AuthorizedAPI(SecurityAPI):  # type: ignore[misc]
    def __init__(self, *args: Any, realm: str, security_map: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self._alternatives = _Alternatives(security_map, realm)  # super() calls make_operation
        super().__init__(*args, security_map=security_map, **kwargs)

    def make_operation(self, operation: AbstractOperation | Specification) -> SecurityOperation:
        return SecurityOperation.from_operation(
            operation, next_app=self.next_app, security_handler_factory=self._alternatives
        )


class Authorization(SecurityMiddleware):  # type: ignore[misc]
    """Takes the place of Connexion's `SecurityMiddleware`."""

    api_cls = _AuthorizedAPI

    def __init__(self, app: ASGIApp, realm: str) -> None:
        super().__init__(app)
        self._realm = realm

    def add_api(self, specification: Specification, **kwargs: Any) -> SecurityAPI:
        """Add the operations of a contract."""
        return super().add_api(specification, realm=self._realm, **kwargs)
