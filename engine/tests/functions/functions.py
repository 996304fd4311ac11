"""Functions that a contract may name for access tokens, and one handler for all operations."""

import asyncio
from enum import StrEnum
from typing import Any

import security
from resource_server import AccessDenied, AccessToken


class Denial(StrEnum):
    """Why a valid token is refused."""

    OTHER_ORGANIZATION = "The access token is for another organization."


async def one_organization(token: str, *, request: Any) -> AccessToken:
    access_token = await security.token_info(token, request=request)
    if access_token.get("org_id") != "org_1":
        raise AccessDenied(Denial.OTHER_ORGANIZATION)
    return access_token


async def waiting(token: str, *, request: Any, required_scopes: list[str]) -> AccessToken:
    await asyncio.sleep(0.001)
    access_token = await security.token_info(token, request=request)
    access_token["required"] = required_scopes
    return access_token


async def swallowing(token: str, *, request: Any) -> AccessToken:
    try:
        async with asyncio.timeout(5):
            await asyncio.to_thread(len, token)
    except Exception as error:
        raise AccessDenied(Denial.OTHER_ORGANIZATION) from error  # as if somebody else couldn't be asked
    return await security.token_info(token, request=request)


def plain(token: str, required_scopes: list[str]) -> dict[str, Any]:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return {"sub": token, "scope": "read:messages", "required": required_scopes}
    raise AssertionError("it would hold up the event loop")


async def failing(token: str) -> AccessToken:
    raise ValueError(f"{len(token)} characters, in its first line")


async def careless(token: str, request: Any) -> dict[str, Any]:
    return {"sub": f"whoever sends {token} to {request.url.path}"}


class _Object:
    async def __call__(self, token: str, *, request: Any) -> AccessToken:
        return await security.token_info(token, request=request)


an_object = _Object()

FUNCTIONS = ("one_organization", "waiting", "swallowing", "plain", "failing", "careless", "an_object")


def handle(token_info: dict[str, Any]) -> dict[str, Any]:
    return dict(token_info)


def _name(path: str) -> str:
    return "handle" + path.replace("/", "_")


def contract() -> dict[str, Any]:
    """An operation for each function, and one that asks for a scope."""

    def scheme(function: str) -> dict[str, Any]:
        flow = {"tokenUrl": "https://issuer.example/token", "scopes": {"read:messages": "Read messages"}}
        return {"type": "oauth2", "x-tokenInfoFunc": f"functions.{function}", "flows": {"clientCredentials": flow}}

    answers = {"200": {"description": "Fine.", "content": {"application/json": {"schema": {"type": "object"}}}}}
    operations: dict[str, list[dict[str, list[str]]]] = {f"/{function}": [{function: []}] for function in FUNCTIONS}
    operations |= {f"/{function}/scoped": [{function: ["read:messages"]}] for function in FUNCTIONS}
    return {
        "openapi": "3.0.3",
        "info": {"title": "Functions", "version": "1"},
        "components": {"securitySchemes": {function: scheme(function) for function in FUNCTIONS}},
        "paths": {
            path: {"get": {"operationId": f"functions.{_name(path)}", "security": security, "responses": answers}}
            for path, security in operations.items()
        },
    }


globals().update((_name(path), handle) for path in contract()["paths"])  # each operation has a name of its own
