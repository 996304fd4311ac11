"""What the matrix makes of servers that answer oddly: no false pass, no false failure, no crash, no leak."""

import copy
from collections.abc import Callable
from io import StringIO
from typing import Any

import httpx
import pytest
from connexion.json_schema import resolve_refs
from rich.console import Console

from resource_server.contract.loading import read_contract
from resource_server.contract.spec import Contract
from resource_server.developing.contract_tests.matrix import Matrix, rows
from resource_server.developing.contract_tests.operations import requirements
from resource_server.developing.contract_tests.report import print_report
from resource_server.developing.contract_tests.results import AUTHORIZATION, CONFORMANCE, Result, Verdict
from resource_server.developing.contract_tests.schema import good_requests, load
from resource_server.developing.contract_tests.trust import Trust
from resource_server.tokens.keys import verification_keys
from tests.contract_runs import TenantTokens
from tests.sample import SPECIFICATION
from tests.tenant import AUDIENCE, Tenant, streamed

CONTRACT: Contract = resolve_refs(read_contract(SPECIFICATION))
PRIVATE = "GET /api/private"

Answer = Callable[[httpx.Request], httpx.Response]
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def tenant() -> Tenant:
    return Tenant()


def private_only(change: Change = lambda _: None) -> Contract:
    """A contract with one protected operation, changed."""
    contract = copy.deepcopy(CONTRACT)
    contract["paths"] = {"/api/private": contract["paths"]["/api/private"]}
    change(contract["paths"]["/api/private"]["get"])
    return contract


def verdicts(tenant: Tenant, contract: Contract, answer: Answer, successful: str = "") -> dict[str, Result]:
    """The result of each row, by check, against a server that answers like this."""
    trust = Trust(
        issuer=tenant.url,
        audience=AUDIENCE,
        keys=lambda: verification_keys(tenant.key_set(), ["RS256"]),
        sources=[TenantTokens(tenant)],
        signs=True,
    )
    requests = dict(good_requests(contract, load(contract, "http://api.test")))
    with httpx.Client(transport=httpx.MockTransport(lambda request: from_network(answer(request)))) as client:
        matrix = Matrix(trust, requests, client, successful={successful})
        return {row.defect.name: matrix.run(row) for row in rows(requirements(contract))}


def from_network(response: httpx.Response) -> httpx.Response:
    return streamed(response.status_code, response.headers, response.content)


def always(status: int, **response: Any) -> Answer:
    return lambda _: httpx.Response(status, **response)


def with_input(example: str | None) -> Change:
    def change(operation: dict[str, Any]) -> None:
        parameter = {"name": "limit", "in": "query", "required": True, "schema": {"type": "integer"}}
        operation["parameters"] = [{**parameter, **({"example": example} if example else {})}]

    return change


def optional_parameter(operation: dict[str, Any]) -> None:
    operation["parameters"] = [{"name": "limit", "in": "query", "schema": {"type": "integer"}}]


def redirect_declared(operation: dict[str, Any]) -> None:
    operation["responses"]["302"] = {"description": "Elsewhere."}


def anything_declared(operation: dict[str, Any]) -> None:
    operation["responses"]["default"] = {"description": "Anything."}


def answering(status: str) -> Change:
    def change(operation: dict[str, Any]) -> None:
        operation["responses"][status] = {"description": "It depends on what there is."}

    return change


FAILED, PASSED, NOT_RUN = Verdict.FAILED, Verdict.PASSED, Verdict.NOT_RUN


@pytest.mark.parametrize(
    ("status", "change", "successful", "verdict"),
    [
        (200, anything_declared, "", PASSED),
        (204, anything_declared, "", PASSED),
        (302, anything_declared, "", FAILED),
        (302, redirect_declared, "", PASSED),
        (401, anything_declared, "", FAILED),
        (404, anything_declared, "", FAILED),
        (404, optional_parameter, "", FAILED),
        (404, with_input("7"), "", FAILED),
        (404, answering("404"), "", FAILED),
        (404, answering("404"), PRIVATE, PASSED),
        (409, answering("409"), PRIVATE, PASSED),
        (412, answering("412"), PRIVATE, PASSED),
        (412, answering("404"), PRIVATE, FAILED),
        (403, answering("403"), PRIVATE, FAILED),
        (404, with_input(None), "", NOT_RUN),
        (404, with_input(None), PRIVATE, PASSED),
        (412, with_input(None), "", NOT_RUN),
        (428, answering("428"), PRIVATE, PASSED),
        (403, with_input(None), PRIVATE, FAILED),
        (429, with_input(None), PRIVATE, FAILED),
        (500, with_input(None), PRIVATE, FAILED),
    ],
)
def test_good_token_has_opened_an_operation_only_if_the_answer_says_so(
    tenant: Tenant,
    status: int,
    change: Change,
    successful: str,
    verdict: Verdict,
) -> None:
    found = verdicts(tenant, private_only(change), always(status), successful)
    assert found["a good token"].verdict is verdict


def test_input_that_is_optional_is_left_out(tenant: Tenant) -> None:
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(200)

    verdicts(tenant, private_only(optional_parameter), answer)
    assert {url.query for url in asked if not url.query.startswith(b"access_token=")} == {b""}


