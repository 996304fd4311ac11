"""Your application: what it is made of, and what starts and stops with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from resource_server import Settings
from resource_server.serving import FlaskApp, make_app

from security import make_validator


@asynccontextmanager
async def lifespan(app: FlaskApp) -> AsyncIterator[None]:
    """What starts and stops with each worker, like a pool of connections or a thread: start it, `yield`, stop it."""
    yield


def create_app(settings: Settings | None = None) -> FlaskApp:
    """Make the application of a worker; `app.app` is Flask's, where extensions, blueprints and hooks go.

    Args:
        settings: By default those of this process, for production.
    """
    settings = settings or Settings.load()
    app = make_app(settings, make_validator(settings), import_name=__name__, lifespan=lifespan)
    # Here is the place for `db.init_app(app.app)`, `app.app.before_request(hook)`, `app.app.register_blueprint(pages)`
    # (whose routes need a token until `app.make_public("pages")`), `app.add_error_handler(NoSuchMessage, not_found)`,
    # and whatever else Flask and Connexion offer.
    return app
