"""Bound tokens and their proofs over a socket (RFC 9449), with DPoP allowed, required, disabled and with nonces."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from resource_server.serving.background import in_background
from resource_server.settings import Settings, SettingsError
from resource_server.tokens import Auth0JWTBearerTokenValidator
from resource_server.tokens.dpop import DPoP, Proof
from resource_server.tokens.errors import Flaw, Refusal, ReplaysUnavailable
from resource_server.tokens.nonces import Nonces
from resource_server.tokens.replays import SQLiteReplayCache
from tests.proofs import Prover, without_metadata
from tests.sample import create_app
from tests.serving import free_port, raw_request
from tests.tenant import AUDIENCE, Tenant
from tests.unit.test_token_sources import Clock

PATH = "/api/private-scoped"
REALM = f'realm="{AUDIENCE}"'
ALGS = 'algs="ES256 ES384 ES512 Ed25519 EdDSA PS256 PS384 PS512 RS256 RS384 RS512"'


@pytest.fixture(scope="module")
def prover() -> Prover:
    return Prover()


@pytest.fixture(scope="module")
def bound(tenant: Tenant, prover: Prover) -> str:
    return tenant.token(cnf=prover.cnf)


def served(tenant: Tenant, validator: Auth0JWTBearerTokenValidator | None = None, **settings: object) -> Iterator[str]:
    port = free_port()
    given = Settings(
        issuers=(tenant.url,),
        audience=AUDIENCE,
        port=port,
        public_url=f"http://127.0.0.1:{port}",
        **settings,  # type: ignore[arg-type]
    )
    with in_background(create_app(given, validator=validator), port) as url:
        yield url


@pytest.fixture(scope="module")
def allowed(tenant: Tenant) -> Iterator[str]:
    yield from served(tenant)


@pytest.fixture(scope="module")
def required(tenant: Tenant) -> Iterator[str]:
    yield from served(tenant, dpop="required")


@pytest.fixture(scope="module")
def disabled(tenant: Tenant) -> Iterator[str]:
    yield from served(tenant, dpop="disabled")


def get(url: str, headers: dict[str, str], path: str = PATH) -> httpx.Response:
    return httpx.get(url + path, headers=headers, trust_env=False)


def assert_refused(response: httpx.Response, status: int, code: str, challenge: str, detail: str | None = None) -> None:
    """Exactly this status, code and challenge, and this detail if it is given."""
    assert (response.status_code, without_metadata(response.headers["www-authenticate"])) == (status, challenge)
    assert response.json()["code"] == code
    assert detail in (None, response.json()["detail"])
    assert "dpop-nonce" not in response.headers


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_bound_token_with_its_proof_is_accepted(allowed: str, prover: Prover, bound: str) -> None:
    assert get(allowed, prover.headers(allowed + PATH, bound)).status_code == 200


def test_proof_is_used_once(allowed: str, prover: Prover, bound: str) -> None:
    headers = prover.headers(allowed + PATH, bound)
    assert [get(allowed, headers).status_code for _ in range(3)] == [200, 401, 401]


def test_both_schemes_are_advertised_without_credentials(allowed: str) -> None:
    both = f"Bearer {REALM}, DPoP {REALM}, {ALGS}"
    assert_refused(get(allowed, {}), 401, "missing_credentials", both)


def test_missing_scope_is_challenged_by_the_scheme_that_was_used(allowed: str, tenant: Tenant, prover: Prover) -> None:
    lacking = 'error="insufficient_scope", scope="read:messages"'
    token = tenant.token(cnf=prover.cnf, scope="")
    with_proof = get(allowed, prover.headers(allowed + PATH, token))
    assert_refused(with_proof, 403, "insufficient_scope", f"DPoP {lacking}, {ALGS}")
    assert_refused(get(allowed, bearer(tenant.token(scope=""))), 403, "insufficient_scope", f"Bearer {lacking}")


def test_bound_token_as_bearer_is_challenged_by_both_schemes(allowed: str, bound: str) -> None:
    said = Refusal.SENDER_CONSTRAINED
    challenge = f'Bearer error="invalid_token", error_description="{said}", DPoP {REALM}, {ALGS}'
    assert_refused(get(allowed, bearer(bound)), 401, "invalid_token", challenge, said)


def test_bad_proof_is_challenged_by_both_schemes(allowed: str, prover: Prover, bound: str) -> None:
    challenge = f'DPoP error="invalid_dpop_proof", error_description="{Flaw.METHOD}", {ALGS}, Bearer {REALM}'
    response = get(allowed, prover.headers(allowed + PATH, bound, method="POST"))
    assert_refused(response, 401, "invalid_dpop_proof", challenge, Flaw.METHOD)


# DPoP required: Bearer is a scheme that isn't spoken.

ASKS = (
    "This operation needs an access token that is bound to a key: send it as 'Authorization: DPoP <token>', with a "
    "proof in the header field DPoP."
)


def test_required_bound_token_with_its_proof_is_accepted(required: str, prover: Prover, bound: str) -> None:
    assert get(required, prover.headers(required + PATH, bound)).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Basic"])
def test_required_other_scheme_is_no_credentials(required: str, tenant: Tenant, bound: str, scheme: str) -> None:
    for token in (tenant.token(), bound, "abc"):
        response = get(required, {"Authorization": f"{scheme} {token}"})
        assert_refused(response, 401, "missing_credentials", f"DPoP {REALM}, {ALGS}", ASKS)


def test_required_nothing_is_no_credentials(required: str) -> None:
    assert_refused(get(required, {}), 401, "missing_credentials", f"DPoP {REALM}, {ALGS}", ASKS)


def test_required_bearer_with_a_proof_is_no_credentials(required: str, prover: Prover, bound: str) -> None:
    headers = prover.headers(required + PATH, bound) | bearer(bound)
    assert_refused(get(required, headers), 401, "missing_credentials", f"DPoP {REALM}, {ALGS}", ASKS)


def test_required_challenges_are_of_dpop_alone(required: str, tenant: Tenant, prover: Prover, bound: str) -> None:
    unbound = tenant.token()
    refused = get(required, prover.headers(required + PATH, unbound))
    challenge = f'DPoP error="invalid_token", error_description="{Refusal.NOT_BOUND}", {ALGS}'
    assert_refused(refused, 401, "invalid_token", challenge, Refusal.NOT_BOUND)
    missing = get(required, {"Authorization": f"DPoP {bound}"})
    challenge = f'DPoP error="invalid_dpop_proof", error_description="{Flaw.MISSING}", {ALGS}'
    assert_refused(missing, 401, "invalid_dpop_proof", challenge, Flaw.MISSING)
    foreign = get(required, Prover().headers(required + PATH, bound))
    challenge = f'DPoP error="invalid_token", error_description="{Refusal.OTHER_KEY}", {ALGS}'
    assert_refused(foreign, 401, "invalid_token", challenge, Refusal.OTHER_KEY)


def test_required_malformed_request_is_challenged_by_dpop(required: str, tenant: Tenant) -> None:
    both = [(b"Authorization", b"Bearer " + tenant.token().encode()), (b"Authorization", b"DPoP x")]
    for fields in (both, both[::-1], [(b"Authorization", b"DPoP")], [(b"Authorization", b"DPoP x y")]):
        response = raw_request(required, PATH.encode(), fields)
        assert response.status == 400
        assert without_metadata(response.headers["www-authenticate"]) == f'DPoP error="invalid_request", {ALGS}'
        assert "'Authorization: DPoP <token>'" in json.loads(response.body)["detail"]


# DPoP disabled: DPoP is a scheme that isn't spoken.


def test_disabled_bound_token_with_its_proof_is_no_credentials(disabled: str, prover: Prover, bound: str) -> None:
    response = get(disabled, prover.headers(disabled + PATH, bound))
    assert_refused(response, 401, "missing_credentials", f"Bearer {REALM}")


def test_disabled_unbound_token_is_no_credentials_with_dpop(disabled: str, tenant: Tenant, prover: Prover) -> None:
    response = get(disabled, prover.headers(disabled + PATH, tenant.token()))
    assert_refused(response, 401, "missing_credentials", f"Bearer {REALM}")


def test_disabled_bound_token_as_bearer_is_refused(disabled: str, prover: Prover, bound: str) -> None:
    said = Refusal.SENDER_CONSTRAINED
    challenge = f'Bearer error="invalid_token", error_description="{said}"'
    for others in ({}, {"DPoP": prover.proof("GET", disabled + PATH, bound)}):
        assert_refused(get(disabled, bearer(bound) | others), 401, "invalid_token", challenge, said)


def test_disabled_unbound_token_as_bearer_is_accepted(disabled: str, tenant: Tenant) -> None:
    assert get(disabled, bearer(tenant.token())).status_code == 200


# Nonces (RFC 9449, sections 8 and 9)

STEP = 150
SECRET = b"s" * 32
USE_NONCE = "The DPoP proof needs the nonce from the header field DPoP-Nonce. Make a new one with it."


@pytest.fixture(scope="module")
def clock() -> Clock:
    """What nonces are made by; it moves when it is told to."""
    return Clock()


@pytest.fixture(scope="module")
def with_nonces(tenant: Tenant, clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    replays = SQLiteReplayCache(tmp_path_factory.mktemp("nonces") / "proofs.sqlite3")
    dpop = DPoP(replays, nonces=Nonces(SECRET, clock))
    yield from served(tenant, Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE, dpop=dpop))


def assert_asks_for_nonce(response: httpx.Response) -> str:
    """That it is refused for want of a nonce; the one to use."""
    said = f'error="use_dpop_nonce", error_description="{USE_NONCE}"'
    assert (response.status_code, response.json()["code"]) == (401, "use_dpop_nonce")
    assert without_metadata(response.headers["www-authenticate"]) == f"DPoP {said}, {ALGS}, Bearer {REALM}"
    (nonce,) = response.headers.get_list("dpop-nonce")
    return str(nonce)


def test_proof_without_a_nonce_gets_one_which_is_accepted(with_nonces: str, prover: Prover, bound: str) -> None:
    url = with_nonces + PATH
    nonce = assert_asks_for_nonce(get(with_nonces, prover.headers(url, bound)))
    response = get(with_nonces, prover.headers(url, bound, nonce=nonce))
    assert (response.status_code, response.headers.get_list("dpop-nonce")) == (200, [nonce])


def test_proof_that_lacked_a_nonce_has_not_been_used(with_nonces: str, prover: Prover, bound: str) -> None:
    url = with_nonces + PATH
    nonce = assert_asks_for_nonce(get(with_nonces, prover.headers(url, bound, jti="kept")))
    assert get(with_nonces, prover.headers(url, bound, jti="kept", nonce=nonce)).status_code == 200


@pytest.mark.parametrize("nonce", ["", "x", "é", "n" * 4_000, None, 1, True, [], {}, ["x"]])
def test_other_nonce_is_refused_and_the_right_one_said(
    with_nonces: str, prover: Prover, bound: str, nonce: object
) -> None:
    assert_asks_for_nonce(get(with_nonces, prover.headers(with_nonces + PATH, bound, nonce=nonce)))


def test_nonce_of_another_secret_or_spelling_is_refused(
    with_nonces: str, clock: Clock, prover: Prover, bound: str
) -> None:
    nonce = Nonces(SECRET, clock).current()
    for wrong in (Nonces(b"t" * 32, clock).current(), nonce + "=", nonce.upper(), nonce[:-1], f" {nonce}", [nonce]):
        assert_asks_for_nonce(get(with_nonces, prover.headers(with_nonces + PATH, bound, nonce=wrong)))


def test_nonce_is_good_for_one_more_step(with_nonces: str, clock: Clock, prover: Prover, bound: str) -> None:
    clock.now -= clock.now % STEP
    url = with_nonces + PATH
    old = assert_asks_for_nonce(get(with_nonces, prover.headers(url, bound)))
    clock.now += STEP
    response = get(with_nonces, prover.headers(url, bound, nonce=old))
    (new,) = response.headers.get_list("dpop-nonce")
    assert (response.status_code, new == old) == (200, False)
    clock.now += STEP - 1
    assert get(with_nonces, prover.headers(url, bound, nonce=old)).status_code == 200
    clock.now += 1
    assert_asks_for_nonce(get(with_nonces, prover.headers(url, bound, nonce=old)))
    assert get(with_nonces, prover.headers(url, bound, nonce=new)).status_code == 200


def test_nonce_does_not_excuse_another_flaw(with_nonces: str, prover: Prover, bound: str) -> None:
    url = with_nonces + PATH
    nonce = assert_asks_for_nonce(get(with_nonces, prover.headers(url, bound)))
    for changed in ({"iat": 1_700_000_000}, {"htu": with_nonces}, {"ath": "x"}, {"jti": ""}):
        response = get(with_nonces, prover.headers(url, bound, nonce=nonce, **changed))
        assert response.json()["code"] == "invalid_dpop_proof"


def test_bearer_token_gets_no_nonce(with_nonces: str, tenant: Tenant) -> None:
    response = get(with_nonces, bearer(tenant.token()))
    assert (response.status_code, "dpop-nonce" in response.headers) == (200, False)


@pytest.mark.parametrize("mode", ["allowed", "required"])
def test_proofs_that_are_asked_for_need_a_url_to_name(tenant: Tenant, mode: str) -> None:
    with pytest.raises(SettingsError, match="Set PUBLIC_URL"):
        create_app(Settings(issuers=(tenant.url,), audience=AUDIENCE, dpop=mode))


def test_proofs_of_an_event_loop_wait_for_a_slow_memory_up_to_a_limit() -> None:
    class Slow:
        def use(self, proof_id: bytes, until: float) -> bool:
            time.sleep(0.05)
            return True

    async def many() -> list[object]:
        dpop = DPoP(Slow())
        proofs = [Proof(b"%d" % number, 0, "") for number in range(100)]
        return await asyncio.gather(*map(dpop.use_later, proofs), return_exceptions=True)

    outcomes = Counter(map(type, asyncio.run(many())))
    assert outcomes == {type(None): 40, ReplaysUnavailable: 60}
