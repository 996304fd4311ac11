"""Auth0's quickstart for Flask, on Authlib's own validator.

`python quickstart.py --issuer URL --audience NAME`, or `gunicorn 'quickstart:create_app("URL", "NAME")'`.
"""

import argparse
import json
from urllib.request import urlopen

from authlib.integrations.flask_oauth2 import ResourceProtector
from authlib.oauth2.rfc7523 import JWTBearerTokenValidator
from flask import Flask
from joserfc.jwk import KeySet
from werkzeug.serving import make_server


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


def create_app(issuer: str, audience: str) -> Flask:
    """The three operations, for an issuer's tokens."""
    require_auth = ResourceProtector()
    require_auth.register_token_validator(Auth0JWTBearerTokenValidator(issuer, audience))
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

    return app


def main() -> None:
    """Serve on a free port, and say which."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--audience", required=True)
    options = parser.parse_args()
    server = make_server("127.0.0.1", 0, create_app(options.issuer, options.audience), threaded=True)
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}), flush=True)  # noqa: T201  # for who started it
    server.serve_forever()


if __name__ == "__main__":
    main()
