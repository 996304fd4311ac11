"""FastAPI with Auth0's `auth0-fastapi-api`, as its README has it: `uvicorn fastapi_app:app`."""

import os
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI
from fastapi_plugin import Auth0FastAPI

ISSUER = httpx.URL(os.environ["ISSUER"])


async def fetch(url: str) -> dict[str, Any]:
    """Fetch what the SDK asks for.

    The SDK speaks https only and accepts only https issuers, but the benchmark's issuer has no certificate: it is asked
    over http, and is called by its https name in its metadata as in the tokens for this peer. The SDK asks once in ten
    minutes, so nothing of this is timed.
    """
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(httpx.URL(url).copy_with(scheme="http"))
    document: dict[str, Any] = answer.raise_for_status().json()
    if "issuer" in document:
        document["issuer"] = str(ISSUER.copy_with(scheme="https"))
    return document


auth0 = Auth0FastAPI(domain=ISSUER.netloc.decode(), audience=os.environ["AUDIENCE"], custom_fetch=fetch)
app = FastAPI()


@app.get("/api/public")
async def public() -> dict[str, str]:
    """No access token required."""
    return {"message": "Hello from a public endpoint! You don't need to be authenticated to see this."}


@app.get("/api/private")
async def private(_claims: Annotated[dict[str, Any], Depends(auth0.require_auth())]) -> dict[str, str]:
    """A valid access token is required."""
    return {"message": "Hello from a private endpoint! You need to be authenticated to see this."}


@app.get("/api/private-scoped")
async def private_scoped(
    _claims: Annotated[dict[str, Any], Depends(auth0.require_auth(scopes="read:messages"))],
) -> dict[str, str]:
    """A valid access token and a scope are required."""
    need = "You need to be authenticated and have a scope of read:messages to see this."
    return {"message": f"Hello from a private endpoint! {need}"}
