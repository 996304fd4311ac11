"""The application: the contract, its handlers and its authorization, put together."""

from functools import partial
from pathlib import Path
from typing import Any

import connexion
from connexion.middleware import ConnexionMiddleware
from connexion.middleware.routing import RoutingMiddleware
from connexion.middleware.security import SecurityMiddleware
from connexion.middleware.swagger_ui import SwaggerUIMiddleware

from api.authorization import Authorization, OAuth2Handler
from api.contract import Contract, load_contract, operations
from api.edge import edge_middlewares
from api.problems import answer_with_problems
from api.responses import ContractResolver
from api.routing import Routing, require_agreement
from api.settings import Settings
from api.swagger import SwaggerUI
from api.validation import VALIDATORS
from security import Auth0JWTBearerTokenValidator


def create_app(
    settings: Settings | None = None,
    *,
    specification: Path | None = None,
    validator: Auth0JWTBearerTokenValidator | None = None,
) -> connexion.FlaskApp:
    """Make the ASGI application that serves a contract.

    Doesn't reach for the issuer: its keys are fetched when the first token comes.

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
    validator = validator or Auth0JWTBearerTokenValidator(
        settings.issuers, settings.audience, **settings.validator_options()
    )
    app = connexion.FlaskApp(
        __name__,
        middlewares=_middlewares(settings, validator, contract),
        security_map={"oauth2": partial(OAuth2Handler, validator)},
        validate_responses=settings.development,
        validator_map=VALIDATORS,
        resolver=ContractResolver(),
    )
    app.app.url_map.merge_slashes = False
    app.app.before_request(require_agreement)
    answer_with_problems(app)
    app.add_api(contract)
    return app


def _middlewares(settings: Settings, validator: Auth0JWTBearerTokenValidator, contract: Contract) -> list[Any]:
    """Connexion's middlewares, some of them replaced by ours, behind those of the edge."""
    swagger_ui = partial(
        SwaggerUI,
        issuer=next(iter(validator.issuers.values())),
        audience=validator.audience,
        client_id=settings.client_id,
        public_url=settings.public_url,
    )
    ours = {
        SwaggerUIMiddleware: swagger_ui,
        RoutingMiddleware: Routing,
        SecurityMiddleware: partial(Authorization, realm=validator.realm),
    }
    edge = edge_middlewares(
        trusted_proxies=settings.trusted_proxies,
        cors_origins=settings.cors_origins,
        methods={method for method, *_ in operations(contract)},
    )
    return [*edge, *(ours.get(middleware, middleware) for middleware in ConnexionMiddleware.default_middlewares)]
