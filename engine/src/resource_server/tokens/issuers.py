"""Issuers by host: a function says, for the host that a request is for, whose tokens the request may present.

It is told the host and nothing else. Not the token: what nobody has verified yet leads to no lookup, and to no address.
The token's `iss` only selects, to the character, among the issuers that the function has named.

A host is looked up by one request at a time, and its answer is kept. While the function fails, the last good answer
stays in use for a bounded time.
"""

import asyncio
import inspect
import logging
import math
import os
import re
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from contextvars import Context
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from resource_server.tokens.errors import IssuerUnavailable
from resource_server.tokens.issuer import issuer_url
from resource_server.tokens.keycache import KeyCache

logger = logging.getLogger(__name__)

Issuers = Iterable[str] | None
"""Issuer URLs, or the hosts of Auth0's tenants; one text is one issuer, `None` is no issuer at all."""

_REFRESH_AHEAD = 0.8  # of the lifetime
_UNKNOWN_SECONDS = 10.0  # for which it is kept that a host has no issuers, or that a value is unusable
_MAX_PAUSE = 10.0  # seconds between attempts while the function fails; it doubles from one second
_MOST_OF_ONE, _MOST_OF_ALL = 10_000, 100_000  # issuers of one host, and of all that are kept
_HOSTS = 1_000  # that are kept of those with issuers, and as many of those without; and that are looked up at a time
_THREADS = 16
_EVICTIONS_BURST, _EVICTIONS_PER_SECOND = 100.0, 10.0
_NEVER = -math.inf
_NAME = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?(?::[0-9]*)?", re.IGNORECASE | re.ASCII)


def host_name(field: str) -> str:
    """Return the name of a `Host` field (RFC 9110, section 7.2) in small letters, without port; empty if it is none."""
    found = _NAME.fullmatch(field) if len(field) <= 300 else None
    return found[1].lower() if found else ""


class _Answer(NamedTuple):
    """The issuers of a host; incomplete if a value couldn't be used."""

    issuers: frozenset[str] = frozenset()
    complete: bool = True


_NOBODY = _Answer()


@dataclass(slots=True)
class _Lookup:
    """One call of the function. The future is `None` if it has failed; the time is the resolver's.

    `began` is when the function was called, or while that waits for a thread, when it was asked for.
    """

    began: float
    waits: bool = False
    future: "Future[_Answer | None]" = field(default_factory=Future)
    task: "asyncio.Task[None] | None" = None


@dataclass(slots=True)
class _Host:
    """What is kept of a host; times on the resolver's clock."""

    answer: _Answer = _NOBODY
    refresh_at: float = _NEVER
    fresh_until: float = _NEVER
    usable_until: float = _NEVER
    failures: int = 0
    retry_at: float = _NEVER


