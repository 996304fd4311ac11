"""The application: the contract, its handlers and its authorization, put together."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import connexion
from connexion.middleware import ConnexionMiddleware
from connexion.middleware.context import ContextMiddleware
from connexion.middleware.request_validation import RequestValidationMiddleware
from connexion.middleware.security import SecurityMiddleware
from connexion.middleware.server_error import ServerErrorMiddleware

from api.admission import Admission
from api.authorization import Authorization
from api.contract import Contract, ContractError, base_path, operations
from api.dpop import make_dpop
from api.edge import edge_middlewares
from api.flaskapp import FlaskApp, takes_place_of
from api.health import Health
from api.limits import Limits
from api.loading import load_contract
from api.logs import log_request
from api.problems import Errors, answer_with_problems
from api.records import Record, Records
from api.requirements import SECURITY_MAP
from api.resource import protected_resource
from api.responses import JSONIFIER, ContractResolver
from api.routing import Routing
from api.settings import Settings, SettingsError
from api.stack import link
from api.swagger import SwaggerUI
from api.validation import VALIDATORS, RequestValidation
from security import Auth0JWTBearerTokenValidator


def create_app(
    settings: Settings | None = None,
    *,
    specification: Path | None = None,
    validator: Auth0JWTBearerTokenValidator | None = None,
) -> connexion.FlaskApp:
    """Make the ASGI application that serves a contract.

    Doesn't wait for the issuer: its keys are fetched in the background, from the start of the server on.

    Args:
        settings: By default those of this process, for production.
        specification: The contract, in place of the settings' one.
        validator: The validator, in place of the one that the settings describe.

    Raises:
        SettingsError: A setting is missing or unusable.
        ContractError: The contract can't be served or enforced as it stands.
    """
    settings = settings or Settings.load()
    contract = load_contract(specification or settings.specification)
    observers: list[Callable[[Record], None]] = [log_request]
    options = settings.validator_options()
    if settings.metrics_port:
        from api.metrics import count_fetch, count_request

        observers.append(count_request)
        options["on_fetch"] = count_fetch
    options["dpop"] = make_dpop(settings)
    validator = validator or Auth0JWTBearerTokenValidator(settings.issuers, settings.audience, **options)
    app = FlaskApp(
        __name__,
        lifespan=_lifespan,
        middlewares=_middlewares(settings, validator, contract, observers),
        security_map=SECURITY_MAP,
        jsonifier=JSONIFIER,
        server_args={"static_folder": None},  # Flask would serve a folder of that name to everybody
        validate_responses=settings.development,
        validator_map=VALIDATORS,
        resolver=ContractResolver(),
    )
    answer_with_problems(app)
    app.add_api(contract)
    return app


@asynccontextmanager
async def _lifespan(_: object) -> AsyncIterator[None]:
    """Answers the server's start and stop. Without it a2wsgi does, and waits for more when the server has stopped."""
    yield


def build(app: connexion.FlaskApp) -> connexion.FlaskApp:
    """Have Connexion build now what it would build on the first request, so that what fails, fails at the start.

    Nothing can be added to the application afterwards.

    Raises:
        ContractError: Connexion can't serve the contract.
    """
    middleware = app.middleware
    try:
        middleware.app, middleware.middleware_stack = middleware._build_middleware_stack()  # noqa: SLF001
    except Exception as error:
        raise ContractError(f"Connexion can't serve the contract: {type(error).__name__}: {error}") from error
    link(middleware.middleware_stack)
    return app


def _middlewares(
    settings: Settings,
    validator: Auth0JWTBearerTokenValidator,
    contract: Contract,
    observers: Sequence[Callable[[Record], None]],
) -> list[Any]:
    """Connexion's middlewares, some of them replaced by ours, behind those of the edge."""
    swagger_ui = partial(
        SwaggerUI,
        issuer=next(iter(validator.issuers.values())),
        audience=validator.audience,
        client_id=settings.client_id,
        public_url=settings.public_url,
    )
    authorization = partial(Authorization, resource=protected_resource(settings, validator))
    ours = {takes_place_of(each): each for each in (Errors, swagger_ui, Routing, authorization, RequestValidation)}
    health = partial(Health, validator=validator, paths={base_path(contract) + path for path in contract["paths"]})
    records = partial(Records, observers=observers, trusted=settings.trusted_proxies)
    edge = edge_middlewares(
        trusted_proxies=settings.trusted_proxies,
        cors_origins=settings.cors_origins,
        contract=contract,
    )
    stack = [ours.get(middleware, middleware) for middleware in ConnexionMiddleware.default_middlewares]
    stack.remove(ServerErrorMiddleware)  # `Errors` is the last resort, too
    limits = partial(Limits, max_body=settings.max_body)
    admission = partial(Admission, most=settings.max_requests, origins=settings.cors_origins)
    stack.insert(stack.index(Errors) + 1, limits)
    if not settings.swagger_ui:
        stack.remove(swagger_ui)
    if settings.tracing:
        return [health, records, admission, *_traced([*edge, *stack], settings, contract)]
    return [health, records, admission, *edge, *stack]


def _traced(stack: Sequence[Any], settings: Settings, contract: Contract) -> list[Any]:
    """The middlewares, with those that make spans in between."""
    try:
        from api.tracing import Traced, Turn
    except ImportError as error:
        raise SettingsError(
            f"TRACING is true, but {error.name} isn't installed. Install the extra 'tracing'."
        ) from error
    routes = {each["operationId"]: base_path(contract) + path for _, path, each, _ in operations(contract)}
    turns = {
        SecurityMiddleware: "authorization",
        RequestValidationMiddleware: "validation",
        ContextMiddleware: "handler",
    }
    traced: list[Any] = [partial(Traced, trusted=settings.trusted_proxies, routes=routes)]
    for middleware in stack:
        if name := turns.get(takes_place_of(middleware)):
            traced.append(partial(Turn, name=name))
        traced.append(middleware)
    return traced
