"""Whatever becomes of requests, each place and each thread is free afterwards, and each stream is closed."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from resource_server.serving import flow
from resource_server.settings import Settings
from tests.sample import create_app
from tests.tenant import AUDIENCE

ROOM = 2
OPENED: list[int] = []
CLOSED: list[int] = []
BOTH = threading.Barrier(ROOM)


def answer() -> str:
    return "x"


def long_answer() -> str:
    return "x" * 600_000


def fail() -> None:
    raise RuntimeError


def leave() -> None:
    raise SystemExit


async def later() -> str:
    await asyncio.sleep(0.001)
    return "x"


async def leave_later() -> None:
    await asyncio.sleep(0)
    raise SystemExit


def _parts(count: int) -> Iterator[str]:
    OPENED.append(count)
    try:
        for _ in range(count):
            time.sleep(0.001)
            yield "x"
        if count == 2:
            raise RuntimeError
        time.sleep(0.01)
    finally:
        CLOSED.append(count)


def stream(count: int) -> flask.Response:
    KEPT.append(_parts(count))
    return flask.Response(KEPT[-1], mimetype="text/plain")


KEPT: list[Iterator[str]] = []
"""What nothing but its end may close."""


def empty() -> flask.Response:
    return stream(0)


def breaks() -> flask.Response:
    return stream(2)


def short() -> flask.Response:
    return stream(3)


def endless() -> flask.Response:
    return stream(10_000)


def nothing() -> None:
    """Is answered with 204, which ends with its head."""


def sized() -> flask.Response:
    """Says how long it is, so that its client may leave before its generator has ended."""
    response = stream(1)
    response.content_length = 1
    return response


def both() -> str:
    """Answers when as many as there is room for are here."""
    BOTH.wait(10)
    return "x"


HANDLERS = [
    *("answer", "long_answer", "fail", "leave", "later", "leave_later", "empty", "breaks", "short", "endless"),
    *("nothing", "sized"),
]
CLIENTS = ["reads", "leaves", "breaks off", "does not read", "is cancelled"]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    responses = {"200": {"description": "Text.", "content": {"text/plain": {}}}}
    paths = {
        f"/{name}": {"get": {"operationId": f"{__name__}.{name}", "responses": responses}}
        for name in [*HANDLERS, "both"]
    }
    spec = tmp_path_factory.mktemp("histories") / "openapi.yaml"
    spec.write_text(yaml.safe_dump({"openapi": "3.0.3", "info": {"title": "T", "version": "1"}, "paths": paths}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "MOST_UNSENT", 1_000_000)  # one long answer of two is given up
        settings = Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE, max_requests=ROOM)
        yield create_app(settings, specification=Path(spec))


async def call(app: Any, path: str, client: str, after: int, method: str = "GET") -> int | None:
    """Call an operation as a client that does something unforeseen after so many messages; returns the status."""
    sent: list[Message] = []
    gone = asyncio.Event()

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if client == "leaves" and len(sent) > after:
            gone.set()
        if client == "breaks off" and len(sent) > after:
            raise OSError
        if client == "does not read" and message.get("more_body"):
            await asyncio.sleep(0.02)
            gone.set()  # the server has given it up
        await asyncio.sleep(0)
        if len(sent) > 50:
            gone.set()  # nobody reads an endless stream to its end

    scope = {"type": "http", "http_version": "1.1", "method": method, "path": path, "query_string": b"", "headers": []}
    task = asyncio.ensure_future(app(scope, receive, send))
    if client == "is cancelled":
        await asyncio.sleep(after / 500)
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return sent[0]["status"] if sent else None


@given(
    st.lists(st.tuples(st.sampled_from(HANDLERS), st.sampled_from(CLIENTS), st.integers(0, 4)), min_size=1, max_size=6),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_no_history_loses_a_place_or_leaves_a_stream_open(
    app: Any,
    history: list[tuple[str, str, int]],
    together: bool,  # noqa: FBT001  # hypothesis gives it
) -> None:
    async def live() -> list[int | None]:
        calls = [call(app, f"/{handler}", client, after) for handler, client, after in history]
        if together:
            await asyncio.gather(*calls)
        else:
            for each in calls:
                await each
        found = await asyncio.gather(*(call(app, "/both", "reads", 0) for _ in range(ROOM)))
        quiet = 0
        for _ in range(500):
            await asyncio.sleep(0.002)
            quiet = quiet + 1 if len(OPENED) == len(CLOSED) else 0
            if quiet == 20:  # a stream that nobody waits for any more may only now have begun
                break
        return found

    assert asyncio.run(live()) == [200] * ROOM
    assert sorted(OPENED) == sorted(CLOSED)


@pytest.mark.parametrize(
    ("method", "path", "after"), [("GET", "/nothing", 0), ("HEAD", "/endless", 0), ("GET", "/sized", 1)]
)
def test_client_that_leaves_with_the_whole_answer_is_not_told_of(
    app: Any, caplog: pytest.LogCaptureFixture, method: str, path: str, after: int
) -> None:
    async def live() -> None:
        await call(app, path, "leaves", after, method)
        await asyncio.sleep(0.05)

    with caplog.at_level(logging.INFO):
        for _ in range(20):
            asyncio.run(live())
    assert "has gone" not in caplog.text
    assert [vars(each).get("cause") for each in caplog.records if each.name == "api.requests"] == [None] * 20
    assert sorted(OPENED) == sorted(CLOSED)