class _Hosts:
    """The hosts of one process. Those without issuers are kept apart: anybody can ask for a million of them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # an event loop may begin its tasks at once
        self.lookups: dict[str, _Lookup] = {}
        self.renewals: deque[tuple[str, _Lookup]] = deque()
        self.others: deque[tuple[str, _Lookup]] = deque()
        self.threads = 0
        self._known: OrderedDict[str, _Host] = OrderedDict()
        self._others: OrderedDict[str, _Host] = OrderedDict()
        self._issuers = 0

    @property
    def kept(self) -> int:
        """How many there are."""
        return len(self._known) + len(self._others)

    def knows(self, name: str) -> bool:
        """Tell whether a host has issuers, as far as is kept."""
        return name in self._known

    def take(self) -> tuple[str, _Lookup] | None:
        """Return what is to be looked up next: known hosts first, of others the latest, whose request still waits."""
        if self.renewals:
            return self.renewals.popleft()
        return self.others.pop() if self.others else None

    def get(self, name: str) -> _Host:
        """Return what is kept of a host."""
        for hosts in (self._known, self._others):
            if host := hosts.get(name):
                hosts.move_to_end(name)
                return host
        return _Host()

    def put(self, name: str, host: _Host) -> None:
        """Keep a host; of more than fit, those that were asked for last."""
        if before := self._known.pop(name, None):
            self._issuers -= len(before.answer.issuers)
        self._others.pop(name, None)
        if not host.answer.issuers:
            self._others[name] = host
            while len(self._others) > _HOSTS:
                self._others.popitem(last=False)
            return
        self._known[name] = host
        self._issuers += len(host.answer.issuers)
        while len(self._known) > _HOSTS or self._issuers > _MOST_OF_ALL:
            _, oldest = self._known.popitem(last=False)
            self._issuers -= len(oldest.answer.issuers)


class IssuersPending(Exception):
    """The issuers of a host are being looked up. Wait for `fetch`, for so many seconds, then ask again with this."""

    def __init__(self, fetch: "Future[_Answer | None]", seconds: float) -> None:
        super().__init__()
        self.fetch = fetch
        self.seconds = seconds


class IssuerResolver:
    """Asks a function of yours for the issuers of a host, and keeps its answers.

    What it returns passes `issuer_url`: https only, http for loopback addresses. A value that can't be used is logged
    as an error; other issuers of the same answer stay good, and any other token for this host is answered with 503.

    Args:
        function: Takes the name of the host that a request is for, in small letters and without its port, as the
            trusted proxies have it; returns issuers. A `def` runs in a thread, an `async def` in the event loop that
            validates. Both run without the context of a request: the answer is kept for others.
        cache_seconds: How long an answer is kept, counted from when the function was called. So long an issuer that is
            withdrawn stays good at most. That a host has none is kept for ten seconds at most.
        max_stale: For how many seconds an answer stays good while the function fails.
        timeout: Seconds after which the function has failed. Threads can't be ended, so give your database one, too.
        max_issuers: Of how many issuers keys are held; of more, those used last.
        clock: Seconds, monotonic; for tests.

    Raises:
        ValueError: An argument isn't usable.
    """

    def __init__(
        self,
        function: Callable[[str], Issuers | Awaitable[Issuers]],
        *,
        cache_seconds: float = 60,
        max_stale: float = 600,
        timeout: float = 5,
        max_issuers: int = 100,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not callable(function):
            raise ValueError(f"{function!r} is no function: write one that takes a host and returns its issuers")
        if cache_seconds <= 0 or timeout <= 0 or max_issuers < 1:
            raise ValueError("cache_seconds, timeout and max_issuers must be greater than 0")
        self._function: Callable[[str], Any] = function
        self.name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}"
        """The function, for the log."""
        self.is_async = any(
            inspect.iscoroutinefunction(each)
            for each in (function, getattr(function, "__call__", None))  # noqa: B004
        )
        self.max_issuers = max_issuers
        self._cache_seconds, self._max_stale, self._timeout = cache_seconds, max_stale, timeout
        self._clock = clock
        self._processes: dict[int, _Hosts] = {}  # a fork leaves the threads behind, and may leave a lock held

    @property
    def kept(self) -> int:
        """Of how many hosts an answer is kept."""
        return self._hosts().kept

    @property
    def under_way(self) -> int:
        """How many hosts are being looked up, or wait for that."""
        return len(self._hosts().lookups)

    @property
    def needs_loop(self) -> str:
        """Why the function can't be called where there is no event loop."""
        return (
            f"{self.name} is `async def`, and there is no event loop here that it could share with what it asks. "
            "Write it as `def`: it runs in a thread, and may block."
        )

    def trusts(self, issuer: str, host: str, pending: object = None) -> bool:
        """Tell whether a request for a host may present an issuer's tokens. Never blocks.

        Args:
            issuer: The token's `iss`, which nobody has verified.
            host: The request's `Host` field; with an empty or malformed one there are no issuers.
            pending: What was raised when the caller asked before, and has been waited for.

        Raises:
            IssuersPending: Wait for its `fetch`, then ask again.
            IssuerUnavailable: That can't be known now.
        """
        name = host_name(host)
        if not name:
            return False
        answer = self._answer(name, pending.fetch if isinstance(pending, IssuersPending) else None)
        if issuer not in answer.issuers and not answer.complete:
            raise IssuerUnavailable  # it may be the one that is written wrongly
        return issuer in answer.issuers

    def _answer(self, name: str, waited: "Future[_Answer | None] | None") -> _Answer:
        failed = False
        if waited is not None and waited.done():
            if answer := waited.result():
                return answer  # whatever has become of the cache meanwhile
            failed = True
        hosts = self._hosts()
        with hosts.lock:
            now = self._clock()
            lookup = hosts.lookups.get(name)
            if lookup and now >= lookup.began + self._timeout:
                self._give_up(hosts, name, lookup)
                failed = failed or waited is lookup.future
                lookup = None
            host = hosts.get(name)
            if now < host.refresh_at:
                return host.answer
            if lookup is None and now >= host.retry_at and not failed:
                lookup = self._begin(hosts, name, now)
            if now < (host.usable_until if host.failures else host.fresh_until):
                return host.answer
            if lookup is None or failed:
                raise IssuerUnavailable(math.ceil(max(host.retry_at - now, 1)))
            raise IssuersPending(lookup.future, max(lookup.began + self._timeout - now, 0))

    def _hosts(self) -> _Hosts:
        """Return the hosts of this process."""
        return self._processes.get(os.getpid()) or self._processes.setdefault(os.getpid(), _Hosts())

    def _begin(self, hosts: _Hosts, name: str, now: float) -> _Lookup | None:
        """Have a host looked up, if there is room for that."""
        if self.is_async and len(hosts.lookups) >= _HOSTS and not hosts.knows(name):
            return None
        lookup = hosts.lookups[name] = _Lookup(now)
        lookup.future.set_running_or_notify_cancel()  # whoever gives up waiting doesn't cancel it for others
        if self.is_async:
            lookup.task = asyncio.get_running_loop().create_task(self._await(hosts, name, lookup), context=Context())
        elif not self._enqueue(hosts, name, lookup):
            del hosts.lookups[name]
            return None
        return lookup

    def _enqueue(self, hosts: _Hosts, name: str, lookup: _Lookup) -> bool:
        if hosts.threads < _THREADS:
            try:
                thread = threading.Thread(target=self._work, args=(hosts,), name="issuer-lookup", daemon=True)
                hosts.threads += 1
                thread.start()
            except RuntimeError:  # the machine is out of threads
                hosts.threads -= 1
                if not hosts.threads:
                    logger.exception("%s could not be asked for the issuers of %s", self.name, name)
                    return False
        lookup.waits = True
        (hosts.renewals if hosts.knows(name) else hosts.others).append((name, lookup))
        if len(hosts.others) > _HOSTS:
            self._give_up(hosts, *hosts.others.popleft())
        return True

    def _give_up(self, hosts: _Hosts, name: str, lookup: _Lookup) -> None:
        """Forget a lookup that takes too long. If it only waits for a thread, that says nothing of the function."""
        if hosts.lookups.get(name) is not lookup:
            return
        if not lookup.waits:
            self._complain(name, f"it has taken longer than {self._timeout:g} seconds")
        self._end(hosts, name, lookup, None, counts=not lookup.waits)

    def _work(self, hosts: _Hosts) -> None:
        """Look up what waits, in a thread, until nothing does."""
        while True:
            with hosts.lock:
                taken = hosts.take()
                if taken is None:
                    hosts.threads -= 1
                    return
                name, lookup = taken
                if hosts.lookups.get(name) is not lookup or self._clock() >= lookup.began + self._timeout:
                    self._give_up(hosts, name, lookup)  # nobody waits for it any more
                    continue
                lookup.began, lookup.waits = self._clock(), False
            answer = None
            try:
                answer = self._read(name, self._function(name))
            except BaseException as error:  # noqa: BLE001  # whatever it raises, the thread goes on
                self._complain(name, repr(error), error)
            self._finish(hosts, name, lookup, answer)

    async def _await(self, hosts: _Hosts, name: str, lookup: _Lookup) -> None:
        answer, counts = None, True
        try:
            async with asyncio.timeout(self._timeout):
                returned = await self._function(name)
                answer = await asyncio.to_thread(self._read, name, returned)  # ten thousand issuers take a while
        except asyncio.CancelledError:  # its event loop ends, which says nothing of the function
            counts = False
            raise
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001  # the last two would end the server
            self._complain(name, repr(error), error)
        finally:
            self._finish(hosts, name, lookup, answer, counts=counts)

    def _read(self, name: str, returned: Any) -> _Answer:
        """Read what the function has returned.

        Raises:
            TypeError: It isn't what it should return.
            ValueError: It is too much.
        """
        if inspect.isawaitable(returned):
            getattr(returned, "close", lambda: None)()
            raise TypeError("it has returned a coroutine: write it as `async def`")
        values = [returned] if isinstance(returned, str) else list(islice(returned or (), _MOST_OF_ONE + 1))
        if len(values) > _MOST_OF_ONE:
            raise ValueError(f"it has returned more than {_MOST_OF_ONE:,} issuers: select those of the host")
        issuers, wrong = set(), []
        for value in values:
            try:
                issuers.add(issuer_url(_text(value)))
            except ValueError as error:
                wrong.append(str(error))
        if wrong:
            logger.error(
                "%s names %s of the issuers of %s wrongly, the first like this: %s. Correct what it reads: until then "
                "tokens of issuers that it doesn't name rightly are answered with 503.",
                self.name, len(wrong), name, wrong[0],
            )  # fmt: skip
        return _Answer(frozenset(issuers), complete=not wrong)

    def _complain(self, name: str, why: str, error: BaseException | None = None) -> None:
        logger.error(
            "%s could not say the issuers of %s: %s. Mend it, or what it asks: until then its last answer counts for "
            "%g seconds, and without one tokens are answered with 503.",
            self.name, name, why, self._max_stale, exc_info=error,
        )  # fmt: skip

    def _finish(
        self, hosts: _Hosts, name: str, lookup: _Lookup, answer: _Answer | None, *, counts: bool = True
    ) -> None:
        with hosts.lock:
            if hosts.lookups.get(name) is lookup:  # otherwise it was too late, and another one may have begun since
                self._end(hosts, name, lookup, answer, counts=counts)

    def _end(self, hosts: _Hosts, name: str, lookup: _Lookup, answer: _Answer | None, *, counts: bool = True) -> None:
        """Take over an answer, or count a failure."""
        del hosts.lookups[name]
        host = hosts.get(name)
        if answer is None and counts:
            host.retry_at = self._clock() + min(2.0**host.failures, _MAX_PAUSE)
            host.failures = min(host.failures + 1, 10)
        elif answer is not None:
            good = bool(answer.issuers) and answer.complete
            seconds = self._cache_seconds if good else min(self._cache_seconds, _UNKNOWN_SECONDS)
            began = lookup.began
            stale = max(seconds, self._max_stale) if answer.issuers else seconds
            host = _Host(answer, began + seconds * _REFRESH_AHEAD, began + seconds, began + stale)
        hosts.put(name, host)
        lookup.future.set_result(answer)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 2_048:
        raise ValueError(f"{str(value)[:100]!r} is no text, or a very long one")
    return value


