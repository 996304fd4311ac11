"""The development issuer: Auth0's paths and tokens, over HTTP, and the API that trusts it."""

import socket
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from resource_server.developing.issuer import DevelopmentIssuer, serve_in_background
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from resource_server.tokens.jwt import SignedJWT
from tests.sample import create_app
from tests.tenant import AUDIENCE

VERIFIER = "v" * 43
REDIRECT = "http://127.0.0.1:3010/ui/oauth2-redirect.html"
REQUEST = {
    "response_type": "code",
    "client_id": "browser",
    "redirect_uri": REDIRECT,
    "scope": "openid read:messages",
    "state": "s&t",
    "audience": AUDIENCE,
    "code_challenge": urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode(),
    "code_challenge_method": "S256",
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[httpx.Client]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        serve_in_background(listener, DevelopmentIssuer(url, lambda: ["read:messages", "write:messages"]))
        with httpx.Client(base_url=url, trust_env=False) as client:
            yield client


@pytest.fixture(scope="module")
def api(issuer: httpx.Client) -> Iterator[httpx.Client]:
    settings = Settings(issuers=(str(issuer.base_url),), audience=AUDIENCE, development=True)
    with in_background(create_app(settings)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def machine_token(issuer: httpx.Client, **params: str) -> dict[str, Any]:
    credentials = {"client_id": "development", "client_secret": "development"}
    request = {"grant_type": "client_credentials", **credentials, "audience": AUDIENCE, **params}
    answer = issuer.post("/oauth/token", data=request)
    assert answer.status_code == 200
    token: dict[str, Any] = answer.json()
    return token


def login(issuer: httpx.Client, user: str, **changed: str) -> httpx.Response:
    """Ask for the page, choose the user on it, and follow to the redirect."""
    page = issuer.get("/authorize", params={**REQUEST, **changed})
    assert page.status_code == 200, page.text
    assert f'value="{user}"' in page.text
    return issuer.post("/authorize", data={**REQUEST, **changed, "user": user})


def redeem(
    issuer: httpx.Client, code: str, headers: Mapping[str, str] | None = None, /, **changed: str
) -> httpx.Response:
    request = {
        "grant_type": "authorization_code",
        "client_id": "browser",
        "redirect_uri": REDIRECT,
        "code": code,
        "code_verifier": VERIFIER,
        **changed,
    }
    return issuer.post("/oauth/token", data=request, headers=headers)


def code_of(redirect: httpx.Response) -> str:
    assert redirect.status_code == 302
    assert redirect.headers["location"].startswith(REDIRECT)
    query = parse_qs(urlsplit(redirect.headers["location"]).query)
    assert query["state"] == ["s&t"]
    return query["code"][0]


def call(api: httpx.Client, path: str, token: dict[str, Any]) -> int:
    return api.get(path, headers={"Authorization": f"Bearer {token['access_token']}"}).status_code


def test_metadata_names_auth0s_paths(issuer: httpx.Client) -> None:
    url = str(issuer.base_url)
    metadata = issuer.get("/.well-known/openid-configuration").json()
    assert metadata["issuer"] == url
    assert metadata["authorization_endpoint"] == f"{url}authorize"
    assert metadata["token_endpoint"] == f"{url}oauth/token"
    assert metadata["jwks_uri"] == f"{url}.well-known/jwks.json"


def test_published_keys_are_public(issuer: httpx.Client) -> None:
    for key in issuer.get("/.well-known/jwks.json").json()["keys"]:
        assert key.keys() == {"kty", "n", "e", "kid", "use", "alg"}


def test_client_credentials_give_auth0s_access_token(issuer: httpx.Client, api: httpx.Client) -> None:
    token = machine_token(issuer, scope="read:messages unknown:scope")
    assert (token["token_type"], token["expires_in"], token["scope"]) == ("Bearer", 86_400, "read:messages")
    jwt = SignedJWT.parse(token["access_token"])
    assert (jwt.header["typ"], jwt.header["alg"]) == ("JWT", "RS256")
    assert jwt.claims.keys() == {"iss", "sub", "aud", "iat", "exp", "azp", "scope", "gty"}
    assert (jwt.claims["sub"], jwt.claims["gty"]) == ("development@clients", "client-credentials")
    assert [call(api, path, token) for path in ("/api/private", "/api/private-scoped")] == [200, 200]


def test_no_scope_asked_is_no_scope_granted(issuer: httpx.Client, api: httpx.Client) -> None:
    token = machine_token(issuer)
    assert "scope" not in token
    assert [call(api, path, token) for path in ("/api/private", "/api/private-scoped")] == [200, 403]


def test_no_audience_gives_an_opaque_token(issuer: httpx.Client, api: httpx.Client) -> None:
    token = machine_token(issuer, audience="")
    assert "." not in token["access_token"]
    assert call(api, "/api/private", token) == 401


def test_token_for_another_audience_is_refused_by_the_api(issuer: httpx.Client, api: httpx.Client) -> None:
    assert call(api, "/api/private", machine_token(issuer, audience="https://other.example.com")) == 401


def test_token_endpoint_takes_json_as_auth0s_does(issuer: httpx.Client) -> None:
    request = {"grant_type": "client_credentials", "client_id": "development", "client_secret": "development"}
    answer = issuer.post("/oauth/token", json={**request, "audience": AUDIENCE})
    assert answer.json()["token_type"] == "Bearer"


@pytest.mark.parametrize(
    "wrong",
    [{"client_secret": "x"}, {"client_id": "nobody"}, {"client_id": "browser"}, {"grant_type": "password"}],
    ids=str,
)
def test_token_request_that_is_wrong_is_refused(issuer: httpx.Client, wrong: dict[str, str]) -> None:
    request = {"grant_type": "client_credentials", "client_id": "development", "client_secret": "development"}
    assert issuer.post("/oauth/token", data={**request, **wrong}).status_code in (400, 401)


@pytest.mark.parametrize(("user", "scoped"), [("auth0|ada", 200), ("auth0|ben", 403)])
def test_code_with_pkce_gives_a_token_with_what_the_user_may(
    issuer: httpx.Client, api: httpx.Client, user: str, scoped: int
) -> None:
    answer = redeem(issuer, code_of(login(issuer, user)))
    assert answer.status_code == 200
    token = answer.json()
    assert SignedJWT.parse(token["access_token"]).claims["sub"] == user
    assert [call(api, path, token) for path in ("/api/private", "/api/private-scoped")] == [200, scoped]


def test_code_is_good_for_one_try(issuer: httpx.Client) -> None:
    code = code_of(login(issuer, "auth0|ada"))
    assert redeem(issuer, code, code_verifier="w" * 43).json()["error"] == "invalid_grant"
    assert redeem(issuer, code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("missing", ["code_verifier", "redirect_uri"])
def test_code_needs_its_verifier_and_redirect_uri(issuer: httpx.Client, missing: str) -> None:
    assert redeem(issuer, code_of(login(issuer, "auth0|ada")), **{missing: ""}).status_code == 400


@pytest.mark.parametrize(
    "changed",
    [
        {"code_challenge": "", "code_challenge_method": ""},
        {"code_challenge": ""},
        {"code_challenge_method": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
    ],
    ids=str,
)
def test_code_needs_a_challenge_of_s256(issuer: httpx.Client, changed: dict[str, str]) -> None:
    asked = {**REQUEST, **changed}
    for answer in (
        issuer.get("/authorize", params=asked),
        issuer.post("/authorize", data={**asked, "user": "auth0|ada"}),
    ):
        assert answer.status_code in (302, 303)
        assert "error=invalid_request" in answer.headers["location"]


def test_login_page_is_shown_in_no_frame(issuer: httpx.Client) -> None:
    answer = issuer.get("/authorize", params=REQUEST)
    assert (answer.status_code, answer.headers["x-frame-options"]) == (200, "DENY")
    assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"


@pytest.mark.parametrize("redirect_uri", ["http://localhost", "http://127.0.0.1:1/x?y=z", "https://[::1]:65535/a/b"])
def test_code_goes_to_any_place_of_this_machine(issuer: httpx.Client, redirect_uri: str) -> None:
    assert issuer.get("/authorize", params={**REQUEST, "redirect_uri": redirect_uri}).status_code == 200


@pytest.mark.parametrize(
    "redirect_uri",
    [
        *("https://evil.example.com/", "http://127.0.0.1.example.com/", ""),
        *("http://127.0.0.1\\@evil.example.com/", "http:\\\\127.0.0.1/", "http://localhost\\.evil.example.com/"),
        *("http://user@127.0.0.1/", "http://user:x@localhost/", "http://127.0.0.1@evil.example.com/"),
        *("http://127.0.0.1:80:81/", "http://127.0.0.1:99999/", "http://127.0.0.1:x/", "http://127.0.0.1:-1/"),
        *("http://127.0.0.1/#f", "http://127.0.0.1/\r\nX: y", "http://127.0.0.1/ x", "http://[::1/", "http://[x]/"),
        *("//127.0.0.1/", "javascript://127.0.0.1/%0aalert(1)", "http:/127.0.0.1/", "http://127.0.0.1/\u00e9"),
    ],
)
def test_code_goes_to_this_machine_only(issuer: httpx.Client, redirect_uri: str) -> None:
    answer = issuer.get("/authorize", params={**REQUEST, "redirect_uri": redirect_uri})
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_unknown_user_is_denied(issuer: httpx.Client) -> None:
    answer = issuer.post("/authorize", data={**REQUEST, "user": "auth0|eve"})
    assert "error=access_denied" in answer.headers["location"]


def test_rotated_key_signs_and_the_previous_one_still_verifies(issuer: httpx.Client, api: httpx.Client) -> None:
    before = machine_token(issuer)
    assert call(api, "/api/private", before) == 200
    kid = issuer.post("/rotate").json()["kid"]
    after = machine_token(issuer)
    assert SignedJWT.parse(after["access_token"]).header["kid"] == kid
    assert [call(api, "/api/private", token) for token in (after, before)] == [200, 200]
    assert len(issuer.get("/.well-known/jwks.json").json()["keys"]) == 2
    issuer.post("/rotate", data={"withdraw": "true"})
    assert len(issuer.get("/.well-known/jwks.json").json()["keys"]) == 1


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("http://localhost:3000", "http://localhost:3000"), ("https://evil.example.com", None), ("null", None)],
)
def test_pages_of_this_machine_may_fetch_tokens(issuer: httpx.Client, origin: str, allowed: str | None) -> None:
    answer = issuer.options("/oauth/token", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
    assert answer.headers.get("access-control-allow-origin") == allowed


def test_another_name_for_this_machine_is_refused(issuer: httpx.Client) -> None:
    assert issuer.get("/.well-known/jwks.json", headers={"Host": "evil.example.com"}).status_code == 400


@pytest.mark.parametrize("path", ["/rotate?withdraw=true", "/authorize", "/oauth/token"])
@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "http://127.0.0.1.example.com", "http://[::1"])
def test_page_of_another_site_cannot_post(issuer: httpx.Client, path: str, origin: str) -> None:
    before = issuer.get("/.well-known/jwks.json").json()
    assert issuer.post(path, headers={"Origin": origin}, data=REQUEST).status_code == 403
    assert issuer.get("/.well-known/jwks.json").json() == before


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2:3011", "localhost", "[::1]:3011"])
def test_every_name_of_this_machine_is_answered(issuer: httpx.Client, host: str) -> None:
    assert issuer.get("/.well-known/jwks.json", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "request_",
    [
        {"url": "/oauth/token", "json": [1]},
        {"url": "/oauth/token", "json": "x"},
        {"url": "/oauth/token", "content": b"{", "headers": {"Content-Type": "application/json"}},
        {"url": "/authorize", "data": {}},
        {"url": "/authorize", "data": {**REQUEST, "response_type": "token"}},
        {"url": "/authorize", "data": {**REQUEST, "redirect_uri": "http://[::1"}},
        {"url": "/authorize", "data": {**REQUEST, "code_challenge_method": "plain", "user": "auth0|ada"}},
    ],
    ids=lambda request_: str(request_)[:60],
)
def test_malformed_request_is_refused(issuer: httpx.Client, request_: dict[str, Any]) -> None:
    answer = issuer.post(**request_)
    assert answer.status_code in (400, 302)
    assert "code=" not in answer.headers.get("location", "")


@pytest.mark.parametrize("url", ["https://tenant.example.com/", "http://0.0.0.0:3011/", "http://192.0.2.1/"])
def test_it_is_for_loopback_addresses_only(url: str) -> None:
    with pytest.raises(ValueError, match="for loopback addresses only"):
        DevelopmentIssuer(url, list)


def test_any_claims_are_signed_for_contract_tests(issuer: httpx.Client, api: httpx.Client) -> None:
    claims = {"scope": "read:messages", "sub": "anybody", "exp": 2**40}
    answer = issuer.post("/sign", json={"audience": AUDIENCE, "claims": claims})
    token = answer.raise_for_status().json()["access_token"]
    assert SignedJWT.parse(token).claims.items() >= claims.items()
    assert api.get("/api/private-scoped", headers={"Authorization": f"Bearer {token}"}).status_code == 200


@pytest.mark.parametrize(
    "asked", ["", "{", "[]", "{}", '{"audience": 1, "claims": {}}', '{"audience": "a", "claims": 1}']
)
def test_request_for_claims_that_is_malformed_is_refused(issuer: httpx.Client, asked: str) -> None:
    assert issuer.post("/sign", content=asked, headers={"Content-Type": "application/json"}).status_code == 400


@pytest.mark.parametrize("origin", ["null", "https://evil.example.com"])
def test_other_sites_get_nothing_signed(issuer: httpx.Client, origin: str) -> None:
    asked = {"audience": AUDIENCE, "claims": {}}
    assert issuer.post("/sign", json=asked, headers={"Origin": origin}).status_code == 403
