"""The linters of `tests/linters` find nothing in the contract, and find what is broken in a copy of it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.nodepeers import LINTERS, require_node
from tests.processes import ROOT, run
from tests.sample import SPECIFICATION

PROGRAMS = LINTERS / "node_modules" / ".bin"
QUIET = {"REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


def redocly(contract: Path) -> list[str]:
    command = [str(PROGRAMS / "redocly"), "lint", "--config", "redocly.yaml", "--format", "json", str(contract)]
    problems = linted(command)["problems"]
    return [f"{problem['ruleId']} at {problem['location'][0]['pointer']}" for problem in problems]


def spectral(contract: Path) -> list[str]:
    command = [str(PROGRAMS / "spectral"), "lint", "--quiet", "--format", "json", str(contract)]
    return [f"{problem['code']} at #/{'/'.join(problem['path'])}" for problem in linted(command)]


def linted(command: list[str]) -> Any:
    require_node(LINTERS)
    answer = run(command, QUIET)
    assert answer.stdout.startswith(("{", "[")), answer.stderr
    return json.loads(answer.stdout)


Lint = Callable[[Path], list[str]]
Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize("lint", [redocly, spectral])
def test_contract_has_no_errors_and_no_warnings(lint: Lint) -> None:
    assert lint(SPECIFICATION) == []


def changed(folder: Path, change: Change) -> Path:
    contract = yaml.safe_load(SPECIFICATION.read_text())
    change(contract)
    path = folder / "openapi.yaml"
    path.write_text(yaml.safe_dump(contract))
    return path


def unprotected(contract: dict[str, Any]) -> None:
    contract["paths"]["/api/private"]["get"]["security"] = []


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
    ("lint", "change", "rule"),
    [
        (redocly, undefined, "security-defined"),
        (redocly, mistaken, "no-invalid-media-type-examples"),
        (spectral, undefined, "oas3-operation-security-defined"),
        (spectral, mistaken, "oas3-valid-media-example"),
        (spectral, unprotected, "owasp:api2:2023-read-restricted"),
        (spectral, unencrypted, "owasp:api8:2023-no-server-http"),
        (spectral, unlimited, "owasp:api4:2023-string-limit"),
    ],
)
def test_broken_contract_has_errors(tmp_path: Path, lint: Lint, change: Change, rule: str) -> None:
    assert rule in [problem.partition(" at ")[0] for problem in lint(changed(tmp_path, change))]


@pytest.mark.parametrize("lint", [redocly, spectral])
def test_operation_of_the_readme_has_none_either(tmp_path: Path, lint: Lint) -> None:
    shown = re.search(r"(?s)```yaml\n(.*?)```", (ROOT / "README.md").read_text())
    assert shown

    def add(contract: dict[str, Any]) -> None:
        contract["paths"].update(yaml.safe_load(shown[1]))
        del contract["paths"]["/api/public"]  # .spectral.yaml lets it be public in openapi.yaml only

    assert lint(changed(tmp_path, add)) == []


def test_command_for_people_lints_the_same() -> None:
    require_node(LINTERS)
    answer = run(["npm", "--prefix", str(LINTERS), "run", "lint"])
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_lock_file_names_no_registry() -> None:
    lock = json.loads((LINTERS / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
