"""The way of a request: routes, authorization, arguments, handler, answer, errors, pages, limits, log."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resource_server.serving.app import make_app
    from resource_server.serving.flaskapp import FlaskApp, Lifespan
    from resource_server.serving.responses import ReturnValue

__all__ = ["FlaskApp", "Lifespan", "ReturnValue", "make_app"]


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: whoever only starts workers needs neither Connexion nor Flask."""
    if name not in __all__:
        raise AttributeError(name)
    from resource_server.serving import app, responses

    return getattr(responses if name == "ReturnValue" else app, name)
