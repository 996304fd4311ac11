"""A Flask app of your own, whose routes need access tokens.

Install the engine beside it, from its folder or its wheel: `pip install ./engine`. Run the app beside `make run`, and
call it with a token from `make -s token`:

    AUTH0_DOMAIN=http://127.0.0.1:3011/ AUTH0_AUDIENCE=https://api.example.com \
        python -m flask --app engine/docs/examples/plain_flask run --port 3020
    curl -i -H "Authorization: Bearer $(make -s token)" http://127.0.0.1:3020/api/private

A test needs no issuer, and sends tokens with any claims:

    from resource_server.testing import TestIssuer

    issuer = TestIssuer()
    require_auth.init_app(app, Auth0JWTBearerTokenValidator(issuer.url, AUDIENCE, transport=issuer.transport))


    def test_scope_is_needed() -> None:
        headers = {"Authorization": f"Bearer {issuer.token({'aud': AUDIENCE, 'scope': 'read:messages'})}"}
        assert app.test_client().get("/api/private-scoped", headers=headers).status_code == 200
        assert app.test_client().get("/api/private-scoped").status_code == 401
"""

import os

from flask import Blueprint, Flask

from resource_server import Auth0JWTBearerTokenValidator
from resource_server.flask import ResourceProtector, current_token

AUDIENCE = os.environ["AUTH0_AUDIENCE"]

require_auth = ResourceProtector(Auth0JWTBearerTokenValidator(os.environ["AUTH0_DOMAIN"], AUDIENCE))

app = Flask(__name__)
require_auth.init_app(app)


@app.get("/api/public")
def public() -> dict[str, str]:
    """Open to everybody."""
    return {"message": "Hello from a public endpoint!"}


@app.get("/api/private")
@require_auth
def private() -> dict[str, str]:
    """Needs a valid access token."""
    return {"message": f"Hello {current_token['sub']}!"}


@app.get("/api/private-scoped")
@require_auth("read:messages")
def private_scoped() -> dict[str, str]:
    """Needs a valid access token with the scope read:messages."""
    return {"message": f"Hello {current_token['sub']}, who may read messages!"}


admin = Blueprint("admin", __name__, url_prefix="/api/admin")


@admin.get("/messages")
def messages() -> dict[str, str]:
    """Needs what all of its blueprint does."""
    return {"message": "Hello from an endpoint for administrators!"}


require_auth.protect(admin, ["admin:messages", "admin:all"])
app.register_blueprint(admin)
