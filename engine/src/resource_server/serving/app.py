"""The application: the contract, its handlers and its authorization, put together."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from resource_server.serving.exchange import Record
from resource_server.serving.flaskapp import FlaskApp, Lifespan
from resource_server.serving.logs import log_request
from resource_server.settings import Settings, SettingsError
from resource_server.tokens import Auth0JWTBearerTokenValidator

logger = logging.getLogger(__name__)


@asynccontextmanager
async def _nothing(_: object) -> AsyncIterator[None]:
    """Starts and stops nothing."""
    yield


def make_app(
    settings: Settings,
    validator: Auth0JWTBearerTokenValidator,
    *,
    import_name: str = __name__,
    lifespan: Lifespan = _nothing,
    pythonic_params: bool = False,
    strict_validation: bool = False,
) -> FlaskApp:
    """Make the ASGI application that serves the contract which the settings name.

    Doesn't wait for the issuer: its keys are fetched in the background, from the start of the server on.

    Args:
        settings: How it is served.
        validator: Validates the access tokens of its requests.
        import_name: The module that it belongs to, as Flask has it: beside its file are templates and other resources,
            and the application's logger has its name.
        lifespan: What starts and stops with it.
        pythonic_params: Whether handlers take `messageId` as `message_id`, as with Connexion's option of the name.
        strict_validation: Whether parameters of a query or form that the contract lacks are refused, with 400.

    Raises:
        SettingsError: A setting is unusable.
        ContractError: The contract can't be served or enforced as it stands.
    """
    if validator.resolver:
        logger.info("Whose tokens are taken at a host, %s says%s", validator.resolver.name, _beside(validator))
    observers: list[Callable[[Record], None]] = [log_request]
    if settings.metrics_port:
        from resource_server.serving.metrics import count_fetch, count_request

        observers.append(count_request)
        validator.on_fetch = count_fetch
    if settings.tracing:
        try:
            import resource_server.serving.tracing  # noqa: F401  # so that what is missing is known at the start
        except ImportError as error:
            raise SettingsError(
                f"TRACING is true, but {error.name} isn't installed. Install the extra 'tracing'."
            ) from error
    app = FlaskApp(import_name, settings=settings, validator=validator, lifespan=lifespan, observers=observers)
    app.add_api(settings.specification, pythonic_params=pythonic_params, strict_validation=strict_validation)
    return app


def _beside(validator: Auth0JWTBearerTokenValidator) -> str:
    return f"; at every host those of {', '.join(validator.issuers)}" if validator.issuers else ""
