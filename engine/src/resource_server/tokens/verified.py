"""Tokens that have been found good: the costly part of checking one that comes again and again.

What can change is checked each time: whether the issuer still publishes the key, and what the claims say of the time.
So a key that is withdrawn, or a token that expires, is noticed at once.
"""

import json
import threading
from collections import OrderedDict
from hashlib import sha256
from typing import NamedTuple

from resource_server.tokens.claims import AccessToken, Claims
from resource_server.tokens.keys import PublicKey


class Verified(NamedTuple):
    """A token that was good: by which key of which issuer, what it says of the time, and all that it says as text."""

    issuer: str
    kid: str | None
    alg: str
    key: PublicKey
    times: Claims
    scopes: frozenset[str]
    text: str

    def access_token(self) -> AccessToken:
        """The token for a handler, with claims of its own, because a handler may change them."""
        return AccessToken(json.loads(self.text), self.scopes)


class TokenCache:
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

    def get(self, digest: bytes) -> Verified | None:
        """Return what is kept of a token, if anything."""
        if not self._size:
            return None
        with self._lock:
            found = self._tokens.get(digest)
            if found is not None:
                self._tokens.move_to_end(digest)
            return found

    def put(self, digest: bytes, verified: Verified) -> None:
        """Keep a good token."""
        if not self._size:
            return
        with self._lock:
            self._tokens[digest] = verified
            while len(self._tokens) > self._size:
                self._tokens.popitem(last=False)


def digest(token: str) -> bytes:
    """What a token is remembered by: all of it counts, and it can't be told from this."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
