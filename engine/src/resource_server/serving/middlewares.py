"""The middlewares, in their order: Connexion's, some of them replaced by ours, behind those of the edge."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from connexion.middleware import ConnexionMiddleware
from connexion.middleware.context import ContextMiddleware
from connexion.middleware.request_validation import RequestValidationMiddleware
from connexion.middleware.security import SecurityMiddleware
from connexion.middleware.server_error import ServerErrorMiddleware

from resource_server.contract.spec import Contract, base_path, operations
from resource_server.serving.admission import Admission
from resource_server.serving.authorization import Authorization
from resource_server.serving.edge import edge_middlewares
from resource_server.serving.flaskapp import takes_place_of
from resource_server.serving.health import Health
from resource_server.serving.limits import Limits
from resource_server.serving.problems import Errors
from resource_server.serving.records import Record, Records
from resource_server.serving.resource import Metadata, protected_resource
from resource_server.serving.routing import Routing
from resource_server.serving.swagger import SwaggerUI
from resource_server.serving.validation import RequestValidation
from resource_server.settings import Settings, SettingsError
from resource_server.tokens import Auth0JWTBearerTokenValidator


def middlewares(
    settings: Settings,
    validator: Auth0JWTBearerTokenValidator,
    contract: Contract,
    observers: Sequence[Callable[[Record], None]],
) -> list[Any]:
    """All middlewares of an application, outermost first."""
    resource = protected_resource(settings, validator)
    swagger_ui = partial(SwaggerUI, resource=resource, client_id=settings.client_id, public_url=settings.public_url)
    authorization = partial(Authorization, resource=resource)
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
    metadata = partial(Metadata, resource=resource, contract=contract, swagger_ui=settings.swagger_ui)
    place = stack.index(Errors) + 1
    stack[place:place] = [limits, metadata]
    if not settings.swagger_ui:
        stack.remove(swagger_ui)
    if settings.tracing:
        return [health, records, admission, *_traced([*edge, *stack], settings, contract)]
    return [health, records, admission, *edge, *stack]


def _traced(stack: Sequence[Any], settings: Settings, contract: Contract) -> list[Any]:
    """The middlewares, with those that make spans in between."""
    try:
        from resource_server.serving.tracing import Phase, Traced
    except ImportError as error:
        raise SettingsError(
            f"TRACING is true, but {error.name} isn't installed. Install the extra 'tracing'."
        ) from error
    routes = {each["operationId"]: base_path(contract) + path for _, path, each, _ in operations(contract)}
    phases = {
        SecurityMiddleware: "authorization",
        RequestValidationMiddleware: "validation",
        ContextMiddleware: "handler",
    }
    traced: list[Any] = [partial(Traced, trusted=settings.trusted_proxies, routes=routes)]
    for middleware in stack:
        if name := phases.get(takes_place_of(middleware)):
            traced.append(partial(Phase, name=name))
        traced.append(middleware)
    return traced
