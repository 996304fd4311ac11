"""Proofs, each sent many times at once: `python -m tests.replaying` counts how many are accepted."""

import asyncio
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click

from tests.processes import api, running
from tests.proofs import Prover
from tests.redis_server import redis_server
from tests.serving import listens, wait_until
from tests.tenant import AUDIENCE, Tenant

PUBLIC_URL = "https://api.example.com"
PATH = "/api/private-scoped"

Statuses = list[Counter[int]]


@contextmanager
def served(tenant: Tenant, folder: Path, workers: int = 1, **others: str) -> Iterator[str]:
    """`python -m api serve` with proofs, remembered in a folder unless other settings say where; yields its URL."""
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "PUBLIC_URL": PUBLIC_URL, "TMPDIR": str(folder)}
    environ |= {"LOG_REQUESTS": "false", **others}
    with running(api("serve", "--port", "0", "--workers", str(workers)), environ) as process:
        port = process.wait_for(r"Serving on 127.0.0.1 port (\d+)")[1]
        process.wait_for(f"Started worker-{workers}")
        wait_until(lambda: listens(int(port)))
        yield f"http://127.0.0.1:{port}"
        assert process.end(signal.SIGTERM) == 0


def requests(tenant: Tenant, count: int) -> list[bytes]:
    """Requests with a proof of their own, as they stand on the wire."""
    prover = Prover()
    token = tenant.token(cnf=prover.cnf)
    fields = (prover.headers(PUBLIC_URL + PATH, token) for _ in range(count))
    lines = ("".join(f"{name}: {value}\r\n" for name, value in each.items()) for each in fields)
    return [f"GET {PATH} HTTP/1.1\r\nHost: api\r\n{each}\r\n".encode() for each in lines]


def replay(urls: Sequence[str], made: Sequence[bytes], times: int, connections: int = 40) -> Statuses:
    """Send each request many times, at about the same time, over connections to all servers.

    Returns:
        How often each request was answered with each status.
    """
    statuses: Statuses = [Counter() for _ in made]
    # Those of a request are near each other, so that many are under way at once.
    turns = [number for number in range(len(made)) for _ in range(times)]
    turns = [number for _, number in sorted((at + random.random() * times, number) for at, number in enumerate(turns))]  # noqa: S311
    left = iter(turns)

    async def send(url: str) -> None:
        where = urlsplit(url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        for number in left:
            writer.write(made[number])
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0]))
            statuses[number][int(head[9:12])] += 1
        writer.close()

    async def send_all() -> None:
        await asyncio.gather(*(send(urls[number % len(urls)]) for number in range(connections)))

    asyncio.run(send_all())
    return statuses


def figures(title: str, statuses: Statuses, seconds: float) -> str:
    """What has come of it, in a line."""
    total: Counter[int] = sum(statuses, Counter())
    most = max(each[200] for each in statuses)
    return (
        f"{title}: {len(statuses)} proofs, {total.total()} requests in {seconds:.0f} s; statuses "
        f"{dict(sorted(total.items()))}; replays attempted {total.total() - len(statuses)}, accepted "
        f"{sum(max(each[200] - 1, 0) for each in statuses)}; one proof at most {most} times"
    )


@click.command()
@click.option("--proofs", default=1_000, show_default=True)
@click.option("--times", default=20, show_default=True)
def main(proofs: int, times: int) -> None:
    """Count the replays that are accepted by four workers with a file, and by two servers with Redis."""
    with Tenant().running() as tenant, tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        with served(tenant, folder, 4) as url:
            _report("4 workers, one file", [url], requests(tenant, proofs), times)
        redis = stack.enter_context(redis_server(folder).running())
        urls = [stack.enter_context(served(tenant, folder, REDIS_URL=redis.url)) for _ in range(2)]
        _report("2 servers, one Redis", urls, requests(tenant, proofs), times)


def _report(title: str, urls: Sequence[str], made: Sequence[bytes], times: int) -> None:
    begun = time.monotonic()
    click.echo(figures(title, replay(urls, made, times), time.monotonic() - begun))


if __name__ == "__main__":
    main()
