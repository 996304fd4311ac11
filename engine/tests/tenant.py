"""An issuer that the tests are in control of: it signs anything, counts who asks, and fails when told to."""

import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from resource_server.developing.contract_tests.forging import present, sign

METADATA, KEYS = "/.well-known/openid-configuration", "/.well-known/jwks.json"
AUDIENCE = "https://api.example.com"

Answer = tuple[int, dict[str, str], bytes]


KIND: dict[type[Key], tuple[str, ...]] = {
    RSAKey: ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ECKey: ("ES256", "ES384", "ES512"),
    OKPKey: ("EdDSA", "Ed25519"),
    OctKey: ("HS256", "HS384", "HS512", "none"),
}
"""What each kind of key can sign."""


def rsa_key(kid: str, bits: int = 2048) -> RSAKey:
    return RSAKey.generate_key(bits, {"kid": kid, "use": "sig", "alg": "RS256"})


def streamed(status: int, headers: Mapping[str, str], body: bytes) -> httpx.Response:
    """A response as it comes from the network, for a mocked transport: not read yet."""
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))


class Tenant:
    """The issuer. Answers over HTTP while `running`."""

    def __init__(self) -> None:
        self.keys: list[Key] = [rsa_key("current")]
        self.url = "https://tenant.example.com/"
        self.port = 0
        self.max_age: int | None = None
        self.fetches: Counter[str] = Counter()
        self.misbehave: Callable[[str], Answer] | None = None

    @property
    def key(self) -> Key:
        """The key that signs."""
        return self.keys[0]

    def rotate(self, kid: str, *, withdraw: bool = False) -> None:
        self.keys = [rsa_key(kid), *([] if withdraw else self.keys)]

    def claims(self, **changed: Any) -> dict[str, Any]:
        """The claims of one of Auth0's access tokens, with changes."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": "auth0|ada",
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 86_400,
            "azp": "client",
            "scope": "read:messages",
        }
        return present({**claims, **changed})

    def token(self, header: Mapping[str, Any] | None = None, *, key: Key | None = None, **changed: Any) -> str:
        """An access token, with changes to its header and claims."""
        key = key or self.key
        alg = KIND[type(key)][0]
        members = present({"alg": alg, "typ": "JWT", "kid": key.kid, **(header or {})})
        signed_as = members.get("alg") if members.get("alg") in KIND[type(key)] else alg
        return sign(members, self.claims(**changed), key, str(signed_as))

    def metadata(self) -> dict[str, Any]:
        return {"issuer": self.url, "jwks_uri": self.url + ".well-known/jwks.json"}

    def key_set(self) -> dict[str, Any]:
        return {"keys": [key.as_dict(private=False) for key in self.keys]}

    def document(self, path: str) -> Answer:
        """What it publishes at a path."""
        documents = {METADATA: self.metadata, KEYS: self.key_set}
        if path not in documents:
            return 404, {}, b"{}"
        headers = {"Content-Type": "application/json"}
        if self.max_age is not None:
            headers["Cache-Control"] = f"public, max-age={self.max_age}"
        return 200, headers, json.dumps(documents[path]()).encode()

    def answer(self, path: str) -> Answer:
        """What it answers, as it should or not."""
        self.fetches[path] += 1
        return self.misbehave(path) if self.misbehave else self.document(path)

    @property
    def key_fetches(self) -> int:
        return self.fetches[KEYS]

    @contextmanager
    def running(self, context: ssl.SSLContext | None = None) -> Iterator["Tenant"]:
        """Serve on a free port of 127.0.0.1, with TLS if there is a context for it."""
        tenant = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = tenant.answer(self.path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Not logged."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that gives up is no error of the server's."""

        with Server(("127.0.0.1", 0), Handler) as server:
            self.port = server.server_port
            self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}/"
            if context:
                server.socket = context.wrap_socket(server.socket, server_side=True)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            thread.start()
            yield self
            server.shutdown()
            thread.join()