def test_cookies_of_one_row_are_not_those_of_the_next(tenant: Tenant) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers.get("cookie") or request.headers.get("authorization", "").startswith("Bearer"):
            return httpx.Response(200, headers={"Set-Cookie": "session=1"})
        return httpx.Response(401, headers={"WWW-Authenticate": "Bearer"})

    found = verdicts(tenant, private_only(), answer)
    assert found["a good token"].verdict is found["another scheme"].verdict is PASSED


@pytest.mark.parametrize(
    ("challenge", "deviation"),
    [
        ('Bearer error="invalid_token"', None),
        ('Basic realm="x", Bearer error="invalid_token"', None),
        ('Bearer error="invalid_token", Bearer error="invalid_token", realm="other"', None),
        ('Bearer error="insufficient_scope", Bearer error="invalid_token"', "should have the error 'invalid_token'"),
        ("Bearer", "should have the error 'invalid_token'"),
        ('Basic error="invalid_token"', "is not one for Bearer"),
        ('Bearer error="', "is malformed"),
        (None, "there is no challenge"),
    ],
)
def test_challenges_must_not_contradict_each_other(
    tenant: Tenant, challenge: str | None, deviation: str | None
) -> None:
    headers = {"WWW-Authenticate": challenge} if challenge else {}
    found = verdicts(tenant, private_only(), always(401, headers=headers))["opaque"]
    assert (found.verdict is PASSED) is (deviation is None)
    assert deviation is None or deviation in found.details[0]


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000, b"[]", b"{", b""])
def test_problem_that_is_none_crashes_nothing(tenant: Tenant, body: bytes) -> None:
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"', "Content-Type": "Application/Problem+JSON; x=y"}
    found = verdicts(tenant, private_only(), always(401, headers=headers, content=body))
    assert found["opaque"].verdict is PASSED


def problem(**members: object) -> Answer:
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"', "Content-Type": "application/problem+json"}
    return always(401, headers=headers, json=members)


def without_examples(operation: dict[str, Any]) -> None:
    operation["responses"]["401"]["content"] = {"application/problem+json": {}}


def test_problem_code_is_held_against_those_that_the_contract_names(tenant: Tenant) -> None:
    named = verdicts(tenant, private_only(), problem(code="E401"))["opaque"]
    assert named.details == ("the problem's code is 'E401', not 'invalid_token'",)
    assert verdicts(tenant, private_only(), problem(code="invalid_token"))["opaque"].verdict is PASSED
    assert verdicts(tenant, private_only(without_examples), problem())["opaque"].verdict is PASSED


def test_what_was_sent_stands_in_no_result(tenant: Tenant) -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        said = request.headers.get("authorization", "-")
        return httpx.Response(401, headers={"WWW-Authenticate": said, "Content-Type": f"text/{said[-40:]}"}, text=said)

    found = verdicts(tenant, private_only(), echo)
    assert "the answer repeats the credentials" in found["expired"].details
    shown = " ".join(detail for result in found.values() for detail in result.details)
    assert "eyJ" not in shown
    assert "…" in shown


def test_server_that_does_not_answer_is_given_up(tenant: Tenant) -> None:
    asked = []

    def fall_silent(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise httpx.ReadTimeout("timed out")

    found = verdicts(tenant, private_only(), fall_silent)
    assert len(asked) == 3
    assert [result.verdict for result in found.values()].count(FAILED) == 3
    assert found["expired"].details == ("the server doesn't answer any more",)


def test_operation_that_needs_more_than_a_token_is_not_tested_with_one(tenant: Tenant) -> None:
    contract = private_only(lambda operation: operation.update(security=[{"oauth2": [], "key": []}]))
    contract["components"]["securitySchemes"]["key"] = {"type": "apiKey", "in": "header", "name": "X-Key"}
    found = verdicts(tenant, contract, always(401, headers={"WWW-Authenticate": "Bearer"}))
    assert found.pop("no credentials").verdict is PASSED
    assert {result.verdict for result in found.values()} == {NOT_RUN}
    assert found["expired"].details == ("it needs credentials for key as well",)


def test_report_prints_any_name() -> None:
    results = [
        Result(part, "GET /x[/y]", "without [/a]", "[bold]", verdict, ("[/red] é",))
        for part in (AUTHORIZATION, CONFORMANCE)
        for verdict in Verdict
    ]
    output = StringIO()
    print_report(Console(file=output, width=40), results)
    assert "GET /x[/y]: without [/a]" in output.getvalue()
    assert "[bold]" in output.getvalue()


def test_references_to_path_items_and_schemes_are_followed() -> None:
    contract = copy.deepcopy(read_contract(SPECIFICATION))
    contract["components"]["securitySchemes"]["alias"] = {"$ref": "#/components/securitySchemes/oauth2"}
    contract["paths"]["/api/alias"] = {"$ref": "#/paths/~1api~1private"}
    resolved = resolve_refs(contract)
    assert requirements(resolved)["GET /api/alias"].alternatives == (frozenset(),)
    assert "GET /api/alias" in dict(good_requests(resolved, load(resolved, "http://api.test")))
