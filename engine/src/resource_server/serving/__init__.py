"""The way of a request: routes, authorization, arguments, handler, answer, errors, pages, limits, log."""

import warnings

# Connexion imports Starlette's test client, which tells its users to replace httpx. There is nothing that ours can do.
warnings.filterwarnings("ignore", "Using `httpx` with `starlette.testclient`")

from resource_server.serving.app import Lifespan, make_app  # noqa: E402  # after the filter

__all__ = ["Lifespan", "make_app"]
