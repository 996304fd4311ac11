"""The table of attacks, against the API over a socket."""

import json
from collections import Counter

import pytest

from resource_server.tokens.errors import Refusal
from tests.attacks import CASES, Case
from tests.serving import RawResponse, catalogued, raw_request
from tests.tenant import AUDIENCE, Tenant

STATUS = {
    "ok": 200,
    "missing_credentials": 401,
    "invalid_token": 401,
    "invalid_request": 400,
    "insufficient_scope": 403,
    "not_found": 404,
    "method_not_allowed": 405,
}


def challenge(code: str, detail: str) -> str | None:
    return {
        "missing_credentials": f'Bearer realm="{AUDIENCE}"',
        "invalid_request": 'Bearer error="invalid_request"',
        "invalid_token": f'Bearer error="invalid_token", error_description="{detail}"',
        "insufficient_scope": 'Bearer error="insufficient_scope", scope="read:messages"',
    }.get(code)


def outcome(response: RawResponse, *, head: bool = False) -> str:
    """The outcome as the table has it, once all of the answer has been held against it."""
    if response.status == 200:
        return "ok"
    if head:
        return {status: code for code, status in STATUS.items() if code != "invalid_token"}[response.status]
    problem = catalogued(json.loads(response.body))
    assert response.status == problem["status"] == STATUS[problem["code"]]
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers.get("www-authenticate") == challenge(problem["code"], problem["detail"])
    return Refusal(problem["detail"]).name if problem["code"] == "invalid_token" else str(problem["code"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_attack_has_its_outcome(url: str, tenant: Tenant, case: Case) -> None:
    request = case.make(tenant)
    response = raw_request(url, request.target, request.headers, request.method)
    assert outcome(response, head=request.method == b"HEAD") == case.outcome


def test_every_refusal_and_every_outcome_is_attacked() -> None:
    counted = Counter(case.outcome for case in CASES)
    out_of_reach = {"TOO_OLD", "NOT_ACCEPTED"}  # by the default settings and the validator itself
    out_of_reach |= {"NOT_BOUND", "OTHER_BINDING", "OTHER_KEY"}  # by what isn't presented with DPoP
    out_of_reach |= {refusal.name for refusal in Refusal if "CERTIFICATE" in refusal.name}  # without a proxy
    assert set(counted) >= {refusal.name for refusal in Refusal} - out_of_reach
    assert set(counted) >= STATUS.keys() - {"invalid_token"}
    assert len({case.name for case in CASES}) == len(CASES) > 400
