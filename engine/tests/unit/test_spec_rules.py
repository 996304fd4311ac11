"""The rules for contracts: ours follows them, the README's operation too, and each rule complains of what breaks it."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from resource_server.contract.loading import load_contract
from resource_server.testing.contract import public_operations
from resource_server.testing.rules import RULES, complaints
from tests.processes import SAMPLE
from tests.sample import SPECIFICATION

CONTRACT = load_contract(SPECIFICATION).contract
README = (SAMPLE / "README.md").read_text()

Change = Callable[[dict[str, Any]], object]


def test_contract_follows_the_rules() -> None:
    assert complaints(CONTRACT) == []


def test_operation_of_the_readme_follows_the_rules() -> None:
    shown = re.search(r"(?s)```yaml\n(.*?)```", README)
    assert shown
    assert complaints(changed(lambda c: c["paths"].update(yaml.safe_load(shown[1])))) == []


def changed(change: Change) -> dict[str, Any]:
    contract = copy.deepcopy(CONTRACT)
    change(contract)
    return contract


def public(contract: dict[str, Any]) -> Any:
    return contract["paths"]["/api/public"]["get"]


def scoped(contract: dict[str, Any]) -> Any:
    return contract["paths"]["/api/private-scoped"]["get"]


def greeting(contract: dict[str, Any]) -> Any:
    return public(contract)["responses"]["200"]["content"]["application/json"]


def refusals(contract: dict[str, Any]) -> Any:
    return contract["components"]["responses"]["Unauthorized"]


def scheme(contract: dict[str, Any]) -> Any:
    return contract["components"]["securitySchemes"]["oauth2"]


def properties(contract: dict[str, Any]) -> Any:
    return contract["components"]["schemas"]["Problem"]["properties"]


COMPLAINTS: list[tuple[Change, str]] = [
    (lambda c: c["info"].pop("title"), "it is not valid OpenAPI, at #/info: add 'title', which is required"),
    (
        lambda c: scoped(c).update(operationId="api.handlers.public"),
        "GET /api/private-scoped: its operationId 'api.handlers.public' is that of GET /api/public, too: "
        "each operation needs one of its own",
    ),
    (
        lambda c: c.pop("security"),
        "GET /api/private: it says nothing of security: add `security: []` if everybody may call it",
    ),
    (
        lambda c: public(c).pop("security"),
        "GET /api/public: it can be refused with 400, which is not among its responses\n"
        "GET /api/public: it can be refused with 401, which is not among its responses",
    ),
    (
        lambda c: public(c).update(parameters=[{"name": "q", "in": "query", "schema": {"type": "string"}}]),
        "GET /api/public: it can be refused with 400, which is not among its responses",
    ),
    (
        lambda c: c["paths"]["/api/public"].update(
            parameters=[{"name": "q", "in": "query", "schema": {"type": "string"}}]
        ),
        "GET /api/public: it can be refused with 400, which is not among its responses",
    ),
    (
        lambda c: public(c).update(requestBody={"content": {"text/plain": {"schema": {"type": "string"}}}}),
        "GET /api/public: it can be refused with 400, which is not among its responses",
    ),
    (
        lambda c: c["paths"]["/api/private"]["get"]["responses"].pop("401"),
        "GET /api/private: it can be refused with 401, which is not among its responses",
    ),
    (
        lambda c: scoped(c)["responses"].update({"403": scoped(c)["responses"]["503"]}),
        "GET /api/private-scoped: its 403 has no header WWW-Authenticate that is required\n"
        "#/components/responses/Forbidden: nothing refers to it",
    ),
    (
        lambda c: c["components"]["headers"]["WWW-Authenticate"].pop("required"),
        "GET /api/private: its 401 has no header WWW-Authenticate that is required\n"
        "GET /api/private-scoped: its 401 has no header WWW-Authenticate that is required\n"
        "GET /api/private-scoped: its 403 has no header WWW-Authenticate that is required",
    ),
    (
        lambda c: greeting(c).pop("example"),
        "#/paths/~1api~1public/get/responses/200/content/application~1json: it has no example",
    ),
    (
        lambda c: refusals(c)["content"].update({"text/plain": {"schema": {"type": "string"}}}),
        "#/components/responses/Unauthorized/content/text~1plain: it has no example",
    ),
    (
        lambda c: greeting(c)["example"].update(message=1),
        '#/paths/~1api~1public/get/responses/200/content/application~1json/example/message: 1 is not of type "string"',
    ),
    (
        lambda c: refusals(c)["content"]["application/problem+json"]["examples"]["missing"]["value"].pop("code"),
        "#/components/responses/Unauthorized/content/application~1problem+json/examples/missing: 'code' is required",
    ),
    (
        lambda c: c["components"]["headers"]["Retry-After"].update(example=0),
        "#/components/headers/Retry-After/example: 0 is less than the minimum of 1",
    ),
    (
        lambda c: properties(c)["code"].update(example="Invalid token"),
        '#/components/schemas/Problem/properties/code/example: "Invalid token" does not match "^[a-z0-9_]+$"',
    ),
    (
        lambda c: properties(c).update(at={"type": "string", "format": "date", "example": "today"}),
        "#/components/schemas/Problem/properties/at/example: 'today' is no date",
    ),
    (
        lambda c: c["paths"]["/api/private"].update(
            parameters=[{"name": "n", "in": "query", "schema": {"type": "integer"}, "example": "many"}]
        ),
        '#/paths/~1api~1private/parameters/0/example: "many" is not of type "integer"',
    ),
    (
        lambda c: scheme(c)["flows"]["authorizationCode"]["scopes"].update({"write:messages": ""}),
        "security scheme 'oauth2': no operation needs the scope 'write:messages'",
    ),
    (
        lambda c: scheme(c)["flows"]["clientCredentials"].update(scopes={}),
        "security scheme 'oauth2': not every flow declares the scope 'read:messages', which an operation needs",
    ),
    (
        lambda c: c["components"]["schemas"].update(Other={"type": "string"}),
        "#/components/schemas/Other: nothing refers to it",
    ),
    (
        lambda c: c["components"]["securitySchemes"].update(other={**scheme(c), "flows": {}}),
        "#/components/securitySchemes/other: nothing refers to it",
    ),
    (
        lambda c: properties(c)["code"].update(description="what went wrong"),
        "#/components/schemas/Problem/properties/code: its description doesn't end with a full stop",
    ),
    (
        lambda c: public(c).update(summary="Greets everybody."),
        "#/paths/~1api~1public/get: its summary doesn't start with a capital letter, or ends with a full stop",
    ),
]


@pytest.mark.parametrize(("change", "complaint"), COMPLAINTS)
def test_contract_that_breaks_a_rule_is_complained_of(change: Change, complaint: str) -> None:
    assert "\n".join(complaints(changed(change))) == complaint


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_complains_of_something(rule: Callable[[dict[str, Any]], Any]) -> None:
    assert any(list(rule(changed(change))) for change, _ in COMPLAINTS)


@pytest.mark.parametrize(
    ("change", "public"),
    [
        (lambda _: None, ["GET /api/public"]),
        (lambda c: scoped(c).update(security=[]), ["GET /api/public", "GET /api/private-scoped"]),
        (lambda c: scoped(c)["security"].append({}), ["GET /api/public", "GET /api/private-scoped"]),
    ],
)
def test_operation_that_everybody_may_call_is_listed(tmp_path: Path, change: Change, public: list[str]) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_text(yaml.safe_dump(changed(change), sort_keys=False))
    assert public_operations(path) == public


def later(contract: dict[str, Any]) -> None:
    contract["openapi"] = "3.1.0"
    properties(contract).update(
        at={"type": ["string", "null"], "format": "date", "examples": ["2026-01-02", None]},
        secret={"type": "string", "writeOnly": True},
        id={"type": "integer", "readOnly": True},
    )
    contract["components"]["schemas"]["Problem"]["example"] = {
        "type": "about:blank",
        "title": "T",
        "status": 400,
        "detail": "D.",
        "code": "c",
        "at": None,
        "secret": "s",
        "id": 1,
    }


def test_later_versions_are_held_to_the_same_rules() -> None:
    assert complaints(changed(later)) == []
    contract = changed(later)
    properties(contract)["at"]["examples"].append("today")
    assert complaints(contract) == ["#/components/schemas/Problem/properties/at/examples/2: 'today' is no date"]
