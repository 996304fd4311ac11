"""The doctor decides as the API does: the table of attacks, walked through."""

import dataclasses
import ipaddress
import time
from typing import Any

import httpx
import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resource_server.contract.loading import read_contract
from resource_server.developing.contract_tests.forging import ABSENT
from resource_server.doctor.command import Report, as_text
from resource_server.doctor.findings import Verdict, distance, moment
from resource_server.doctor.operations import operations_for
from resource_server.doctor.walk import walk
from resource_server.settings import Settings
from resource_server.tokens import Auth0JWTBearerTokenValidator
from resource_server.tokens.credentials import presented
from resource_server.tokens.errors import Flaw, InvalidRequest, InvalidToken, MissingCredentials, Refusal
from resource_server.validating import validator_options
from tests.attacks import CASES, Case, Request
from tests.proofs import Prover
from tests.tenant import AUDIENCE, Tenant, rsa_key

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


VALUES = st.one_of(
    st.sampled_from([ABSENT, None, True, "", "x", "JWT", "at+jwt", "ID", "none", AUDIENCE, AUDIENCE + "/", 0, 1.5]),
    st.sampled_from([NOW - 60, NOW + 60, NOW * 1_000, 1e300, "https://sts.windows.net/x/", "https://["]),
    st.lists(st.sampled_from(["x", AUDIENCE, 1, None]), max_size=2),
    st.dictionaries(st.sampled_from(["jkt", "x5t#S256", "roles"]), st.sampled_from(["x", 1, ["x"]]), max_size=2),
)
NAMES = (
    *("iss", "sub", "aud", "exp", "nbf", "iat", "scope", "scp", "permissions", "cnf", "nonce", "events", "typ", "jti"),
    *("client_id", "azp", "token_use", "tid", "role", "ref", "sid", "email", "realm_access", "firebase", "htm", "htu"),
)
CHANGES: dict[str, Any] = {
    "max_age": st.sampled_from([None, 60]),
    "permissions": st.booleans(),
    "subject": st.booleans(),
    "profile": st.sampled_from(["auth0", "rfc9068"]),
    "audience": st.sampled_from([AUDIENCE, AUDIENCE.upper()]),
    "dpop": st.sampled_from([None, "disabled"]),
}


@hypothesis.settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "nonce"]), VALUES, max_size=2),
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4),
    st.fixed_dictionaries(CHANGES),
)
def test_whatever_a_token_says_it_is_walked_through_to_what_the_validator_answers(
    tenant: Tenant, settings: Settings, header: dict[str, Any], claims: dict[str, Any], changes: dict[str, Any]
) -> None:
    changed, token = dataclasses.replace(settings, **changes), tenant.token(header, **claims)
    walked = walk(token, changed, NOW)
    validator = Auth0JWTBearerTokenValidator(
        changed.issuers, changed.audience, clock=lambda: NOW, **validator_options(changed)
    )
    refusal = None
    try:
        validator.check(token)
    except InvalidToken as error:
        refusal = error.refusal
    assert (walked.failed.meaning if walked.failed else None) == refusal
    assert bool(walked.advice) == bool(refusal)
    as_text(Report(walked.findings, walk=walked))


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
    ({}, {"exp": ABSENT, "sub": ABSENT}, {}, "The token lacks sub, which names who calls"),
    ({}, {"exp": "soon"}, {}, "`exp` is a text: it has to be a number of seconds."),
    ({}, {"cnf": {"x5t#S256": "x"}}, {}, "The token is bound to a certificate (mutual TLS)"),
    ({"crit": ["x"]}, {}, {}, "Hardly any provider issues such tokens"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: str(mistake[:3]))
def test_mistake_that_is_known_gets_advice_of_its_own(tenant: Tenant, settings: Settings, mistake: Mistake) -> None:
    header, claims, changes, advice = mistake
    walked = walk(tenant.token(header, **claims), dataclasses.replace(settings, **changes), NOW)
    assert walked.advice.startswith(advice)


REACHED: dict[str, Any] = {"public_url": "https://api.example.com"}


