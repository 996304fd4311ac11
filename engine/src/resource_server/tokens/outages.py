"""What has failed is tried again, but not by everybody at once."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from resource_server.tokens.errors import ReplaysUnavailable

logger = logging.getLogger(__name__)

_REST_SECONDS = 1.0


class Outages:
    """Spares requests the wait for what has just failed: one a second finds out whether it works again.

    Args:
        failures: The errors that mean that it fails.
        clock: Seconds that never go back; for tests.
    """

    def __init__(self, *failures: type[Exception], clock: Callable[[], float] = time.monotonic) -> None:
        self._failures = failures
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = False
        self._again_at = 0.0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Try something.

        Raises:
            ReplaysUnavailable: It has failed, or has just before.
        """
        if self._failed:
            self._take_turn()
        try:
            yield
        except self._failures as error:
            logger.warning("It can't be looked up which DPoP proofs have been used, so none is accepted: %s", error)
            self._failed, self._again_at = True, self._clock() + _REST_SECONDS
            raise ReplaysUnavailable from error
        self._failed = False

    def _take_turn(self) -> None:
        with self._lock:
            if self._clock() < self._again_at:
                raise ReplaysUnavailable
            self._again_at = self._clock() + _REST_SECONDS
