"""The contract keeps what its last release promised, or has a new major version; what counts as breaking is a table."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from resource_server.testing.breaking import breaking_changes, objection, read_released, record
from tests.nodepeers import LINTERS, require_node
from tests.processes import TESTS

LETTERS: dict[str, Any] = yaml.safe_load((TESTS / "letters.yaml").read_text())

Change = Callable[[dict[str, Any]], object]


def find(contract: dict[str, Any]) -> Any:
    return contract["paths"]["/letters"]["get"]


def send(contract: dict[str, Any]) -> Any:
    return contract["paths"]["/letters"]["post"]


def sent(contract: dict[str, Any]) -> Any:
    return send(contract)["requestBody"]["content"]["application/json"]["schema"]


def letter(contract: dict[str, Any]) -> Any:
    return contract["components"]["schemas"]["Letter"]


def status(contract: dict[str, Any]) -> Any:
    return contract["paths"]["/status"]["get"]


def require(*scopes: str) -> dict[str, Any]:
    return {"security": [{"oauth2": list(scopes)}]}


def query(**members: Any) -> dict[str, Any]:
    return {"name": "text", "in": "query", "schema": {"type": "string"}, **members}


# fmt: off
BREAKING: dict[str, Change] = {
    "operation removed": lambda c: c["paths"]["/letters"].pop("post"),
    "operation renamed": lambda c: status(c).update(operationId="health"),
    "path removed": lambda c: c["paths"].pop("/status"),
    "path renamed": lambda c: c["paths"].update({"/mail": c["paths"].pop("/letters")}),
    "server put before the first": lambda c: c.update(servers=[{"url": "/v2"}, {"url": "/"}]),
    "header field made optional": lambda c: send(c)["responses"]["201"]["headers"]["Location"].pop("required"),
    "header field removed": lambda c: send(c)["responses"]["201"].pop("headers"),
    "flow removed": lambda c: c["components"]["securitySchemes"]["oauth2"]["flows"].popitem(),
    "server moved": lambda c: c.update(servers=[{"url": "/v2"}]),
    "required parameter added": lambda c: find(c)["parameters"].append(query(required=True)),
    "required parameter of the path item added": lambda c: c["paths"]["/status"].update(
        parameters=[query(required=True)]),
    "parameter removed": lambda c: find(c)["parameters"].pop(),
    "parameter made required": lambda c: find(c)["parameters"][0].update(required=True),
    "parameter type changed": lambda c: find(c)["parameters"][0]["schema"].update(type="boolean"),
    "parameter limited": lambda c: find(c)["parameters"][0]["schema"].update(maximum=10),
    "parameter value removed": lambda c: find(c)["parameters"][1]["schema"]["enum"].pop(),
    "body made required": lambda c: send(c)["requestBody"].update(required=True),
    "body media type removed": lambda c: send(c)["requestBody"]["content"].pop("text/plain"),
    "body property type changed": lambda c: sent(c)["properties"]["text"].update(type="integer"),
    "body property made required": lambda c: sent(c)["required"].append("color"),
    "body property value removed": lambda c: sent(c)["properties"]["color"]["enum"].pop(),
    "response status removed": lambda c: find(c)["responses"].update({"202": find(c)["responses"].pop("200")}),
    "response media type removed": lambda c: find(c)["responses"]["200"]["content"].pop("text/csv"),
    "response property removed": lambda c: letter(c)["properties"].pop("stamp"),
    "response property type changed": lambda c: letter(c)["properties"]["text"].update(type="integer"),
    "response property made optional": lambda c: letter(c).pop("required"),
    "response property made nullable": lambda c: letter(c)["properties"]["text"].update(nullable=True),
    "response property value added": lambda c: letter(c)["properties"]["state"]["enum"].append("lost"),
    "scope added": lambda c: find(c).update(require("read:letters", "list:letters")),
    "scope added to any token": lambda c: c["paths"]["/letters/{letter_id}"]["get"].update(require("read:letters")),
    "scope renamed": lambda c: find(c).update(require("list:letters")),
    "scope added to the inherited ones": lambda c: c.update(require("read:letters")),
    "public operation made protected": lambda c: status(c).update(require()),
    "public operation made protected by inheritance": lambda c: status(c).pop("security"),
}
COMPATIBLE: dict[str, Change] = {
    "nothing": lambda _: None,
    "operation added": lambda c: c["paths"]["/letters"].update(
        delete={"operationId": "burn", "responses": {"204": {"description": "Gone."}}}),
    "optional parameter added": lambda c: find(c)["parameters"].append(query()),
    "parameter value added": lambda c: find(c)["parameters"][1]["schema"]["enum"].append("longest"),
    "body property made optional": lambda c: sent(c).pop("required"),
    "optional body property added": lambda c: sent(c)["properties"].update(to={"type": "string"}),
    "optional response property added": lambda c: letter(c)["properties"].update(to={"type": "string"}),
    "required response property added": lambda c: (
        letter(c)["properties"].update(to={"type": "string"}), letter(c)["required"].append("to")),
    "response property value removed": lambda c: letter(c)["properties"]["state"]["enum"].pop(),
    "server added": lambda c: c.update(servers=[{"url": "/"}, {"url": "/v2"}]),
    "header field added": lambda c: send(c)["responses"]["201"]["headers"].update({"X-A": {"schema": {}}}),
    "error added": lambda c: find(c)["responses"].update({"503": {"description": "Try again."}}),
    "descriptions changed": lambda c: (c["info"].update(description="Mail."), letter(c).update(description="Mail.")),
    "component inlined": lambda c: c["paths"]["/letters"]["post"]["responses"]["201"]["content"].update(
        {"application/json": {"schema": copy.deepcopy(letter(c))}}),
    "scope removed": lambda c: find(c).update(require()),
    "alternative added": lambda c: find(c)["security"].append({"oauth2": ["list:letters"]}),
    "operation made public": lambda c: find(c).update(security=[]),
    "inherited security written out by one": lambda c: c["paths"]["/letters/{letter_id}"]["get"].update(require()),
    "inherited security written out by all": lambda c: (
        c.pop("security"), c["paths"]["/letters/{letter_id}"]["get"].update(require())),
}
# fmt: on


def changed(change: Change) -> dict[str, Any]:
    contract = copy.deepcopy(LETTERS)
    change(contract)
    return contract


@pytest.mark.parametrize("change", BREAKING.values(), ids=BREAKING.keys())
def test_breaking_change_is_found(change: Change) -> None:
    require_node(LINTERS)
    assert breaking_changes(LETTERS, changed(change)) != []


@pytest.mark.parametrize("change", COMPATIBLE.values(), ids=COMPATIBLE.keys())
def test_compatible_change_is_not_complained_of(change: Change) -> None:
    require_node(LINTERS)
    assert breaking_changes(LETTERS, changed(change)) == []


def test_objection_says_what_breaks_and_what_to_do() -> None:
    require_node(LINTERS)
    refusal = objection(LETTERS, changed(BREAKING["scope added"]))
    assert refusal is not None
    assert refusal.splitlines()[:3] == [
        "The contract breaks what callers of version 1.4.0 rely on:",
        "#/paths/~1letters/get/security/0: Security scheme `oauth2` requires new scopes: 'list:letters'.",
        "Undo this, or say that it is meant: raise info.version to 2.0.0.",
    ]
    assert "delete the file of the\nreleased contract" in refusal


@pytest.mark.parametrize(("version", "may"), [("1.5.0", False), ("0.9.0", False), ("2.0.0", True), ("v10", True)])
def test_breaking_change_needs_a_new_major_version(version: str, may: bool) -> None:  # noqa: FBT001  # of the table
    require_node(LINTERS)
    contract = changed(BREAKING["operation removed"])
    contract["info"]["version"] = version
    assert (objection(LETTERS, contract) is None) is may


def test_release_is_recorded_unless_something_stands_against_it(tmp_path: Path) -> None:
    require_node(LINTERS)
    path = tmp_path / "released" / "openapi.yaml"
    assert record(LETTERS, path) is None
    assert read_released(path) == LETTERS
    assert str(record(changed(BREAKING["path removed"]), path)).startswith("The contract breaks what callers of ")
    compatible = changed(COMPATIBLE["scope removed"])
    assert record(compatible, path) == "The contract has changed since version 1.4.0: raise info.version."
    compatible["info"]["version"] = "1.5.0"
    assert record(compatible, path) is None
    assert read_released(path) == compatible
