"""Handlers of every kind, as Connexion and Flask take them."""

import asyncio
import contextvars
import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import flask
from connexion import NoContent
from connexion.context import context, request
from starlette.exceptions import HTTPException

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="nobody")


def plain(limit: int = 3, tags: list[str] | None = None) -> dict[str, Any]:
    return {"limit": limit, "tags": tags, "thread": threading.current_thread() is not threading.main_thread()}


def long() -> str:
    return "x" * 13_000_000  # more than the buffers of a connection take


async def coroutine(word: str) -> dict[str, str]:
    await asyncio.sleep(0.01)
    return {"word": word}


def echo(body: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    return body, 201, {"X-Length": str(len(str(body)))}


def raw() -> bytes:
    return flask.request.get_data()


def form(name: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "body": body}


def nothing() -> Any:
    return NoContent, 204


def cookies() -> flask.Response:
    response = flask.make_response("set")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


def stream() -> flask.Response:
    def chunks() -> Iterator[bytes]:
        yield b"first\n"
        time.sleep(0.5)
        yield b"second\n"

    return flask.Response(chunks(), mimetype="text/plain")


def endless() -> flask.Response:
    return flask.Response((b"x" * 65_536 for _ in itertools.count()), mimetype="application/octet-stream")


def broken_stream() -> flask.Response:
    def chunks() -> Iterator[bytes]:
        yield b"first\n"
        raise RuntimeError("in the middle")

    return flask.Response(chunks(), mimetype="text/plain")


CLOSED: list[str] = []


def events() -> flask.Response:
    def parts() -> Iterator[str]:
        try:
            while True:
                time.sleep(0.2)
                yield "data: 1\n\n"
        finally:
            CLOSED.append(flask.request.path)

    return flask.Response(flask.stream_with_context(parts()), mimetype="text/event-stream")


def closed() -> dict[str, int]:
    return {"closed": len(CLOSED)}


def exits() -> None:
    raise SystemExit(3)


async def exits_in_loop() -> None:
    raise SystemExit(3)


def thread() -> dict[str, str]:
    return {"thread": threading.current_thread().name}


post_thread = thread


def block() -> dict[str, bool]:
    time.sleep(1)
    return {"blocked": True}


post_block = block


def hang() -> None:
    time.sleep(15)


def fail() -> None:
    raise RuntimeError("a secret")


def refuse() -> None:
    raise HTTPException(409, "Not now.")


def abort() -> None:
    flask.abort(418)


def contexts() -> dict[str, Any]:
    before = NAME.get()
    NAME.set("somebody")
    return {"before": before, "path": request.path, "operation": context["operation"].operation_id}


def odd(kind: str) -> Any:
    return {
        "text": "text",
        "list": [1, "é", None],
        "number": (5, 202),
        "empty": ("", 200),
        "bytes": b"\xff\x00",
        "many": ({"a": 1}, 200, [("X-A", "1"), ("X-A", "2")]),
    }[kind]
