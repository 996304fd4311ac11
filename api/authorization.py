"""Authorization by the contract: Connexion's security layer, with challenges and without its gaps.

Each operation finds the token that its request presents, has its requirements verified, and refuses with a challenge.
Takes its place in Connexion's list of middlewares.
"""

from functools import cached_property
from typing import Any

from connexion.lifecycle import ConnexionRequest
from connexion.middleware.security import SecurityAPI, SecurityMiddleware, SecurityOperation
from connexion.operations import AbstractOperation
from connexion.spec import Specification
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.contract import scheme_kind
from api.requirements import TOKEN, NothingPresented, Requirements
from security import VALIDATOR, Auth0JWTBearerTokenValidator
from security.bearer import bearer_token
from security.errors import MissingCredentials

_SCHEMES = {"oauth2": "Bearer", "bearer": "Bearer", "basic": "Basic", "apiKey": "ApiKey"}


class _Request(ConnexionRequest):  # type: ignore[misc]
    """A request for the functions that verify it, most of which look at its scope only."""

    uri_parser = _context = _mimetype = _path_params = _query_params = _form = _files = None

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    @cached_property
    def _starlette_request(self) -> Request:
        return Request(self.scope)


class _AuthorizedOperation(SecurityOperation):  # type: ignore[misc]
    """Authorizes the requests of one operation."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.validator: Any = None
        schemes = [self.security_schemes[name] for requirement in self.security or () for name in requirement]
        self._schemes = list(dict.fromkeys(_SCHEMES[scheme_kind(scheme)] for scheme in schemes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.security:
            await self._verify(scope)
        await self.next_app(scope, receive, send)

    async def _verify(self, scope: Scope) -> None:
        scope[VALIDATOR] = self.validator
        if "Bearer" in self._schemes:
            fields = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
            scope[TOKEN] = bearer_token(fields, scope["query_string"])
        try:
            await self.verification_fn(_Request(scope))
        except NothingPresented:
            raise MissingCredentials(self.validator.realm, self._schemes) from None
        except HTTPException as refusal:
            if refusal.status_code == 401 and not refusal.headers:
                refusal.headers = MissingCredentials(self.validator.realm, self._schemes).headers
            raise


class _AuthorizedAPI(SecurityAPI):  # type: ignore[misc]
    def __init__(
        self,
        *args: Any,
        validator: Auth0JWTBearerTokenValidator,
        security_map: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._validator = validator
        self._requirements = Requirements(security_map)  # super() calls make_operation
        super().__init__(*args, security_map=security_map, **kwargs)

    def make_operation(self, operation: AbstractOperation) -> SecurityOperation:
        made = _AuthorizedOperation.from_operation(
            operation, next_app=self.next_app, security_handler_factory=self._requirements
        )
        made.validator = self._validator
        return made


class Authorization(SecurityMiddleware):  # type: ignore[misc]
    """Takes the place of Connexion's `SecurityMiddleware`, for one application's validator."""

    takes_place_of = SecurityMiddleware
    api_cls = _AuthorizedAPI

    def __init__(self, app: ASGIApp, validator: Auth0JWTBearerTokenValidator) -> None:
        super().__init__(app)
        self._validator = validator

    def add_api(self, specification: Specification, **kwargs: Any) -> SecurityAPI:
        """Add the operations of a contract."""
        return super().add_api(specification, validator=self._validator, **kwargs)
