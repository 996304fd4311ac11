"""Error handlers of one's own; and what they fail at."""

import asyncio
import threading
from typing import Any

import connexion
import httpx
import pytest
from connexion.lifecycle import ConnexionRequest, ConnexionResponse

from resource_server.serving.problems import problem
from resource_server.settings import Settings
from resource_server.tokens.errors import MissingCredentials
from tests.sample import create_app
from tests.tenant import AUDIENCE


def answer(handler: Any) -> httpx.Response:
    """What the API answers without a token, with a handler for that."""
    app = create_app(Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE))
    app.add_error_handler(MissingCredentials, handler)
    answered: httpx.Response = app.test_client().get("/api/private")
    return answered


def plain(_: ConnexionRequest, error: Exception) -> ConnexionResponse:
    return ConnexionResponse(418, body=f"{type(error).__name__} {threading.current_thread().name.split()[0]}")


async def coroutine(_: ConnexionRequest, error: Exception) -> ConnexionResponse:
    await asyncio.sleep(0.01)
    return ConnexionResponse(418, body=type(error).__name__)


def failing(_: ConnexionRequest, __: Exception) -> ConnexionResponse:
    raise RuntimeError("a secret")


@pytest.mark.parametrize("handler", [plain, coroutine])
def test_handler_of_any_kind_answers(handler: Any) -> None:
    answered = answer(handler)
    assert answered.status_code == 418
    assert answered.text.startswith("MissingCredentials")
    assert answered.headers["x-content-type-options"] == "nosniff"


def test_detail_repeats_no_more_of_a_request_than_is_of_use() -> None:
    assert problem(400, "x" * 500)["detail"] == "x" * 500
    assert problem(400, "x" * 100_000)["detail"] == "x" * 500 + " …"


def test_plain_handler_does_not_run_in_the_event_loops_thread() -> None:
    assert answer(plain).text.split()[1].startswith("handlers")


def test_handler_that_fails_is_answered_for_without_its_secrets() -> None:
    answered = answer(failing)
    assert (answered.status_code, answered.json()["code"]) == (500, "internal_server_error")
    assert "secret" not in answered.text


def one_argument(error: Exception) -> tuple[str, int]:
    return str(error), 418


@pytest.mark.parametrize(
    "handler", [one_argument, lambda: "", lambda _, __, ___: "", "no function", ConnexionResponse(418)]
)
def test_function_that_cannot_be_called_as_an_error_handler_is_refused_at_the_start(handler: Any) -> None:
    app = create_app(Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE))
    with pytest.raises(TypeError) as refused:
        app.add_error_handler(MissingCredentials, handler)
    said = str(refused.value)
    assert (
        "One takes a request and an error, like `def handle(request, error)`, and returns a ConnexionResponse" in said
    )
    assert "app.app.register_error_handler" in said


@pytest.mark.parametrize(
    ("returned", "kind"),
    [
        (("gone", 410), "tuple"),
        ({"title": "Gone"}, "dict"),
        (None, "NoneType"),
        (ConnexionResponse(410, body={"title": "Gone"}), "ConnexionResponse with a body of dict"),
    ],
)
def test_what_an_error_handler_may_not_return_is_told(
    returned: Any, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(*_: Any) -> Any:
        return returned

    answered = answer(handle)
    assert (answered.status_code, answered.json()["code"]) == (500, "internal_server_error")
    why = f"returned a {kind}, and not a ConnexionResponse whose body is text or bytes"
    assert f"TypeError: The error handler test_what_an_error_handler_may_not_return_is_told.<locals>.handle {why}" in (
        caplog.text
    )


def test_problem_of_connexions_is_answered_as_it_is() -> None:
    """RFC 9457, section 3."""
    answered = answer(lambda _, error: connexion.problem(418, "Teapot", type(error).__name__, ext={"code": "teapot"}))
    assert (answered.status_code, answered.headers["content-type"]) == (418, "application/problem+json")
    assert answered.json() == {
        "type": "about:blank",
        "title": "Teapot",
        "status": 418,
        "detail": "MissingCredentials",
        "code": "teapot",
    }
