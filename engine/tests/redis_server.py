"""Redis, a real one, on a free port of 127.0.0.1, which is stopped by its process id."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.processes import Running, running
from tests.serving import free_port


class RedisServer:
    """A Redis that can be paused, stopped and started anew on its port.

    Args:
        folder: Where it may write.
        port: The TCP port.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self.port = port
        self._command: Running | None = None
        self.url = f"redis://127.0.0.1:{port}/0"

    @contextmanager
    def running(self, *options: str) -> Iterator["RedisServer"]:
        """Run it with more options, without what it had in memory before."""
        arguments = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        for _ in range(20):
            with running([*arguments, "--save", "", *options]) as self._command:
                if self._command.wait_for("Ready to accept connections|Address already in use")[0].startswith("Ready"):
                    yield self
                    return
            time.sleep(0.25)  # the port was free a moment ago, and soon is again
        raise AssertionError(f"{self.url} stays taken")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It takes connections, and answers nothing."""
        assert self._command
        os.kill(self._command.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._command.process.pid, signal.SIGCONT)

    def say(self, *words: str) -> Any:
        """Send it a command."""
        with redis.Redis.from_url(self.url) as client:
            return client.execute_command(*words)


def redis_server(folder: Path) -> RedisServer:
    """One that isn't running yet."""
    if not shutil.which("redis-server"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("this needs the Debian package redis-server")
    return RedisServer(folder, free_port())
