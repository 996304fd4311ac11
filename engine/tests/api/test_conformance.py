"""Conformance: Schemathesis with all of its checks, on the live server, through a view of the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
import yaml
from schemathesis import engine
from schemathesis.checks import CHECKS
from schemathesis.engine import events
from starlette.exceptions import HTTPException

from resource_server.contract.loading import read_contract
from resource_server.developing.contract_tests.results import Result, Verdict
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.application_mutants import MUTANTS
from tests.contract_runs import failures, results, served
from tests.processes import TESTS
from tests.sample import SPECIFICATION, create_app
from tests.tenant import AUDIENCE, Tenant

CONTRACT = read_contract(SPECIFICATION)
NOTES = TESTS / "notes"


@pytest.fixture(scope="module")
def found(url: str, tenant: Tenant) -> list[Result]:
    """What a whole run finds of the API."""
    return results(CONTRACT, url, tenant)


def test_api_conforms_to_its_contract(found: list[Result]) -> None:
    assert list(failures(found)) == []


def test_every_check_of_schemathesis_is_made_of_every_operation(found: list[Result]) -> None:
    made = {(result.operation, result.check) for result in found if result.part == "conformance"}
    assert len(CHECKS.get_all_names()) == 14
    assert made >= {(f"GET {path}", check) for path in CONTRACT["paths"] for check in CHECKS.get_all_names()}


@pytest.fixture
def notes(tenant: Tenant) -> Iterator[str]:
    """Another API, with parameters, bodies and several scopes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(NOTES))
        settings = Settings(issuers=(tenant.url,), audience=AUDIENCE, development=True, port=0)
        with in_background(create_app(settings, specification=NOTES / "openapi.yaml")) as url:
            yield url


def test_api_with_parameters_bodies_and_scopes_conforms_too(notes: str, tenant: Tenant) -> None:
    found = results(read_contract(NOTES / "openapi.yaml"), notes, tenant, examples=20)
    assert list(failures(found)) == []
    assert len({result.operation for result in found}) == 7  # with sequences of operations
    assert len(found) > 200


def replace_if_unchanged(if_match: str, status: int) -> dict[str, str]:
    """A handler that refuses whatever its condition doesn't hold for."""
    if if_match != '"1"':
        raise HTTPException(status)
    return {}


@pytest.mark.parametrize(
    ("status", "declared", "failed"),
    [
        *((status, status, set()) for status in (404, 409, 410, 412, 428)),
        (412, 404, {"status_code_conformance"}),
        (418, 418, {"positive_data_acceptance"}),
    ],
)
def test_declared_refusal_that_depends_on_what_there_is_conforms(
    tmp_path: Path, tenant: Tenant, status: int, declared: int, failed: set[str]
) -> None:
    """Valid input needn't meet its condition (RFC 9110, section 13.1.1; RFC 6585, section 3)."""
    if_match = {"name": "If-Match", "in": "header", "required": True, "schema": {"type": "string"}, "example": '"1"'}
    which = {"name": "status", "in": "query", "required": True, "schema": {"type": "integer", "enum": [status]}}
    problem = {"description": "A problem.", "content": {"application/problem+json": {"schema": {"type": "object"}}}}
    answers = {"200": {"description": "Done.", "content": {"application/json": {"schema": {"type": "object"}}}}}
    operation = {
        "operationId": f"{__name__}.replace_if_unchanged",
        "security": [],
        "parameters": [if_match, which],
        "responses": {**answers, "400": problem, str(declared): problem},
    }
    contract = {"openapi": "3.0.3", "info": {"title": "T", "version": "1"}, "paths": {"/thing": {"put": operation}}}
    (tmp_path / "openapi.yaml").write_text(yaml.safe_dump(contract))
    settings = Settings(issuers=(tenant.url,), audience=AUDIENCE, development=True, port=0)
    with in_background(create_app(settings, specification=tmp_path / "openapi.yaml")) as url:
        found = results(contract, url, tenant, examples=20)
    assert {each.check for each in found if each.verdict is not Verdict.PASSED} == failed, list(failures(found))


def ignores_auth(contract: dict[str, object], url: str, token: str) -> bool:
    """Whether Schemathesis, left to itself, notices that an operation doesn't care for credentials."""
    config = schemathesis.Config.from_dict({"base-url": url, "headers": {"Authorization": f"Bearer {token}"}})
    schema = schemathesis.openapi.from_dict(contract, config=config)
    nodes = (
        node
        for event in engine.from_schema(schema).execute()
        if isinstance(event, events.ScenarioFinished)
        for checks in event.recorder.checks.values()
        for node in checks
    )
    return any(node.name == "ignored_auth" and node.failure_info is not None for node in nodes)


def test_ignored_credentials_are_noticed_only_through_the_view(tmp_path: Path, tenant: Tenant) -> None:
    open_to_all = next(mutant for mutant in MUTANTS if mutant.what == "security removed from an operation")
    with served(tmp_path, tenant, open_to_all) as url:
        through_view = {
            result.operation
            for result in results(CONTRACT, url, tenant, examples=5)
            if result.check == "ignored_auth" and result.verdict is Verdict.FAILED
        }
        assert through_view == {"GET /api/private"}
        assert not ignores_auth(CONTRACT, url, tenant.token())