class KeyCaches:
    """Holds the keys of issuers that were resolved, of so many as were used last. None is refreshed unless it is used.

    Args:
        make: Makes the cache of an issuer's keys.
        most: Of how many issuers keys are held.
        clock: Seconds, monotonic.
    """

    def __init__(self, make: Callable[[str], KeyCache], most: int, clock: Callable[[], float]) -> None:
        self._make = make
        self._most = most
        self._clock = clock
        self._caches: OrderedDict[str, KeyCache] = OrderedDict()
        self._lock = threading.Lock()
        self._evictions, self._refilled_at = _EVICTIONS_BURST, clock()  # a token bucket

    def of(self, issuer: str) -> KeyCache:
        """Return the cache of an issuer's keys.

        Raises:
            IssuerUnavailable: So many issuers are in use that their keys would be fetched again and again.
        """
        with self._lock:
            keys = self._caches.get(issuer)
            if keys is None:
                if len(self._caches) >= self._most:
                    self._evict()
                keys = self._caches[issuer] = self._make(issuer)
            self._caches.move_to_end(issuer)
            return keys

    def _evict(self) -> None:
        now = self._clock()
        refill = (now - self._refilled_at) * _EVICTIONS_PER_SECOND
        self._evictions, self._refilled_at = min(_EVICTIONS_BURST, self._evictions + refill), now
        if self._evictions < 1:
            logger.error("Far more than %s issuers are in use: raise max_issuers of the IssuerResolver", self._most)
            raise IssuerUnavailable
        self._evictions -= 1
        self._caches.popitem(last=False)
