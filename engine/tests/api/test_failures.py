"""What an application's own code has failed at: told in development, kept back in production, logged in both."""

import json
import logging
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from starlette.exceptions import HTTPException

from resource_server.serving import FlaskApp
from resource_server.settings import Settings
from tests.sample import create_app
from tests.tenant import AUDIENCE

ANSWER = {"description": "It.", "content": {"application/json": {"schema": {"type": "object", "required": ["id"]}}}}


def deeper() -> NoReturn:
    json.loads("{")
    raise AssertionError


def fails() -> NoReturn:
    deeper()


async def fails_later() -> NoReturn:
    deeper()


def fails_again() -> NoReturn:
    try:
        deeper()
    except ValueError as error:
        raise LookupError("no such secret") from error


def says_nothing() -> NoReturn:
    raise RuntimeError


def says_why() -> NoReturn:
    raise HTTPException(500, "The secret is out.")


def answers_something_else() -> dict[str, Any]:
    return {"name": "secret"}


class Price:
    """What no JSON has."""


def answers_an_object() -> dict[str, Any]:
    return {"id": 1, "items": [{"a/b": 1}, {"a/b": Price()}]}


async def answers_an_object_later() -> dict[str, Any]:
    return {"items": ({}, {"a": {Price}})}


def answers_an_object_with_200() -> tuple[list[Any], int]:
    return [1, b"x"], 200


def answers_an_odd_name() -> dict[str, Any]:
    return {"id": {("a", 1): "x"}}


def answers_names_without_order() -> dict[Any, Any]:
    return {"id": {1: "x", "a": "x"}}


def answers_a_circle() -> dict[str, Any]:
    circle: dict[str, Any] = {"id": 1}
    circle["a"] = circle
    return circle


def fine() -> dict[str, Any]:
    return {"id": 1}


def answers_with_202() -> tuple[str, int, dict[str, str]]:
    return '{"id": 1}', 202, {"Content-Type": "application/json"}


def answers_a_sequence() -> tuple[str, int, dict[str, str]]:
    return '{"id": 1}\n{}\n', 201, {"Content-Type": "application/jsonl"}


SEQUENCE = {"description": "Them.", "content": {"application/jsonl": {"itemSchema": {"required": ["id"]}}}}


def app_of(folder: Path, handler: str, *, development: bool) -> FlaskApp:
    operation = {"operationId": f"{__name__}.{handler}", "responses": {"200": ANSWER, "201": SEQUENCE}}
    contract = {"openapi": "3.2.0", "info": {"title": "T", "version": "1"}, "paths": {"/it": {"get": operation}}}
    (folder / "openapi.json").write_text(json.dumps(contract))
    settings = Settings(
        issuers=("https://tenant.example.com/",),
        audience=AUDIENCE,
        development=development,
        specification=folder / "openapi.json",
    )
    return create_app(settings)


def answer(folder: Path, handler: str, *, development: bool) -> httpx.Response:
    answered: httpx.Response = app_of(folder, handler, development=development).test_client().get("/it")
    assert answered.status_code == 500
    return answered


@pytest.mark.parametrize("handler", ["fails", "fails_later"])
def test_development_says_what_has_failed_and_where(tmp_path: Path, handler: str) -> None:
    told = answer(tmp_path, handler, development=True).json()
    assert told["detail"].startswith("JSONDecodeError: Expecting property name")
    line = f"{Path(__file__).resolve()}, line"
    assert [each.partition(" line ")[0] + " line" for each in told["traceback"]] == [line, line]
    assert [each.partition(", in ")[2] for each in told["traceback"]] == [
        f"{handler}: deeper()",
        'deeper: json.loads("{")',
    ]


@pytest.mark.parametrize(
    ("handler", "detail"),
    [
        ("fails_again", "LookupError: no such secret"),
        ("says_nothing", "RuntimeError"),
        ("says_why", "The secret is out."),
        ("answers_something_else", "Response body does not conform to specification: 'id' is required."),
        ("answers_with_202", "The answer's status, 202, isn't declared."),
        ("answers_an_object", "TypeError: The answer can't be written as JSON: #/items/1/a~1b is a Price"),
        ("answers_an_object_later", "TypeError: The answer can't be written as JSON: #/items/1/a is a set"),
        ("answers_an_object_with_200", "TypeError: The answer can't be written as JSON: #/1 is a bytes"),
        ("answers_an_odd_name", "TypeError: The answer can't be written as JSON: a name in #/id is a tuple"),
        (
            "answers_names_without_order",
            "TypeError: The answer can't be written as JSON: '<' not supported between instances of 'str' and 'int'",
        ),
        ("answers_a_circle", "TypeError: The answer can't be written as JSON: Circular reference detected"),
        ("answers_a_sequence", "Response body does not conform to specification, #/1: 'id' is required."),
    ],
)
def test_development_says_whatever_is_known(tmp_path: Path, handler: str, detail: str) -> None:
    assert answer(tmp_path, handler, development=True).json()["detail"] == detail


def test_log_names_the_member_that_json_cannot_have(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    answer(tmp_path, "answers_an_object", development=False)
    (record,) = (each for each in caplog.records if each.levelno == logging.ERROR)
    assert logging.Formatter().format(record).endswith(": #/items/1/a~1b is a Price")


@pytest.mark.parametrize("handler", ["fails", "fails_later", "fails_again", "says_nothing", "says_why"])
def test_production_keeps_it_back(tmp_path: Path, handler: str) -> None:
    answered = answer(tmp_path, handler, development=False)
    assert answered.json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "The server failed to answer this request. The fault is not the request's.",
        "code": "internal_server_error",
    }


@pytest.mark.parametrize("development", [True, False])
@pytest.mark.parametrize("handler", ["fails", "fails_later"])
def test_log_begins_with_own_code(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, handler: str, *, development: bool
) -> None:
    answer(tmp_path, handler, development=development)
    (record,) = (each for each in caplog.records if each.levelno == logging.ERROR)
    text = logging.Formatter().format(record)
    assert text.splitlines()[2].endswith(f", in {handler}")
    assert "resource_server" not in text
    assert "json/decoder.py" in text  # what own code has called is of interest
