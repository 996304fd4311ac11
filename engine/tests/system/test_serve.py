"""The API in production answers as it does in development, from threads that one slow request doesn't hold up."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import httpx
import pytest

from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.api.test_flaskapp import KINDS, REQUESTS
from tests.attacks import CASES
from tests.processes import api, running
from tests.sample import create_app
from tests.serving import OF_EACH_ANSWER, comparable, production, raw_request
from tests.tenant import AUDIENCE, Tenant


def settings(tenant: Tenant, **others: Any) -> Settings:
    return Settings(issuers=(tenant.url,), audience=AUDIENCE, **others)


def test_every_attack_has_the_same_answer_as_in_development(tenant: Tenant) -> None:
    different = {}
    with production(tenant) as served, in_background(create_app(settings(tenant))) as url:
        for case in CASES:
            request = case.make(tenant)
            answers = [
                comparable(raw_request(each, request.target, request.headers, request.method)) for each in (served, url)
            ]
            if answers[0] != answers[1]:
                different[case.name] = answers
    assert different == {}


@pytest.fixture(scope="module")
def kinds(tenant: Tenant) -> Iterator[str]:
    """Where handlers of every kind are served in production."""
    with production(tenant, KINDS / "openapi.yaml") as url:
        yield url


@pytest.fixture(scope="module")
def kinds_in_development(tenant: Tenant) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(KINDS))
        with in_background(create_app(settings(tenant, specification=KINDS / "openapi.yaml"))) as url:
            yield url


@pytest.mark.parametrize(("method", "path", "options"), REQUESTS)
def test_handler_of_any_kind_answers_as_in_development(
    kinds: str, kinds_in_development: str, method: str, path: str, options: dict[str, Any]
) -> None:
    def answer(url: str) -> tuple[int, bytes, list[tuple[str, str]]]:
        response = httpx.request(method, url + path, trust_env=False, **options)
        fields = [field for field in response.headers.multi_items() if field[0] not in OF_EACH_ANSWER]
        return response.status_code, response.content, sorted(fields)

    assert answer(kinds) == answer(kinds_in_development)


def test_handlers_that_block_do_not_hold_up_others(kinds: str) -> None:
    with ThreadPoolExecutor(20) as threads, httpx.Client(base_url=kinds, trust_env=False) as client:
        begun = time.monotonic()
        blocked = [threads.submit(httpx.get, kinds + "/block", trust_env=False) for _ in range(20)]
        time.sleep(0.3)
        assert client.get("/plain").status_code == 200
        assert client.post("/echo", json={}).status_code == 201
        assert time.monotonic() - begun < 0.9
        assert [future.result().json() for future in blocked] == [{"blocked": True}] * 20
        assert time.monotonic() - begun < 1.9


def test_stream_arrives_as_it_is_made(kinds: str) -> None:
    begun = time.monotonic()
    with httpx.stream("GET", kinds + "/stream", trust_env=False) as response:
        arrived = [(chunk, time.monotonic() - begun) for chunk in response.iter_raw()]
    assert b"".join(chunk for chunk, _ in arrived) == b"first\nsecond\n"
    assert arrived[0][1] < 0.4 < arrived[-1][1]


def test_stream_that_breaks_is_not_taken_for_a_whole_one(kinds: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(kinds + "/broken-stream", trust_env=False)


def test_requests_that_wait_for_the_issuer_hold_no_thread() -> None:
    def hang(_: str) -> tuple[int, dict[str, str], bytes]:
        time.sleep(3)
        return 503, {}, b""

    connections = httpx.Limits(max_connections=200)
    tenant = Tenant()
    tenant.misbehave = hang  # from the start, which fetches keys already
    with (
        tenant.running(),
        production(tenant) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=20, limits=connections) as client,
        ThreadPoolExecutor(100) as threads,
    ):
        headers = {"Authorization": f"Bearer {tenant.token()}"}
        waiting = [threads.submit(client.get, "/api/private", headers=headers) for _ in range(100)]
        time.sleep(0.7)
        assert client.get("/api/public").status_code == 200
        assert not wait(waiting, timeout=0).done
        assert {future.result().status_code for future in waiting} == {503}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_requests_in_flight_are_answered_when_told_to_stop(tenant: Tenant, workers: str) -> None:
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "PYTHONPATH": str(KINDS)}
    command = api("serve", "--port", "0", "--workers", workers, "--spec", str(KINDS / "openapi.yaml"))
    with running(command, environ) as process, ThreadPoolExecutor(8) as threads:
        port = process.wait_for(r"Serving on 127.0.0.1 port (\d+)")[1]
        process.wait_for(f"Started worker-{workers}")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as client:
            sent = [threads.submit(client.get, "/block") for _ in range(4)]
            sent += [threads.submit(client.post, "/block", json={}) for _ in range(4)]
            time.sleep(0.5)
            assert process.end(signal.SIGTERM) == 0
            assert [future.result().status_code for future in sent] == [200] * 8
            with pytest.raises(httpx.ConnectError):
                client.get("/plain")


def test_request_that_takes_too_long_does_not_keep_the_server_from_stopping(tenant: Tenant) -> None:
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "PYTHONPATH": str(KINDS)}
    command = api("serve", "--port", "0", "--spec", str(KINDS / "openapi.yaml"))
    with running(command, {**environ, "SHUTDOWN_SECONDS": "1"}) as process, ThreadPoolExecutor(1) as threads:
        port = process.wait_for(r"Serving on 127.0.0.1 port (\d+)")[1]
        process.wait_for("Started worker-1")
        sent = threads.submit(httpx.get, f"http://127.0.0.1:{port}/hang", trust_env=False, timeout=20)
        time.sleep(0.5)
        begun = time.monotonic()
        assert process.end(signal.SIGTERM) == 0
        assert time.monotonic() - begun < 4
        assert sent.result().status_code == 503


def test_swagger_ui_can_be_turned_off(tenant: Tenant) -> None:
    with production(tenant, SWAGGER_UI="false") as url, httpx.Client(base_url=url, trust_env=False) as client:
        paths = ("/ui/", "/ui/swagger-ui-bundle.js", "/openapi.json", "/openapi.yaml", "/")
        assert [client.get(path).status_code for path in paths] == [404] * 5


def test_swagger_ui_and_the_contract_are_served(tenant: Tenant) -> None:
    with production(tenant) as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert "swagger-ui" in client.get("/ui/").text
        assert client.get("/ui/swagger-ui-bundle.js").status_code == 200
        assert client.get("/openapi.json").json()["openapi"].startswith("3.0")
