"""PostgreSQL, a real one, on a free port of 127.0.0.1, which is stopped by its process id."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import Running, running
from tests.serving import free_port


class Postgres:
    """PostgreSQL.

    Args:
        programs: Where its programs are.
        folder: Where it may write.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._data = folder / "data"
        self._port = free_port()
        self._command: Running | None = None
        self.url = f"postgresql+psycopg://messages@127.0.0.1:{self._port}/postgres"
        self._run("initdb", "--username=messages", "--auth=trust", "--no-sync", "--encoding=UTF8")

    @contextmanager
    def running(self) -> Iterator["Postgres"]:
        """Run it."""
        options = ["-c", f"port={self._port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        with running(self._as_nobody("postgres", *options, "-c", "fsync=off")) as self._command:
            self._command.wait_for("ready to accept connections")
            yield self
            self._command.end(signal.SIGINT)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(self._as_nobody(program, *arguments), check=True, capture_output=True)  # noqa: S603

    def _as_nobody(self, program: str, *arguments: str) -> list[str]:
        """A command; it refuses to be root's."""
        command = [str(self._programs / program), "-D", str(self._data), *arguments]
        if os.getuid():
            return command
        shutil.chown(self._data.parent, "postgres")
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]


def postgres(folder: Path) -> Postgres:
    """One that isn't running yet."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("this needs the Debian package postgresql")
    folder.mkdir(parents=True)
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(0o755)
    return Postgres(found[-1], folder)
