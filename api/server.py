"""`python -m api serve`: the API in production, under uvicorn."""

import socket
import sys
from functools import partial

import click
import uvicorn
from uvicorn.supervisors import Multiprocess

from api.app import create_app
from api.settings import Settings


def serve(settings: Settings, workers: int) -> None:
    """Serve the API until told to stop (SIGTERM, SIGINT).

    Raises:
        ContractError: The contract can't be served as it stands.
        click.ClickException: The address can't be listened on.
    """
    app = create_app(settings)
    listener = listen(settings.host, settings.port)
    if workers == 1:
        server = uvicorn.Server(uvicorn.Config(app, server_header=False, proxy_headers=False))
        server.run([listener])
        if not server.started:
            sys.exit(uvicorn.config.STARTUP_FAILURE)
    else:
        # Each worker makes its own application; the one made here has shown that it can be made.
        config = uvicorn.Config(
            partial(create_app, settings), factory=True, workers=workers, server_header=False, proxy_headers=False
        )
        Multiprocess(config, sockets=[listener]).run()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on an address.

    Raises:
        click.ClickException: It can't; the message says what to set.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise click.ClickException(
            f"{host} can't be listened on at port {port} ({error}). Set HOST or PORT to another."
        ) from error
