"""Requests as the contract says them, to the letter: media types, bodies, styles of parameters, formats, paths."""

import json
import shutil
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import yaml

from resource_server.settings import Settings
from tests.sample import create_app
from tests.tenant import AUDIENCE, Tenant

SEEN: list[dict[str, Any]] = []


def see(**values: Any) -> dict[str, Any]:
    """Remembers what it was called with."""
    SEEN.append(values)
    return {}


def see_header(x_count: Any = None, session: Any = None) -> dict[str, Any]:
    SEEN.append({"x_count": x_count, "session": session})
    return {}


VERSIONS = ("3.0.3", "3.1.0", "3.2.0")
INT, TEXT = {"type": "integer"}, {"type": "string"}
INTS, TEXTS = {"type": "array", "items": INT}, {"type": "array", "items": TEXT}
POINT = {"type": "object", "required": ["x"], "properties": {"x": INT, "y": INT}}


def parameter(schema: Any, place: str = "query", **more: Any) -> dict[str, Any]:
    name = {"header": "X-Count", "cookie": "session"}.get(place, "p")
    return {"name": name, "in": place, "schema": schema, **({"required": True} if place == "path" else {}), **more}


def served(
    version: str,
    operation: dict[str, Any],
    path: str = "/x",
    method: str = "post",
    settings: Settings | None = None,
    **components: Any,
) -> Any:
    """A client of an API with one operation."""
    settings = settings or Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE)
    return _served(json.dumps([version, operation, path, method, components]), settings)


@cache
def _served(key: str, settings: Settings) -> Any:
    version, operation, path, method, components = json.loads(key)
    operation = {
        "operationId": f"{__name__}.see",
        "responses": {"200": {"description": "JSON.", "content": {"application/json": {}}}},
        **operation,
    }
    document = {
        "openapi": version,
        "info": {"title": "T", "version": "1"},
        "paths": {path: {method: operation}},
        "components": components,
    }
    spec = Path(mkdtemp()) / "openapi.json"
    spec.write_text(json.dumps(document))
    client = create_app(settings, specification=spec).test_client()
    shutil.rmtree(spec.parent)
    return client


@pytest.fixture(autouse=True)
def seen() -> Iterator[list[dict[str, Any]]]:
    SEEN.clear()
    yield SEEN
    SEEN.clear()


REFUSED = object()

