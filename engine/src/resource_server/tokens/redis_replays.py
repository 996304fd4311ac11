"""Used proofs in Redis, for many machines. Imported only when it is asked for."""

import math
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from resource_server.tokens.clock import now
from resource_server.tokens.errors import ReplaysUnavailable
from resource_server.tokens.outages import Outages
from resource_server.tokens.replays import LIFETIME

_PREFIX = b"dpop:"
_MEMORY = b"dpop-memory"
_SECONDS = 0.5  # to connect, and again for an answer
_CHECK_SECONDS = 10
_FAILURES = redis.RedisError, OSError, ValueError  # a name that can't be one is a ValueError


class RedisReplayCache:
    """Remembers proofs in Redis. One that may evict keys when its memory is full is not used.

    When Redis has lost its memory, what was made before that can't be used.

    Args:
        url: Like `redis://host:6379/0`, or `rediss://` for TLS.
        clock: The time in seconds since the epoch; for tests.
        monotonic: Seconds that never go back; for tests.

    Raises:
        ValueError: That is no such URL.
    """

    def __init__(
        self,
        url: str,
        clock: Callable[[], float] = now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._outages = Outages(*_FAILURES)
        self._check_at = -math.inf
        self._memory: bytes | None = None
        self._lost_until = -math.inf
        self._redis = redis.Redis.from_url(
            url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, retry=Retry(NoBackoff(), 0)
        )
        try:
            self._redis.connection_pool.connection_class(**self._redis.connection_pool.connection_kwargs)
        except (TypeError, redis.RedisError) as error:
            raise ValueError("the URL has an option that isn't known") from error
        with suppress(*_FAILURES):
            self._look()

    def use(self, proof_id: bytes, until: float) -> bool:
        """See `resource_server.tokens.replays.ReplayCache`."""
        with self._outages.attempt():
            if self._monotonic() >= self._check_at:
                self._check_policy()
            # A clock that is ahead doesn't make it forget earlier.
            seconds = max(math.ceil(until - self._clock()), LIFETIME)
            transaction = self._redis.pipeline()
            transaction.set(_MEMORY, secrets.token_bytes(16), nx=True)
            transaction.get(_MEMORY)
            transaction.set(_PREFIX + proof_id, b"", nx=True, ex=seconds)
            _, memory, first = transaction.execute()
        self._note(memory)
        if first and until <= self._lost_until:
            raise ReplaysUnavailable
        return bool(first)

    def _look(self) -> None:
        """Note which memory is there at the start, so that processes forked later notice another one."""
        transaction = self._redis.pipeline()
        transaction.set(_MEMORY, secrets.token_bytes(16), nx=True)
        transaction.get(_MEMORY)
        self._note(transaction.execute()[-1])
        self._redis.close()  # no connection crosses a fork

    def _note(self, memory: bytes) -> None:
        """Note which memory answers: another than before knows nothing of what that had known."""
        with self._lock:
            if memory != self._memory:
                if self._memory is not None:
                    self._lost_until = self._clock() + LIFETIME
                self._memory = memory

    def _check_policy(self) -> None:
        memory: Any = self._redis.info("memory")
        if memory.get("maxmemory") and memory.get("maxmemory_policy") != "noeviction":
            raise redis.RedisError("it may evict keys: set its maxmemory-policy to noeviction")
        self._check_at = self._monotonic() + _CHECK_SECONDS
