"""Error handlers of one's own, in the event loop and in threads of the server; and what they fail at."""

import asyncio
import contextvars
import threading
from typing import Any

import httpx
import pytest
from connexion.lifecycle import ConnexionRequest, ConnexionResponse
from starlette.types import Message, Scope

from resource_server.serving.app import build
from resource_server.serving.problems import problem
from resource_server.serving.threads import THREAD
from resource_server.settings import Settings
from resource_server.tokens.errors import MissingCredentials
from tests.sample import create_app
from tests.tenant import AUDIENCE


def answer(handler: Any, *, in_thread: bool) -> httpx.Response:
    """What the API answers without a token, with a handler for that."""
    app = create_app(Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE))
    app.add_error_handler(MissingCredentials, handler)
    middleware = build(app).middleware
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/private",
        "query_string": b"",
        "headers": [],
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    if in_thread:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        with pytest.raises(StopIteration):  # it never waits
            contextvars.copy_context().run(middleware({**scope, THREAD: loop}, receive, send).send, None)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    else:
        asyncio.run(middleware(scope, receive, send))
    return httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=sent[1]["body"])


def plain(_: ConnexionRequest, error: Exception) -> ConnexionResponse:
    return ConnexionResponse(418, body=f"{type(error).__name__} {threading.current_thread().name.split()[0]}")


async def coroutine(_: ConnexionRequest, error: Exception) -> ConnexionResponse:
    await asyncio.sleep(0.01)
    return ConnexionResponse(418, body=type(error).__name__)


def failing(_: ConnexionRequest, __: Exception) -> ConnexionResponse:
    raise RuntimeError("a secret")


@pytest.mark.parametrize("in_thread", [True, False])
@pytest.mark.parametrize("handler", [plain, coroutine])
def test_handler_of_any_kind_answers(handler: Any, *, in_thread: bool) -> None:
    answered = answer(handler, in_thread=in_thread)
    assert answered.status_code == 418
    assert answered.text.startswith("MissingCredentials")
    assert answered.headers["x-content-type-options"] == "nosniff"


def test_detail_repeats_no_more_of_a_request_than_is_of_use() -> None:
    assert problem(400, "x" * 500)["detail"] == "x" * 500
    assert problem(400, "x" * 100_000)["detail"] == "x" * 500 + " …"


def test_plain_handler_does_not_run_in_the_event_loops_thread() -> None:
    assert "MainThread" not in answer(plain, in_thread=False).text


@pytest.mark.parametrize("in_thread", [True, False])
def test_handler_that_fails_is_answered_for_without_its_secrets(*, in_thread: bool) -> None:
    answered = answer(failing, in_thread=in_thread)
    assert (answered.status_code, answered.json()["code"]) == (500, "internal_server_error")
    assert "secret" not in answered.text
