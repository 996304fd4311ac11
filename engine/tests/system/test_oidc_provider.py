"""The API with tokens that nobody here issued: npm `oidc-provider`, certified, as an Auth0-shaped tenant."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey, Key, OKPKey

from resource_server.developing.contract_tests.forging import ABSENT
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from resource_server.tokens.jwt import SignedJWT
from tests.nodepeers import node
from tests.proofs import Prover
from tests.sample import create_app
from tests.tenant import AUDIENCE

REDIRECT = "http://127.0.0.1:3010/ui/oauth2-redirect.html"
VERIFIER = "v" * 43
PUBLIC_URL = "https://api.example.com"


@pytest.fixture(scope="module", params=["auth0", "rfc9068"])
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def issuer(profile: str) -> Iterator[str]:
    with node("tenant.mjs", "--profile", profile) as peer:
        yield peer["issuer"]


@pytest.fixture(scope="module")
def api(issuer: str) -> Iterator[httpx.Client]:
    settings = Settings(issuers=(issuer,), audience=AUDIENCE, development=True, public_url=PUBLIC_URL)
    with in_background(create_app(settings)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def statuses(api: httpx.Client, token: str) -> list[int]:
    headers = {"Authorization": f"Bearer {token}"}
    return [api.get(f"/api/{name}", headers=headers).status_code for name in ("public", "private", "private-scoped")]


def machine_token(issuer: str, client_id: str = "machine", **params: str) -> str:
    credentials = {"client_id": client_id, "client_secret": "machine-secret"}
    request = {"grant_type": "client_credentials", **credentials, **params}
    answer = httpx.post(f"{issuer}oauth/token", data=request, trust_env=False)
    return str(answer.raise_for_status().json()["access_token"])


def bound_token(issuer: str, prover: Prover, client_id: str = "machine") -> str:
    """Client credentials with a proof, which the token is bound to the key of."""
    url = f"{issuer}oauth/token"
    request = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": "machine-secret",
        "audience": AUDIENCE,
    }
    proof = prover.forged("POST", url, "", ath=ABSENT)
    answer = httpx.post(url, data=request, headers={"DPoP": proof}, trust_env=False).raise_for_status().json()
    assert answer["token_type"] == "DPoP"
    return str(answer["access_token"])


def refusal(api: httpx.Client, headers: dict[str, str]) -> tuple[int, str]:
    response = api.get("/api/private", headers=headers)
    return response.status_code, str(response.json().get("code"))


def user_token(issuer: str, user: str, audience: str = AUDIENCE) -> str:
    """Log in with authorization code and PKCE, as a browser without JavaScript would."""
    with httpx.Client(base_url=issuer, trust_env=False) as browser:
        request = {
            "response_type": "code",
            "client_id": "spa",
            "redirect_uri": REDIRECT,
            "scope": "openid read:messages",
            "audience": audience,
            "state": "state",
            "code_challenge": urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        login = browser.get("authorize", params=request).headers["location"]
        resumed = browser.post(login, data={"username": user}).headers["location"]
        redirect = browser.get(resumed).headers["location"]
        code = parse_qs(urlsplit(redirect).query)["code"][0]
        proof = {"redirect_uri": REDIRECT, "code": code, "code_verifier": VERIFIER}
        answer = browser.post("oauth/token", data={"grant_type": "authorization_code", "client_id": "spa", **proof})
        return str(answer.raise_for_status().json()["access_token"])


def test_tokens_are_of_the_profile_that_is_tested(issuer: str, profile: str) -> None:
    jwt = SignedJWT.parse(machine_token(issuer, audience=AUDIENCE))
    names = {"auth0": {"azp", "gty"}, "rfc9068": {"client_id", "jti"}}
    assert jwt.header["typ"] == {"auth0": "JWT", "rfc9068": "at+jwt"}[profile]
    assert jwt.claims.keys() == {"iss", "sub", "aud", "iat", "exp", "scope"} | names[profile]


def test_client_credentials_with_the_scope_open_every_operation(api: httpx.Client, issuer: str) -> None:
    assert statuses(api, machine_token(issuer, audience=AUDIENCE)) == [200, 200, 200]


def test_client_credentials_without_the_scope_are_forbidden(api: httpx.Client, issuer: str) -> None:
    assert statuses(api, machine_token(issuer, "machine-unscoped", audience=AUDIENCE)) == [200, 200, 403]


@pytest.mark.parametrize(("user", "scoped"), [("ada", 200), ("ben", 403)])
def test_code_with_pkce_opens_what_the_user_may(api: httpx.Client, issuer: str, user: str, scoped: int) -> None:
    assert statuses(api, user_token(issuer, user)) == [200, 200, scoped]


def test_opaque_token_is_refused(api: httpx.Client, issuer: str) -> None:
    assert statuses(api, machine_token(issuer)) == [200, 401, 401]


def test_token_for_another_audience_is_refused(api: httpx.Client, issuer: str) -> None:
    assert statuses(api, machine_token(issuer, audience="https://other.example.com")) == [200, 401, 401]


KEYS = [ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.key_type)
def test_bound_token_opens_what_its_scopes_do_with_proofs(api: httpx.Client, issuer: str, key: Key) -> None:
    prover = Prover(key)
    for client_id, scoped in (("machine", 200), ("machine-unscoped", 403)):
        token = bound_token(issuer, prover, client_id)
        assert SignedJWT.parse(token).claims["cnf"] == prover.cnf
        found = {
            path: api.get(path, headers=prover.headers(PUBLIC_URL + path, token)).status_code
            for path in ("/api/public", "/api/private", "/api/private-scoped")
        }
        assert found == {"/api/public": 200, "/api/private": 200, "/api/private-scoped": scoped}


def test_bound_token_is_refused_as_bearer(api: httpx.Client, issuer: str) -> None:
    prover = Prover()
    token = bound_token(issuer, prover)
    assert refusal(api, {"Authorization": f"Bearer {token}"}) == (401, "invalid_token")
    headers = prover.headers(f"{PUBLIC_URL}/api/private", token) | {"Authorization": f"Bearer {token}"}
    assert refusal(api, headers) == (401, "invalid_token")


def test_bound_token_is_refused_with_no_proof_of_its_key(api: httpx.Client, issuer: str) -> None:
    prover = Prover()
    token = bound_token(issuer, prover)
    assert refusal(api, Prover().headers(f"{PUBLIC_URL}/api/private", token)) == (401, "invalid_token")
    assert refusal(api, {"Authorization": f"DPoP {token}"}) == (401, "invalid_dpop_proof")


def test_proof_for_the_token_endpoint_opens_nothing(api: httpx.Client, issuer: str) -> None:
    prover = Prover()
    token = bound_token(issuer, prover)
    proof = prover.forged("POST", f"{issuer}oauth/token", "", ath=ABSENT)
    assert refusal(api, {"Authorization": f"DPoP {token}", "DPoP": proof}) == (401, "invalid_dpop_proof")


def test_token_that_was_got_without_a_proof_is_bound_to_nothing(api: httpx.Client, issuer: str) -> None:
    token = machine_token(issuer, audience=AUDIENCE)
    assert refusal(api, Prover().headers(f"{PUBLIC_URL}/api/private", token)) == (401, "invalid_token")
