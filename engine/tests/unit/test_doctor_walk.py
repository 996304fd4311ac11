"""The doctor decides as the API does: the table of attacks, walked through."""

import dataclasses
import time
from typing import Any

import pytest

from resource_server.contract.loading import read_contract
from resource_server.developing.contract_tests.forging import ABSENT
from resource_server.doctor.findings import Verdict
from resource_server.doctor.moments import distance, moment
from resource_server.doctor.operations import operations_for
from resource_server.doctor.walk import walk
from resource_server.settings import Settings
from resource_server.tokens.credentials import presented
from resource_server.tokens.errors import InvalidRequest, MissingCredentials, Refusal
from tests.attacks import CASES, Case, Request
from tests.tenant import AUDIENCE, Tenant

NOW = int(time.time())
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


Mistake = tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]

# header, claims, settings, how the advice begins
MISTAKES: list[Mistake] = [
    ({}, {"iss": ABSENT}, {}, "The token names no issuer (iss)"),
    ({}, {"iss": "https://t.eu.auth0.com/"}, {"development_issuer": True}, "Without AUTH0_DOMAIN only the development"),
    ({}, {"aud": AUDIENCE.upper()}, {}, "Only capitals differ: ask for the audience"),
    ({"alg": "nOne"}, {}, {}, "The token isn't signed at all (alg none)"),
    ({"alg": "PS256"}, {}, {}, "If the issuer signs with PS256, set TOKEN_ALGORITHMS to it."),
    ({}, {"nbf": NOW * 1_000}, {}, "nbf is in milliseconds"),
    ({}, {"iat": NOW * 1_000}, {"max_age": 60}, "iat is in milliseconds"),
    ({}, {"iat": NOW - 600}, {"max_age": 60}, "It is older than `TOKEN_MAX_AGE`"),
    ({}, {"exp": 3_600}, {}, "It expires before it is issued"),
    ({}, {"exp": ABSENT, "sub": ABSENT}, {}, "The token lacks sub and exp"),
    ({}, {"exp": "soon"}, {}, "`sub` and `exp` are required."),
    ({}, {"cnf": {"x5t#S256": "x"}}, {}, "The token is bound to a certificate (mutual TLS)"),
    ({"crit": ["x"]}, {}, {}, "Auth0 issues no such token."),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: str(mistake[:3]))
def test_mistake_that_is_known_gets_advice_of_its_own(tenant: Tenant, settings: Settings, mistake: Mistake) -> None:
    header, claims, changes, advice = mistake
    walked = walk(tenant.token(header, **claims), dataclasses.replace(settings, **changes), NOW)
    assert walked.advice.startswith(advice)


REACHED = {"public_url": "https://api.example.com"}


@pytest.mark.parametrize(
    ("claims", "changes", "meaning"),
    [
        ({"cnf": {"jkt": "x"}}, REACHED, None),
        ({"cnf": {"jkt": "x"}}, {}, MissingCredentials.description),
        ({"cnf": {"jkt": "x"}}, {**REACHED, "dpop": "disabled"}, MissingCredentials.description),
        ({"cnf": {"x5t#S256": "x"}}, REACHED, Refusal.OTHER_BINDING),
        ({}, REACHED, Refusal.NOT_BOUND),
    ],
)
def test_token_that_is_sent_as_dpop_has_to_be_bound(
    tenant: Tenant, settings: Settings, claims: dict[str, Any], changes: dict[str, Any], meaning: str | None
) -> None:
    walked = walk(f"DPoP {tenant.token(**claims)}", dataclasses.replace(settings, **changes), NOW)
    assert walked.presented.scheme == "DPoP"
    assert (walked.failed.meaning if walked.failed else None) == meaning


def test_checks_after_a_failed_one_are_walked_through_as_far_as_they_can(tenant: Tenant, settings: Settings) -> None:
    token = tenant.token({"typ": "x"}, aud="x", exp=NOW - 60, iss="https://other.example.com/")
    verdicts = {finding.check: finding.verdict for finding in walk(token, settings, NOW).findings}
    assert [check for check, verdict in verdicts.items() if verdict is Verdict.FAILED] == [
        *("type", "issuer", "audience", "expiry"),
    ]
    assert [check for check, verdict in verdicts.items() if verdict is Verdict.NOT_CHECKED] == ["key", "signature"]
    unusable = walk(tenant.token({"alg": 1}, exp="soon"), settings, NOW).findings
    assert [finding.check for finding in unusable if finding.verdict is Verdict.NOT_CHECKED] == [
        *("algorithm", "extensions", "type", "key", "signature", "purpose", "audience", "expiry", "start", "age"),
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "now"),
        (-1, "1 second ago"),
        (90, "in 2 minutes"),
        (-7_200, "2 hours ago"),
        (86_400 * 3, "in 3 days"),
        (-86_400 * 730, "2 years ago"),
    ],
)
def test_distance_is_said_in_the_largest_unit_that_fits(seconds: int, said: str) -> None:
    assert distance(NOW + seconds, NOW) == said


def test_moments_are_said_in_utc_and_by_the_clock_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert moment(1_700_000_000, 1_700_003_600) == (
            "2023-11-14 22:13:20 UTC (2023-11-14 23:13:20 CET here), 1 hour ago"
        )
        assert moment(1e15, NOW).endswith(": no such date")
    finally:
        monkeypatch.undo()
        time.tzset()
