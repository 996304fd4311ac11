"""The loads of `benchmarks.throughput`, and wrk, which makes them."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.serving import pinned
from tests.tenant import AUDIENCE, Tenant

_SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Load:
    """Requests of one kind, sent over some connections, each as soon as its predecessor has been answered."""

    name: str
    title: str
    path: str
    tokens: str | None = None

    def warmup(self) -> "Load":
        """What is sent before it: never its distinct tokens, which have to be new when it is timed."""
        return replace(self, tokens="repeated") if self.tokens else self


LOADS = (
    Load("public", "GET /api/public", "/api/public"),
    Load("distinct", "GET /api/private, distinct tokens", "/api/private", "distinct"),
    Load("repeated", "GET /api/private, one token again and again", "/api/private", "repeated"),
)


@dataclass(frozen=True)
class Tokens:
    """Tokens of one issuer: files with one token a line, and one for another audience."""

    folder: Path
    good: str
    bad: str

    def file(self, load: Load) -> list[str]:
        """The file for a load that sends tokens."""
        return [str(self.folder / load.tokens)] if load.tokens else []


@contextmanager
def tokens(tenant: Tenant, issuer: str, count: int) -> Iterator[Tokens]:
    """Sign tokens, of as many subjects."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        signed = [tenant.token(iss=issuer, sub=f"auth0|{number:024}") for number in range(count)]
        (folder / "distinct").write_text("".join(f"{token}\n" for token in signed))
        (folder / "repeated").write_text(f"{signed[0]}\n")
        yield Tokens(folder, signed[0], tenant.token(iss=issuer, aud=f"not {AUDIENCE}"))


@dataclass(frozen=True)
class Timed:
    """What wrk has counted."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    not_2xx: int
    broken: int


def wrk() -> str:
    """Where wrk is.

    Raises:
        click.ClickException: It isn't installed.
    """
    if found := shutil.which("wrk"):
        return found
    raise click.ClickException("The load is made by wrk, which is missing: install the Debian package wrk.")


def send(load: Load, url: str, known: Tokens, *, seconds: int, connections: int, cpu: int) -> Timed:
    """Send a load from one CPU.

    Raises:
        click.ClickException: There were answers other than 2xx, or none.
    """
    timed = send_and_count(load, url, known, seconds=seconds, connections=connections, cpu=cpu)
    if timed.not_2xx or timed.broken or not timed.requests:
        raise click.ClickException(
            f"{load.title}: of {timed.requests} answers {timed.not_2xx} were not 2xx, "
            f"and {timed.broken} requests got none"
        )
    return timed


def send_and_count(
    load: Load, url: str, known: Tokens, *, seconds: int, connections: int, cpu: int, pause_ms: float = 0
) -> Timed:
    """Send a load from one CPU, whatever comes back.

    Raises:
        click.ClickException: wrk has failed.
    """
    arguments = [wrk(), "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    arguments += ["--timeout", "10s", "--script", str(_SCRIPT), url, "--", load.path, *(known.file(load) or ["-"])]
    arguments += [str(pause_ms)]
    with pinned(cpu):
        ended = subprocess.run(  # noqa: S603  # the benchmark's own command
            arguments, capture_output=True, text=True, timeout=seconds + 60, check=False
        )
    if ended.returncode:
        raise click.ClickException(f"wrk has failed: {ended.stdout}{ended.stderr}")
    return Timed(**json.loads(ended.stdout.splitlines()[-1]))
