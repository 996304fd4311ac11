"""What is lost in a working day, in ten minutes: `python -m benchmarks.soak`.

Two workers under a steady load, a share of what they can serve, while keys rotate every minute, the issuer fails for a
while, a worker is killed, and all are replaced one after another.
"""

import os
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import click

from benchmarks.loads import LOADS, send_and_count, tokens
from benchmarks.paced import Outcome, send_paced
from benchmarks.servers import SERVERS, environ
from benchmarks.serving import Served, behind_nginx, pinned, serving
from tests.tenant import AUDIENCE, Tenant

_PRIVATE = next(load for load in LOADS if load.name == "distinct")
_CONNECTIONS = 64


def outage(tenant: Tenant, _: Served, tempo: int) -> None:
    """The issuer answers with errors."""
    tenant.misbehave = lambda _: (503, {}, b"")
    time.sleep(tempo / 2)
    tenant.misbehave = None


def kill_worker(_: Tenant, served: Served, __: int) -> None:
    """A worker is gone from one moment to the next."""
    os.kill(served.workers()[0], signal.SIGKILL)


def rolling_restart(_: Tenant, served: Served, __: int) -> None:
    """Each worker is replaced by a new one."""
    os.kill(served.pid, signal.SIGHUP)


@click.command()
@click.option("--minutes", type=click.IntRange(5), default=10, show_default=True)
@click.option("--tempo", type=click.IntRange(5), default=60, show_default=True, help="Seconds that a minute has.")
@click.option("--nginx", is_flag=True, help="With one nginx in front.")
@click.option("--share", type=click.FloatRange(0.01, 1), default=0.7, show_default=True, help="Of the capacity.")
def main(*, minutes: int, tempo: int, share: float, nginx: bool) -> None:
    """Print what was served and lost in each minute."""
    happens: Mapping[int, Callable[[Tenant, Served, int], None]]
    happens = {2: outage, minutes // 2: kill_worker, minutes - 3: rolling_restart}
    server = SERVERS["ours"].with_arguments("--workers", "2")
    with (
        Tenant().running() as tenant,
        serving(server, None, environ(tenant.url, AUDIENCE)) as (served, _),
        behind_nginx(served.url) if nginx else nullcontext(served.url) as url,
    ):
        most = capacity(tenant, url)
        click.echo(f"capacity: {most:.0f}/s, of which {share:.0%} are sent")
        before, answered, lost, repeated = served.memory(), 0, 0, 0
        for minute in range(minutes):
            tenant.rotate(f"minute-{minute}")
            event = happens.get(minute)
            with ThreadPoolExecutor(1) as thread:
                sending = thread.submit(send, tenant, url, share * most, tempo)
                if event:
                    time.sleep(tempo / 6)
                    event(tenant, served, tempo)
                outcome = sending.result()
            good, all_answers = outcome.statuses[200], outcome.statuses.total()
            answered, lost = answered + good, lost + outcome.lost + all_answers - good
            repeated += outcome.repeated
            click.echo(
                f"minute {minute + 1}: {good} requests, {good / tempo:.0f}/s, {all_answers - good} other answers, "
                f"{outcome.lost} lost, {outcome.repeated} sent again, p99 {outcome.percentile_ms(200, 99):.1f} ms, "
                f"{served.memory():.0f} MiB  {event.__name__.replace('_', ' ') if event else ''}"
            )
        click.echo(
            f"{answered} requests served, {lost} lost, {repeated} sent again over a new connection, "
            f"{tenant.key_fetches} key fetches, "
            f"memory {before:.0f} MiB at the start and {served.memory():.0f} MiB at the end"
        )


def capacity(tenant: Tenant, url: str) -> float:
    """How many requests a second are served, when as many are sent as can be."""
    for _ in range(2):  # the first requests are slower
        with tokens(tenant, tenant.url, 2_000) as known:
            load = _PRIVATE, url, known
            timed = send_and_count(*load, seconds=5, connections=_CONNECTIONS, cpu=max(os.sched_getaffinity(0)))
    return timed.requests / timed.seconds


def send(tenant: Tenant, url: str, rate: float, seconds: int) -> Outcome:
    """Send a minute's requests, with tokens that are new."""
    with tokens(tenant, tenant.url, 2_000) as known, pinned(max(os.sched_getaffinity(0))):
        each = (known.folder / "distinct").read_text().split()
        return send_paced(url, _PRIVATE.path, each, seconds=seconds, connections=_CONNECTIONS, rate=rate)


if __name__ == "__main__":
    main()
