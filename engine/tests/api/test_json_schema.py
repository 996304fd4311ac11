"""JSON Schema 2020-12 as its own test suite has it, through operations that are served.

Left out is what OpenAPI documents can't use here: `$id`, anchors, dynamic references and other servers' schemas.
`format` is left out, too: its tests want it to be checked by nobody, and here it is.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from resource_server.settings import Settings
from tests.processes import TESTS
from tests.sample import create_app
from tests.tenant import AUDIENCE

_, *GROUPS = map(json.loads, (TESTS / "json_schema.jsonl").read_text(encoding="utf-8").splitlines())
ANSWERS = {"200": {"description": "JSON.", "content": {"application/json": {}}}}


def take(**_: Any) -> dict[str, Any]:
    return {}


def moved(node: Any, root: str) -> Any:
    """A schema whose references to itself lead to where it stands in the contract."""
    if isinstance(node, dict):
        return {name: moved(each, root) if name != "enum" else each for name, each in node.items()} | (
            {"$ref": root + node["$ref"][1:]} if str(node.get("$ref", "")).startswith("#") else {}
        )
    return [moved(each, root) for each in node] if isinstance(node, list) else node


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A client of an API with an operation for each schema."""
    schemas = {f"S{i}": moved(schema, f"#/components/schemas/S{i}") for i, (_, schema, _) in enumerate(GROUPS)}
    paths = {}
    for name in schemas:
        body = {"required": True, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}
        paths[f"/{name}"] = {"post": {"operationId": f"take_{name}", "requestBody": body, "responses": ANSWERS}}
        globals()[f"take_{name}"] = take
    document = {"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "x-openapi-router-controller": __name__}
    spec = Path(tmp_path_factory.mktemp("schemas")) / "openapi.json"
    spec.write_text(json.dumps({**document, "paths": paths, "components": {"schemas": schemas}}))
    settings = Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE)
    return create_app(settings, specification=spec).test_client()


@pytest.mark.parametrize("number", range(len(GROUPS)), ids=[f"{i} {name}" for i, (name, *_) in enumerate(GROUPS)])
def test_values_are_valid_or_not_as_the_test_suite_says(client: Any, number: int) -> None:
    _, _, cases = GROUPS[number]
    headers = {"Content-Type": "application/json"}
    answers = [
        (said, client.post(f"/S{number}", content=json.dumps(value), headers=headers).status_code)
        for said, value, _ in cases
    ]
    assert answers == [(said, 200 if valid else 400) for said, _, valid in cases]
