"""Our Flask app answers as Connexion's does, to every kind of handler; it only takes less time."""

import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import connexion
import httpx
import pytest
from connexion.apps.flask import FlaskOperation

from resource_server.serving.app import build
from resource_server.serving.background import in_background
from resource_server.serving.flaskapp import FlaskApp
from tests.processes import TESTS

KINDS = TESTS / "kinds"


@asynccontextmanager
async def lifespan(_: object) -> AsyncIterator[None]:
    """Without one a2wsgi waits for more when the server has stopped."""
    yield


@contextmanager
def client(app_class: Any) -> Iterator[httpx.Client]:
    app = app_class(__name__, server_args={}, specification_dir=str(KINDS), lifespan=lifespan)
    app.add_api("openapi.yaml")
    with in_background(build(app)) as url, httpx.Client(base_url=url, trust_env=False) as served:
        yield served


@pytest.fixture(scope="module")
def clients() -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Ours and Connexion's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(KINDS))
        with client(FlaskApp) as ours, client(connexion.FlaskApp) as theirs:
            yield ours, theirs


@pytest.fixture
def ours(clients: tuple[httpx.Client, httpx.Client]) -> httpx.Client:
    return clients[0]


JSON = {"Content-Type": "application/json"}
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/plain", {}),
    ("GET", "/plain?limit=5&tags=a,b", {}),
    ("GET", "/plain?limit=x", {}),
    ("HEAD", "/plain", {}),
    ("POST", "/plain", {}),
    ("GET", "/coroutine/a%20b", {}),
    ("GET", "/coroutine/%C3%A9", {}),
    ("POST", "/echo", {"json": {"a": [1, "é"]}}),
    ("POST", "/echo", {"json": {"a": "x" * 1_000_000}}),
    ("POST", "/echo", {"content": b"{", "headers": JSON}),
    ("POST", "/echo", {"content": b"", "headers": JSON}),
    ("POST", "/raw", {"content": bytes(range(256)) * 4_000, "headers": {"Content-Type": "application/octet-stream"}}),
    ("POST", "/form/ada", {"data": {"a": "1", "b": ["x", "y"]}}),
    ("POST", "/form/ada", {"data": {"a": "x"}}),
    ("DELETE", "/nothing", {}),
    ("GET", "/cookies", {}),
    ("GET", "/stream", {}),
    ("HEAD", "/stream", {}),
    ("GET", "/fail", {}),
    ("GET", "/refuse", {}),
    ("GET", "/abort", {}),
    ("GET", "/contexts", {}),
    ("GET", "/contexts", {}),
    ("GET", "/nowhere", {}),
    ("GET", "/plain/", {}),
    *(("GET", f"/odd/{kind}", {}) for kind in ("text", "list", "number", "empty", "bytes", "many", "unknown")),
]


@pytest.mark.parametrize(("method", "path", "options"), REQUESTS)
def test_answer_is_the_same_as_connexions(
    clients: tuple[httpx.Client, httpx.Client], method: str, path: str, options: dict[str, Any]
) -> None:
    ours, theirs = (answer(client, client.request(method, path, **options)) for client in clients)
    assert ours == theirs


def answer(client: httpx.Client, response: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """What was answered, but for when and where."""
    fields = [
        (name, value.replace(str(client.base_url), "/"))
        for name, value in response.headers.multi_items()
        if name != "date"
    ]
    return response.status_code, response.content, fields


def test_stream_arrives_as_it_is_made(ours: httpx.Client) -> None:
    begun = time.monotonic()
    with ours.stream("GET", "/stream") as response:
        arrived = [(chunk, time.monotonic() - begun) for chunk in response.iter_raw()]
    assert b"".join(chunk for chunk, _ in arrived) == b"first\nsecond\n"
    assert arrived[0][1] < 0.4 < arrived[-1][1]


def test_stream_that_breaks_is_not_taken_for_a_whole_one(ours: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        ours.get("/broken-stream")


def test_handlers_that_block_do_not_hold_up_others(ours: httpx.Client) -> None:
    with ThreadPoolExecutor(20) as threads:
        begun = time.monotonic()
        blocked = [threads.submit(ours.get, "/block", timeout=10) for _ in range(20)]
        time.sleep(0.2)
        assert ours.get("/plain").status_code == 200
        assert time.monotonic() - begun < 0.9
        assert [future.result().json() for future in blocked] == [{"blocked": True}] * 20
        assert time.monotonic() - begun < 1.9


def test_connexion_still_makes_decorators_on_every_call() -> None:
    """What is replaced here, Connexion still does on every call; if it doesn't, ours can go."""
    assert isinstance(FlaskOperation.fn, property)
