"""A served API whose issuer may fail, under load, and a clock that can be moved."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.tenant import Tenant


class Clock:
    """A monotonic clock that can be moved forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead

    def pass_by(self, seconds: int, step: int = 10) -> None:
        """Let time pass, fast."""
        for _ in range(0, seconds, step):
            self.ahead += step
            time.sleep(0.03)


@dataclass
class Load:
    """Requests that went out in the background, by status."""

    statuses: Counter[int] = field(default_factory=Counter)


@dataclass
class Api:
    """A served API of the test's own, with its issuer and its clock."""

    url: str
    tenant: Tenant
    clock: Clock

    def status(self, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(f"{self.url}/api/private", headers=headers, trust_env=False, timeout=30).status_code

    @contextmanager
    def load(self, token: Callable[[], str], threads: int = 4) -> Iterator[Load]:
        """Call the private operation from several threads until the block ends."""
        load, over = Load(), threading.Event()

        def call() -> None:
            with httpx.Client(base_url=self.url, trust_env=False, timeout=30) as client:
                while not over.is_set():
                    response = client.get("/api/private", headers={"Authorization": f"Bearer {token()}"})
                    load.statuses[response.status_code] += 1

        workers = [threading.Thread(target=call, daemon=True) for _ in range(threads)]
        for worker in workers:
            worker.start()
        yield load
        over.set()
        for worker in workers:
            worker.join(30)
