"""A Flask app, protected by Authlib as in Auth0's guide, with this project's validator.

What Authlib refuses itself it answers in a format of its own; plain_flask.py beside this does without. Run it beside
`make run`, and call it with a token from `make -s token`:

    AUTH0_DOMAIN=http://127.0.0.1:3011/ AUTH0_AUDIENCE=https://api.example.com \
        python -m flask --app engine/docs/examples/authlib_flask run --port 3020
"""

import os

from authlib.integrations.flask_oauth2 import ResourceProtector, current_token
from flask import Flask

from resource_server import Auth0JWTBearerTokenValidator

require_auth = ResourceProtector()
require_auth.register_token_validator(
    Auth0JWTBearerTokenValidator(os.environ["AUTH0_DOMAIN"], os.environ["AUTH0_AUDIENCE"])
)

app = Flask(__name__)


@app.get("/api/public")
def public() -> dict[str, str]:
    """Open to everybody."""
    return {"message": "Hello from a public endpoint!"}


@app.get("/api/private")
@require_auth(None)
def private() -> dict[str, str]:
    """Needs a valid access token."""
    return {"message": f"Hello {current_token['sub']}!"}


@app.get("/api/private-scoped")
@require_auth("read:messages")
def private_scoped() -> dict[str, str]:
    """Needs a valid access token with the scope read:messages."""
    return {"message": f"Hello {current_token['sub']}, who may read messages!"}
