"""The doctor decides as the API does: the table of attacks, walked through."""

import dataclasses
import time

import pytest

from api.doctor.operations import operations_for
from api.doctor.walk import walk
from api.loading import read_contract
from api.settings import Settings
from security.credentials import presented
from security.errors import InvalidRequest, Refusal
from tests.attacks import CASES, Case, Request
from tests.tenant import AUDIENCE, Tenant

CONTRACT = read_contract(Settings(issuers=(), audience=AUDIENCE).specification)


def token_of(request: Request) -> str | None:
    """The one token that a request presents as Bearer, if it does."""
    fields = [value.decode("latin-1").strip(" \t") for name, value in request.headers if name == b"Authorization"]
    try:
        credentials = presented(fields, request.target.partition(b"?")[2])
    except InvalidRequest:
        return None
    return credentials.token if credentials else None


OF_A_TOKEN = {*(refusal.name for refusal in Refusal), "ok", "insufficient_scope"}
PRESENTED = [case for case in CASES if case.outcome in OF_A_TOKEN]


@pytest.mark.parametrize("case", PRESENTED, ids=lambda case: case.name)
def test_first_failed_check_is_what_the_api_refuses_the_token_for(
    tenant: Tenant, settings: Settings, case: Case
) -> None:
    request = case.make(tenant)
    token = token_of(request)
    if token is None:
        assert case.outcome == "ok"  # an operation that needs none
        return
    walked = walk(token, settings, time.time())
    if case.outcome not in ("ok", "insufficient_scope"):
        assert walked.failed is not None
        assert Refusal(walked.failed.meaning).name == case.outcome
        assert walked.failed.advice
        assert walked.access_token is None
        return
    assert walked.failed is None
    path = request.target.partition(b"?")[0].decode()
    found = {finding.check: finding for finding in operations_for(walked.access_token, CONTRACT, settings)}
    assert found[f"GET {path}"].failed == (case.outcome == "insufficient_scope")


def test_hundreds_of_attacks_are_walked_through() -> None:
    assert len(PRESENTED) > 300


def test_bearer_token_is_refused_where_bound_ones_are_required(tenant: Tenant, settings: Settings) -> None:
    required = dataclasses.replace(settings, dpop="required", public_url="https://api.example.com")
    walked = walk(tenant.token(), required, time.time())
    assert walked.failed is not None
    assert walked.failed.meaning == Refusal.NOT_BOUND
    assert walked.advice == (
        "This API takes bound tokens only (DPOP=required): request one with a proof, and send it as DPoP."
    )
