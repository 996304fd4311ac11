"""The sample application, with another contract or another validator where a test wants it."""

from dataclasses import replace
from pathlib import Path

from api import app as sample
from resource_server import Auth0JWTBearerTokenValidator, Settings
from resource_server.serving import FlaskApp, make_app
from tests.processes import SAMPLE

FACTORY = "api.app:create_app"
SPECIFICATION = SAMPLE / "openapi.yaml"


def create_app(
    settings: Settings | None = None,
    *,
    specification: Path | None = None,
    validator: Auth0JWTBearerTokenValidator | None = None,
) -> FlaskApp:
    """Make it as the sample does."""
    settings = settings or Settings.load()
    settings = replace(settings, specification=specification or settings.specification)
    return make_app(settings, validator, lifespan=sample.lifespan) if validator else sample.create_app(settings)
