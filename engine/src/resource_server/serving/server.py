"""`python -m api serve`: the API in production, on granian."""

import gc
import logging
import os
import resource
import signal
import sys
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resource_server.serving.listening import listen
from resource_server.serving.logs import logging_config, write_requests
from resource_server.serving.making import ApplicationError, check, make
from resource_server.settings import SLASH_WARNING, Settings, count_in, lacks_final_slash

logger = logging.getLogger(__name__)


def serve(factory: str, settings: Settings, workers: int) -> None:
    """Serve the API until told to stop (SIGTERM, SIGINT).

    Args:
        factory: The function that makes the application in each worker, like `api.app:create_app`.
        settings: How it is served.
        workers: How many processes serve.

    Raises:
        ApplicationError: The application can't be made.
        click.ClickException: The address can't be listened on.
        SystemExit: A worker couldn't start, which is in the log.
    """
    with ExitStack() as stack:
        if settings.metrics_port:
            count_in(stack.enter_context(TemporaryDirectory(prefix="metrics-")))
        check(factory, settings)  # before this process has threads
        if settings.metrics_port:
            from resource_server.serving.metrics import serve_metrics

            serve_metrics(listen(settings.host, settings.metrics_port, "the metrics"))
        _serve(factory, settings, workers)


def _serve(factory: str, settings: Settings, workers: int) -> None:
    with listen(settings.host, settings.port) as listener:  # what can't be listened on is known at the start
        port = listener.getsockname()[1]
    server = granian.Granian(
        "api",
        settings.host,
        port,
        interface=Interfaces.ASGI,
        workers=workers,
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
    logger.info("Serving on %s port %s, for tokens of %s", settings.host, port, ", ".join(settings.issuers))
    for issuer in filter(lacks_final_slash, settings.issuers):
        logger.warning(SLASH_WARNING, issuer, urlsplit(issuer).netloc)
    failed = _Failed()
    _let_beginners_end()
    gc.collect()
    gc.freeze()  # what lives as long as the process need not be looked through again and again
    gc.enable()
    server.serve(target_loader=_Worker(factory, settings), wrap_loader=False)
    if failed:
        sys.exit(1)


def _connections() -> int:
    """How many connections a worker has at a time; most of them wait for a request. Each takes a file descriptor."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + _OTHER_FILES
    if files < wanted:
        files = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    return min(_CONNECTIONS, max(files - _OTHER_FILES, 1))


_CONNECTIONS, _OTHER_FILES = 4_096, 256


def _let_beginners_end() -> None:
    """Have signals end a worker that begins: until it serves it has its parent's handlers, which nobody asks."""
    signals = (signal.SIGTERM, signal.SIGINT)

    def begin() -> None:
        for number in signals:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)

    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, signals),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, signals),
        after_in_child=begin,
    )


class _Failed:
    """Whether a worker has failed before it served. Stops the server then: another would fail as well."""

    def __init__(self) -> None:
        self._failed = False
        signal.signal(_FAILED, self._stop)

    def _stop(self, *_: object) -> None:
        self._failed = True
        signal.raise_signal(signal.SIGTERM)

    def __bool__(self) -> bool:
        return self._failed


_FAILED = signal.SIGUSR1
"""What a worker tells its parent with."""


class _Worker:
    """Makes the application of a worker, in that."""

    def __init__(self, factory: str, settings: Settings) -> None:
        self._factory = factory
        self._settings = settings

    def __call__(self) -> ASGIApp:
        try:
            app = make(self._factory, self._settings)
        except ApplicationError as error:
            logger.error("%s", error)  # noqa: TRY400  # it says all
            os.kill(os.getppid(), _FAILED)
            sys.exit(1)
        if self._settings.tracing:
            from resource_server.serving.tracing import export_traces

            export_traces()
        if self._settings.log_requests:
            write_requests(self._settings.log_format)
        gc.collect()
        gc.freeze()
        return _Starting(app)


class _Starting:
    """Tells the parent process if what starts with the application fails."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, self._telling(send) if scope["type"] == "lifespan" else send)

    def _telling(self, send: Send) -> Send:
        async def tell(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                os.kill(os.getppid(), _FAILED)
            await send(message)

        return tell
