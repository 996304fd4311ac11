"""What is lost in a working day, in ten minutes: `python -m benchmarks.soak`.

Two workers under a steady load, while keys rotate every minute, the issuer fails for a while, a worker is killed, and
all are replaced one after another.
"""

import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import click

from benchmarks.loads import LOADS, send_and_count, tokens
from benchmarks.servers import SERVERS, environ
from benchmarks.serving import Served, serving
from tests.tenant import AUDIENCE, Tenant

_PRIVATE = next(load for load in LOADS if load.name == "distinct")
_OUTAGE_SECONDS = 30


def outage(tenant: Tenant, _: Served) -> None:
    """The issuer answers with errors."""
    tenant.misbehave = lambda _: (503, {}, b"")
    time.sleep(_OUTAGE_SECONDS)
    tenant.misbehave = None


def kill_worker(_: Tenant, served: Served) -> None:
    """A worker is gone from one moment to the next."""
    os.kill(served.workers()[0], signal.SIGKILL)


def rolling_restart(_: Tenant, served: Served) -> None:
    """Each worker is replaced by a new one."""
    os.kill(served.pid, signal.SIGHUP)


@click.command()
@click.option("--minutes", type=click.IntRange(5), default=10, show_default=True)
@click.option("--connections", type=click.IntRange(1), default=64, show_default=True)
@click.option("--pause-ms", type=click.FloatRange(0), default=15.0, show_default=True, help="Between requests of each.")
def main(minutes: int, connections: int, pause_ms: float) -> None:
    """Print what was served and lost in each minute."""
    happens: Mapping[int, Callable[[Tenant, Served], None]]
    happens = {2: outage, minutes // 2: kill_worker, minutes - 3: rolling_restart}
    server = SERVERS["ours"].with_arguments("--workers", "2")
    with Tenant().running() as tenant, serving(server, None, environ(tenant.url, AUDIENCE)) as (served, _):
        before, total, lost = served.memory(), 0, 0
        for minute in range(minutes):
            tenant.rotate(f"minute-{minute}")
            with tokens(tenant, tenant.url, 2_000) as known, ThreadPoolExecutor(1) as thread:
                sending = thread.submit(
                    send_and_count,
                    _PRIVATE,
                    served.url,
                    known,
                    seconds=60,
                    connections=connections,
                    cpu=max(os.sched_getaffinity(0)),
                    pause_ms=pause_ms,
                )
                event = happens.get(minute)
                if event:
                    time.sleep(10)
                    event(tenant, served)
                timed = sending.result()
            total, lost = total + timed.requests, lost + timed.not_2xx + timed.broken
            name = re.sub("_", " ", event.__name__) if event else ""
            click.echo(
                f"minute {minute + 1}: {timed.requests} requests, {timed.requests / timed.seconds:.0f}/s, "
                f"{timed.not_2xx} not 2xx, {timed.broken} without an answer, p99 {timed.p99_ms:.1f} ms  {name}"
            )
        click.echo(
            f"{total} requests, {lost} lost, {tenant.key_fetches} key fetches, "
            f"memory {before:.0f} MiB at the start and {served.memory():.0f} MiB at the end"
        )


if __name__ == "__main__":
    main()
