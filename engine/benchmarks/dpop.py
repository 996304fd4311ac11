"""What a bound token and its proof cost, against a Bearer token: `python -m benchmarks.dpop`.

In each round a server remembers used proofs in a file and another one in Redis, and each is timed with one Bearer token
again and again and with one bound token and a new proof each time. Proofs are signed beforehand, for ES256. The server
has one CPU; the load and Redis share another.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

from benchmarks.loads import Load, Timed, Tokens, send
from benchmarks.servers import SERVERS, environ
from benchmarks.serving import check, pinned, serving
from tests.proofs import Prover
from tests.redis_server import redis_server
from tests.tenant import AUDIENCE, Tenant

_PUBLIC_URL = "https://api.example.com"
_PATH = "/api/private"
_BEARER = Load("bearer", "GET /api/private, one Bearer token again and again", _PATH, "bearer")
_BOUND = Load("bound", "GET /api/private, one bound token, a new proof each time", _PATH, "bound")
_WARMUP = Load("warmup", "GET /api/private, a few proofs", _PATH, "warmup")
_MOST_PER_SECOND = 4_000
_WARMUP_SECONDS = 1


def make_tokens(tenant: Tenant, folder: Path, seconds: int) -> Tokens:
    """A Bearer token, and a bound one with as many proofs as can be sent."""
    prover = Prover()
    bound, good = tenant.token(cnf=prover.cnf), tenant.token()

    def lines(count: int) -> Iterator[str]:
        return (f"{bound} {prover.proof('GET', _PUBLIC_URL + _PATH, bound)}\n" for _ in range(count))

    (folder / str(_BEARER.tokens)).write_text(f"{good}\n")
    (folder / str(_BOUND.tokens)).write_text("".join(lines(seconds * _MOST_PER_SECOND)))
    (folder / str(_WARMUP.tokens)).write_text("".join(lines(_WARMUP_SECONDS * _MOST_PER_SECOND)))
    return Tokens(folder, good, tenant.token(aud=f"not {AUDIENCE}"))


def one_round(tenant: Tenant, memory: dict[str, str], seconds: int, connections: int) -> tuple[Timed, Timed]:
    """Start a server, time it with Bearer tokens and with bound ones, and stop it.

    Args:
        tenant: The issuer.
        memory: Settings that say where used proofs are remembered.
        seconds: How long each load is sent.
        connections: Over how many connections.
    """
    cpus = sorted(os.sched_getaffinity(0))
    ours = SERVERS["ours"]
    settings = environ(tenant.url, AUDIENCE) | {"PUBLIC_URL": _PUBLIC_URL, **memory}
    with TemporaryDirectory() as folder, serving(ours, cpus[0], settings) as (served, _):
        known = make_tokens(tenant, Path(folder), seconds)
        check(ours, served.url, known.good, known.bad)
        for load in (_BEARER, _WARMUP):
            send(load, served.url, known, seconds=_WARMUP_SECONDS, connections=connections, cpu=cpus[-1])
        bearer, bound = (
            send(load, served.url, known, seconds=seconds, connections=connections, cpu=cpus[-1])
            for load in (_BEARER, _BOUND)
        )
        return bearer, bound


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seconds", type=click.IntRange(1, 60), default=10, show_default=True, help="For each load.")
@click.option("--connections", type=click.IntRange(1), default=32, show_default=True)
def main(rounds: int, seconds: int, connections: int) -> None:
    """Compare requests with proofs to those with Bearer tokens."""
    rates: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with Tenant().running() as tenant, ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        with pinned(max(os.sched_getaffinity(0))):
            redis = stack.enter_context(redis_server(Path(folder)).running())
        memories = {"a file": {"TMPDIR": folder}, "Redis": {"REDIS_URL": redis.url}}
        for _ in range(rounds):
            for name, memory in memories.items():
                bearer, bound = one_round(tenant, memory, seconds, connections)
                rates[name].append((bearer.requests / bearer.seconds, bound.requests / bound.seconds))
    for name, pairs in rates.items():
        bearer_rate, bound_rate = (median(each) for each in zip(*pairs, strict=True))
        click.echo(
            f"Proofs in {name}: {bearer_rate:,.0f} requests/s with one Bearer token, "
            f"{bound_rate:,.0f} with a proof each, ratio {median(bound / bearer for bearer, bound in pairs):.2f}"
        )


if __name__ == "__main__":
    main()