BEHIND: dict[str, Any] = {
    "client_certificate_header": "X-Client-Certificate",
    "trusted_proxies": (ipaddress.ip_network("127.0.0.0/8"),),
}


@pytest.mark.parametrize(
    ("cnf", "changes", "said"),
    [
        ({"x5t#S256": "x"}, BEHIND, (None, "")),
        ({"x5t#S256": "x"}, {**BEHIND, "mtls": "required"}, (None, "")),
        (
            {"x5t#S256": "x"},
            {**BEHIND, "mtls": "disabled"},
            (Refusal.SENDER_CONSTRAINED, "set CLIENT_CERTIFICATE_HEADER"),
        ),
        ({"jkt": "x", "x5t#S256": "x"}, BEHIND, (Refusal.SENDER_CONSTRAINED, "Send it as `DPoP`")),
        (ABSENT, BEHIND, (None, "")),
        (ABSENT, {**BEHIND, "mtls": "required"}, (Refusal.NO_CERTIFICATE_BINDING, "`MTLS=required`")),
    ],
)
def test_token_that_is_bound_to_a_certificate_needs_it(
    tenant: Tenant, settings: Settings, cnf: object, changes: dict[str, Any], said: tuple[str | None, str]
) -> None:
    meaning, advice = said
    walked = walk(tenant.token(cnf=cnf), dataclasses.replace(settings, **changes), NOW)
    assert (walked.failed.meaning if walked.failed else None) == meaning
    assert advice in walked.advice
    binding = next(finding.meaning for finding in walked.findings if finding.check == "binding")
    assert ("the client's certificate, which isn't looked at" in binding) == (cnf is not ABSENT and meaning is None)


def own(**members: Any) -> dict[str, Any]:
    """The tenant's key, as it is published otherwise."""
    return {name: value for name, value in (KEY.as_dict(private=False) | members).items() if value is not ABSENT}


KEY, OTHER = rsa_key("current"), rsa_key("other").as_dict(private=False)

# what is published, the token's header, how the advice begins
PUBLISHED: list[tuple[list[Any], dict[str, Any], str]] = [
    ([own(), OTHER], {"kid": ABSENT}, "The token names no key (kid), and several published ones could be it"),
    ([own(use="enc")], {"kid": ABSENT}, "The token names no key (kid), and no published one will do: it is not for"),
    ([own(use="enc")], {}, 'The key is published, but it is not for signatures (use "enc")'),
    ([own(alg="PS256")], {}, "The key is published, but it is for PS256, not for RS256"),
    ([own(n="AQAB" * 40)], {}, "The key is published, but it can't be used"),
    ([own(n="?")], {}, "The key is published, but it can't be used"),
    ([own(key_ops=["sign"])], {}, "The key is published, but it can't be used"),
    ([], {}, "The issuer publishes no keys at all"),
    ([OTHER], {}, "The issuer publishes no such key now: request a new token."),
    ([OTHER, None, 1, "x"], {}, "The issuer publishes no such key now: request a new token."),
]


@pytest.mark.parametrize(("keys", "header", "advice"), PUBLISHED)
def test_key_that_cannot_be_found_is_looked_for_in_what_is_published(
    settings: Settings, keys: list[Any], header: dict[str, Any], advice: str
) -> None:
    tenant = Tenant()
    tenant.keys = [KEY]

    def answer(request: httpx.Request) -> httpx.Response:
        published = {"keys": keys} if request.url.path.endswith("jwks.json") else tenant.metadata()
        return httpx.Response(200, json=published)

    trusting = dataclasses.replace(settings, issuers=(tenant.url,), transport=httpx.MockTransport(answer))
    walked = walk(tenant.token(header), trusting, NOW)
    assert walked.failed is not None
    assert walked.failed.meaning == Refusal.UNKNOWN_KEY
    assert walked.advice.startswith(advice)


PROVER = Prover()
URL = "https://api.example.com/items"