# schema, what the query is, what the handler gets
QUERIES: list[tuple[dict[str, Any], str, Any]] = [
    (parameter(INT), "p=5", 5),
    (parameter(INT), "p=-5", -5),
    (parameter(INT), "p=1_0", REFUSED),
    (parameter(INT), "p=%D9%A3", REFUSED),
    (parameter(INT), "p=5.0", REFUSED),
    (parameter(INT), "p=+5", REFUSED),
    (parameter(INT), "p=", REFUSED),
    (parameter(INT), "p", REFUSED),
    (parameter(INT), "p=1&p=2", REFUSED),
    (parameter({**INT, "format": "int32"}), "p=2147483647", 2147483647),
    (parameter({**INT, "format": "int32"}), "p=2147483648", REFUSED),
    (parameter({**INT, "format": "int64"}), "p=-9223372036854775808", -(2**63)),
    (parameter({**INT, "format": "int64"}), "p=9223372036854775808", REFUSED),
    (parameter({"type": "number"}), "p=1e3", 1000.0),
    (parameter({"type": "number"}), "p=nan", REFUSED),
    (parameter({"type": "number"}), "p=1e999", REFUSED),
    (parameter({"type": "boolean"}), "p=true", True),
    (parameter({"type": "boolean"}), "p=1", REFUSED),
    (parameter(TEXT), "p=5", "5"),
    (parameter(TEXT), "p=a%20b+c", "a b c"),
    (parameter(TEXT), "p=%C3%A9", "é"),
    (parameter(TEXT, required=True), "q=1", REFUSED),
    (parameter({**INT, "default": 7}), "", 7),
    (parameter({"enum": [1, 2]}), "p=2", 2),
    (parameter({"enum": [1, 2]}), "p=3", REFUSED),
    (parameter({"oneOf": [INT, {"type": "boolean"}]}), "p=true", True),
    (parameter({"oneOf": [INT, {"type": "boolean"}]}), "p=x", REFUSED),
    (parameter({"anyOf": [INT, {**TEXT, "maxLength": 1}]}), "p=x", "x"),
    (parameter({"allOf": [INT, {"minimum": 3}]}), "p=3", 3),
    (parameter({"allOf": [INT, {"minimum": 3}]}), "p=2", REFUSED),
    (parameter({}), "p=5", "5"),
    (parameter({"minimum": 3}), "p=2", REFUSED),
    (
        parameter({**TEXT, "format": "uuid"}),
        "p=123e4567-e89b-12d3-a456-426614174000",
        "123e4567-e89b-12d3-a456-426614174000",
    ),
    (parameter({**TEXT, "format": "uuid"}), "p=x", REFUSED),
    (parameter({**TEXT, "format": "date"}), "p=2026-02-29", REFUSED),
    (parameter({**TEXT, "format": "date-time"}), "p=2026-01-01", REFUSED),
    (parameter({**TEXT, "format": "uri"}), "p=a%20b", REFUSED),
    (parameter({**TEXT, "format": "byte"}), "p=YQ", REFUSED),
    (parameter({**TEXT, "format": "byte"}), "p=YQ%3D%3D", "YQ=="),
    (parameter({**TEXT, "format": "ipv4"}), "p=1.2.3", REFUSED),
    (parameter({**TEXT, "format": "ipv6"}), "p=::1", "::1"),
    (parameter({**TEXT, "format": "hostname"}), "p=-a", REFUSED),
    (parameter(INTS), "p=1&p=2", [1, 2]),
    (parameter(INTS), "p=1", [1]),
    (parameter(INTS), "p=1,2", REFUSED),
    (parameter(INTS, explode=False), "p=1,2", [1, 2]),
    (parameter(INTS, explode=False), "p=1%2C2", [1, 2]),
    (parameter(TEXTS, explode=False), "p=a,b%2Cc", ["a", "b,c"]),
    (parameter(INTS, explode=False), "p=1,x", REFUSED),
    (parameter(INTS, style="spaceDelimited", explode=False), "p=1%202", [1, 2]),
    (parameter(INTS, style="pipeDelimited", explode=False), "p=1%7C2", [1, 2]),
    (parameter({**INTS, "minItems": 2}), "p=1", REFUSED),
    (parameter(POINT), "x=1&y=2", {"x": 1, "y": 2}),
    (parameter(POINT), "x=1&y=a", REFUSED),
    (parameter(POINT), "y=2", REFUSED),
    (parameter(POINT, explode=False), "p=x,1,y,2", {"x": 1, "y": 2}),
    (parameter({"type": "object", "additionalProperties": INT}), "a=1&b=2", {"a": 1, "b": 2}),
    (parameter(POINT, style="deepObject", explode=True), "p[x]=1&p%5By%5D=2", {"x": 1, "y": 2}),
    (parameter(POINT, style="deepObject", explode=True), "p[x]=a", REFUSED),
    (
        parameter({"type": "object", "properties": {"at": POINT, "tags": TEXTS}}, style="deepObject", explode=True),
        "p[at][x]=1&p[tags]=a&p[tags]=b",
        {"at": {"x": 1}, "tags": ["a", "b"]},
    ),
    (parameter(POINT, style="deepObject", explode=True), "p[x][y]=1", REFUSED),
    ({"name": "p", "in": "query", "content": {"application/json": {"schema": POINT}}}, "p=%7B%22x%22%3A1%7D", {"x": 1}),
    ({"name": "p", "in": "query", "content": {"application/json": {"schema": POINT}}}, "p=%7B", REFUSED),
    ({"name": "p", "in": "query", "content": {"application/json": {"schema": POINT}}}, "p=%7B%7D", REFUSED),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("declared", "query", "value"), QUERIES)
def test_query_is_read_as_its_style_writes_it(version: str, declared: dict[str, Any], query: str, value: Any) -> None:
    answer = served(version, {"parameters": [declared]}).post(f"/x?{query}")
    if value is REFUSED:
        assert answer.status_code == 400
        assert {(each["in"], each["name"]) for each in answer.json()["errors"]} == {("query", "p")}
        assert SEEN == []
    else:
        assert (answer.status_code, SEEN) == (200, [{"p": value}])


