"""Bound tokens from the development issuer (RFC 9449, sections 5 and 10), and the API that takes them."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from joserfc.jwk import OctKey, OKPKey, RSAKey

from resource_server.developing.contract_tests.forging import ABSENT
from resource_server.developing.issuer import DevelopmentIssuer, serve_in_background
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from resource_server.tokens.errors import Flaw
from resource_server.tokens.jwt import SignedJWT
from tests.api.test_development_issuer import REQUEST, code_of, login, redeem
from tests.proofs import Prover
from tests.sample import create_app
from tests.serving import free_port, raw_request
from tests.tenant import AUDIENCE

PATH = "/api/private-scoped"
MACHINE = {
    "grant_type": "client_credentials",
    "client_id": "development",
    "client_secret": "development",
    "audience": AUDIENCE,
    "scope": "read:messages",
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[httpx.Client]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        serve_in_background(listener, DevelopmentIssuer(url, lambda: ["read:messages"]))
        with httpx.Client(base_url=url, trust_env=False) as client:
            yield client


@pytest.fixture(scope="module")
def api(issuer: httpx.Client) -> Iterator[httpx.Client]:
    port = free_port()
    settings = Settings(issuers=(str(issuer.base_url),), audience=AUDIENCE, development=True, port=port)
    with in_background(create_app(settings), port) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def proof(issuer: httpx.Client, prover: Prover, header: dict[str, Any] | None = None, **changed: Any) -> dict[str, str]:
    """The header field with a proof for the token endpoint, with changes."""
    url = f"{issuer.base_url}oauth/token"
    return {
        "DPoP": prover.forged(**{"method": "POST", "url": url, "token": "", "header": header, "ath": ABSENT, **changed})
    }


def call(api: httpx.Client, prover: Prover, token: str) -> int:
    return api.get(PATH, headers=prover.headers(str(api.base_url).rstrip("/") + PATH, token)).status_code


@pytest.mark.parametrize(
    "key", [None, RSAKey.generate_key(2048), OKPKey.generate_key("Ed25519")], ids=["EC", "RSA", "OKP"]
)
def test_client_credentials_with_a_proof_give_a_token_that_is_bound_to_its_key(
    issuer: httpx.Client, api: httpx.Client, key: Any
) -> None:
    prover = Prover(key)
    answer = issuer.post("/oauth/token", data=MACHINE, headers=proof(issuer, prover)).raise_for_status().json()
    assert answer["token_type"] == "DPoP"
    token = answer["access_token"]
    assert SignedJWT.parse(token).claims["cnf"] == prover.cnf
    assert call(api, prover, token) == 200
    assert call(api, Prover(), token) == 401
    assert api.get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_code_with_a_proof_gives_a_token_that_is_bound_to_its_key(issuer: httpx.Client, api: httpx.Client) -> None:
    prover = Prover()
    code = code_of(login(issuer, "auth0|ada"))
    answer = redeem(issuer, code, proof(issuer, prover)).raise_for_status().json()
    assert answer["token_type"] == "DPoP"
    claims = SignedJWT.parse(answer["access_token"]).claims
    assert (claims["sub"], claims["cnf"]) == ("auth0|ada", prover.cnf)
    assert call(api, prover, answer["access_token"]) == 200


def test_token_without_a_proof_is_bound_to_nothing(issuer: httpx.Client) -> None:
    answer = issuer.post("/oauth/token", data=MACHINE).json()
    assert answer["token_type"] == "Bearer"
    assert "cnf" not in SignedJWT.parse(answer["access_token"]).claims


def test_opaque_token_is_of_the_type_that_was_asked_for(issuer: httpx.Client) -> None:
    asked = {name: value for name, value in MACHINE.items() if name != "audience"}
    answer = issuer.post("/oauth/token", data=asked, headers=proof(issuer, Prover())).json()
    assert (answer["token_type"], "." in answer["access_token"]) == ("DPoP", False)


PROVER = Prover()
PRIVATE = {"jwk": PROVER.key.as_dict(private=True)}
SYMMETRIC = {"jwk": OctKey.generate_key(256).as_dict(private=True)}
NOW = int(time.time())

# header, claims, why
BAD_PROOFS: list[tuple[dict[str, Any], dict[str, Any], Flaw]] = [
    ({"typ": ABSENT}, {}, Flaw.TYPE),
    ({"typ": "JWT"}, {}, Flaw.TYPE),
    ({"alg": "none"}, {}, Flaw.ALGORITHM),
    ({"alg": "HS256", **SYMMETRIC}, {}, Flaw.ALGORITHM),
    ({"alg": "RS256"}, {}, Flaw.KEY),
    ({"jwk": ABSENT}, {}, Flaw.KEY),
    ({"jwk": {}}, {}, Flaw.KEY),
    (SYMMETRIC, {}, Flaw.KEY),
    (PRIVATE, {}, Flaw.KEY),
    ({"jwk": Prover().jwk}, {}, Flaw.SIGNATURE),
    ({"crit": ["exp"]}, {}, Flaw.MALFORMED),
    ({}, {"jti": ABSENT}, Flaw.CLAIMS),
    ({}, {"jti": ""}, Flaw.CLAIMS),
    ({}, {"method": ABSENT}, Flaw.CLAIMS),
    ({}, {"iat": str(NOW)}, Flaw.CLAIMS),
    ({}, {"iat": True}, Flaw.CLAIMS),
    ({}, {"iat": 10**400}, Flaw.CLAIMS),
    ({}, {"method": "GET"}, Flaw.METHOD),
    ({}, {"htu": "http://127.0.0.1/oauth/token"}, Flaw.URI),
    ({}, {"htu": "https://tenant.example.com/oauth/token"}, Flaw.URI),
    ({}, {"iat": NOW - 3_600}, Flaw.TIME),
    ({}, {"iat": NOW + 3_600}, Flaw.TIME),
]


@pytest.mark.parametrize(("header", "claims", "flaw"), BAD_PROOFS, ids=lambda value: str(value)[:40])
def test_bad_proof_is_refused(issuer: httpx.Client, header: dict[str, Any], claims: dict[str, Any], flaw: Flaw) -> None:
    answer = issuer.post("/oauth/token", data=MACHINE, headers=proof(issuer, PROVER, header, **claims))
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_dpop_proof", "error_description": flaw.value}


@pytest.mark.parametrize("value", ["", "x", "a.b.c", "DPoP"])
def test_what_is_no_proof_is_refused(issuer: httpx.Client, value: str) -> None:
    answer = issuer.post("/oauth/token", data=MACHINE, headers={"DPoP": value})
    assert (answer.status_code, answer.json()["error_description"]) == (400, Flaw.MALFORMED)


def test_several_proofs_are_refused(issuer: httpx.Client) -> None:
    fields = [(b"DPoP", proof(issuer, PROVER)["DPoP"].encode()) for _ in range(2)]
    answer = raw_request(str(issuer.base_url), b"/oauth/token?grant_type=client_credentials", fields, b"POST")
    # Which client asks comes after the proof: there is nothing to learn from trying.
    assert (answer.status, Flaw.SEVERAL.encode() in answer.body) == (400, True)


def test_proof_is_used_once(issuer: httpx.Client) -> None:
    used = proof(issuer, PROVER)
    answers = [issuer.post("/oauth/token", data=MACHINE, headers=used) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 400]
    assert answers[1].json() == {"error": "invalid_dpop_proof", "error_description": Flaw.REPLAYED}


def test_bad_proof_does_not_cost_the_code(issuer: httpx.Client) -> None:
    code = code_of(login(issuer, "auth0|ada"))
    assert redeem(issuer, code, proof(issuer, PROVER, method="GET")).json()["error"] == "invalid_dpop_proof"
    assert redeem(issuer, code, proof(issuer, PROVER)).status_code == 200


def test_code_that_is_for_a_key_needs_a_proof_of_it(issuer: httpx.Client) -> None:
    jkt = PROVER.cnf["jkt"]
    for headers in (None, proof(issuer, Prover())):
        answer = redeem(issuer, code_of(login(issuer, "auth0|ada", dpop_jkt=jkt)), headers)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    answer = redeem(issuer, code_of(login(issuer, "auth0|ada", dpop_jkt=jkt)), proof(issuer, PROVER))
    assert SignedJWT.parse(answer.json()["access_token"]).claims["cnf"] == PROVER.cnf


def test_metadata_names_what_proofs_may_be_signed_with(issuer: httpx.Client) -> None:
    algorithms = issuer.get("/.well-known/openid-configuration").json()["dpop_signing_alg_values_supported"]
    assert {"ES256", "RS256", "EdDSA"} <= set(algorithms)
    assert not any(name == "none" or name.startswith("HS") for name in algorithms)


def test_pages_of_this_machine_may_send_proofs(issuer: httpx.Client) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "dpop"}
    answer = issuer.options("/oauth/token", headers={"Origin": "http://localhost:3000", **asked})
    assert "DPoP" in answer.headers["access-control-allow-headers"].split(", ")
    assert "access-control-expose-headers" not in answer.headers


AT_THE_TOKEN_ENDPOINT = [
    ({"resource": AUDIENCE}, 200),
    ({"resource": AUDIENCE, "audience": AUDIENCE}, 200),
    ({"resource": ["https://a.example.com", AUDIENCE]}, 400),
    ({"resource": "https://other.example.com", "audience": AUDIENCE}, 400),
]


@pytest.mark.parametrize(("named", "status"), AT_THE_TOKEN_ENDPOINT, ids=str)
def test_resource_means_what_audience_means(issuer: httpx.Client, named: dict[str, Any], status: int) -> None:
    answer = issuer.post("/oauth/token", data={**MACHINE, "audience": "", **named})
    assert answer.status_code == status
    if status == 200:
        assert SignedJWT.parse(answer.json()["access_token"]).claims["aud"] == AUDIENCE
    else:
        assert answer.json()["error"] == "invalid_target"


@pytest.mark.parametrize("named", [{}, {"resource": AUDIENCE}, {"audience": AUDIENCE}], ids=str)
def test_code_for_a_resource_gives_a_token_for_it(issuer: httpx.Client, named: dict[str, str]) -> None:
    code = code_of(login(issuer, "auth0|ada", audience="", resource=AUDIENCE))
    token = redeem(issuer, code, **named).raise_for_status().json()["access_token"]
    assert SignedJWT.parse(token).claims["aud"] == AUDIENCE


@pytest.mark.parametrize("asked", ["", AUDIENCE])
def test_code_gives_no_token_for_another_resource(issuer: httpx.Client, asked: str) -> None:
    code = code_of(login(issuer, "auth0|ada", audience=asked))
    answer = redeem(issuer, code, resource="https://other.example.com")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_target")


def test_authorization_for_several_resources_is_refused(issuer: httpx.Client) -> None:
    for answer in (
        issuer.get("/authorize", params={**REQUEST, "resource": "https://other.example.com"}),
        issuer.post("/authorize", data={**REQUEST, "resource": "https://other.example.com", "user": "auth0|ada"}),
    ):
        assert answer.headers["location"].startswith(f"{REQUEST['redirect_uri']}?error=invalid_target&")
