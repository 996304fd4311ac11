"""mypy and ruff, as a house has them: what a handler may return and receive is known, and ordinary code is fine."""

from pathlib import Path

from tests.houses import house
from tests.processes import run

HANDLERS = """from collections.abc import Iterator
from http import HTTPStatus
from typing import TypedDict

import flask
from resource_server import AccessToken
from resource_server.serving import ReturnValue
from werkzeug.datastructures import FileStorage


class Note(TypedDict):
    name: str


def get_note(id: str, user: str, token_info: AccessToken) -> ReturnValue:
    if not token_info.scopes:
        flask.abort(404)
    return Note(name=user + id)


def add_note(body: Note) -> ReturnValue:
    return body, 201, {"Location": "/x"}


def list_notes() -> ReturnValue:
    return [Note(name="x")], HTTPStatus.OK


def removeNote() -> ReturnValue:
    return None, 204


async def download(file: FileStorage) -> ReturnValue:
    def parts() -> Iterator[bytes]:
        yield file.read()

    return parts(), {"Content-Type": "text/csv"}


def redirected() -> ReturnValue:
    return flask.redirect("/x"), "303 See Other"


def wrong() -> ReturnValue:
    return object()


def turned_around() -> ReturnValue:
    return {}, {}, 200


def of_numbers() -> ReturnValue:
    return {1: 2}
"""


def test_wrong_return_values_are_found_and_ordinary_code_is_fine(tmp_path: Path) -> None:
    path = house(tmp_path / "house", installed=True) / "api" / "notes.py"
    path.write_text(HANDLERS)
    ended = run(["make", "lint", "TESTS="], cwd=path.parent.parent)
    assert ended.returncode == 2
    lines = HANDLERS.splitlines()
    found = [line.split(":")[1] for line in ended.stdout.splitlines() if line.startswith("api/notes.py:")]
    assert [lines[int(number) - 1].strip() for number in found] == [
        "return object()",
        "return {}, {}, 200",
        "return {1: 2}",
    ]
    path.write_text(HANDLERS.partition("def wrong")[0].rstrip() + "\n")
    ended = run(["make", "lint", "TESTS="], cwd=path.parent.parent)
    assert ended.returncode == 0, ended.stdout