NULLABLE = {"3.0.3": {**INT, "nullable": True}}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("query", "value"), [("p=5", 5), ("p=null", None), ("p=x", REFUSED)])
def test_value_may_be_nothing_where_the_contract_says_so(version: str, query: str, value: Any) -> None:
    schema = NULLABLE.get(version, {"type": ["integer", "null"]})
    answer = served(version, {"parameters": [parameter(schema)]}).post(f"/x?{query}")
    assert (answer.status_code, SEEN) == ((400, []) if value is REFUSED else (200, [{"p": value}]))


@pytest.mark.parametrize(("query", "value"), [("p=5", 5), ("p=a", "a"), ("p=abc", REFUSED)])
def test_value_may_have_several_types(query: str, value: Any) -> None:
    schema = {"type": ["integer", "string"], "maxLength": 2}
    answer = served("3.1.0", {"parameters": [parameter(schema)]}).post(f"/x?{query}")
    assert (answer.status_code, SEEN) == ((400, []) if value is REFUSED else (200, [{"p": value}]))


def test_reference_of_a_parameter_may_say_more_since_3_1() -> None:
    schema = {"$ref": "#/components/schemas/Limit", "default": 5, "maximum": 10}
    client = served("3.1.0", {"parameters": [parameter(schema)]}, schemas={"Limit": {**INT, "minimum": 1}})
    assert [client.post(f"/x?{query}").status_code for query in ("", "p=10", "p=11", "p=0")] == [200, 200, 400, 400]
    assert SEEN == [{"p": 5}, {"p": 10}]


PATHS: list[tuple[dict[str, Any], str, Any]] = [
    (parameter(INT, "path"), "5", 5),
    (parameter(INT, "path"), "x", 404),
    (parameter({**INT, "minimum": 6}, "path"), "5", 400),
    (parameter({**TEXT, "format": "uuid"}, "path"), "nonuuid", 400),
    (parameter(TEXT, "path"), "a%20b", "a b"),
    (parameter(INTS, "path"), "1,2", [1, 2]),
    (parameter(INTS, "path"), "1,x", 400),
    (parameter(POINT, "path"), "x,1,y,2", {"x": 1, "y": 2}),
    (parameter(POINT, "path", explode=True), "x=1,y=2", {"x": 1, "y": 2}),
    (parameter(INT, "path", style="label"), ".5", 5),
    (parameter(INTS, "path", style="label", explode=True), ".1.2", [1, 2]),
    (parameter(INT, "path", style="matrix"), ";p=5", 5),
    (parameter(INTS, "path", style="matrix"), ";p=1,2", [1, 2]),
    (parameter(INTS, "path", style="matrix", explode=True), ";p=1;p=2", [1, 2]),
    (parameter({"oneOf": [INT, TEXT]}, "path"), "a", "a"),
    (
        {"name": "p", "in": "path", "required": True, "content": {"application/json": {"schema": POINT}}},
        '{"x":1}',
        {"x": 1},
    ),
]


@pytest.mark.parametrize(("declared", "segment", "value"), PATHS)
def test_path_is_read_as_its_style_writes_it(declared: dict[str, Any], segment: str, value: Any) -> None:
    answer = served("3.0.3", {"parameters": [declared]}, "/x/{p}").post(f"/x/{segment}")
    if value in (400, 404):
        assert (answer.status_code, SEEN) == (value, [])
    else:
        assert (answer.status_code, SEEN) == (200, [{"p": value}])


FIELDS: list[tuple[dict[str, Any], dict[str, str], Any]] = [
    (parameter(INT, "header"), {"X-Count": "5"}, 5),
    (parameter(INT, "header"), {"X-Count": "x"}, REFUSED),
    (parameter(INT, "header", required=True), {}, REFUSED),
    (parameter(INTS, "header"), {"X-Count": "1, 2"}, [1, 2]),
    (parameter(POINT, "header", explode=True), {"X-Count": "x=1,y=2"}, {"x": 1, "y": 2}),
    (parameter(INT, "cookie"), {"Cookie": "a=b; session=5"}, 5),
    (parameter(INT, "cookie"), {"Cookie": "session=x"}, REFUSED),
    (parameter({**INT, "default": 3}, "cookie"), {}, 3),
]


@pytest.mark.parametrize(("declared", "headers", "value"), FIELDS)
def test_header_fields_and_cookies_are_converted(declared: dict[str, Any], headers: dict[str, str], value: Any) -> None:
    operation = {"operationId": f"{__name__}.see_header", "parameters": [declared]}
    answer = served("3.0.3", operation).post("/x", headers=headers)
    if value is REFUSED:
        assert (answer.status_code, SEEN) == (400, [])
    else:
        argument = "x_count" if declared["in"] == "header" else "session"
        assert (answer.status_code, SEEN[0][argument]) == (200, value)


