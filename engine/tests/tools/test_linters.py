"""The linters find nothing in the sample's contract, and find what is broken in a copy of it."""

import copy
import json
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from resource_server.contract.loading import read_contract
from resource_server.testing.linting import LINTERS, lint_complaints
from tests.nodepeers import require_node
from tests.processes import SAMPLE, run
from tests.sample import SPECIFICATION

CONTRACT = read_contract(SPECIFICATION)

Change = Callable[[dict[str, Any]], object]


def complaints(change: Change) -> list[str]:
    """What the linters complain of when something is changed: the rules."""
    require_node(LINTERS)
    contract = copy.deepcopy(CONTRACT)
    change(contract)
    return [complaint.partition(" at ")[0] for complaint in lint_complaints(contract)]


def test_contract_has_no_errors_and_no_warnings() -> None:
    assert complaints(lambda _: None) == []


def unencrypted(contract: dict[str, Any]) -> None:
    contract["servers"] = [{"url": "http://api.example.com"}]


def undefined(contract: dict[str, Any]) -> None:
    contract["paths"]["/api/private"]["get"]["security"] = [{"nowhere": []}]


def mistaken(contract: dict[str, Any]) -> None:
    responses = contract["paths"]["/api/private"]["get"]["responses"]
    responses["200"]["content"]["application/json"]["example"] = {"message": 1}


def unlimited(contract: dict[str, Any]) -> None:
    del contract["components"]["schemas"]["Message"]["properties"]["message"]["maxLength"]


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (undefined, {"security-defined", "oas3-operation-security-defined"}),
        (mistaken, {"no-invalid-media-type-examples", "oas3-valid-media-example"}),
        (unencrypted, {"owasp:api8:2023-no-server-http"}),
        (unlimited, {"owasp:api4:2023-string-limit"}),
    ],
)
def test_broken_contract_has_errors(change: Change, rules: set[str]) -> None:
    assert rules <= set(complaints(change))


def test_operation_of_the_readme_has_none_either() -> None:
    shown = re.search(r"(?s)```yaml\n(.*?)```", (SAMPLE / "README.md").read_text())
    assert shown
    assert complaints(lambda contract: contract["paths"].update(yaml.safe_load(shown[1]))) == []


def test_command_for_people_lints_the_same() -> None:
    require_node(LINTERS)
    command = [sys.executable, "-m", "resource_server.testing.linting"]
    assert run([*command, str(SPECIFICATION)]).returncode == 0
    answer = run([*command, "released.yaml"], cwd=SAMPLE / "tests")
    assert answer.returncode == 0, answer.stdout


def test_lock_file_names_no_registry() -> None:
    lock = json.loads((LINTERS / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
