"""The authorization matrix, generated from contracts and run against the API that serves them."""

import copy
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from connexion.json_schema import resolve_refs

from resource_server.contract.loading import read_contract
from resource_server.contract.spec import Contract, operations
from resource_server.developing.contract_tests.answers import ACCEPTED, MISSING, Expected, challenges
from resource_server.developing.contract_tests.defects import DEFECTS
from resource_server.developing.contract_tests.matrix import Matrix, Row, rows
from resource_server.developing.contract_tests.operations import requirements
from resource_server.developing.contract_tests.results import Verdict
from resource_server.developing.contract_tests.schema import good_requests, load
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.contract_runs import SHOP, trusting
from tests.sample import SPECIFICATION, create_app
from tests.tenant import AUDIENCE, Tenant

CONTRACT: Contract = resolve_refs(read_contract(SPECIFICATION))


def shop_contract() -> Contract:
    """The shop's, without what only its own validator accepts, and what one token alone can't open."""
    contract: Contract = resolve_refs(read_contract(SHOP / "openapi.yaml"))
    for path in ("/own", "/both"):
        del contract["paths"][path]
    return contract


@pytest.fixture(scope="module")
def matrix(url: str, tenant: Tenant) -> Iterator[Matrix]:
    with httpx.Client(trust_env=False) as client:
        yield Matrix(trusting(tenant), dict(good_requests(CONTRACT, load(CONTRACT, url))), client, needed=None)


@pytest.fixture(scope="module")
def shop_matrix(tenant: Tenant) -> Iterator[Matrix]:
    with pytest.MonkeyPatch.context() as patch, httpx.Client(trust_env=False) as client:
        patch.syspath_prepend(str(SHOP))
        settings = Settings(issuers=(tenant.url,), audience=AUDIENCE, development=True, port=0)
        contract = shop_contract()
        with in_background(create_app(settings, specification=SHOP / "openapi.yaml")) as url:
            yield Matrix(trusting(tenant), dict(good_requests(contract, load(contract, url))), client, needed=None)


def named(row: Row) -> str:
    return f"{row.operation} {row.defect.name} {' '.join(row.scopes)}"


@pytest.mark.parametrize("row", list(rows(requirements(CONTRACT))), ids=named)
def test_row_gets_the_answer_that_the_standards_ask_for(matrix: Matrix, row: Row) -> None:
    result = matrix.run(row)
    assert (result.verdict, result.details) == (Verdict.PASSED, ())


@pytest.mark.parametrize("row", list(rows(requirements(shop_contract()))), ids=named)
def test_row_of_another_contract_gets_its_answer(shop_matrix: Matrix, row: Row) -> None:
    result = shop_matrix.run(row)
    assert (result.verdict, result.details) == (Verdict.PASSED, ())


def test_answers_of_the_matrix_have_the_declared_forms(matrix: Matrix) -> None:
    for row in rows(requirements(CONTRACT)):
        matrix.run(row)
    assert [result.details for result in matrix.forms()] == [()] * 3


def test_every_protected_operation_has_a_row_for_every_defect_and_every_scope() -> None:
    found = [(row.operation, row.defect.name) for row in rows(requirements(CONTRACT))]
    protected = [f"{method} {path}" for method, path, _, security in operations(CONTRACT) if security]
    assert len(protected) == 2
    assert sorted(found) == sorted(
        [
            ("GET /api/public", "no credentials"),
            *((operation, defect.name) for operation in protected for defect in DEFECTS),
            ("GET /api/private-scoped", "without read:messages"),
        ]
    )


def test_operation_added_to_the_contract_has_its_rows() -> None:
    contract = copy.deepcopy(CONTRACT)
    contract["paths"]["/api/added"] = copy.deepcopy(contract["paths"]["/api/private-scoped"])
    added = [row.defect.name for row in rows(requirements(contract)) if row.operation == "GET /api/added"]
    assert added == [*(defect.name for defect in DEFECTS), "without read:messages"]


def matrix_of(security: Any) -> list[Row]:
    """The rows of an operation with these requirements."""
    schemes = {
        "users": {"type": "oauth2"},
        "oidc": {"type": "openIdConnect"},
        "plain": {"type": "http", "scheme": "Bearer"},
        "key": {"type": "apiKey"},
    }
    paths = {"/": {"get": {"security": security}}}
    return list(rows(requirements({"components": {"securitySchemes": schemes}, "paths": paths})))


def outcomes(security: Any) -> dict[str, Expected]:
    """What is expected of it, by row."""
    return {row.defect.name: row.defect.expected for row in matrix_of(security)}


def test_public_operation_is_open_to_those_without_credentials() -> None:
    assert outcomes([]) == {"no credentials": ACCEPTED}


def test_optional_credentials_may_be_missing_but_not_bad() -> None:
    expected = outcomes([{}, {"users": []}])
    assert expected["no credentials"] == expected["another scheme"] == ACCEPTED
    assert expected["expired"] == Expected(401, "invalid_token", "invalid_token")
    assert expected["two header fields"].status == 400


@pytest.mark.parametrize("scheme", ["users", "oidc", "plain"])
def test_every_scheme_with_bearer_tokens_has_the_whole_matrix(scheme: str) -> None:
    assert outcomes([{scheme: []}]).keys() == {defect.name for defect in DEFECTS}


def test_operation_for_another_scheme_has_the_row_without_credentials_only() -> None:
    assert outcomes([{"key": []}]) == {"no credentials": MISSING}


@pytest.mark.parametrize(
    ("security", "missing"),
    [
        ([{"users": ["a", "b"]}], [("without a", ("b",)), ("without b", ("a",))]),
        ([{"users": ["a"]}, {"oidc": ["b"]}], [("without a", ()), ("without b", ())]),
        ([{"users": ["a", "b"]}, {"users": ["b"]}], [("without b", ("a",)), ("without b", ())]),
        ([{"users": ["a"]}, {"users": []}], []),
        ([{"users": ["a"], "key": []}], []),
    ],
)
def test_token_lacks_a_scope_only_if_it_meets_no_alternative(
    security: Any, missing: list[tuple[str, tuple[str, ...]]]
) -> None:
    found = [(row.defect.name, row.scopes) for row in matrix_of(security) if row.defect.name.startswith("without")]
    assert found == missing


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], []),
        (["Bearer"], [("bearer", {})]),
        (['Bearer realm="a, b", error=x'], [("bearer", {"realm": "a, b", "error": "x"})]),
        (['Bearer realm="a \\"b\\""'], [("bearer", {"realm": 'a "b"'})]),
        (['Basic realm="x", Bearer error="y"'], [("basic", {"realm": "x"}), ("bearer", {"error": "y"})]),
        (["Basic", 'BEARER ERROR = "y"'], [("basic", {}), ("bearer", {"error": "y"})]),
        (['DPoP algs="ES256 PS256", Bearer'], [("dpop", {"algs": "ES256 PS256"}), ("bearer", {})]),
        (['error="x"'], None),
        (['Bearer error="x'], None),
        (["Bearer error=é"], None),
    ],
)
def test_challenges_are_read_as_http_has_them(fields: list[str], expected: Any) -> None:
    assert challenges(fields) == expected
