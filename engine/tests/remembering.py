"""Using proofs, in tests of what remembers them."""

import time

from resource_server.tokens import dpop
from resource_server.tokens.errors import ReplaysUnavailable
from resource_server.tokens.replays import ReplayCache


class Clock:
    """The time, which can be set."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset


def until(made: float = 0) -> float:
    """Until when a proof matters that was made so many seconds from now."""
    return time.time() + made + dpop.PAST + dpop.CLOCKS


def refused(store: ReplayCache, proof_id: bytes = b"another", **made: float) -> bool:
    """Whether nothing can be used, which is known within about a second."""
    begun = time.monotonic()
    try:
        store.use(proof_id, until(**made))
    except ReplaysUnavailable:
        assert time.monotonic() - begun < 1.5
        return True
    return False


def used(memory: ReplayCache, proof_id: bytes, ends: float) -> bool:
    """Whether a proof is accepted."""
    try:
        return memory.use(proof_id, ends)
    except ReplaysUnavailable:
        return False
