"""A handler finds all that Flask has for it, though nothing of it is made before it is touched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import httpx
import pytest
import yaml

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


def answers(folder: Path, *, hooks: bool) -> dict[str, tuple[int, Any, dict[str, str]]]:
    """What all handlers answer, twice each, in an application with or without hooks."""
    paths = {f"/{name}": {"get": {"operationId": f"tests.api.test_direct.{name}", **PLAIN}} for name in HANDLERS}
    spec = folder / "openapi.yaml"
    spec.write_text(yaml.safe_dump({"openapi": "3.0.3", "info": {"title": "Direct", "version": "1"}, "paths": paths}))
    app = create_app(Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE), specification=spec)
    app.app.secret_key = "for the session"  # it is none
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


def test_every_answer_is_the_same_as_by_flasks_own_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directly = answers(tmp_path, hooks=False)
    assert directly == answers(tmp_path, hooks=True)
    assert directly["untouched"][:2] == (200, {"answer": 42})
    assert directly["touched"][1]["args"] == {"a": "1"}
    assert directly["touched"][1]["url"] == directly["touched"][1]["path"] == "/touched"
    assert directly["later"][2]["x-marked"] == "yes"
    assert directly["globals_"][1] == {"before": None, "name": "ada"}
    assert "session=" in directly["session"][2]["set-cookie"]
    assert [directly[name][0] for name in ("fails", "aborts", "created")] == [500, 409, 201]
    assert directly["copied"][1] == {"path": "/copied"}
    # Without hooks Flask makes nothing that no handler touches.
    monkeypatch.setattr(flask.Flask, "wsgi_app", None)
    assert answers(tmp_path, hooks=False)["untouched"][0] == 200


globals().update(HANDLERS)
