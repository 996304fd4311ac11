"""Which operations a token may call by the doctor, held against what the API answers."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from resource_server.contract.loading import read_contract
from resource_server.contract.spec import Contract
from resource_server.doctor.findings import Finding, Verdict
from resource_server.doctor.operations import operations_for
from resource_server.doctor.walk import walk
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.processes import SAMPLE, TESTS
from tests.sample import create_app
from tests.tenant import AUDIENCE, Tenant

SHOP = TESTS / "shop"


@pytest.fixture(scope="module")
def shop(tenant: Tenant) -> Iterator[httpx.Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SHOP))
        app = create_app(Settings(issuers=(tenant.url,), audience=AUDIENCE, specification=SHOP / "openapi.yaml"))
        with in_background(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
            yield client


def opened(token: str, tenant: Tenant, contract: Contract) -> dict[str, Finding]:
    """What each operation of a contract makes of a token."""
    settings = Settings(issuers=(tenant.url,), audience=AUDIENCE)
    walked = walk(token, settings, time.time())
    return {finding.check: finding for finding in operations_for(walked.access_token, contract, settings)}


@pytest.mark.parametrize(
    "claims",
    [{"scope": "read:items write:items"}, {"scope": "read:items"}, {"scope": ""}, {"aud": "x"}],
    ids=["both scopes", "one scope", "no scope", "refused"],
)
def test_operations_are_open_where_the_api_opens_them(
    shop: httpx.Client, tenant: Tenant, claims: dict[str, Any]
) -> None:
    token = tenant.token(**claims)
    found = opened(token, tenant, read_contract(SHOP / "openapi.yaml"))
    for name, finding in found.items():
        if finding.verdict is Verdict.NOT_CHECKED:
            continue
        method, _, path = name.partition(" ")
        path = path.replace("{item_id}", "1").replace("{name}", "a").replace("{size}", "1").replace("{kind}", "1")
        answer = shop.request(method, path, headers={"Authorization": f"Bearer {token}"})
        assert finding.failed == (answer.status_code in (401, 403)), (name, answer.text)


def test_what_lacks_is_said(tenant: Tenant, shop: httpx.Client) -> None:  # noqa: ARG001  # its modules can be imported
    found = opened(tenant.token(scope="read:items"), tenant, read_contract(SHOP / "openapi.yaml"))
    assert found["GET /v1/items"].verdict is Verdict.PASSED
    assert (found["POST /v1/items"].found, found["POST /v1/items"].expected) == (
        '"read:items"',
        "read:items write:items",
    )
    assert found["POST /v1/items"].advice.startswith("Request scope=write:items with the token")
    assert found["GET /v1/basic"].meaning == "Needs other credentials: basic."
    assert found["GET /v1/either"].verdict is Verdict.PASSED
    assert found["GET /v1/both"].meaning == "Needs no token."
    assert found["GET /v1/own"].meaning == "shop.own_token_info decides, a function of your own."
    assert found["GET /v1/bearer"].verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("claims", "advice"),
    [
        (
            {"scope": "openid", "permissions": ["read:messages"]},
            "Request scope=read:messages with the token. Set TOKEN_PERMISSIONS=true only if",
        ),
        ({"scope": "openid,read:messages"}, "Scopes are separated by spaces, not by commas"),
        ({"scope": "Read:Messages"}, "Scopes differ in capitals only: request scope=read:messages exactly so."),
        ({"scope": "openid"}, "Request scope=read:messages with the token; in Auth0"),
    ],
)
def test_known_mistakes_with_scopes_get_advice_of_their_own(
    tenant: Tenant, claims: dict[str, Any], advice: str
) -> None:
    found = opened(tenant.token(**claims), tenant, read_contract(SAMPLE / "openapi.yaml"))
    assert found["GET /api/private-scoped"].advice.startswith(advice)


def with_login(**members: Any) -> Contract:
    """The contract, with an operation that asks for more than being logged in, and one for a key as well."""
    contract = yaml.safe_load((SAMPLE / "openapi.yaml").read_text())
    contract["paths"]["/api/private"]["get"].update(members)
    contract["paths"]["/api/private-scoped"]["get"]["security"] = [{"oauth2": [], "key": []}]
    contract["components"]["securitySchemes"]["key"] = {"type": "apiKey", "in": "header", "name": "X-Key"}
    result: Contract = contract
    return result


STEP_UP = {"x-acr-values": "urn:example:mfa", "x-max-age": 60}


@pytest.mark.parametrize(("claims", "said"), [({}, "neither acr nor auth_time"), ({"acr": "x"}, 'acr "x"')])
def test_login_that_is_too_weak_or_too_long_ago_is_said(tenant: Tenant, claims: dict[str, Any], said: str) -> None:
    found = opened(tenant.token(**claims), tenant, with_login(**STEP_UP))["GET /api/private"]
    asked = "acr_values=urn:example:mfa&max_age=60"
    assert (found.verdict, found.found, found.expected) == (Verdict.FAILED, said, asked)
    assert found.advice.startswith(f"Send the user to /authorize again, with {asked}")


def test_strong_login_of_now_opens_the_operation(tenant: Tenant) -> None:
    strong = tenant.token(acr="urn:example:mfa", auth_time=int(time.time()))
    assert opened(strong, tenant, with_login(**STEP_UP))["GET /api/private"].verdict is Verdict.PASSED


def test_other_schemes_that_are_needed_as_well_are_named(tenant: Tenant) -> None:
    found = opened(tenant.token(), tenant, with_login())["GET /api/private-scoped"]
    assert found.meaning == "Needs other credentials as well: key."


IN_ORG = {"x-claims": {"org_id": {"equals": "org_1"}, "app.roles": {"contains": ["a", "b"]}}}


@pytest.mark.parametrize(
    ("claims", "found", "expected"),
    [
        ({"org_id": "org_2"}, '"org_2"', "`org_id` is `org_1`"),
        ({}, "null", "`org_id` is `org_1`"),
        ({"org_id": "org_1", "app": {"roles": ["a"]}}, '["a"]', "`app.roles` is a list with `a`, `b`"),
        ({"org_id": "org_1", "app": {"roles": "a\x1b[2J"}}, '"a\\u001b[2J"', "`app.roles` is a list with `a`, `b`"),
    ],
)
def test_claim_that_is_another_is_said(tenant: Tenant, claims: dict[str, Any], found: str, expected: str) -> None:
    finding = opened(tenant.token(**claims), tenant, with_login(**IN_ORG))["GET /api/private"]
    assert (finding.verdict, finding.found, finding.expected) == (Verdict.FAILED, found, expected)
    assert finding.meaning == f"The token doesn't say that {expected}."


def test_claims_as_required_open_the_operation(tenant: Tenant) -> None:
    token = tenant.token(org_id="org_1", app={"roles": ["b", "a"]})
    assert opened(token, tenant, with_login(**IN_ORG))["GET /api/private"].verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("org_id", "verdict", "meaning"),
    [
        ("org_1", Verdict.PASSED, "Only where {org_id} is org_1."),
        (7, Verdict.PASSED, "Only where {org_id} is 7."),
        ("a\nb", Verdict.PASSED, "Only where {org_id} is a\\u000ab."),
        (["org_1"], Verdict.FAILED, "The token doesn't say that `org_id` is the path's `org_id`."),
        (None, Verdict.FAILED, "The token doesn't say that `org_id` is the path's `org_id`."),
    ],
)
def test_path_that_a_claim_must_equal_is_said(tenant: Tenant, org_id: Any, verdict: Verdict, meaning: str) -> None:
    contract = with_login(**{"x-claims": {"org_id": {"equalsPathParameter": "org_id"}}})
    finding = opened(tenant.token(org_id=org_id), tenant, contract)["GET /api/private"]
    assert (finding.verdict, finding.meaning) == (verdict, meaning)


def test_operation_for_everybody_needs_no_claims(tenant: Tenant) -> None:
    contract = {**with_login(), "x-claims": {"org_id": {"equals": "org_1"}}}
    found = opened(tenant.token(), tenant, contract)
    assert found["GET /api/public"].verdict is Verdict.PASSED
    assert found["GET /api/private"].verdict is Verdict.FAILED
