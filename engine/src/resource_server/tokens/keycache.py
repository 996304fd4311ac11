"""The keys held of one issuer: fetched when first needed, refreshed ahead, kept through an outage.

The fetch runs in a thread of its own, one at a time, so it never holds up an event loop. While keys are in use, no
request with a known key waits for it. Whoever does need its outcome gets a future, to wait in the way that suits them.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from resource_server.tokens.errors import InvalidToken, IssuerUnavailable, Refusal
from resource_server.tokens.issuer import FetchedKeys, IssuerError
from resource_server.tokens.keys import KeyIndex, PublicKey

logger = logging.getLogger(__name__)

_REFRESH_AHEAD = 0.8  # of the lifetime
_MAX_PAUSE = 10.0  # seconds between attempts while the issuer fails; it doubles from one second
_LONGEST_ASKED = 300.0  # seconds between attempts that the issuer itself may ask for
_UNKNOWN_KID_BURST, _UNKNOWN_KID_INTERVAL = 3, 30.0  # fetches at once, then one per so many seconds

_NEVER = -math.inf


class KeyPending(Exception):
    """The key isn't held, but a fetch that may bring it is under way. Wait for `fetch`, then ask `keys` with this."""

    def __init__(self, fetch: "Future[None]", asked: int, keys: "KeyCache") -> None:
        super().__init__()
        self.fetch = fetch
        self.asked = asked
        self.keys = keys


@dataclass(frozen=True, slots=True)
class _Held:
    """What one successful fetch brought; times on the cache's clock."""

    keys: KeyIndex = field(default_factory=dict)
    refresh_at: float = _NEVER
    expires_at: float = _NEVER
    usable_until: float = _NEVER


class KeyCache:
    """Holds an issuer's keys.

    Args:
        name: The issuer, for the log.
        fetch: Fetches the keys, blocking. Only `IssuerError` is an outage, anything else is a bug.
        max_stale: For how many seconds keys stay good after their last refresh while the issuer fails; at least for
            the lifetime that came with them.
        clock: Seconds, monotonic.
        on_fetch: Is told, after each fetch, of which issuer it was and whether it has succeeded.
    """

    def __init__(
        self,
        name: str,
        fetch: Callable[[], FetchedKeys],
        *,
        max_stale: float = 86_400,
        clock: Callable[[], float] = time.monotonic,
        on_fetch: Callable[[str, bool], None] = lambda _, __: None,
    ) -> None:
        self._name = name
        self._on_fetch = on_fetch
        self._fetch = fetch
        self._max_stale = max_stale
        self._clock = clock
        self._locks: dict[int, threading.RLock] = {}
        self._held = _Held()
        self._under_way: Future[None] | None = None
        self._pid = os.getpid()
        self._started = self._ended = 0  # how many fetches have
        self._failures = 0
        self._retry_at = _NEVER
        self._lookups = float(_UNKNOWN_KID_BURST)  # a token bucket, in tokens
        self._refilled_at = clock()

    def key(
        self, kid: str | None, alg: str, pending: KeyPending | None = None, wrong: PublicKey | None = None
    ) -> PublicKey:
        """The key for a token's `kid` and `alg`. Never blocks.

        Args:
            kid: From the token's header; `None` finds the only key there is for the algorithm.
            alg: One of the algorithms that the keys were fetched for.
            pending: What was raised when the caller asked before, and has been waited for.
            wrong: What was found before, and hasn't verified the token: the issuer may have another key by now.

        Raises:
            KeyPending: Wait for its `fetch`, then ask again.
            InvalidToken: The issuer doesn't publish this key, or none but the wrong one.
            IssuerUnavailable: That can't be known, because the issuer can't be reached.
        """
        # A fetch that was under way when the caller asked may have missed the key; one begun since is the last word.
        asked = pending.asked if pending else self._started
        answered = self._ended > asked  # read before what that fetch has brought, never after
        held, now = self._held, self._clock()
        key = held.keys.get((kid, alg))
        if key is wrong:
            key = None
        if key is not None and now < held.refresh_at:
            return key
        fresh = now < held.expires_at
        fetch = None if answered else self._refresh(now, unknown=fresh and key is None)
        if key is not None and (now < held.usable_until if self._failures else fresh or answered):
            return key
        if fetch is not None:
            raise KeyPending(fetch, asked, self)
        if wrong is not None:
            raise InvalidToken(Refusal.SIGNATURE)
        if self._failures:
            raise IssuerUnavailable(max(1, math.ceil(self._retry_at - now)))
        raise InvalidToken(Refusal.UNKNOWN_KEY)

    def ready(self) -> bool:
        """Whether usable keys are held; begins to fetch some when it is time for that. Never blocks."""
        held, now = self._held, self._clock()
        if now >= held.refresh_at:
            self._refresh(now, unknown=False)
        return bool(held.keys) and now < held.usable_until

    def _refresh(self, now: float, *, unknown: bool) -> "Future[None] | None":
        """Join the fetch under way, or start one if it is time for it."""
        with self._lock():
            if self._pid != os.getpid():  # the thread that fetches stayed behind in the process that has forked
                self._pid, self._under_way = os.getpid(), None
            if self._under_way is None and now >= self._retry_at and (not unknown or self._may_look_up(now)):
                self._started += 1
                self._under_way = Future()
                self._under_way.set_running_or_notify_cancel()  # whoever gives up waiting doesn't cancel it for others
                thread = threading.Thread(target=self._run, args=(self._under_way,), name="key-fetch", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the machine is out of threads
                    logger.exception("The keys of %s could not be refreshed", self._name)
                    self._end(None)
            return self._under_way

    def _lock(self) -> threading.RLock:
        """The lock of this process: somebody who isn't in it may hold one that was there before a fork."""
        return self._locks.setdefault(os.getpid(), threading.RLock())

    def _may_look_up(self, now: float) -> bool:
        refill = (now - self._refilled_at) / _UNKNOWN_KID_INTERVAL
        self._lookups = min(float(_UNKNOWN_KID_BURST), self._lookups + refill)
        self._refilled_at = now
        if self._lookups < 1:
            return False
        self._lookups -= 1
        return True

    def _run(self, under_way: "Future[None]") -> None:
        fetched, retry_after = None, 0.0
        try:
            fetched = self._fetch()
        except IssuerError as error:
            retry_after = error.retry_after or 0.0
            logger.warning("The keys of %s could not be refreshed: %s", self._name, error)
        except Exception:
            logger.exception("The keys of %s could not be refreshed", self._name)
        finally:
            self._end(fetched, retry_after)
            under_way.set_result(None)

    def _end(self, fetched: FetchedKeys | None, retry_after: float = 0.0) -> None:
        """Take over what a fetch has brought, or count a failure."""
        now = self._clock()
        with self._lock():
            if fetched is None:
                pause = min(2.0**self._failures, _MAX_PAUSE)
                self._retry_at = now + max(pause, min(retry_after, _LONGEST_ASKED))
                self._failures += 1
            else:
                self._held = _Held(
                    keys=fetched.keys,
                    refresh_at=now + fetched.lifetime * _REFRESH_AHEAD,
                    expires_at=now + fetched.lifetime,
                    usable_until=now + max(fetched.lifetime, self._max_stale),
                )
                self._retry_at = _NEVER
                self._failures = 0
            self._ended = self._started
            self._under_way = None
        self._on_fetch(self._name, fetched is not None)
