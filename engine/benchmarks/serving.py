"""Starting a server on one CPU, what it uses, whether it answers as it must, and stopping it."""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import click
import httpx

from api import handlers
from benchmarks.servers import Server
from tests.processes import clean_environ
from tests.serving import free_port, listens, wait_until

_PUBLIC, _PRIVATE = "/api/public", "/api/private"
_PSS = re.compile(r"(?m)^Pss: +(\d+) kB")
_TICKS = os.sysconf("SC_CLK_TCK")


class Served:
    """A server that runs, in a process group of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
        self._process = process
        self._log = log
        self.url = url

    def _members(self) -> Iterator[Path]:
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    if os.getpgid(int(folder.name)) == self._process.pid:
                        yield folder
                except ProcessLookupError:
                    continue

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    def workers(self) -> list[int]:
        """The processes that it has started to serve; Python itself starts one more, which cleans up after them."""
        others = (folder for folder in self._members() if int(folder.name) != self.pid)
        return [int(folder.name) for folder in others if b"resource_tracker" not in (folder / "cmdline").read_bytes()]

    def memory(self) -> float:
        """MiB that its processes hold; what some share is counted once."""
        sizes = [_PSS.search((folder / "smaps_rollup").read_text()) for folder in self._members()]
        return sum(int(size[1]) for size in sizes if size) / 2**10

    def cpu(self) -> float:
        """Seconds of CPU that its processes have used."""
        stats = [(folder / "stat").read_text().rpartition(")")[2].split() for folder in self._members()]
        return sum(int(stat[11]) + int(stat[12]) for stat in stats) / _TICKS

    def wait(self, seconds: float = 60) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + seconds
        with httpx.Client(base_url=self.url, trust_env=False) as client:
            while time.monotonic() < deadline and self._process.poll() is None:
                try:
                    if client.get(_PUBLIC).status_code == 200:
                        return
                except httpx.TransportError:
                    time.sleep(0.005)
        raise click.ClickException(f"It has not started:\n{self._log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop it, gently at first, and wait for it."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        for folder in list(self._members()):
            with suppress(ProcessLookupError):
                os.kill(int(folder.name), signal.SIGKILL)
        self._process.wait()


@contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """What is started here inherits the CPU, with all threads that it ever makes."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def serving(server: Server, cpu: int | None, settings: Mapping[str, str]) -> Iterator[tuple[Served, float]]:
    """Serve on 127.0.0.1; yields the server, and the seconds that it took until the first 200."""
    port = free_port()
    arguments = server.arguments(port=port, issuer=settings["ISSUER"], audience=settings["AUDIENCE"])
    # Into a file, as in production: reading a pipe would take time from the load's CPU.
    with tempfile.NamedTemporaryFile() as log:
        started = time.perf_counter()
        with pinned(cpu) if cpu is not None else nullcontext():
            process = subprocess.Popen(  # noqa: S603  # the benchmark's own commands
                arguments,
                env=clean_environ(**{**settings, **server.settings}),
                cwd=server.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        served = Served(process, f"http://127.0.0.1:{port}", Path(log.name))
        try:
            served.wait()
            yield served, time.perf_counter() - started
        finally:
            served.stop()


_NGINX = """
daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    upstream api {{ server {behind}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


@contextmanager
def behind_nginx(url: str) -> Iterator[str]:
    """Put one nginx in front of a server; yields its URL."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "nginx.conf"
        configuration.write_text(_NGINX.format(folder=folder, port=port, behind=url.removeprefix("http://")))
        nginx = subprocess.Popen(["nginx", "-c", str(configuration), "-p", folder])  # noqa: S603, S607  # Debian's
        try:
            wait_until(lambda: listens(port))
            yield f"http://127.0.0.1:{port}"
        finally:
            nginx.terminate()
            nginx.wait()


def check(server: Server, url: str, good: str, bad: str) -> None:
    """Whether it answers as it must, before it is timed.

    Args:
        server: What it is; a limit takes any token or none.
        url: Where it is.
        good: A token that it must accept.
        bad: A signed token that it must refuse.

    Raises:
        click.ClickException: It doesn't.
    """
    wanted: list[tuple[str, str | None, int, object]] = [
        (_PUBLIC, None, 200, handlers.public()),
        (_PRIVATE, good, 200, handlers.private()),
    ]
    if server.kind != "limit":
        wanted += [(_PRIVATE, None, server.without_token, None), (_PRIVATE, bad, 401, None)]
    with httpx.Client(base_url=url, trust_env=False) as client:
        for path, token, status, body in wanted:
            answer = client.get(path, headers={"Authorization": f"Bearer {token}"} if token else {})
            if answer.status_code != status or (body and answer.json() != body):
                raise click.ClickException(
                    f"{server.name} answers {path} with {answer.status_code}, not {status}: {answer.text[:500]}"
                )
