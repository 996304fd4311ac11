"""The handlers of another contract, and a validator function of its own for machines."""

import asyncio
from typing import Any

from connexion import NoContent
from connexion.exceptions import ProblemException
from flask import Response
from starlette.exceptions import HTTPException
from werkzeug.datastructures import Headers
from werkzeug.exceptions import NotFound

from resource_server.tokens import AccessToken
from resource_server.tokens.errors import InvalidToken, Refusal
from security import token_info


async def machine_token_info(token: str, *, request: Any) -> AccessToken:
    """Only tokens that a machine got for itself."""
    claims = await token_info(token, request=request)
    if claims.get("gty") != "client-credentials":
        raise InvalidToken(Refusal.TYPE)
    return claims


def own_token_info(token: str) -> dict[str, Any] | None:
    """In the form that Connexion documents: a plain function of the token, which returns a plain dictionary."""
    known: dict[str, dict[str, Any]] = {"mine": {"sub": "me", "scope": ["own"]}, "scopeless": {"sub": "me"}}
    return known.get(token)


def basic_info(username: str, password: str) -> dict[str, Any] | None:
    return {"sub": username} if username == password else None


def key_info(api_key: str) -> dict[str, Any] | None:
    return {"uid": "key-user"} if api_key == "good" else None


def list_items(limit: int) -> list[dict[str, Any]]:
    return [{"id": number, "name": f"item {number}"} for number in range(limit)]


def add_item(body: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    return {"id": 7, **body}, 201, {"Location": "/v1/items/7"}


async def get_item(item_id: int) -> dict[str, Any]:
    await asyncio.sleep(0)
    if item_id == 404:
        raise NotFound
    if item_id == 409:
        raise ProblemException(status=409, title="Conflict", detail="It is being changed.", ext={"code": "busy"})
    if item_id == 500:
        raise RuntimeError("a secret of the server's")
    return {"id": item_id, "name": "an item"}


def delete_item(item_id: int) -> None:
    """Nothing to return."""


def set_note(item_id: int, name: str, body: bytes) -> str:
    return f"{item_id} {name}: {body.decode()}"


def whoami(user: str | None = None, token_info: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"user": user, "scope": (token_info or {}).get("scope")}


def start_import() -> tuple[None, int]:
    return None, 202


def get_thing(name: str) -> dict[str, str]:
    return {"name": name}


def get_table(name: str) -> dict[str, str]:
    return {"name": name, "form": "csv"}


def get_mine() -> dict[str, str]:
    return {"name": "mine"}


def get_size(size: float) -> dict[str, float]:
    return {"size": size}


def upload(file: Any) -> dict[str, int]:
    return {"size": len(file.read())}


def either(user: str | None) -> dict[str, str | None]:
    return {"user": user}


def both() -> dict[str, str]:
    return {}


own = bearer = basic = both


def note() -> str:
    return "a note"


def answer(kind: int) -> Any:
    if kind in (404, 499):
        raise HTTPException(404, "No such answer.") if kind == 404 else ProblemException(status=499)
    return {
        1: ({}, 200, Headers([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])),
        2: NoContent,
        3: (Response("a,b", mimetype="text/csv"), 201),
        4: ({}, None, {"X-A": "b"}),
    }[kind]


def status() -> dict[str, str]:
    return {"status": "fine"}