JSON = {"application/json": {"schema": POINT}}
FORM = {"application/x-www-form-urlencoded": {"schema": POINT}}
ACCOUNT = {
    "type": "object",
    "required": ["id", "name", "password"],
    "properties": {
        "id": {**INT, "readOnly": True},
        "name": TEXT,
        "password": {**TEXT, "writeOnly": True},
    },
}

Case = tuple[dict[str, Any], bool, str | None, bytes | None, int, Any]

# content, whether it is required, Content-Type, what is sent, status, what the handler gets
BODIES: list[Case] = [
    (JSON, True, "application/json", b'{"x": 1}', 200, {"x": 1}),
    (JSON, True, "Application/JSON", b'{"x": 1}', 200, {"x": 1}),
    (JSON, True, "Application/JSON", b'{"x": "a"}', 400, None),
    (JSON, True, 'application/json; charset="utf-8"', b'{"x": 1}', 200, {"x": 1}),
    (JSON, True, None, b'{"x": 1}', 200, {"x": 1}),
    (JSON, True, None, b'{"x": "a"}', 400, None),
    (JSON, True, None, None, 400, None),
    (JSON, True, "application/json", b"", 400, None),
    (JSON, True, "text/plain", b'{"x": 1}', 415, None),
    (JSON, True, "application/json; charset=punycode", b'{"x": 1}', 400, None),
    (JSON, True, "application/json", b'{"x": NaN}', 400, None),
    (JSON, True, "application/json", b'{"x": Infinity}', 400, None),
    (JSON, True, "application/json", b'{"x": 1, "z": 1e999}', 400, None),
    (JSON, True, "application/json", b'{"x": "\\ud800"}', 400, None),
    (JSON, True, "application/json", b'{"x": 1, "z": "\\uD800"}', 400, None),
    (JSON, True, "application/json", b'{"x": 1, "z": "\\ud83d\\ude00"}', 200, {"x": 1, "z": "\U0001f600"}),
    ({"application/*": {"schema": POINT}}, True, None, b'{"x": 1}', 415, None),
    (JSON, True, "application/json", b"[" * 100_000, 400, None),
    (JSON, True, "application/json", b"null", 400, None),
    (JSON, False, None, None, 200, None),
    (JSON, False, "application/json", None, 200, None),
    (JSON, False, "text/plain", None, 200, None),
    (JSON, False, "application/json", b'{"x": "a"}', 400, None),
    ({"application/json; charset=utf-8": {"schema": POINT}}, True, "application/json", b'{"x": "a"}', 400, None),
    ({"application/json; charset=utf-8": {"schema": POINT}}, True, "application/json", b'{"x": 1}', 200, {"x": 1}),
    ({"application/vnd.a+json": {"schema": POINT}}, True, "application/vnd.a+json", b'{"x": "a"}', 400, None),
    ({"application/*": {"schema": POINT}}, True, "application/json", b'{"x": "a"}', 400, None),
    ({"*/*": {"schema": POINT}}, True, "application/json", b'{"x": 1}', 200, {"x": 1}),
    ({"application/*+json": {"schema": POINT}}, True, "application/vnd.a+json", b'{"x": 1}', 200, {"x": 1}),
    ({"application/*+json": {"schema": POINT}}, True, "application/vnd.a+json", b'{"x": "a"}', 400, None),
    ({"application/*+json": {"schema": POINT}}, True, "application/json", b'{"x": 1}', 415, None),
    ({"application/*": {}, "application/*+json": {"schema": POINT}}, True, "application/a+json", b"{}", 400, None),
    ({"APPLICATION/JSON": {"schema": POINT}}, True, "application/json", b'{"x": "a"}', 400, None),
    ({**JSON, **FORM}, True, None, b'{"x": 1}', 415, None),
    ({**JSON, **FORM}, False, None, None, 200, None),
    ({**JSON, **FORM}, True, "application/x-www-form-urlencoded", b"x=1&y=2", 200, {"x": 1, "y": 2}),
    ({**JSON, **FORM}, True, "Application/X-WWW-Form-Urlencoded; charset=utf-8", b"x=1", 200, {"x": 1}),
    (FORM, True, "application/x-www-form-urlencoded", b"x=a", 400, None),
    (FORM, True, "application/x-www-form-urlencoded", b"y=1", 400, None),
    (FORM, True, "application/x-www-form-urlencoded", b"", 400, None),
    ({"text/plain": {"schema": {**TEXT, "maxLength": 3}}}, True, "text/plain", b"abc", 200, b"abc"),
    ({"text/plain": {"schema": {**TEXT, "maxLength": 3}}}, True, "text/plain", b"abcd", 400, None),
    ({"text/plain": {"schema": {**TEXT, "maxLength": 3}}}, True, "text/plain", "äöü".encode(), 200, "äöü".encode()),
    (
        {"application/json": {"schema": ACCOUNT}},
        True,
        "application/json",
        b'{"name": "a", "password": "b"}',
        200,
        {"name": "a", "password": "b"},
    ),
    (
        {"application/json": {"schema": ACCOUNT}},
        True,
        "application/json",
        b'{"id": 1, "name": "a", "password": "b"}',
        400,
        None,
    ),
    ({"application/json": {"schema": ACCOUNT}}, True, "application/json", b'{"name": "a"}', 400, None),
    ({"application/json": {"schema": {**POINT, "default": {"x": 9}}}}, False, None, None, 200, {"x": 9}),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", BODIES, ids=lambda case: f"{case[2]} {case[3]!r:.40}")
def test_body_is_held_against_the_contract(version: str, case: Case) -> None:
    content, required, media_type, body, status, value = case
    client = served(version, {"requestBody": {"required": required, "content": content}})
    headers = {"Content-Type": media_type} if media_type is not None else {}
    answer = client.post("/x", content=body, headers=headers)
    assert (answer.status_code, SEEN) == (status, [{"body": value}] if status == 200 else [])
    if status == 400:
        assert {each["in"] for each in answer.json()["errors"]} == {"body"}


LINES = {"itemSchema": POINT, "schema": {"type": "array", "maxItems": 2}}


@pytest.mark.parametrize(
    ("media_type", "body", "pointers"),
    [
        ("application/jsonl", b'{"x": 1}\n{"x": 2}\n', []),
        ("application/jsonl", b'{"x": 1}\r\n\r\n{"x": 2}', []),
        ("application/x-ndjson", b'{"x": 1}\n{"x": 2}', []),
        ("application/json-seq", b'\x1e{"x": 1}\n\x1e{"x":\n2}\n', []),
        ("application/jsonl", b'{"x": 1}\n{"x": "a"}\n', ["#/1/x"]),
        ("application/jsonl", b'{"x": 1}\n' * 3, ["#"]),
        ("application/jsonl", b"[]", ["#/0"]),
        ("application/jsonl", b'{"x": 1}{"x": 2}', ["#"]),
        ("application/jsonl", b'{"x":\n1}', ["#"]),
        ("application/json-seq", b'\x1e{"x": NaN}\n', ["#"]),
    ],
)
def test_each_item_of_a_sequence_is_held_against_the_contract(
    media_type: str, body: bytes, pointers: list[str]
) -> None:
    client = served("3.2.0", {"requestBody": {"content": {media_type: LINES}}})
    answer = client.post("/x", content=body, headers={"Content-Type": media_type})
    assert [each["pointer"] for each in answer.json().get("errors", ())] == pointers
    assert ([] if pointers else [{"body": [{"x": 1}, {"x": 2}]}]) == SEEN


def test_body_in_chunks_is_a_body() -> None:
    client = served("3.0.3", {"requestBody": {"required": True, "content": JSON}})
    headers = {"Content-Type": "application/json"}
    assert client.post("/x", content=iter([b'{"x":', b" 1}"]), headers=headers).status_code == 200
    assert SEEN == [{"body": {"x": 1}}]
    assert client.post("/x", content=iter([b'{"x":', b' "a"}']), headers=headers).status_code == 400


FILE = {"3.0.3": {"type": "string", "format": "binary"}}


@pytest.mark.parametrize("version", VERSIONS)
def test_file_of_a_form_must_be_one(version: str) -> None:
    schema = FILE.get(version, {"contentMediaType": "application/octet-stream"})
    properties = {"file": schema, "at": POINT, "tags": TEXTS}
    content = {"multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": properties}}}
    client = served(version, {"requestBody": {"required": True, "content": content}})
    assert client.post("/x", files={"file": (None, "text")}).status_code == 400
    assert client.post("/x", files={"tags": (None, "text")}).status_code == 400
    assert SEEN == []
    parts = [("file", ("a.txt", b"abc")), ("at", (None, '{"x": 1}')), ("tags", (None, "a")), ("tags", (None, "b"))]
    assert client.post("/x", files=parts).status_code == 200
    (seen,) = SEEN
    assert (seen["file"].filename, seen["body"]) == ("a.txt", {"at": {"x": 1}, "tags": ["a", "b"]})
    assert client.post("/x", files=[parts[0], ("at", (None, '{"x": "a"}'))]).status_code == 400


