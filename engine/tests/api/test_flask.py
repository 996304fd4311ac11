"""A handler finds all that Flask has for it, in a thread and in the event loop, with hooks and without."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import flask
import httpx
import pytest
import yaml
from connexion.lifecycle import ConnexionResponse
from werkzeug.middleware.proxy_fix import ProxyFix

from resource_server.contract.spec import ContractError
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.sample import create_app
from tests.tenant import AUDIENCE

PLAIN = {"responses": {"200": {"description": "JSON.", "content": {"application/json": {}}}}}
HANDLERS: dict[str, Callable[..., Any]] = {}


def handler(function: Callable[..., Any]) -> Callable[..., Any]:
    HANDLERS[function.__name__] = function
    return function


@handler
def untouched() -> dict[str, Any]:
    return {"answer": 42}


@handler
def touched() -> dict[str, Any]:
    return {
        "path": flask.request.path,
        "args": flask.request.args,
        "header": flask.request.headers["X-Own"],
        "endpoint": flask.request.endpoint,
        "url": flask.url_for(flask.request.endpoint or ""),
        "has": flask.has_request_context(),
        "app": flask.current_app.name,
    }


@handler
def later() -> dict[str, Any]:
    @flask.after_this_request
    def mark(response: flask.Response) -> flask.Response:
        response.headers["X-Marked"] = "yes"
        return response

    return {}


@handler
def globals_() -> dict[str, Any]:
    before = flask.g.get("name")
    flask.g.name = "ada"
    return {"before": before, "name": flask.g.name}


@handler
def session() -> dict[str, Any]:
    flask.session["name"] = "ada"
    return {"name": flask.session["name"]}


@handler
def fails() -> None:
    raise KeyError("a secret")


@handler
def aborts() -> None:
    flask.abort(409, "Not now.")


@handler
def created() -> tuple[dict[str, Any], int, dict[str, str]]:
    return {"a": "é"}, 201, {"X-Own": "1"}


@handler
def copied() -> dict[str, Any]:
    @flask.copy_current_request_context
    def elsewhere() -> str:
        return flask.request.path

    return {"path": elsewhere()}


@handler
async def awaited() -> dict[str, Any]:
    @flask.after_this_request
    def mark(response: flask.Response) -> flask.Response:
        response.headers["X-Marked"] = "yes"
        return response

    flask.g.name = "ada"
    await asyncio.sleep(0.01)
    flask.session["name"] = flask.g.name
    return {
        "path": flask.request.path,
        "url": flask.url_for(flask.request.endpoint or ""),
        "app": flask.current_app.name,
    }


@handler
async def fails_later() -> None:
    await asyncio.sleep(0)
    raise KeyError("a secret")


@handler
async def aborts_later() -> None:
    await asyncio.sleep(0)
    flask.abort(409, "Not now.")


@handler
async def raises_its_own() -> None:
    raise Own


@handler
def raises_own() -> None:
    raise Own


async def raises_own_later() -> None:
    raise Own


class Own(Exception):
    """An error handler of Flask's answers it."""


