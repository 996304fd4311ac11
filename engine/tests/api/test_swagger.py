"""Swagger UI's pages, the contract that is served, and what surrounds every answer: headers, CORS and proxies."""

import ipaddress
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import httpx
import pytest
import yaml
from openapi_spec_validator import validate

from resource_server.contract.loading import load_contract
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.sample import SPECIFICATION, create_app
from tests.serving import raw_request
from tests.tenant import AUDIENCE, Tenant

OTHER = "http://localhost:3000"


@pytest.fixture(scope="module")
def tenant() -> Iterator[Tenant]:
    """An issuer whose endpoints aren't where Auth0's are."""

    class Elsewhere(Tenant):
        def metadata(self) -> dict[str, Any]:
            endpoints = {
                "authorization_endpoint": "http://localhost:1/a",
                "token_endpoint": "http://localhost:2/t",
            }
            return {**super().metadata(), **endpoints}

    with Elsewhere().running() as tenant:
        yield tenant


def client(settings: Settings) -> Iterator[httpx.Client]:
    with in_background(create_app(settings)) as url, httpx.Client(base_url=url, trust_env=False) as http:
        yield http


@pytest.fixture(scope="module")
def api(tenant: Tenant) -> Iterator[httpx.Client]:
    networks = (ipaddress.ip_network("127.0.0.0/8"),)
    yield from client(
        Settings(
            issuers=(tenant.url,),
            audience=AUDIENCE,
            client_id='ab"c',
            cors_origins=(OTHER,),
            trusted_proxies=networks,
            development=True,
            port=0,
        )
    )


@pytest.fixture(scope="module")
def plain(tenant: Tenant) -> Iterator[httpx.Client]:
    """The API without client, without other origins, and behind no proxy."""
    yield from client(Settings(issuers=(tenant.url,), audience=AUDIENCE))


def oauth(api: httpx.Client) -> Any:
    script = api.get("/ui/swagger-initializer.js").text
    return json.loads(re.findall(r"initOAuth\((.*)\);", script)[0])


@pytest.mark.parametrize("path", ["/", "/ui"])
def test_root_leads_to_swagger_ui(api: httpx.Client, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.headers["location"]) == (307, "/ui/")


def test_page_is_titled_by_the_contract_and_of_the_bundle(api: httpx.Client) -> None:
    page = api.get("/ui/")
    assert "<title>Messages API</title>" in page.text
    assert api.get("/ui/swagger-ui-bundle.js").status_code == 200
    assert api.get("/ui/oauth2-redirect.html").status_code == 200
    assert api.get("/ui/nothing.js").status_code == 404
    assert api.get("/ui/..%2f..%2f__init__.py").status_code == 404
    assert api.post("/ui/").headers["allow"] == "GET, HEAD"


def test_login_is_filled_in_and_asks_for_the_audience(api: httpx.Client, plain: httpx.Client) -> None:
    assert oauth(api) == {
        "clientId": 'ab"c',
        "scopes": ["read:messages"],
        "usePkceWithAuthorizationCodeGrant": True,
        "additionalQueryStringParams": {"audience": AUDIENCE},
    }
    assert oauth(plain)["clientId"] == ""


@pytest.mark.parametrize("path", ["/ui/", "/ui/index.html", "/ui/oauth2-redirect.html"])
def test_page_runs_no_script_that_is_not_known_and_reaches_no_third_party(api: httpx.Client, path: str) -> None:
    page = raw_request(str(api.base_url), path.encode())
    policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self' http://localhost:2"
    assert re.fullmatch(r"'self' 'sha256-\S+'", policy["style-src"])  # of the logo
    inline = re.findall(rb"(?s)<script>(.*?)</script>", page.body)
    hashes = re.findall(r"'sha256-(\S+)'", policy["script-src"])
    allowed = [b64decode(value) for value in hashes]
    assert [sha256(script).digest() for script in inline if policy["script-src"] != "'none'"] == allowed
    assert "unsafe" not in page.headers["content-security-policy"]


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_served_contract_is_the_repositorys_made_concrete(api: httpx.Client, form: str) -> None:
    served = yaml.safe_load(api.get(f"/openapi.{form}").text)
    validate(served)
    expected: Any = load_contract(SPECIFICATION).contract
    expected["servers"] = [{"url": "/"}]
    for flow in expected["components"]["securitySchemes"]["oauth2"]["flows"].values():
        flow["tokenUrl"] = "http://localhost:2/t"
        if "authorizationUrl" in flow:
            flow["authorizationUrl"] = "http://localhost:1/a"
    assert served == expected


def test_served_contract_has_auth0s_endpoints_until_the_issuer_answers() -> None:
    nowhere = "http://127.0.0.1:9/"
    for api in client(Settings(issuers=(nowhere,), audience=AUDIENCE)):
        flows = api.get("/openapi.json").json()["components"]["securitySchemes"]["oauth2"]["flows"]
        assert flows["authorizationCode"]["authorizationUrl"] == "http://127.0.0.1:9/authorize"
        assert flows["clientCredentials"]["tokenUrl"] == "http://127.0.0.1:9/oauth/token"
        assert api.get("/ui/").status_code == 200


@pytest.mark.parametrize(
    "endpoint", [5, None, ["x"], "https://[::1/t", "javascript:alert(1)", "http://127.0.0.1;x *;y/t"]
)
def test_endpoint_that_is_no_url_is_not_served(endpoint: object) -> None:
    with Tenant().running() as odd:
        metadata = {**odd.metadata(), "authorization_endpoint": endpoint, "token_endpoint": endpoint}
        odd.misbehave = lambda _: (200, {}, json.dumps(metadata).encode())
        for api in client(Settings(issuers=(odd.url,), audience=AUDIENCE)):
            flows = api.get("/openapi.json").json()["components"]["securitySchemes"]["oauth2"]["flows"]
            assert flows["authorizationCode"]["authorizationUrl"] == f"{odd.url}authorize"
            assert f"connect-src 'self' {odd.url[:-1]};" in api.get("/ui/").headers["content-security-policy"]


