"""Auth0's quickstart for Flask, on Authlib's own validator: `python quickstart.py --issuer URL --audience NAME`."""

import argparse
import json
from urllib.request import urlopen

from authlib.integrations.flask_oauth2 import ResourceProtector
from authlib.oauth2.rfc7523 import JWTBearerTokenValidator
from flask import Flask
from joserfc.jwk import KeySet
from werkzeug.serving import make_server

parser = argparse.ArgumentParser()
parser.add_argument("--issuer", required=True)
parser.add_argument("--audience", required=True)
options = parser.parse_args()


class Auth0JWTBearerTokenValidator(JWTBearerTokenValidator):  # type: ignore[misc]  # Authlib is not typed
    """As the quickstart has it."""

    def __init__(self, issuer: str, audience: str) -> None:
        with urlopen(f"{issuer}.well-known/jwks.json") as answer:  # noqa: S310  # as the quickstart has it
            public_key = KeySet.import_key_set(json.load(answer))
        super().__init__(public_key)
        self.claims_options = {
            "exp": {"essential": True},
            "aud": {"essential": True, "value": audience},
            "iss": {"essential": True, "value": issuer},
        }


require_auth = ResourceProtector()
require_auth.register_token_validator(Auth0JWTBearerTokenValidator(options.issuer, options.audience))

app = Flask(__name__)


@app.get("/api/public")
def public() -> dict[str, str]:
    """No access token required."""
    return {"message": "Hello from a public endpoint! You don't need to be authenticated to see this."}


@app.get("/api/private")
@require_auth(None)  # type: ignore[untyped-decorator]
def private() -> dict[str, str]:
    """A valid access token is required."""
    return {"message": "Hello from a private endpoint! You need to be authenticated to see this."}


@app.get("/api/private-scoped")
@require_auth("read:messages")  # type: ignore[untyped-decorator]
def private_scoped() -> dict[str, str]:
    """A valid access token and a scope are required."""
    need = "You need to be authenticated and have a scope of read:messages to see this."
    return {"message": f"Hello from a private endpoint! {need}"}


server = make_server("127.0.0.1", 0, app, threaded=True)
print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}), flush=True)  # noqa: T201  # for whoever started it
server.serve_forever()