def answers(folder: Path, *, hooks: bool) -> dict[str, tuple[int, Any, dict[str, str]]]:
    """What all handlers answer, twice each, in an application with or without hooks."""
    paths = {f"/{name}": {"get": {"operationId": f"tests.api.test_flask.{name}", **PLAIN}} for name in HANDLERS}
    spec = folder / "openapi.yaml"
    spec.write_text(yaml.safe_dump({"openapi": "3.0.3", "info": {"title": "Direct", "version": "1"}, "paths": paths}))
    app = create_app(Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE), specification=spec)
    app.app.secret_key = "for the session"  # it is none
    app.app.register_error_handler(Own, lambda _: ({"own": True}, 418))
    called: list[str] = []
    if hooks:
        app.app.before_request(lambda: called.append("before"))
        app.app.teardown_request(lambda _: called.append("after"))
    found = {}
    with in_background(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        for name in [*HANDLERS, *HANDLERS]:
            client.cookies.clear()
            answer = client.get(f"/{name}?a=1", headers={"X-Own": "mine"})
            fields = {field: value for field, value in answer.headers.items() if field not in ("date", "x-request-id")}
            if "set-cookie" in fields:
                fields["set-cookie"] = fields["set-cookie"].partition(".")[0]  # what follows is signed at some time
            found[name] = answer.status_code, answer.json(), fields
    assert called.count("before") == (2 * len(HANDLERS) if hooks else 0)
    return found


def test_every_answer_is_the_same_with_hooks_and_without(tmp_path: Path) -> None:
    found = answers(tmp_path, hooks=False)
    assert found == answers(tmp_path, hooks=True)
    assert found["untouched"][:2] == (200, {"answer": 42})
    assert found["touched"][1]["args"] == {"a": "1"}
    assert found["touched"][1]["url"] == found["touched"][1]["path"] == "/touched"
    assert found["later"][2]["x-marked"] == found["awaited"][2]["x-marked"] == "yes"
    assert found["globals_"][1] == {"before": None, "name": "ada"}
    assert "session=" in found["session"][2]["set-cookie"]
    assert "session=" in found["awaited"][2]["set-cookie"]
    assert found["awaited"][1]["url"] == found["awaited"][1]["path"] == "/awaited"
    assert [found[name][0] for name in ("fails", "aborts", "created")] == [500, 409, 201]
    assert [found[name][0] for name in ("fails_later", "aborts_later")] == [500, 409]
    assert [found[name][:2] for name in ("raises_own", "raises_its_own")] == [(418, {"own": True})] * 2
    assert found["copied"][1] == {"path": "/copied"}


def app_of(folder: Path, *names: str) -> Any:
    paths = {f"/{name}": {"get": {"operationId": f"tests.api.test_flask.{name}", **PLAIN}} for name in names}
    spec = folder / "openapi.yaml"
    spec.write_text(yaml.safe_dump({"openapi": "3.0.3", "info": {"title": "Flask", "version": "1"}, "paths": paths}))
    return create_app(Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE), specification=spec)


@pytest.mark.parametrize("name", ["untouched", "awaited"])
def test_hook_that_blocks_does_not_hold_up_the_event_loop(tmp_path: Path, name: str) -> None:
    app = app_of(tmp_path, name)
    app.app.secret_key = "for the session"  # it is none
    app.app.before_request(lambda: time.sleep(1.5))
    with in_background(app) as url, ThreadPoolExecutor(4) as threads:
        begun = time.monotonic()
        sent = [threads.submit(httpx.get, f"{url}/{name}", trust_env=False) for _ in range(4)]
        time.sleep(0.1)
        assert httpx.get(url + "/healthz", trust_env=False).status_code == 200
        assert time.monotonic() - begun < 1.2
        assert [each.result().status_code for each in sent] == [200] * 4
        assert time.monotonic() - begun < 4.5


@pytest.mark.parametrize("name", ["untouched", "awaited"])
def test_hooks_can_answer_change_and_see_what_comes_of_a_request(tmp_path: Path, name: str) -> None:
    app = app_of(tmp_path, name)
    app.app.secret_key = "for the session"  # it is none
    ended: list[object] = []

    def gate() -> Any:
        return ({"gated": True}, 202) if "gate" in flask.request.args else None

    def mark(response: flask.Response) -> flask.Response:
        response.headers["X-Hook"] = "yes"
        return response

    app.app.before_request(gate)
    app.app.after_request(mark)
    app.app.teardown_request(ended.append)
    client = app.test_client()
    assert client.get(f"/{name}?gate").json() == {"gated": True}
    assert client.get(f"/{name}").headers["x-hook"] == "yes"
    assert ended == [None, None]


def test_route_of_flasks_own_stands_beside_the_contract(tmp_path: Path) -> None:
    app = app_of(tmp_path, "untouched")
    app.add_url_rule("/own/<name>", view_func=lambda name: {"name": name})
    client = app.test_client()
    assert client.get("/own/ada").json() == {"name": "ada"}
    refused = client.post("/own/ada")
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert client.get("/own").json()["code"] == "not_found"