def test_everything_that_is_wrong_is_told_with_its_place() -> None:
    parameters = [parameter({**INT, "minimum": 1}), parameter(INT, "header"), parameter(INT, "cookie")]
    body = {"type": "object", "properties": {"a": INT, "b~/": {"type": "array", "items": TEXT}}}
    operation = {"parameters": parameters, "requestBody": {"content": {"application/json": {"schema": body}}}}
    answer = served("3.0.3", operation).post(
        "/x?p=0", headers={"X-Count": "x", "Cookie": "session=y"}, json={"a": "1", "b~/": ["", 2]}
    )
    document = answer.json()
    assert (answer.status_code, document["code"], document["title"]) == (400, "bad_request", "Bad Request")
    assert document["detail"] == "The query parameter 'p': 0 is less than the minimum of 1."
    assert document["errors"] == [
        {"in": "query", "name": "p", "pointer": "#", "detail": "0 is less than the minimum of 1"},
        {"in": "header", "name": "X-Count", "pointer": "#", "detail": '"x" is not of type "integer"'},
        {"in": "cookie", "name": "session", "pointer": "#", "detail": '"y" is not of type "integer"'},
        {"in": "body", "pointer": "#/a", "detail": '"1" is not of type "integer"'},
        {"in": "body", "pointer": "#/b~0~1/1", "detail": '2 is not of type "string"'},
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("inherited", [ACCOUNT, {"allOf": [{"$ref": "#/components/schemas/Account"}]}])
def test_of_what_may_only_be_read_it_is_told_that_it_is(version: str, inherited: Any) -> None:
    other = {"type": "object", "properties": {"at": {"type": "object", "not": {}}}}
    body = {"content": {"application/json": {"schema": {"allOf": [inherited, other]}}}}
    client = served(version, {"requestBody": body}, schemas={"Account": ACCOUNT})
    answer = client.post("/x", json={"id": 1, "name": "a", "password": "b", "at": {}})
    assert {each["pointer"]: each["detail"] for each in answer.json()["errors"]} == {
        "#/id": "it is readOnly: it may not be sent",
        "#/at": "it may not be there",
    }


def test_what_is_told_is_bounded() -> None:
    operation = {"requestBody": {"content": {"application/json": {"schema": {"type": "array", "items": INT}}}}}
    client = served("3.0.3", operation)
    answer = client.post("/x", json=["x" * 250] * 30)
    assert len(answer.json()["errors"]) == 20
    assert len(answer.content) < 10_000
    begun = time.perf_counter()
    answer = client.post("/x", json=["x"] * 100_000)
    assert [each["detail"] for each in answer.json()["errors"]] == [
        "it is not as the contract says, and too long to say where"
    ]
    assert time.perf_counter() - begun < 1


@pytest.mark.parametrize(("field", "value"), [("z[x]", {"z[x]": "1"}), ("a", {"a": 1}), ("a[x]", {"a[x]": "1"})])
def test_field_of_a_form_keeps_its_name(field: str, value: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"a": INT}}
    client = served("3.0.3", {"requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": schema}}}})
    assert client.post("/x", data={field: "1"}).status_code == 200
    assert [{"body": value}] == SEEN


