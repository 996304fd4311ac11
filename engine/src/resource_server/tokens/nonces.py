"""Nonces for proofs, from the server (RFC 9449, section 8): stateless, so that any machine knows those of another."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable

from resource_server.tokens.clock import now

_STEP_SECONDS = 150


class Nonces:
    """Makes a nonce, and a new one every 150 seconds; one is good for twice as long.

    Args:
        secret: What they are made with; the same on all machines.
        clock: The time in seconds since the epoch; for tests.
    """

    def __init__(self, secret: bytes, clock: Callable[[], float] = now) -> None:
        self._secret = secret
        self._clock = clock

    def current(self) -> str:
        """The newest nonce."""
        return self._nonce(self._step())

    def accepts(self, nonce: object) -> bool:
        """Whether a nonce is the newest or the one before; or the next, of a machine whose clock is ahead."""
        step = self._step()
        return isinstance(nonce, str) and any(
            hmac.compare_digest(self._nonce(each).encode(), nonce.encode("utf-8", "surrogatepass"))
            for each in (step, step - 1, step + 1)
        )

    def _step(self) -> int:
        return int(self._clock() // _STEP_SECONDS)

    def _nonce(self, step: int) -> str:
        return urlsafe_b64encode(hmac.digest(self._secret, b"%d" % step, "sha256")[:18]).decode()