def test_what_cannot_be_added_is_refused_with_what_to_do(tmp_path: Path) -> None:
    app = app_of(tmp_path, "untouched")
    for add in (app.add_middleware, app.add_wsgi_middleware):
        with pytest.raises(TypeError, match="Wrap the application instead"):
            add(object)
    operation = {"operationId": f"{__name__}.untouched", "security": [{"unknown": []}], **PLAIN}
    unenforced = {"openapi": "3.0.3", "info": {"title": "T", "version": "1"}, "paths": {"/x": {"get": operation}}}
    with pytest.raises(ContractError, match="The document: GET /x: security scheme 'unknown' is not declared"):
        app.add_api(unenforced)
    with pytest.raises(TypeError, match="security_map"):
        app.add_api(tmp_path / "openapi.yaml", security_map={})
    assert app.test_client().get("/untouched").status_code == 200
    with pytest.raises(RuntimeError, match="too late"):
        app.add_error_handler(ValueError, print)


def test_second_contract_needs_a_place_of_its_own(tmp_path: Path) -> None:
    app = app_of(tmp_path, "untouched")
    with pytest.raises(ContractError, match="Two contracts have /: give one of them a base_path of its own"):
        app.add_api(tmp_path / "openapi.yaml")
    app.add_api(tmp_path / "openapi.yaml", base_path="/v2")
    with pytest.raises(ContractError, match="Two contracts have /v2: "):
        app.add_api(tmp_path / "openapi.yaml", base_path="/v2/")
    client = app.test_client()
    assert [client.get(f"{base}/untouched").status_code for base in ("", "/v2", "/v3")] == [200, 200, 404]
    assert [client.get(f"{base}/openapi.json").json()["servers"] for base in ("", "/v2")] == [
        [{"url": "/"}],
        [{"url": "/v2"}],
    ]


globals().update(HANDLERS)


@pytest.mark.parametrize("name", ["raises_own", "raises_own_later"])
def test_error_handler_of_connexions_kind_answers_what_a_handler_raises(name: str, tmp_path: Path) -> None:
    """Hooks see the answer, as they see those of Flask's error handlers."""
    paths = {"/own": {"get": {"operationId": f"tests.api.test_flask.{name}", "security": [], **PLAIN}}}
    contract = {"openapi": "3.0.3", "info": {"title": "Own", "version": "1"}, "paths": paths}
    spec = tmp_path / "openapi.yaml"
    spec.write_text(yaml.safe_dump(contract))
    app = create_app(Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE), specification=spec)
    app.add_error_handler(Own, lambda _, error: ConnexionResponse(status_code=418, body=type(error).__name__))
    statuses: list[int] = []

    def note(response: flask.Response) -> flask.Response:
        statuses.append(response.status_code)
        return response

    app.app.after_request(note)
    answer = app.test_client().get("/own")
    assert (answer.status_code, answer.text, statuses) == (418, "Own", [418])


def test_failure_of_an_error_handler_is_answered_once(tmp_path: Path) -> None:
    paths = {"/own": {"get": {"operationId": "tests.api.test_flask.raises_own", "security": [], **PLAIN}}}
    spec = tmp_path / "openapi.yaml"
    spec.write_text(yaml.safe_dump({"openapi": "3.0.3", "info": {"title": "Own", "version": "1"}, "paths": paths}))
    app = create_app(Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE), specification=spec)
    calls: list[Exception] = []

    def fails(_: Any, error: Exception) -> Any:
        calls.append(error)
        raise Own

    app.add_error_handler(Own, fails)
    assert (app.test_client().get("/own").status_code, len(calls)) == (500, 1)


def test_wsgi_application_that_is_never_called_is_told(caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE))
    app.complete()
    assert "app.wsgi_app" not in caplog.text
    app = create_app(Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE))
    app.app.wsgi_app = ProxyFix(app.app.wsgi_app)  # type: ignore[method-assign]
    app.complete()
    assert "app.wsgi_app has been replaced" in caplog.text
