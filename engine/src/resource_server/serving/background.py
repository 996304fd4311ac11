"""uvicorn as it is set here, and a server beside whoever tests it."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from resource_server.serving.listening import listen

UVICORN: dict[str, Any] = {
    "http": "resource_server.serving.http1:Connection",
    "access_log": False,  # the application has one
    "lifespan": "on",
    "proxy_headers": False,  # the application knows whom to trust
    "server_header": False,
    "ws": "none",  # there are no web sockets, and uvicorn would log their queries
}
"""uvicorn's settings, wherever it serves."""


@contextlib.contextmanager
def in_background(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Serve an application on 127.0.0.1 while the caller goes on; yields its URL without a final slash.

    Args:
        app: The application.
        port: The TCP port; 0 takes any that is free.
    """
    listener = listen("127.0.0.1", port)
    server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=1, log_config=None, **UVICORN))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
