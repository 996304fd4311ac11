"""`python -m api serve`: the API in production, on uvicorn."""

import gc
import logging
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from resource_server.serving.background import UVICORN
from resource_server.serving.listening import listen
from resource_server.serving.logs import begin_logging, logging_config, write_requests
from resource_server.serving.making import ApplicationError, make
from resource_server.settings import SLASH_WARNING, Settings, count_in, lacks_final_slash

if TYPE_CHECKING:
    from resource_server.serving.flaskapp import FlaskApp

logger = logging.getLogger(__name__)


def serve(factory: str, settings: Settings, workers: int) -> None:
    """Serve the API until told to stop (SIGTERM, SIGINT); SIGHUP replaces the workers, one after another.

    Args:
        factory: The function that makes the application in each worker, like `api.app:create_app`.
        settings: How it is served.
        workers: How many processes serve.

    Raises:
        ApplicationError: The process that was to make the application has ended.
        click.ClickException: The address can't be listened on.
        SystemExit: A worker couldn't start, and has said why.
    """
    begin_logging(settings.log_format, requests=settings.log_requests)
    with ExitStack() as stack:
        if settings.metrics_port:
            count_in(folder := stack.enter_context(TemporaryDirectory(prefix="metrics-")))
            from resource_server.serving.metrics import serve_metrics

            serve_metrics(listen(settings.host, settings.metrics_port, "the metrics"), folder)
        config = uvicorn_config(
            _Application(factory, settings),
            settings,
            factory=True,
            workers=workers,
            timeout_graceful_shutdown=settings.shutdown_seconds,
            timeout_worker_healthcheck=_HUNG_SECONDS,
        )
        listener = listen(settings.host, settings.port)
        supervisor = _Workers(config, [listener], factory)
        if supervisor.start():
            port = listener.getsockname()[1]
            logger.info("Serving on %s port %s, for tokens of %s", settings.host, port, settings.named_issuers)
            for issuer in filter(lacks_final_slash, settings.issuers):
                logger.warning(SLASH_WARNING, issuer, urlsplit(issuer).netloc)
        supervisor.run()
        if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
            sys.exit(1)


def uvicorn_config(app: ASGIApp | Callable[[], ASGIApp], settings: Settings, **options: Any) -> uvicorn.Config:
    """How uvicorn serves an application, or one that is made; the options are uvicorn's."""
    return uvicorn.Config(
        app,
        limit_concurrency=_connections(),
        timeout_keep_alive=settings.keep_alive_seconds,
        log_config=logging_config(settings.log_format, requests=settings.log_requests),
        **UVICORN,
        **options,
    )


_HUNG_SECONDS = 30
"""After which a worker that doesn't answer its parent process is replaced."""


def _connections() -> int:
    """How many connections a worker has at a time; most of them wait for a request. Each takes a file descriptor."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + _OTHER_FILES
    if files < wanted:
        files = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    return min(_CONNECTIONS, max(files - _OTHER_FILES, 1))


_CONNECTIONS, _OTHER_FILES = 4_096, 256


class _Workers(Multiprocess):
    """The workers. The others begin when the first one serves: a mistake is found, and said, by one process."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], factory: str) -> None:
        super().__init__(config, sockets)
        self._factory = factory

    def start(self) -> bool:
        """Start the first one; returns whether it serves, which it doesn't if told to stop meanwhile.

        Raises:
            ApplicationError: It has ended.
            SystemExit: It couldn't start, and has said why.
        """
        first = self._begin()
        if self._serves(first) or self.signal_queue:
            return not self.signal_queue
        if first.exitcode == STARTUP_FAILURE:
            sys.exit(1)
        raise ApplicationError(
            f"{self._factory} can't make the application: its process has ended with {first.exitcode}"
        )

    def init_processes(self) -> None:
        """Start the others, unless told to stop."""
        if self.signal_queue:
            return
        for process in [self._begin() for _ in range(self.processes_num - len(self.processes))]:
            self._serves(process)

    def _begin(self) -> Process:
        process = Process(self.config, self.sockets)
        process.start()
        self.processes.append(process)
        return process

    def _serves(self, process: Process) -> bool:
        """Whether a worker serves, in the end; it doesn't if it ends, or if all are told to."""
        while process.process.is_alive() and not self.signal_queue:
            if process.is_ready(1):
                logger.info("Started worker-%s, process %s", self.processes.index(process) + 1, process.pid)
                return True
            time.sleep(0.01)
        return False

    def keep_subprocess_alive(self) -> None:
        """Replace those that have ended."""
        before = list(self.processes)
        super().keep_subprocess_alive()
        self._say_replaced(before, logging.ERROR)

    def restart_all(self) -> None:
        """Replace all, one after another: each ends when another serves in its place."""
        before = list(self.processes)
        super().restart_all()
        self._say_replaced(before, logging.INFO)

    def _say_replaced(self, before: Sequence[Process], level: int) -> None:
        for old, new in zip(before, self.processes, strict=True):
            if new is not old:
                logger.log(level, "Process %s has ended (%s), process %s replaces it", old.pid, old.exitcode, new.pid)

    def join_all(self) -> None:
        """Wait for all to end; whoever takes too long is ended."""
        until = time.monotonic() + (self.config.timeout_graceful_shutdown or 0) + _END_SECONDS
        for process in self.processes:
            process.process.join(max(until - time.monotonic(), 0))
            if process.process.is_alive():
                logger.error("Process %s doesn't end, and is killed", process.pid)
                process.process.kill()
                process.process.join()


_END_SECONDS = 5
"""For what stops with the application, when its requests have ended."""


@dataclass(frozen=True)
class _Application:
    """Makes the application of a worker, in that."""

    factory: str
    settings: Settings

    def __call__(self) -> "FlaskApp":
        gc.disable()  # until all is loaded: nothing of it is garbage
        begin_logging(self.settings.log_format, requests=self.settings.log_requests)
        try:
            with _ending_at_once():
                app = make(self.factory, self.settings)
        except ApplicationError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(STARTUP_FAILURE)
        if self.settings.tracing:
            from resource_server.serving.tracing import export_traces

            export_traces()
        if self.settings.log_requests:
            write_requests(self.settings.log_format)
        gc.collect()
        gc.freeze()  # what lives as long as the process need not be looked through again and again
        gc.enable()
        return app


@contextmanager
def _ending_at_once() -> Iterator[None]:
    """Have signals end this process at once: uvicorn, which handles them already, would first let it start."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
