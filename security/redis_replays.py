"""Used proofs in Redis, for many machines. Imported only when it is asked for."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import redis

from security.errors import ReplaysUnavailable

logger = logging.getLogger(__name__)

_PREFIX = b"dpop:"
_SECONDS = 1.0


class RedisReplays:
    """Remembers proofs in Redis. One that may evict keys when its memory is full is not used.

    Args:
        url: Like `redis://host:6379/0`, or `rediss://` for TLS.
        clock: The time in seconds since the epoch; for tests.

    Raises:
        ValueError: That is no such URL.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._checked = False
        self._redis = redis.Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)

    def use(self, proof_id: bytes, until: float) -> bool:
        """See `security.replays.Replays`."""
        try:
            self._check_memory()
            seconds = max(math.ceil(until - self._clock()), 1)
            return bool(self._redis.set(_PREFIX + proof_id, b"", nx=True, ex=seconds))
        except redis.RedisError as error:
            logger.warning("Redis fails, so no DPoP proof can be accepted: %s", error)
            raise ReplaysUnavailable from error

    def _check_memory(self) -> None:
        if self._checked:
            return
        memory: Any = self._redis.info("memory")
        if memory.get("maxmemory") and memory.get("maxmemory_policy") != "noeviction":
            raise redis.RedisError("it may evict keys: set its maxmemory-policy to noeviction")
        self._checked = True
