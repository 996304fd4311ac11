"""Plain Connexion, as its documentation has it: `uvicorn connexion_app:app`."""

import json
import os
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from connexion import FlaskApp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

ISSUER, AUDIENCE = os.environ["ISSUER"], os.environ["AUDIENCE"]

with urlopen(f"{ISSUER}.well-known/jwks.json") as answer:  # noqa: S310  # the benchmark's own issuer
    KEYS = KeySet.import_key_set(json.load(answer))
CLAIMS = jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": AUDIENCE}, exp={"essential": True}
)


def token_info(token: str) -> dict[str, Any] | None:
    """What `x-tokenInfoFunc` names: the claims of a valid token, or None, which is answered with 401."""
    try:
        decoded = jwt.decode(token, KEYS, algorithms=["RS256"])
        CLAIMS.validate(decoded.claims)
    except (JoseError, ValueError):
        return None
    return decoded.claims


def public() -> dict[str, str]:
    """No access token required."""
    return {"message": "Hello from a public endpoint! You don't need to be authenticated to see this."}


def private() -> dict[str, str]:
    """A valid access token is required."""
    return {"message": "Hello from a private endpoint! You need to be authenticated to see this."}


def private_scoped() -> dict[str, str]:
    """A valid access token and a scope are required."""
    need = "You need to be authenticated and have a scope of read:messages to see this."
    return {"message": f"Hello from a private endpoint! {need}"}


app = FlaskApp(__name__, specification_dir=Path(__file__).parent)
app.add_api("connexion.yaml")
