"""`python -m api serve`: the API in production, under uvicorn."""

import contextlib
import copy
import gc
import logging
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import click
import granian
import uvicorn
from granian.constants import HTTPModes, Interfaces
from starlette.types import ASGIApp

from api.app import build, create_app
from api.bridge import THREADS
from api.settings import Settings
from api.threads import InThreads, ThreadedLoop


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


def serve(settings: Settings, workers: int, *, access_log: bool) -> None:
    """Serve the API until told to stop (SIGTERM, SIGINT).

    Raises:
        ContractError: The contract can't be served as it stands.
        click.ClickException: The address can't be listened on.
    """
    application = _Application(settings)
    with listen(settings.host, settings.port) as listener:  # what can't be listened on is known at the start
        port = listener.getsockname()[1]
    click.echo(f"Serving on {settings.host} port {port}, for tokens of {', '.join(settings.issuers)}")
    server = granian.Granian(
        "api",
        settings.host,
        port,
        interface=Interfaces.ASGI,
        workers=workers,
        loop="threaded",  # type: ignore[arg-type]  # the names that are registered come on top of granian's own
        http=HTTPModes.http1,
        websockets=False,
        respawn_failed_workers=True,
        log_access=access_log,
        log_access_format='%(addr)s - "%(method)s %(path)s %(protocol)s" %(status)d %(dt_ms).1f ms',  # no query
    )
    server.on_startup(partial(setattr, server, "blocking_threads", THREADS))  # it refuses them for other loops
    server.serve(target_loader=application, wrap_loader=False)


class _Application:
    """The application, in the parent process to show that it can be made; forks have it, others make their own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app = build(create_app(settings))
        gc.collect()
        gc.freeze()  # what lives as long as the process need not be looked through again and again

    def __call__(self) -> ASGIApp:
        return InThreads(self._app)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Application, (self._settings,)


granian.loops.register("threaded")(ThreadedLoop)


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