@pytest.mark.parametrize("media_type", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_deep_object_of_a_form_is_one_field(media_type: str) -> None:
    schema = {"type": "object", "properties": {"at": POINT}}
    content = {media_type: {"schema": schema, "encoding": {"at": {"style": "deepObject", "explode": True}}}}
    client = served("3.0.3", {"requestBody": {"content": content}})
    parts: dict[str, Any] = {"data": {"at[x]": "1", "at[y]": "2"}}
    if media_type.startswith("multipart"):
        parts = {"files": {name: (None, text) for name, text in parts["data"].items()}}
    assert client.post("/x", **parts).status_code == 200
    assert SEEN == [{"body": {"at": {"x": 1, "y": 2}}}]


def test_many_fields_of_a_form_take_linear_time() -> None:
    schema = {"type": "object", "properties": {"a": INT, "b": POINT, "c": {**POINT, "additionalProperties": INT}}}
    client = served("3.0.3", {"requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": schema}}}})
    begun = time.process_time()
    answer = client.post("/x", content="&".join(f"f{i}=1" for i in range(90_000)), headers=FORM_FIELDS)
    assert (answer.status_code, len(SEEN[0]["body"])) == (200, 90_000)
    assert time.process_time() - begun < 5


FORM_FIELDS = {"Content-Type": "application/x-www-form-urlencoded"}


