"""The application: the contract, its handlers and its authorization, put together."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from resource_server.contract.loading import load_contract
from resource_server.contract.spec import ContractError
from resource_server.serving.flaskapp import FlaskApp
from resource_server.serving.logs import log_request
from resource_server.serving.middlewares import middlewares
from resource_server.serving.problems import answer_with_problems
from resource_server.serving.records import Record
from resource_server.serving.requirements import SECURITY_MAP
from resource_server.serving.responses import JSONIFIER, ContractResolver
from resource_server.serving.stack import link
from resource_server.serving.validation import VALIDATORS
from resource_server.settings import Settings
from resource_server.tokens import Auth0JWTBearerTokenValidator

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
"""What starts and stops in each process that serves: entered before its first request, left after its last."""


@asynccontextmanager
async def _nothing(_: object) -> AsyncIterator[None]:
    """Answers the server's start and stop. Without it a2wsgi does, and waits for more when the server has stopped."""
    yield


def make_app(settings: Settings, validator: Auth0JWTBearerTokenValidator, *, lifespan: Lifespan = _nothing) -> FlaskApp:
    """Make the ASGI application that serves the contract which the settings name.

    Doesn't wait for the issuer: its keys are fetched in the background, from the start of the server on.

    Args:
        settings: How it is served.
        validator: Validates the access tokens of its requests.
        lifespan: What starts and stops with it.

    Raises:
        SettingsError: A setting is unusable.
        ContractError: The contract can't be served or enforced as it stands.
    """
    contract = load_contract(settings.specification)
    observers: list[Callable[[Record], None]] = [log_request]
    if settings.metrics_port:
        from resource_server.serving.metrics import count_fetch, count_request

        observers.append(count_request)
        validator.on_fetch = count_fetch
    app = FlaskApp(
        __name__,
        lifespan=lifespan,
        middlewares=middlewares(settings, validator, contract, observers),
        security_map=SECURITY_MAP,
        jsonifier=JSONIFIER,
        server_args={"static_folder": None},  # Flask would serve a folder of that name to everybody
        validate_responses=settings.development,
        validator_map=VALIDATORS,
        resolver=ContractResolver(),
    )
    answer_with_problems(app, development=settings.development)
    app.add_api(contract)
    return app


def build(app: FlaskApp) -> FlaskApp:
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
