"""`python -m api serve`: the API in production, under uvicorn."""

import sys
from functools import partial

import uvicorn
from uvicorn.supervisors import Multiprocess

from api.app import create_app
from api.settings import Settings


def serve(settings: Settings, workers: int) -> None:
    """Serve the API until told to stop (SIGTERM, SIGINT). Exits with uvicorn's own status if it can't start.

    Raises:
        ContractError: The contract can't be served as it stands.
        OSError: The address can't be listened on.
    """
    app = create_app(settings)
    config = uvicorn.Config(
        # Each worker makes its own; the one made here has shown that it can be made.
        app if workers == 1 else partial(create_app, settings),
        factory=workers > 1,
        host=settings.host,
        port=settings.port,
        workers=workers,
        server_header=False,
        proxy_headers=False,
    )
    if workers == 1:
        server = uvicorn.Server(config)
        server.run()
        if not server.started:
            sys.exit(uvicorn.config.STARTUP_FAILURE)
    else:
        Multiprocess(config, sockets=[config.bind_socket()]).run()
