"""`python -m api serve`: the API in production, on granian."""

import gc
import logging
import os
import resource
from contextlib import ExitStack
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from starlette.types import ASGIApp

from api.app import build, create_app
from api.listening import listen
from api.logs import logging_config
from api.stack import never_waits
from api.threads import InThreads, ThreadedLoop
from resource_server.settings import SLASH_WARNING, Settings, lacks_final_slash

logger = logging.getLogger(__name__)


def serve(settings: Settings, workers: int) -> None:
    """Serve the API until told to stop (SIGTERM, SIGINT).

    Raises:
        ContractError: The contract can't be served as it stands.
        click.ClickException: The address can't be listened on.
    """
    with ExitStack() as stack:
        if settings.metrics_port:
            # prometheus-client asks for this on its import.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = stack.enter_context(TemporaryDirectory(prefix="metrics-"))
            from api.metrics import serve_metrics

            serve_metrics(listen(settings.host, settings.metrics_port, "the metrics"))
        _serve(settings, workers)


def _serve(settings: Settings, workers: int) -> None:
    application = _Application(settings)
    with listen(settings.host, settings.port) as listener:  # what can't be listened on is known at the start
        port = listener.getsockname()[1]
    server = granian.Granian(
        "api",
        settings.host,
        port,
        interface=Interfaces.ASGI,
        workers=workers,
        loop="threaded",  # type: ignore[arg-type]  # the names that are registered come on top of granian's own
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=settings.keep_alive_seconds * 1_000, max_buffer_size=32 * 1024
        ),
        backpressure=_connections(),
        websockets=False,
        respawn_failed_workers=True,
        log_dictconfig=logging_config(settings.log_format, requests=settings.log_requests),
        workers_kill_timeout=settings.shutdown_seconds,
    )
    # Enough for all that is worked on, and some to refuse more. For other loops granian refuses more than one.
    server.on_startup(partial(setattr, server, "blocking_threads", settings.max_requests + _SPARE))
    logger.info("Serving on %s port %s, for tokens of %s", settings.host, port, ", ".join(settings.issuers))
    for issuer in filter(lacks_final_slash, settings.issuers):
        logger.warning(SLASH_WARNING, issuer, urlsplit(issuer).netloc)
    server.serve(target_loader=application, wrap_loader=False)


_SPARE = 4


def _connections() -> int:
    """How many connections a worker has at a time; most of them wait for a request. Each takes a file descriptor."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + _OTHER_FILES
    if files < wanted:
        files = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    return min(_CONNECTIONS, max(files - _OTHER_FILES, 1))


_CONNECTIONS, _OTHER_FILES = 4_096, 256


class _Application:
    """The application, in the parent process to show that it can be made; forks have it, others make their own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app = build(create_app(settings))
        if settings.tracing:
            from api.tracing import export_traces

            export_traces()
        gc.collect()
        gc.freeze()  # what lives as long as the process need not be looked through again and again
        gc.enable()

    def __call__(self) -> ASGIApp:
        middleware = self._app.middleware
        return InThreads(middleware) if never_waits(middleware.middleware_stack) else self._app

    def __reduce__(self) -> tuple[Any, ...]:
        return _Application, (self._settings,)


granian.loops.register("threaded")(ThreadedLoop)
