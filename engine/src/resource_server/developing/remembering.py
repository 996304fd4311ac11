"""Used proofs, for the development issuer: one process, whose state ends with it."""

import threading
import time


class MemoryReplayCache:
    """Remembers proofs in memory."""

    def __init__(self) -> None:
        self._used: dict[bytes, float] = {}
        self._lock = threading.Lock()

    def use(self, proof_id: bytes, until: float) -> bool:
        """See `resource_server.tokens.replays.ReplayCache`."""
        now = time.time()
        with self._lock:
            self._used = {used: over for used, over in self._used.items() if over >= now}
            first = proof_id not in self._used
            self._used.setdefault(proof_id, until)
            return first