def test_issuer_that_is_down_is_asked_once_in_a_while() -> None:
    with Tenant().running() as down:
        down.misbehave = lambda _: (503, {}, b"")
        for api in client(Settings(issuers=(down.url,), audience=AUDIENCE)):
            assert [api.get(path).status_code for path in ("/ui/", "/openapi.json", "/openapi.yaml") * 10] == [200] * 30
        assert down.fetches.total() == 2  # the second for its keys, at the start


def test_public_url_is_the_server_of_the_contract(tenant: Tenant) -> None:
    settings = Settings(issuers=(tenant.url,), audience=AUDIENCE, public_url="https://api.example.com/m")
    for api in client(settings):
        assert api.get("/openapi.json").json()["servers"] == [{"url": "https://api.example.com/m"}]


@pytest.mark.parametrize("path", ["/api/public", "/api/private", "/nowhere", "/ui/", "/openapi.json"])
def test_every_answer_is_safe_for_browsers(api: httpx.Client, path: str) -> None:
    headers = api.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("token", ["good", "bad"])
def test_answer_to_a_token_is_not_kept(api: httpx.Client, tenant: Tenant, token: str) -> None:
    value = tenant.token() if token == "good" else "x"
    answer = api.get("/api/private", headers={"Authorization": f"Bearer {value}"})
    assert answer.headers["cache-control"] == "no-store"
    assert "cache-control" not in api.get("/api/public").headers


def preflight(api: httpx.Client, origin: str, **headers: str) -> httpx.Response:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    return api.options("/api/private-scoped", headers={**asked, **headers})


@pytest.mark.parametrize(
    ("settings", "field", "allowed"),
    [
        ({}, "traceparent", False),
        ({"tracing": True}, "traceparent, tracestate, baggage", True),
        ({"cors_headers": ("sentry-trace", "X-Requested-With")}, "sentry-trace, x-requested-with, authorization", True),
        ({"cors_headers": ("sentry-trace",)}, "x-requested-with", False),
    ],
)
def test_further_fields_of_pages_are_a_setting(
    tenant: Tenant, settings: dict[str, Any], field: str, *, allowed: bool
) -> None:
    app = create_app(Settings(issuers=(tenant.url,), audience=AUDIENCE, cors_origins=(OTHER,), **settings))
    asked = {"Origin": OTHER, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": field}
    assert (app.test_client().options("/api/private", headers=asked).status_code == 200) == allowed


def test_preflight_is_answered_without_a_token(api: httpx.Client) -> None:
    answer = preflight(api, OTHER)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == OTHER
    assert "GET" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "null", OTHER + ".evil.example.com", "http://localhost:3001"]
)
def test_nothing_is_reflected_that_is_not_configured(api: httpx.Client, plain: httpx.Client, origin: str) -> None:
    for server in (api, plain):
        assert "access-control-allow-origin" not in preflight(server, origin).headers
        assert "access-control-allow-origin" not in server.get("/api/public", headers={"Origin": origin}).headers


@pytest.mark.parametrize(("path", "status"), [("/api/public", 200), ("/api/private", 401), ("/nowhere", 404)])
def test_errors_can_be_read_by_other_origins_too(api: httpx.Client, path: str, status: int) -> None:
    answer = api.get(path, headers={"Origin": OTHER})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, OTHER)
    assert "WWW-Authenticate" in answer.headers["access-control-expose-headers"]
    assert "Origin" in answer.headers["vary"]


PROXIED = {
    "X-Forwarded-Prefix": "/messages/",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "api.example.com",
    "X-Forwarded-For": "192.0.2.1",
}


def test_trusted_proxy_moves_ui_contract_and_redirects(api: httpx.Client, tenant: Tenant) -> None:
    assert api.get("/", headers=PROXIED).headers["location"] == "/messages/ui/"
    assert api.get("/ui/", headers=PROXIED).status_code == 200
    assert '"/messages/openapi.json"' in api.get("/ui/swagger-initializer.js", headers=PROXIED).text
    assert api.get("/openapi.json", headers=PROXIED).json()["servers"] == [{"url": "/messages"}]
    authorized = {**PROXIED, "Authorization": f"Bearer {tenant.token()}"}
    assert [api.get(f"/api/{name}", headers=authorized).status_code for name in ("private", "private-scoped")] == [
        200,
        200,
    ]
    assert api.get("/api/private", headers=PROXIED).status_code == 401
    assert api.get("//api/private", headers=authorized).status_code == 404
    assert api.post("/api/private", headers=authorized).headers["allow"] == "GET, HEAD"


def test_last_line_of_a_field_counts_which_the_proxy_has_added(api: httpx.Client) -> None:
    lines = [(b"X-Forwarded-Prefix", b"/evil"), (b"X-Forwarded-Prefix", b"/messages")]
    assert raw_request(str(api.base_url), b"/", lines).headers["location"] == "/messages/ui/"


@pytest.mark.parametrize("prefix", ["//evil.example.com", "https://evil.example.com", "evil", "/a, b", ""])
def test_prefix_that_is_no_path_is_not_believed(api: httpx.Client, prefix: str) -> None:
    assert api.get("/", headers={"X-Forwarded-Prefix": prefix}).headers["location"] == "/ui/"


def test_nobody_else_is_believed(plain: httpx.Client) -> None:
    assert plain.get("/", headers=PROXIED).headers["location"] == "/ui/"
    assert plain.get("/openapi.json", headers=PROXIED).json()["servers"] == [{"url": "/"}]