# what is changed of the proof, which check fails
FLAWS: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"htu": "http://api.example.com/items"}, "proof's URI"),
    ({"htu": "https://internal:3010/items"}, "proof's URI"),
    ({"htu": f"{URL}?page=1"}, "proof's URI"),
    ({"htu": 1}, "proof's claims"),
    ({"htm": ABSENT}, "proof's claims"),
    ({"jti": ABSENT}, "proof's claims"),
    ({"jti": ""}, "proof's claims"),
    ({"ath": ABSENT}, "proof's claims"),
    ({"ath": "x"}, "proof's token"),
    ({"iat": "now"}, "proof's claims"),
    ({"iat": NOW - 3_600}, "proof's time"),
    ({"iat": NOW + 3_600}, "proof's time"),
    ({"exp": NOW - 60}, "proof's time"),
]


@pytest.mark.parametrize(("changes", "failing"), FLAWS)
def test_proof_is_walked_through_too(tenant: Tenant, settings: Settings, changes: dict[str, Any], failing: str) -> None:
    token, reached = tenant.token(cnf=PROVER.cnf), dataclasses.replace(settings, **REACHED)
    proof = PROVER.forged("GET", URL, token, **changes)
    walked = walk(f"DPoP {token}", reached, time.time(), proof)
    assert (walked.failed.check if walked.failed else "") == failing
    assert bool(walked.advice) == bool(failing)


def test_proof_for_the_address_behind_the_proxy_is_told_what_clients_call(tenant: Tenant, settings: Settings) -> None:
    token, reached = tenant.token(cnf=PROVER.cnf), dataclasses.replace(settings, **REACHED)
    proof = PROVER.forged("GET", URL, token, htu=URL.replace("https", "http"))
    advised = walk(f"DPoP {token}", reached, time.time(), proof).advice
    assert advised.startswith("htu has to be the URL as the client calls it")
    assert "PUBLIC_URL" in advised
    without = walk(f"DPoP {token}", reached, time.time())
    assert without.failed is None
    assert without.findings[-1].meaning == "The proof that goes with it isn't looked at: give it with --proof."


def test_proof_of_another_key_or_none_is_said(tenant: Tenant, settings: Settings) -> None:
    token, reached = tenant.token(cnf=PROVER.cnf), dataclasses.replace(settings, **REACHED)
    other = walk(f"DPoP {token}", reached, time.time(), Prover().forged("GET", URL, token))
    assert other.failed is not None
    assert (other.failed.check, other.failed.meaning) == ("proof's key", Refusal.OTHER_KEY)
    for text, meaning in (("x", Flaw.MALFORMED), (token, Flaw.TYPE)):
        walked = walk(f"DPoP {token}", reached, time.time(), text)
        assert walked.failed is not None
        assert (walked.failed.check, walked.failed.meaning) == ("proof's form", meaning)
    proof = PROVER.forged("GET", URL, token)
    altered = walk(f"DPoP {token}", reached, time.time(), proof[:-6] + "AAAAAA")
    assert altered.failed is not None
    assert altered.failed.check == "proof's signature"


@pytest.mark.parametrize(
    ("claims", "changes", "meaning"),
    [
        ({"cnf": {"jkt": "x"}}, REACHED, None),
        ({"cnf": {"jkt": "x"}}, {}, MissingCredentials.description),
        ({"cnf": {"jkt": "x"}}, {**REACHED, "dpop": "disabled"}, MissingCredentials.description),
        ({"cnf": {"x5t#S256": "x"}}, REACHED, Refusal.OTHER_BINDING),
        ({}, REACHED, Refusal.NOT_BOUND),
        ({"cnf": {"x5t#S256": "x"}}, REACHED | BEHIND, Refusal.NOT_BOUND),
        ({"cnf": {"jkt": "x", "x5t#S256": "x"}}, REACHED | BEHIND, None),
        ({"cnf": {"jkt": "x"}}, {**REACHED, **BEHIND, "mtls": "required"}, Refusal.NO_CERTIFICATE_BINDING),
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
        *("algorithm", "key", "signature", "expiry"),
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
