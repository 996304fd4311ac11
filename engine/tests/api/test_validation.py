"""What requests must be: patterns, as ECMA-262 has them, in no more than linear time; forms and their files."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from resource_server.settings import Settings
from tests.sample import create_app
from tests.tenant import AUDIENCE

BODIES = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
PATTERNS = {"nested": "^(a+)+$", "looking": "^(?!b)(a+)+$", "digits": "^\\d+$"}


def echo(**values: Any) -> dict[str, Any]:
    return {"values": sorted(values)}


def app(folder: Path) -> Any:
    properties = {name: {"type": "string", "pattern": pattern} for name, pattern in PATTERNS.items()}
    operation = {
        "operationId": f"{__name__}.echo",
        "parameters": [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()],
        "requestBody": {"content": {each: {"schema": {"type": "object", "properties": properties}} for each in BODIES}},
        "responses": {"200": {"description": "JSON.", "content": {"application/json": {}}}},
    }
    spec = folder / "openapi.yaml"
    document = {"openapi": "3.0.3", "info": {"title": "Patterns", "version": "1"}, "paths": {"/": {"post": operation}}}
    spec.write_text(yaml.safe_dump(document))
    return create_app(Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE), specification=spec)


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("nested", "a" * 40, 200),
        ("nested", "a" * 40 + "b", 400),
        ("nested", "a" * 2_000 + "b", 400),
        ("looking", "aaa", 200),
        ("looking", "baa", 400),
        ("looking", "a" * 60 + "b", 400),
        ("digits", "12", 200),
        ("digits", "12\n", 400),
        ("digits", "\u0663", 400),
    ],
)
def test_pattern_is_matched_in_linear_time_wherever_it_stands(
    tmp_path: Path, name: str, value: str, status: int
) -> None:
    client = app(tmp_path).test_client()
    begun = time.perf_counter()
    assert client.post("/", params={name: value}, json={}).status_code == status
    for body in ({"json": {name: value}}, {"data": {name: value}}, {"files": {name: (None, value)}}):
        answer = client.post("/", **body)
        assert (answer.status_code, answer.headers["content-type"].endswith("json")) == (status, True)
        if status == 400 and len(value) < 100:
            assert [each["pointer"] for each in answer.json()["errors"]] == [f"#/{name}"]
    assert time.perf_counter() - begun < 2


def test_body_that_need_not_be_there_may_be_missing(tmp_path: Path) -> None:
    assert app(tmp_path).test_client().post("/").status_code == 200


FILE = {"type": "string", "format": "binary"}
FORM = {
    "type": "object",
    "required": ["one"],
    "properties": {"one": FILE, "many": {"type": "array", "items": FILE, "maxItems": 2}, "age": {"type": "integer"}},
}


def app_of_form(folder: Path, schema: Any, version: str = "3.0.3", **encoding: Any) -> Any:
    content = {"schema": schema, "encoding": {name: {"contentType": types} for name, types in encoding.items()}}
    return echoing(folder, {"multipart/form-data": content}, version)


def echoing(folder: Path, content: Any, version: str = "3.0.3") -> Any:
    operation = {
        "operationId": f"{__name__}.echo",
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "JSON.", "content": {"application/json": {}}}},
    }
    spec = folder / "openapi.yaml"
    document = {"openapi": version, "info": {"title": "Forms", "version": "1"}, "paths": {"/": {"post": operation}}}
    spec.write_text(yaml.safe_dump(document))
    return create_app(Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE), specification=spec)


@pytest.mark.parametrize(
    ("version", "file"), [("3.0.3", FILE), ("3.1.0", {"type": "string", "contentMediaType": "image/png"})]
)
def test_length_of_a_file_is_that_of_its_octets(tmp_path: Path, version: str, file: dict[str, Any]) -> None:
    file = {**file, "minLength": 2, "maxLength": 4}
    schema = {"type": "object", "properties": {"one": file, "many": {"type": "array", "items": file}}}
    client = app_of_form(tmp_path, schema, version).test_client()
    for name in ("one", "many"):
        for count, status in ((1, 400), (2, 200), (4, 200), (5, 400)):
            sent = [(name, ("a.bin", b"\xff\xc3\xa9\0x"[:count]))]
            assert client.post("/", files=sent).status_code == status


@pytest.mark.parametrize(
    ("files", "data", "status"),
    [
        (["one"], {}, 200),
        (["one", "many", "many"], {"age": "3"}, 200),
        (["one", "many"], {}, 200),
        ([], {"age": "3"}, 400),
        (["one", "one"], {}, 400),
        (["one", "many", "many", "many"], {}, 400),
        (["one"], {"age": "x"}, 400),
        (["one", "age"], {}, 400),
    ],
)
@pytest.mark.parametrize("size", [1, 10_000])
def test_files_of_a_form_are_held_against_the_contract(
    tmp_path: Path, files: list[str], data: dict[str, str], status: int, size: int
) -> None:
    made = app_of_form(tmp_path, FORM)
    parts: list[tuple[str, Any]] = [(name, ("a.bin", b"\0" * size)) for name in files]
    parts += [(name, (None, value)) for name, value in data.items()]
    assert made.test_client().post("/", files=parts).status_code == status


LONG = "x" * 10_000
LIMIT = "it is 10000 long, and its maxLength is 9000"
NESTED: dict[str, Any] = {
    "type": "object",
    "allOf": [{"type": "object", "required": ["two"], "properties": {"one": {"type": "string", "maxLength": 9_000}}}],
    "properties": {
        "texts": {"type": "array", "items": {"type": "string", "maxLength": 9_000}},
        "below": {"type": "object", "properties": {"one": {"type": "string", "maxLength": 9_000}}},
        "age": {"type": "integer"},
        "all": {"type": "array", "items": {"type": "integer"}},
    },
}


@pytest.mark.parametrize("media_type", BODIES[::2])
@pytest.mark.parametrize(
    ("value", "errors"),
    [
        ({"two": 2, "one": LONG}, {"#/one": LIMIT}),
        ({"one": "x" * 9_000}, {"#": "'two' is required"}),
        ({"two": 2, "texts": ["", LONG]}, {"#/texts/1": LIMIT}),
        ({"two": 2, "below": {"one": LONG}}, {"#/below/one": LIMIT}),
        ({"two": LONG, "age": "x"}, {"#/age": '"x" is not of type "integer"'}),
        (
            {"one": LONG, "age": "x"},
            {"#": "'two' is required", "#/one": LIMIT, "#/age": '"x" is not of type "integer"'},
        ),
        ({"two": 2, "all": [LONG] * 30}, {"#": "it is not as the contract says, and too long to say where"}),
        ({"two": 2, "age": LONG}, {"#": "it is not as the contract says, and too long to say where"}),
    ],
)
def test_of_a_long_body_it_is_told_what_is_too_long_and_what_is_wrong_beside_it(
    tmp_path: Path, media_type: str, value: dict[str, Any], errors: dict[str, str]
) -> None:
    content: dict[str, Any] = {media_type: {"schema": NESTED}}
    client = echoing(tmp_path, content).test_client()
    if media_type == "application/json":
        answer = client.post("/", json=value)
    else:
        answer = client.post("/", files=[part for name, each in value.items() for part in parts_of(name, each)])
    assert {each["pointer"]: each["detail"] for each in answer.json()["errors"]} == errors


def parts_of(name: str, value: Any) -> list[tuple[str, Any]]:
    """The parts of a multipart form that a value is."""
    values = value if isinstance(value, list) else [value]
    return [(name, (None, each if isinstance(each, str) else json.dumps(each))) for each in values]


@pytest.mark.parametrize(("name", "pointer"), [("one", "#/one"), ("many", "#/many/0")])
def test_file_that_is_too_long_is_told_with_its_limit(tmp_path: Path, name: str, pointer: str) -> None:
    file = {**FILE, "maxLength": 9_000}
    schema = {"type": "object", "properties": {"one": file, "many": {"type": "array", "items": file}}}
    answer = app_of_form(tmp_path, schema).test_client().post("/", files={name: ("a.bin", b"\xff" * 10_000)})
    assert answer.json()["detail"] == f"The body, {pointer}: {LIMIT}."


@pytest.mark.parametrize("name", ["one", "many"])
@pytest.mark.parametrize(
    ("declared", "sent", "status"),
    [
        ("image/png, image/jpeg", "image/png", 200),
        ("image/png, image/jpeg", "image/jpeg", 200),
        ("image/png, image/jpeg", "IMAGE/PNG", 200),
        ("image/png, image/jpeg", "image/gif", 400),
        ("image/png", None, 400),
        ("image/png", "text/html", 400),
        ("image/*", "image/gif", 200),
        ('image/png, a/b; c="d,e"', 'a/b; c="d,e"', 200),
        (" ", "image/gif", 200),
        ("image/*", "application/octet-stream", 400),
        ("application/*+json", "application/vnd.a+json", 200),
        ("application/*+JSON", "application/vnd.a+json; charset=utf-8", 200),
        ("application/*+json", "application/json", 400),
        ("application/*+json", "image/a+json", 400),
        ("application/octet-stream", "application/octet-stream", 200),
    ],
)
def test_file_is_of_a_type_that_its_encoding_names(
    tmp_path: Path, name: str, declared: str, sent: str | None, status: int
) -> None:
    schema = {"type": "object", "properties": FORM["properties"]}
    part = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="a"\r\n'
    part += f"Content-Type: {sent}\r\n\r\nx\r\n--b--\r\n" if sent else "\r\nx\r\n--b--\r\n"
    client = app_of_form(tmp_path, schema, **{name: declared}).test_client()
    answer = client.post("/", content=part.encode(), headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.status_code == status
    if status == 400:
        assert f"#/{name}" in answer.text
        assert f"its Content-Type must be {declared}" in answer.text
