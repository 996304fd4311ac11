"""What three times as many requests as can be served do to a worker: `python -m benchmarks.overload`.

For operations that compute and for such that wait. Answers are timed by requests in between, from a client of its own.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import yaml

from benchmarks.loads import LOADS, Load, Tokens, send_and_count, tokens
from benchmarks.paced import Outcome, send_paced
from benchmarks.servers import SERVERS, environ
from benchmarks.serving import Served, pinned, serving
from tests.processes import SAMPLE
from tests.tenant import AUDIENCE, Tenant

_COMPUTES = next(load for load in LOADS if load.name == "distinct")
_WAITS = Load("waits", "GET /api/private, which waits for 0.2 s", "/api/private", "distinct")
_HANDLER = "import time\n\ndef wait():\n    time.sleep(0.2)\n    return {'message': 'It took its time.'}\n"
_PROBES_PER_SECOND = 50


@contextmanager
def waiting_contract() -> Iterator[Path]:
    """The contract, with a handler that waits."""
    contract = yaml.safe_load((SAMPLE / "openapi.yaml").read_text())
    contract["paths"][_WAITS.path]["get"]["operationId"] = "overload_handlers.wait"
    with TemporaryDirectory() as name:
        (Path(name) / "overload_handlers.py").write_text(_HANDLER)
        (Path(name) / "openapi.yaml").write_text(yaml.safe_dump(contract))
        yield Path(name) / "openapi.yaml"


def load_with(load: Load, served: Served, known: Tokens, *, seconds: int, connections: int, pause_ms: float = 0) -> str:
    """Send a load, and a few requests that are timed; what came back, in words."""
    probes = (known.folder / "distinct").read_text().split()[::-1]
    with pinned(max(os.sched_getaffinity(0))), ThreadPoolExecutor(1) as thread:
        timing = thread.submit(
            send_paced, served.url, load.path, probes, seconds=seconds, connections=100, rate=_PROBES_PER_SECOND
        )
        timed = send_and_count(
            load,
            served.url,
            known,
            seconds=seconds,
            connections=connections,
            cpu=max(os.sched_getaffinity(0)),
            pause_ms=pause_ms,
        )
    outcome = timing.result()
    rate, served_rate = timed.requests / timed.seconds, (timed.requests - timed.not_2xx) / timed.seconds
    return (
        f"{rate:.0f}/s sent, {served_rate:.0f}/s served, {timed.broken} without an answer; "
        f"{_times(outcome, 200)}, {_times(outcome, 503)}"
    )


def _times(outcome: Outcome, status: int) -> str:
    if not outcome.statuses[status]:
        return f"no {status}"
    p50, p99 = (outcome.percentile_ms(status, percent) for percent in (50, 99))
    return f"{status} in {p50:.1f} ms, p99 {p99:.1f} ms"


def measure(load: Load, tenant: Tenant, *arguments: str) -> None:
    """Print what a load does at its capacity, at three times that, and afterwards."""
    server = SERVERS["ours"].with_arguments(*arguments)
    settings = environ(tenant.url, AUDIENCE) | ({"PYTHONPATH": str(Path(arguments[1]).parent)} if arguments else {})
    with (
        tokens(tenant, tenant.url, 2_000) as known,
        serving(server, min(os.sched_getaffinity(0)), settings) as (served, _),
    ):
        cpu = max(os.sched_getaffinity(0))
        enough = 64 if load is _COMPUTES else 100
        for _ in range(2):  # the first requests are slower
            most = send_and_count(load, served.url, known, seconds=5, connections=enough, cpu=cpu)
        capacity = (most.requests - most.not_2xx) / most.seconds
        click.echo(f"{load.title}: {capacity:.0f}/s can be served")
        for times, connections in ((0.7, enough), (3, 800), (0.7, enough)):
            pause = 1_000 * connections / (times * capacity)
            said = load_with(load, served, known, seconds=6, connections=connections, pause_ms=pause)
            click.echo(f"  {times} times as many: {said}; {served.memory():.0f} MiB")


@click.command()
def main() -> None:
    """Print how many requests were served, and how fast the others were refused."""
    with Tenant().running() as tenant, waiting_contract() as contract:
        measure(_COMPUTES, tenant)
        measure(_WAITS, tenant, "--spec", str(contract))


if __name__ == "__main__":
    main()
