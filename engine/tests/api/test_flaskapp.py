"""Our Flask app answers as Connexion's does, to every kind of handler."""

import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import connexion
import httpx
import pytest

from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.processes import TESTS
from tests.sample import create_app
from tests.tenant import AUDIENCE

KINDS = TESTS / "kinds"
CONTRACT = KINDS / "openapi.yaml"


@asynccontextmanager
async def lifespan(_: object) -> AsyncIterator[None]:
    """Without one a2wsgi waits for more when the server has stopped."""
    yield


@contextmanager
def client(app: Any) -> Iterator[httpx.Client]:
    with in_background(app) as url, httpx.Client(base_url=url, trust_env=False) as served:
        yield served


def ours() -> Any:
    return create_app(Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE), specification=CONTRACT)


def connexions() -> Any:
    app = connexion.FlaskApp(__name__, server_args={"static_folder": None}, lifespan=lifespan)
    app.add_api(CONTRACT)
    return app


@pytest.fixture(scope="module")
def clients() -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Ours and Connexion's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(KINDS))
        with client(ours()) as ours_, client(connexions()) as theirs:
            yield ours_, theirs


@pytest.fixture
def served(clients: tuple[httpx.Client, httpx.Client]) -> httpx.Client:
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
    ours, theirs = (answer(client.request(method, path, **options)) for client in clients)
    assert (ours == theirs) is ((method, path) not in DIFFERENT)


DIFFERENT = {
    ("DELETE", "/nothing"): "what has no body has no Content-Type",
    ("GET", "/plain/"): "paths are exact: Connexion redirects",
    ("GET", "/odd/many"): "header fields may be a list, as Flask takes them: Connexion fails",
}
"""Where answers differ, and why. Errors differ in their bodies: ours are problem documents with a code."""


def answer(response: httpx.Response) -> tuple[int, Any, dict[str, str]]:
    """What was answered, but for when, how JSON is written, and what is in each of our answers."""
    if response.is_error:
        return response.status_code, None, {}
    is_json = response.content and "json" in response.headers.get("content-type", "")
    fields = {name: value for name, value in response.headers.items() if name not in OF_EACH_ANSWER}
    if "json" in fields.get("content-type", ""):
        fields.pop("content-length", None)
    return response.status_code, response.json() if is_json else response.content, fields


OF_EACH_ANSWER = ("date", "x-content-type-options", "referrer-policy", "x-request-id")


def test_stream_arrives_as_it_is_made(served: httpx.Client) -> None:
    begun = time.monotonic()
    with served.stream("GET", "/stream") as response:
        arrived = [(chunk, time.monotonic() - begun) for chunk in response.iter_raw()]
    assert b"".join(chunk for chunk, _ in arrived) == b"first\nsecond\n"
    assert arrived[0][1] < 0.4 < arrived[-1][1]


def test_stream_that_breaks_is_not_taken_for_a_whole_one(served: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        served.get("/broken-stream")


def test_handlers_that_block_do_not_hold_up_others(served: httpx.Client) -> None:
    with ThreadPoolExecutor(20) as threads:
        begun = time.monotonic()
        blocked = [threads.submit(served.get, "/block", timeout=10) for _ in range(20)]
        time.sleep(0.2)
        assert served.get("/plain").status_code == 200
        assert time.monotonic() - begun < 0.9
        assert [future.result().json() for future in blocked] == [{"blocked": True}] * 20
        assert time.monotonic() - begun < 1.9
