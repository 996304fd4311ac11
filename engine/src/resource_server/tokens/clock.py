"""The time that claims are compared with."""

import time


def now() -> float:
    """Seconds since the epoch. Looked up with every call, so that what moves the clock in tests moves this one."""
    return time.time()
