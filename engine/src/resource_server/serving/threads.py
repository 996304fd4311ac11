"""Threads for handlers and whatever else may block, and the slots of the requests that are worked on."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

THREADS = 40
"""As many can block at a time."""

_FEW = 2
"""As many suffice while nothing blocks: Python computes one thing at a time."""

_PATIENCE = 0.003
"""Seconds for which something waits before another thread is started for it."""

_IDLE = 10.0
"""Seconds after which a thread that isn't needed ends."""


STUCK_SECONDS = 10.0
"""Seconds after which a process that has room for no request isn't ready."""


class Exit(RuntimeError):
    """Something has asked Python to exit, in a thread where that must not end the server."""


class Threads:
    """Runs functions in threads, and hands their results to the event loop that waits for them.

    What is done is handed over in one piece, if several are done by the time that the event loop looks. Half the cost
    of `loop.run_in_executor`.

    Args:
        most: How many functions run at a time.
    """

    def __init__(self, most: int = THREADS) -> None:
        self._most = most
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._deliveries: _Deliveries | None = None

    def run(self, function: Callable[..., T], *arguments: Any) -> "asyncio.Future[T]":
        """Have a function run in a thread; what it returns or raises becomes of the future."""
        deliveries = self._deliveries
        loop = asyncio.get_running_loop()
        if deliveries is None or deliveries.loop is not loop:
            self._deliveries = deliveries = _Deliveries(loop, self)
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((deliveries, future, function, arguments))
        if self._started < _FEW:
            self._start()
        elif not deliveries.watched:
            deliveries.watch()
        return future

    def look(self) -> bool:
        """Start a thread for what has waited too long; returns whether something still waits."""
        waiting = self._jobs.qsize()
        for _ in range(min(waiting, self._most - self._started)):
            self._start()
        return waiting > 0

    def _start(self) -> None:
        with self._lock:
            if self._started >= self._most:
                return
            self._started += 1
        threading.Thread(target=self._work, name=f"handlers-{self._started}", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE)
            except Empty:
                with self._lock:
                    if self._started > _FEW and self._jobs.empty():
                        self._started -= 1
                        return
                continue
            deliveries, future, function, arguments = job
            result, error = None, None
            try:
                result = function(*arguments)
            except Exception as raised:  # noqa: BLE001  # whoever waits has it
                error = raised
            except BaseException as raised:  # noqa: BLE001
                error = Exit(repr(raised))
                error.__cause__ = raised
            deliveries.add(future, result, error)
            del job, future, function, arguments, result, error  # not kept until the next one comes


class _Deliveries:
    """What has been done for one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: Threads) -> None:
        self.loop = loop
        self.watched = False
        self._threads = threads
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._announced = False

    def add(self, future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
        self._done.append((future, result, error))
        if not self._announced:
            self._announced = True
            try:
                self.loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                self._done.clear()  # the event loop has ended, and whoever has waited with it

    def _deliver(self) -> None:
        self._announced = False
        while self._done:
            future, result, error = self._done.popleft()
            if future.cancelled():
                continue
            if error is None:
                future.set_result(result)
            elif isinstance(error, StopIteration):
                future.set_exception(RuntimeError("StopIteration"))  # a future takes no other
            else:
                future.set_exception(error)

    def watch(self) -> None:
        """Look soon whether what waits needs another thread."""
        self.watched = True
        self.loop.call_later(_PATIENCE, self._look)

    def _look(self) -> None:
        self.watched = False
        if self._threads.look():
            self.watch()


_Job = tuple[_Deliveries, "asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Slots:
    """As many requests are worked on at a time; of the event loop only.

    Args:
        most: How many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._full_since = 0.0

    def take(self) -> bool:
        """Take one, if there is one left."""
        if self._taken >= self._most:
            return False
        self._taken += 1
        if self._taken == self._most:
            self._full_since = time.monotonic()
        return True

    def give_back(self) -> None:
        """Let another request have it."""
        self._taken -= 1

    @property
    def stuck(self) -> bool:
        """Whether for long no request has been answered, and no other could begin."""
        return self.full and time.monotonic() - self._full_since >= STUCK_SECONDS

    @property
    def full(self) -> bool:
        """Whether there is none left."""
        return self._taken >= self._most
