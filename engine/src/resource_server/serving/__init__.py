"""The way of a request: routes, authorization, arguments, handler, answer, errors, pages, limits, log."""

from resource_server.serving.app import make_app
from resource_server.serving.flaskapp import FlaskApp, Lifespan

__all__ = ["FlaskApp", "Lifespan", "make_app"]
