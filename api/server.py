"""`python -m api serve`: the API in production, under uvicorn."""

import contextlib
import copy
import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import click
import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from api.app import build, create_app
from api.settings import Settings


class WithoutQuery(logging.Filter):
    """Leaves queries out of the access log: clients put codes and tokens there, even where they shouldn't."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, path, *rest = record.args
            record.args = (client, method, str(path).partition("?")[0], *rest)
        return True


_LOGGING = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
_LOGGING["filters"] = {"without_query": {"()": WithoutQuery}}
_LOGGING["handlers"]["access"]["filters"] = ["without_query"]

UVICORN: dict[str, Any] = {
    "log_config": _LOGGING,
    "lifespan": "on",  # an application that can't be built doesn't start
    "proxy_headers": False,  # the application knows whom to trust
    "reset_contextvars": True,  # nothing of a request is left for the next one on its connection
    "server_header": False,
    "ws": "none",  # there are no web sockets, and uvicorn would log their queries
}
"""uvicorn's settings, in development as well."""


def serve(settings: Settings, workers: int) -> None:
    """Serve the API until told to stop (SIGTERM, SIGINT).

    Raises:
        ContractError: The contract can't be served as it stands.
        click.ClickException: The address can't be listened on.
    """
    app = build(create_app(settings))
    listener = listen(settings.host, settings.port)
    port = listener.getsockname()[1]
    click.echo(f"Serving on {settings.host} port {port}, for tokens of {', '.join(settings.issuers)}")
    if workers == 1:
        server = uvicorn.Server(uvicorn.Config(app, **UVICORN))
        with contextlib.suppress(KeyboardInterrupt):
            server.run([listener])
        if not server.started:
            sys.exit(uvicorn.config.STARTUP_FAILURE)
    else:
        # Each worker makes its own application; the one made here has shown that it can be made.
        config = uvicorn.Config(partial(create_app, settings), factory=True, workers=workers, **UVICORN)
        Multiprocess(config, sockets=[listener]).run()


@contextlib.contextmanager
def in_background(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Serve an application on 127.0.0.1 while the caller goes on; yields its URL without a final slash.

    Args:
        app: The application.
        port: The TCP port; 0 takes any that is free.
    """
    listener = listen("127.0.0.1", port)
    server = uvicorn.Server(uvicorn.Config(app, **{**UVICORN, "log_config": None, "timeout_graceful_shutdown": 1}))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def listen(host: str, port: int, what: str = "the API") -> socket.socket:
    """A socket that listens on an address.

    Args:
        host: The address, or a name for it.
        port: The TCP port; 0 takes any that is free.
        what: What it is for, to be told when it fails.

    Raises:
        click.ClickException: It can't; the message says what to set.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = error.strerror or error
        raise click.ClickException(
            f"{host} can't be listened on at port {port}, for {what}: {why}. Set HOST or PORT to another."
        ) from error
