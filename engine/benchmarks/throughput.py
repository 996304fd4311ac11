"""How many requests one core serves, here and with peers: `python -m benchmarks.throughput`.

Servers take turns, so that what disturbs the machine disturbs all of them: in each round every one is started, checked,
warmed up, timed under each load and stopped. The server has one CPU, the load another.
"""

import json
import os
import platform
import signal
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.chart import chart
from benchmarks.loads import LOADS, Tokens, send, tokens, wrk
from benchmarks.results import Round, summary, table
from benchmarks.servers import SERVERS, Server, environ
from benchmarks.serving import check, serving
from tests.processes import DOCS
from tests.tenant import AUDIENCE, Tenant

_CHART = DOCS / "benchmark.svg"
_FILE = click.Path(dir_okay=False, path_type=Path)


@dataclass(frozen=True)
class Options:
    """How the servers are timed."""

    seconds: int
    warmup: int
    connections: int
    workers: int
    server_cpu: int
    load_cpu: int


def one_round(server: Server, issuer: str, known: Tokens, options: Options) -> Round:
    """Start a server, time it under each load, and stop it."""
    cpu: int | None = options.server_cpu
    if options.workers > 1:
        server, cpu = server.with_arguments("--workers", f"{options.workers}"), None
    with serving(server, cpu, environ(issuer, AUDIENCE)) as (served, cold_start):
        check(server, served.url, known.good, known.bad)
        timed: dict[str, dict[str, float]] = {}
        for load in LOADS:
            how = {"connections": options.connections, "cpu": options.load_cpu}
            if options.warmup:
                send(load.warmup(), served.url, known, seconds=options.warmup, **how)
            before = served.cpu()
            sent = send(load, served.url, known, seconds=options.seconds, **how)
            timed[load.name] = {
                "requests": sent.requests,
                "not_2xx": sent.not_2xx,
                "requests_per_second": sent.requests / sent.seconds,
                "p50_ms": sent.p50_ms,
                "p99_ms": sent.p99_ms,
                "cpu_us_per_request": (served.cpu() - before) / sent.requests * 1e6,
            }
        return Round(cold_start, served.memory(), timed)


def measure(servers: Sequence[Server], rounds: int, count: int, options: Options) -> Mapping[str, list[Round]]:
    """Let the servers take turns."""
    measured: dict[str, list[Round]] = defaultdict(list)
    with Tenant().running() as tenant, ExitStack() as stack:
        known = {}
        for https in {server.https_issuer for server in servers}:
            issuer = tenant.url.replace("http://", "https://") if https else tenant.url
            known[https] = stack.enter_context(tokens(tenant, issuer, count))
        for number in range(1, rounds + 1):
            for server in servers:
                click.echo(f"Round {number} of {rounds}: {server.title} … ", nl=False, err=True)
                done = one_round(server, tenant.url, known[server.https_issuer], options)
                measured[server.name].append(done)
                rates = ", ".join(f"{name} {load['requests_per_second']:,.0f}" for name, load in done.loads.items())
                click.echo(f"{rates} requests/s", err=True)
    return measured


def require(servers: Sequence[Server], options: Options) -> None:
    """Say what is missing before anything is timed."""
    if not sys.platform.startswith("linux"):
        raise click.ClickException("Only Linux can give the server and the load a CPU each.")
    wrk()
    missing = [f"{server.name}: {why}" for server in servers if (why := server.missing())]
    if missing:
        raise click.ClickException("\n".join([*missing, "Install what is missing, or name the others with --only."]))
    if not {options.server_cpu, options.load_cpu} <= os.sched_getaffinity(0):
        raise click.ClickException(
            "The server and the load need a CPU each: name two with --server-cpu and --load-cpu."
        )


def machine() -> dict[str, Any]:
    """Where it is measured."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    return {"cpu": model, "cpus": os.cpu_count(), "load_average": [round(load, 2) for load in os.getloadavg()]}


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(SERVERS)), help="Time this server; repeatable.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="How often each has its turn.")
@click.option("--seconds", type=click.IntRange(1), default=5, show_default=True, help="How long each load is timed.")
@click.option("--warmup", type=click.IntRange(0), default=2, show_default=True, help="Seconds before that.")
@click.option("--tokens", "count", type=click.IntRange(1), default=5_000, show_default=True, help="Distinct tokens.")
@click.option("--connections", type=click.IntRange(1), default=16, show_default=True, help="How many wrk keeps open.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="With more, on all CPUs.")
@click.option("--server-cpu", type=click.IntRange(0), default=0, show_default=True, help="The server's CPU.")
@click.option("--load-cpu", type=click.IntRange(0), default=1, show_default=True, help="The load's CPU.")
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Write the results as JSON, too.")
@click.option(
    "--chart",
    "chart_file",
    type=_FILE,
    metavar="FILE",
    help="Draw here; by default docs/benchmark.svg, without --only and --workers.",
)
def main(
    only: Sequence[str], rounds: int, count: int, json_file: Path | None, chart_file: Path | None, **how: int
) -> None:
    """Time the API and its peers side by side; print a table, and draw a chart."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the servers are stopped then, too
    options = Options(**how)
    servers = [server for name, server in SERVERS.items() if name in only or not only]
    if options.workers > 1:
        servers = [server for server in servers if server.has_workers]
    for server in servers:
        if not only and server.optional and (why := server.missing()):
            click.echo(f"Without {server.name}: {why}.", err=True)
            servers = [other for other in servers if other is not server]
    require(servers, options)
    results = {
        "machine": machine(),
        "options": {"rounds": rounds, "tokens": count, **how},
        "servers": summary(servers, measure(servers, rounds, count, options)),
    }
    click.echo(table(results))
    if json_file:
        json_file.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if chart_file or not (only or options.workers > 1):
        (chart_file or _CHART).write_text(chart(results), encoding="utf-8")


if __name__ == "__main__":
    main()
