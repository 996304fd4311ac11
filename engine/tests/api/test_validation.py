"""Patterns of the contract: as ECMA-262 has them, and in no more than linear time."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from resource_server.settings import Settings
from tests.sample import create_app
from tests.tenant import AUDIENCE

PATTERNS = {"nested": "^(a+)+$", "looking": "^(?!b)(a+)+$", "digits": "^\\d+$"}


def echo(**values: Any) -> dict[str, Any]:
    return {"values": sorted(values)}


def app(folder: Path) -> Any:
    properties = {name: {"type": "string", "pattern": pattern} for name, pattern in PATTERNS.items()}
    operation = {
        "operationId": f"{__name__}.echo",
        "parameters": [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()],
        "requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": properties}}}},
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
    answer = client.post("/", json={name: value})
    assert (answer.status_code, answer.headers["content-type"].endswith("json")) == (status, True)
    if status == 400 and len(value) < 100:
        assert answer.json()["detail"].endswith(f" - '{name}'")
    assert time.perf_counter() - begun < 2


def test_body_that_need_not_be_there_may_be_missing(tmp_path: Path) -> None:
    assert app(tmp_path).test_client().post("/").status_code == 200
