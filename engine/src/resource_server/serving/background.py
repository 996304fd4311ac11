"""The API on uvicorn: in development, and beside whoever tests it."""

import contextlib
import copy
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from resource_server.serving.listening import listen


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
