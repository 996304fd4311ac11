"""The command line in processes of its own, as a person starts it, and stopped by the process id that was started."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ENGINE = Path(__file__).resolve().parent.parent
DOCS, TESTS = ENGINE / "docs", ENGINE / "tests"
SAMPLE = ENGINE / "src" / "resource_server" / "template"
"""The house of the sample, where the command line is started."""


def clean_environ(**settings: str) -> dict[str, str]:
    """This process's environment without the project's settings, and with those given."""
    ours = ("AUTH0_", "API_IDENTIFIER", "CONTRACT_", "HOST", "PORT", "MAKE", "MFLAGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | settings


class Running:
    """A process and what it has printed so far."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.output += line

    def wait_for(self, pattern: str, seconds: float = 20) -> re.Match[str]:
        """Wait until a pattern has been printed."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None and not self._reader.is_alive()  # before reading
            if match := re.search(pattern, self.output):
                return match
            assert not ended, f"it has ended:\n{self.output}"
            assert time.monotonic() < deadline, f"{pattern!r} was not printed:\n{self.output}"
            time.sleep(0.02)

    def end(self, number: int, seconds: float = 15) -> int:
        """Send a signal to the whole foreground group, as a terminal does on Ctrl-C, and wait for the exit status."""
        os.killpg(self.process.pid, number)
        status = self.process.wait(seconds)
        self.finish()
        return status

    def finish(self) -> None:
        """Read to the end of what it has printed."""
        self._reader.join(5)

    def left_behind(self) -> list[int]:
        """The processes of its group that still run."""
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [pid for pid in pids if _group(pid) == self.process.pid]


def _group(pid: int) -> int | None:
    try:
        state, _, group = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return None
    return None if state == "Z" else int(group)


@contextmanager
def running(
    arguments: Sequence[str],
    environ: Mapping[str, str] | None = None,
    cwd: Path = SAMPLE,
    *,
    stdin: int = subprocess.DEVNULL,
) -> Iterator[Running]:
    """Run a command in a process group of its own; whatever is left of it at the end is killed."""
    with subprocess.Popen(  # noqa: S603  # the tests' own commands
        arguments,
        env=clean_environ(PYTHONUNBUFFERED="1", **(environ or {})),
        cwd=cwd,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        command = Running(process)
        try:
            yield command
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            command.finish()


def api(*arguments: str) -> list[str]:
    """The command `python -m api …`, with this Python."""
    return [sys.executable, "-m", "api", *arguments]


def api_after(statement: str, *arguments: str) -> list[str]:
    """The command, in processes that have been told something first: Python imports `sitecustomize` in each."""
    folder = Path(tempfile.mkdtemp())
    (folder / "sitecustomize.py").write_text(f"import sys; {statement}\n")
    return ["env", f"PYTHONPATH={folder}", *api(*arguments)]


def run(
    arguments: Sequence[str], environ: Mapping[str, str] | None = None, cwd: Path = SAMPLE, seconds: float = 60
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(  # noqa: S603  # the tests' own commands
        arguments,
        env=clean_environ(**(environ or {})),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
