"""The application: the contract, its handlers and its authorization, put together."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import connexion

from api.flaskapp import FlaskApp
from api.logs import log_request
from api.middlewares import middlewares
from api.problems import answer_with_problems
from api.records import Record
from api.requirements import SECURITY_MAP
from api.responses import JSONIFIER, ContractResolver
from api.stack import link
from api.validation import VALIDATORS
from resource_server.contract.loading import load_contract
from resource_server.contract.spec import ContractError
from resource_server.dpop import make_dpop
from resource_server.settings import Settings
from resource_server.tokens import Auth0JWTBearerTokenValidator


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
    if validator is None:
        dpop = make_dpop(settings)
        validator = Auth0JWTBearerTokenValidator(settings.issuers, settings.audience, dpop=dpop, **options)
    app = FlaskApp(
        __name__,
        lifespan=_lifespan,
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
