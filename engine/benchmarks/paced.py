"""Requests at a steady pace, each of which is accounted for.

wrk can't tell a connection that the server closes between two requests from a request that it drops. Clients can: they
send again what is safe to repeat, over a new connection (RFC 9112, section 9.3.1).
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CLOSED = (ConnectionError, asyncio.IncompleteReadError)


@dataclass
class Outcome:
    """What has come back.

    Args:
        statuses: How many answers had each status.
        repeated: Requests sent again, because the connection was closed before an answer to them had begun.
        lost: Requests without an answer, however often they were sent.
        took: Seconds until each answer, by status.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    repeated: int = 0
    lost: int = 0
    took: dict[int, list[float]] = field(default_factory=dict)

    def percentile_ms(self, status: int, percent: float) -> float:
        """The milliseconds within which so many of the answers with a status came."""
        times = sorted(self.took.get(status, ()))
        return times[min(int(len(times) * percent / 100), len(times) - 1)] * 1e3 if times else float("nan")

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        self.took.setdefault(status, []).append(seconds)


def send_paced(url: str, path: str, tokens: Sequence[str], *, seconds: float, connections: int, rate: float) -> Outcome:
    """Send requests over some connections, as many a second as are asked for.

    Args:
        url: The server.
        path: What is asked for.
        tokens: Are sent in turn.
        seconds: How long requests are sent.
        connections: How many requests can be under way.
        rate: Requests a second, of all connections. Fewer if answers take longer than that leaves time for.
    """
    parts = urlsplit(url)
    head = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer "
    requests = [f"{head}{token}\r\n\r\n".encode() for token in tokens]
    outcome = Outcome()

    async def send() -> None:
        each = [
            _Connection(str(parts.hostname), parts.port or 80, outcome).run(
                requests[number::connections] or requests, seconds, connections / rate
            )
            for number in range(connections)
        ]
        await asyncio.gather(*each)

    asyncio.run(send())
    return outcome


class _Connection:
    def __init__(self, host: str, port: int, outcome: Outcome) -> None:
        self._where = host, port
        self._outcome = outcome
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, requests: Sequence[bytes], seconds: float, period: float) -> None:
        begun = time.perf_counter()
        due = begun + random.random() * period  # noqa: S311  # so that they don't come all at once
        sent = 0
        while due < begun + seconds:
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            await self._request(requests[sent % len(requests)])
            sent += 1
            due = max(due + period, time.perf_counter() - period)  # what was late is not made up for in a burst
        self._close()

    async def _request(self, request: bytes) -> None:
        begun = time.perf_counter()
        if self._streams and self._streams[0].at_eof():  # closed between two requests, as clients notice
            self._close()
        for attempt in range(2):
            known = self._streams is not None
            try:
                status = await self._answer(request)
            except CLOSED:
                self._close()
                if known and not attempt:
                    self._outcome.repeated += 1
                    continue
                self._outcome.lost += 1
            else:
                self._outcome.answered(status, time.perf_counter() - begun)
            return

    async def _answer(self, request: bytes) -> int:
        reader, writer = self._streams = self._streams or await asyncio.open_connection(*self._where)
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        _, _, rest = head.partition(b"content-length: ")
        await reader.readexactly(int(rest.partition(b"\r")[0]))
        if b"connection: close" in head:
            self._close()
        return int(head[9:12])

    def _close(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None
