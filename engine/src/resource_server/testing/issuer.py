"""An issuer that lives in the tests alone: its key signs, and its documents are answered without a network."""

import time
from collections.abc import Mapping
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey

_LIFETIME = 3_600


class TestIssuer:
    """Signs access tokens in Auth0's shape."""

    __test__ = False  # for pytest, which takes its name for a test's

    url = "https://issuer.test/"
    """What its tokens have as `iss`."""

    def __init__(self) -> None:
        self._key = RSAKey.generate_key(2048, {"kid": "test", "use": "sig", "alg": "RS256"})
        documents: dict[str, dict[str, Any]] = {
            "/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": f"{self.url}.well-known/jwks.json"},
            "/.well-known/jwks.json": {"keys": [self._key.as_dict(private=False)]},
        }
        self.transport = httpx.MockTransport(lambda request: _streamed(documents.get(request.url.path)))
        """Carries the application's requests to this issuer."""

    def token(self, claims: Mapping[str, Any]) -> str:
        """A token that is good for an hour, but for the claims that are given; one that is `None` is left out."""
        now = int(time.time())
        usual = {"iss": self.url, "sub": "auth0|test", "iat": now, "exp": now + _LIFETIME, "azp": "test"}
        members = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return jwt.encode({"alg": "RS256", "typ": "JWT", "kid": self._key.kid}, members, self._key)


def _streamed(document: Mapping[str, Any] | None) -> httpx.Response:
    """An answer as it comes from the network, not read yet."""
    made = httpx.Response(404 if document is None else 200, json=document)
    return httpx.Response(made.status_code, headers=made.headers, stream=httpx.ByteStream(made.content))
