"""Tokens whose signature has been verified: the costly part of checking a token that comes again and again.

Only that is remembered. Whose key it is and what the claims say at this moment is checked each time, so a key that the
issuer withdraws, or a token that expires, is noticed at once.
"""

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import sha256

from joserfc.util import urlsafe_b64decode

from security.jwt import SignedJWT
from security.keys import PublicKey


@dataclass(frozen=True, slots=True)
class Verified:
    """A JWT, and the key that has verified its signature."""

    parsed: SignedJWT
    key: PublicKey

    def jwt(self) -> SignedJWT:
        """The JWT, with claims of its own, because a handler may change them."""
        payload = urlsafe_b64decode(self.parsed.signing_input.partition(b".")[2])
        return replace(self.parsed, claims=json.loads(payload))


class VerifiedTokens:
    """Remembers good tokens, by a digest of the whole token; of more than fit, those that came last.

    Args:
        size: How many tokens are remembered; 0 remembers none.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._tokens: OrderedDict[bytes, Verified] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._tokens)

    def find(self, token: str) -> Verified | None:
        """What was remembered of a token."""
        if not self._size:
            return None
        digest = _digest(token)
        with self._lock:
            found = self._tokens.get(digest)
            if found is not None:
                self._tokens.move_to_end(digest)
            return found

    def remember(self, token: str, jwt: SignedJWT, key: PublicKey) -> None:
        """Remember a good token, and the key that has verified it."""
        if not self._size:
            return
        with self._lock:
            self._tokens[_digest(token)] = Verified(jwt, key)
            while len(self._tokens) > self._size:
                self._tokens.popitem(last=False)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
