"""`python -m api serve`: the API in production, on granian."""

import gc
from functools import partial
from typing import Any

import click
import granian
from granian.constants import HTTPModes, Interfaces
from starlette.types import ASGIApp

from api.app import build, create_app
from api.bridge import THREADS
from api.listening import listen
from api.logs import logging_config
from api.settings import Settings
from api.stack import never_waits
from api.threads import InThreads, ThreadedLoop


def serve(settings: Settings, workers: int) -> None:
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
        log_dictconfig=logging_config(settings.log_format, requests=settings.log_requests),
        workers_kill_timeout=settings.shutdown_seconds,
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
        gc.enable()

    def __call__(self) -> ASGIApp:
        middleware = self._app.middleware
        return InThreads(middleware) if never_waits(middleware.middleware_stack) else self._app

    def __reduce__(self) -> tuple[Any, ...]:
        return _Application, (self._settings,)


granian.loops.register("threaded")(ThreadedLoop)