def test_path_that_the_contract_has_decides_alone(tmp_path: Path) -> None:
    answers = {"responses": {"200": {"description": "JSON.", "content": {"application/json": {}}}}}
    change = {"operationId": f"{__name__}.see_order", "parameters": [parameter(TEXT, "path")], **answers}
    paths = {
        "/orders/bulk": {"post": {"operationId": f"{__name__}.see", **answers}},
        "/orders/{p}": {"put": change},
    }
    spec = tmp_path / "openapi.yaml"
    spec.write_text(yaml.safe_dump({"openapi": "3.0.3", "info": {"title": "T", "version": "1"}, "paths": paths}))
    settings = Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE)
    client = create_app(settings, specification=spec).test_client()
    refused = client.put("/orders/bulk")
    assert (refused.status_code, refused.headers["allow"], SEEN) == (405, "POST", [])
    assert client.put("/orders/1").status_code == 200


def see_order(p: str) -> dict[str, Any]:
    SEEN.append({"p": p})
    return {}


@pytest.mark.parametrize("method", ["head", "options"])
def test_operations_of_head_and_options_are_served(method: str) -> None:
    client = served("3.0.3", {"parameters": [parameter(INT)]}, method=method)
    assert client.request(method.upper(), "/x?p=5").status_code == 200
    assert SEEN == [{"p": 5}]
    assert client.request(method.upper(), "/x?p=x").status_code == 400
    assert client.get("/x").status_code == 405


@pytest.mark.parametrize("place", ["path", "query"])
@pytest.mark.parametrize("name", ["user", "token_info"])
def test_parameter_with_a_name_of_the_tokens_is_the_parameter(place: str, name: str) -> None:
    path = f"/x/{{{name}}}" if place == "path" else "/x"
    declared = {**parameter(TEXT, place), "name": name}
    client = served("3.0.3", {"parameters": [declared]}, path)
    assert client.post("/x/ada" if place == "path" else f"/x?{name}=ada").status_code == 200
    assert [{name: "ada"}] == SEEN


FORM_BODY = {"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": {"x": INT}}}}
FORM_WITH_TOKEN = {"application/x-www-form-urlencoded": {"schema": {"properties": {"access_token": TEXT}}}}


@pytest.mark.parametrize(
    ("content", "body", "status"),
    [
        (FORM_BODY, "x=1", 200),
        (FORM_BODY, "x=1&access_token=abc", 400),
        (FORM_BODY, "x=1&%61ccess_token=abc", 400),
        (FORM_BODY, "access_token=", 400),
        (FORM_BODY, "x=1&other=access_token", 200),
        (FORM_BODY, "my_access_token=abc", 200),
        (FORM_WITH_TOKEN, "access_token=abc", 200),  # the contract's own
    ],
)
def test_token_in_a_form_is_one_too_many(tenant: Tenant, content: Any, body: str, status: int) -> None:
    scheme = {"type": "http", "scheme": "bearer", "x-bearerInfoFunc": "security.token_info"}
    operation = {"security": [{"t": []}], "requestBody": {"content": content}}
    settings = Settings(issuers=(tenant.url,), audience=AUDIENCE)
    client = served("3.0.3", operation, settings=settings, securitySchemes={"t": scheme})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/x", content=body, headers={**form, "Authorization": f"Bearer {tenant.token()}"})
    assert (answer.status_code, len(SEEN)) == (status, int(status == 200))
    if status == 400:
        assert answer.json()["code"] == "invalid_request"
        assert 'error="invalid_request"' in answer.headers["www-authenticate"]
    assert client.post("/x", content=body, headers=form).status_code == 401
