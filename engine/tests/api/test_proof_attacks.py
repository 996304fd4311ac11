"""The table of attacks with proofs, against the API over a socket, and the limits of their time."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resource_server.serving.background import in_background
from resource_server.settings import Settings
from resource_server.tokens import Auth0JWTBearerTokenValidator
from resource_server.tokens.credentials import Credentials
from resource_server.tokens.dpop import DPoP
from resource_server.tokens.errors import Flaw, InvalidProof, Refusal
from resource_server.tokens.replays import SQLiteReplayCache
from tests.api.test_any_bytes import JSON
from tests.cases import THOROUGH
from tests.proof_attacks import CASES, Case, Client
from tests.proofs import Prover, without_metadata
from tests.sample import create_app
from tests.serving import RawResponse, free_port, raw_request
from tests.tenant import AUDIENCE, Tenant

ALGS = 'algs="ES256 ES384 ES512 Ed25519 EdDSA PS256 PS384 PS512 RS256 RS384 RS512"'
REALM = f'realm="{AUDIENCE}"'
STATUS = {
    "missing_credentials": 401,
    "invalid_dpop_proof": 401,
    "invalid_token": 401,
    "invalid_request": 400,
    "insufficient_scope": 403,
    "not_found": 404,
    "method_not_allowed": 405,
}


@pytest.fixture(scope="module")
def client(tenant: Tenant) -> Iterator[Client]:
    port = free_port()
    given = Settings(issuers=(tenant.url,), audience=AUDIENCE, port=port, public_url=f"http://127.0.0.1:{port}")
    with in_background(create_app(given), port) as url:
        yield Client(tenant, url)


def code_of(outcome: str) -> str:
    if isinstance(outcome, Flaw):
        return "invalid_dpop_proof"
    return "invalid_token" if isinstance(outcome, Refusal) else outcome


def challenge(outcome: str, scheme: str) -> str | None:
    """All of `WWW-Authenticate`."""
    code = code_of(outcome)
    if code == "missing_credentials":
        return f"Bearer {REALM}, DPoP {REALM}, {ALGS}"
    said = f', error_description="{outcome}"' if outcome != code else ""
    said += ', scope="read:messages"' if code == "insufficient_scope" else ""
    first = f'{scheme} error="{code}"{said}' + (f", {ALGS}" if scheme == "DPoP" else "")
    other = f"Bearer {REALM}" if scheme == "DPoP" else f"DPoP {REALM}, {ALGS}"
    return {401: f"{first}, {other}", 400: first, 403: first}.get(STATUS[code])


def check(response: RawResponse, case: Case) -> None:
    """Hold all of an answer against the outcome that the table has."""
    if case.outcome == "ok":
        assert (response.status, response.headers.get("www-authenticate")) == (200, None)
        return
    said = response.headers.get("www-authenticate")
    assert (said and without_metadata(said)) == challenge(case.outcome, case.scheme)
    assert response.status == STATUS[code_of(case.outcome)]
    assert response.headers["content-type"] == "application/problem+json"
    if response.body:
        problem = json.loads(response.body)
        assert (problem["status"], problem["code"]) == (response.status, code_of(case.outcome))
        assert problem["detail"] == case.outcome or case.outcome == problem["code"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_attack_with_a_proof_has_its_outcome(client: Client, case: Case) -> None:
    requests = case.make(client)
    responses = [raw_request(client.url, each.target, each.headers, each.method) for each in requests]
    check(responses[-1], case)
    assert responses[-1].body or requests[-1].method == b"HEAD"


def test_every_flaw_is_attacked_and_every_case_has_a_name_of_its_own() -> None:
    outcomes = {case.outcome for case in CASES}
    assert outcomes >= set(Flaw) - {Flaw.NONCE}
    assert outcomes >= {Refusal.NOT_BOUND, Refusal.OTHER_BINDING, Refusal.OTHER_KEY, Refusal.SENDER_CONSTRAINED}
    assert {code_of(outcome) for outcome in outcomes} == {"ok", *STATUS}
    assert len({case.name for case in CASES}) == len(CASES) > 300


def some(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the members, of any value that can be sent."""
    return st.dictionaries(st.sampled_from(names), JSON, max_size=2)


@THOROUGH
@given(
    some("typ", "alg", "jwk", "crit", "b64", "kid", "x"),
    some("kty", "crv", "x", "y", "n", "e", "d", "k", "use", "key_ops", "alg", "kid", "x5c", "x5t", "ext"),
    some("jti", "htm", "htu", "iat", "ath", "nonce", "exp", "x"),
)
def test_any_members_of_a_proof_are_accepted_or_refused(
    client: Client, header: dict[str, Any], jwk: dict[str, Any], claims: dict[str, Any]
) -> None:
    token = client.token()
    proof = client.proof(token, header={"jwk": {**client.prover.jwk, **jwk}, **header}, **claims)
    fields = [(b"Authorization", b"DPoP " + token.encode()), (b"DPoP", proof.encode())]
    assert raw_request(client.url, b"/api/private", fields).status in (200, 401)


NOW = 1_800_000_000.0


@pytest.fixture
def validator(tenant: Tenant, tmp_path: Path) -> Auth0JWTBearerTokenValidator:
    """With a clock that stands still for proofs."""
    dpop = DPoP(SQLiteReplayCache(tmp_path / "proofs.sqlite3", clock=lambda: NOW), clock=lambda: NOW)
    return Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE, dpop=dpop)


def made_at(tenant: Tenant, iat: float) -> Credentials:
    prover, url = Prover(), "https://api.example.com/api/private"
    token = tenant.token(cnf=prover.cnf)
    return Credentials("DPoP", token, (prover.forged("GET", url, token, iat=iat),), "GET", url)


@pytest.mark.parametrize("seconds", [-300, -299.9, 0, 0.5, 30])
def test_proof_is_good_from_30_seconds_before_until_300_after(
    validator: Auth0JWTBearerTokenValidator, tenant: Tenant, seconds: float
) -> None:
    assert asyncio.run(validator.validate(made_at(tenant, NOW + seconds)))["sub"] == "auth0|ada"


@pytest.mark.parametrize("seconds", [-(10**9), -301, -300.001, 30.001, 31, 10**9])
def test_proof_is_not_good_before_or_after(
    validator: Auth0JWTBearerTokenValidator, tenant: Tenant, seconds: float
) -> None:
    with pytest.raises(InvalidProof) as refused:
        asyncio.run(validator.validate(made_at(tenant, NOW + seconds)))
    assert refused.value.refusal is Flaw.TIME
