"""Another contract, served without a change: several schemes, scopes, alternatives, bodies and parameters."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.processes import SAMPLE, TESTS, api, running
from tests.sample import create_app
from tests.tenant import AUDIENCE, Tenant

SHOP = TESTS / "shop"


@pytest.fixture(scope="module")
def shop(tenant: Tenant) -> Iterator[httpx.Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SHOP))
        settings = Settings(issuers=(tenant.url,), audience=AUDIENCE, development=True, port=0)
        app = create_app(settings, specification=SHOP / "openapi.yaml")
        with in_background(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
            yield client


READER, WRITER, BOTH = {"scope": "read:items"}, {"scope": "write:items"}, {"scope": "write:items read:items"}
NOBODY: dict[str, Any] = {}
MACHINE = {"scope": "items", "gty": "client-credentials"}
ITEM = {"json": {"name": "a"}}

Call = tuple[str, dict[str, Any], dict[str, Any] | None, int, str | None]

# operation, input, who calls, status, what stands in the challenge
CALLS: list[Call] = [
    ("GET /v1/items", {}, READER, 200, None),
    ("GET /v1/items", {}, MACHINE, 200, None),
    ("GET /v1/items", {}, WRITER, 403, 'error="insufficient_scope", scope="read:items"'),
    ("GET /v1/items", {}, {"scope": "items"}, 403, 'error="insufficient_scope", scope="read:items"'),
    ("GET /v1/items", {}, None, 401, "realm="),
    ("GET /v1/items?limit=x", {}, READER, 400, None),
    ("GET /v1/items?limit=x", {}, WRITER, 403, 'scope="read:items"'),
    ("GET /v1/items?limit=x", {}, None, 401, "realm="),
    ("POST /v1/items", ITEM, BOTH, 201, None),
    ("POST /v1/items", ITEM, READER, 403, 'scope="read:items write:items"'),
    ("POST /v1/items", ITEM, WRITER, 403, 'scope="read:items write:items"'),
    ("POST /v1/items", ITEM, MACHINE, 403, 'scope="read:items write:items"'),
    ("POST /v1/items", {"json": {}}, BOTH, 400, None),
    ("POST /v1/items", {"json": {}}, READER, 403, "insufficient_scope"),
    ("POST /v1/items", {"json": {}}, None, 401, "realm="),
    ("POST /v1/items", {"content": b"{", "headers": {"Content-Type": "application/json"}}, BOTH, 400, None),
    ("POST /v1/items", {"content": b"\xff", "headers": {"Content-Type": "application/json"}}, BOTH, 400, None),
    ("POST /v1/items", {"content": b"\xff", "headers": {"Content-Type": "application/json"}}, None, 401, "realm="),
    ("POST /v1/items", {"content": b"a", "headers": {"Content-Type": "text/plain"}}, BOTH, 415, None),
    ("POST /v1/items", {"content": b"a", "headers": {"Content-Type": "text/plain"}}, READER, 403, "scope="),
    ("POST /v1/items", {"content": b"{}", "headers": {"Content-Type": "application/json; charset=x"}}, BOTH, 400, None),
    ("POST /v1/items", {"content": b"[" * 9999, "headers": {"Content-Type": "application/json"}}, BOTH, 400, None),
    ("POST /v1/items", {"content": b"9" * 9999, "headers": {"Content-Type": "application/json"}}, BOTH, 400, None),
    ("POST /v1/items", {}, BOTH, 400, None),
    ("GET /v1/items/5", {}, READER, 200, None),
    ("GET /v1/items/5", {}, WRITER, 403, 'scope="read:items"'),
    ("GET /v1/items/404", {}, READER, 404, None),
    ("GET /v1/items/409", {}, READER, 409, None),
    ("GET /v1/items/500", {}, READER, 500, None),
    ("GET /v1/items/x", {}, READER, 404, None),
    ("GET /v1/items/5/", {}, READER, 404, None),
    ("GET /v1/items/", {}, READER, 404, None),
    ("GET /v1//items", {}, READER, 404, None),
    ("GET //v1/items", {}, READER, 404, None),
    ("GET /items", {}, READER, 404, None),
    ("DELETE /v1/items/5", {}, WRITER, 204, None),
    ("DELETE /v1/items/5", {}, READER, 403, 'scope="write:items"'),
    ("PUT /v1/items/5", {}, BOTH, 405, None),
    ("PUT /v1/items/5/notes/a%20b", {"content": "x", "headers": {"Content-Type": "text/plain"}}, READER, 200, None),
    ("PUT /v1/items/5/notes/a", {"content": "x", "headers": {"Content-Type": "text/plain"}}, WRITER, 403, "scope="),
    ("PUT /v1/items/5/notes/a%2Fb", {"content": "x"}, READER, 404, None),
    ("GET /v1/whoami", {}, None, 200, None),
    ("GET /v1/whoami", {}, NOBODY, 200, None),
    ("GET /v1/whoami", {}, {"exp": 1}, 401, 'error="invalid_token"'),
    ("GET /v1/whoami", {"headers": {"Authorization": "Bearer"}}, None, 400, 'error="invalid_request"'),
    ("GET /v1/whoami", {"headers": {"Authorization": "Bearer x"}}, None, 401, 'error="invalid_token"'),
    ("GET /v1/whoami", {"headers": {"Authorization": "Basic YTpi"}}, None, 200, None),
    ("POST /v1/imports/", {}, MACHINE, 202, None),
    ("POST /v1/imports/", {}, {"scope": "items"}, 401, 'error="invalid_token"'),
    ("POST /v1/imports/", {}, {"gty": "client-credentials"}, 403, 'scope="items"'),
    ("POST /v1/imports", {}, MACHINE, 404, None),
    ("GET /v1/things/mine", {}, None, 200, None),
    ("GET /v1/things/yours", {}, READER, 200, None),
    ("GET /v1/things/yours", {}, None, 401, "realm="),
    ("GET /v1/things/yours.csv", {}, READER, 200, None),
    ("GET /v1/things/yours%0A", {}, None, 404, None),
    ("GET /v1/things/yours%0A", {}, READER, 404, None),
    ("GET /v1/things/your%0Ds", {}, READER, 404, None),
    ("GET /v1/items/" + "9" * 5000, {}, READER, 404, None),
    ("GET /v1/items/" + "9" * 5000, {}, None, 404, None),
    ("GET /v1/items/9" + "%0A", {}, READER, 404, None),
    ("GET /v1/sizes/+", {}, None, 404, None),
    ("GET /v1/sizes/.", {}, None, 404, None),
    ("GET /v1/sizes/-.5", {}, None, 401, "realm="),
    ("GET /v1/sizes/-.5", {}, READER, 200, None),
    ("POST /v1/upload", {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, READER, 400, None),
    (
        "POST /v1/upload",
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=y"}},
        READER,
        400,
        None,
    ),
    ("POST /v1/upload", {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, None, 401, "realm="),
    ("GET /v1/either", {}, READER, 200, None),
    ("GET /v1/either", {"headers": {"X-Key": "good"}}, None, 200, None),
    (
        "GET /v1/either",
        {"headers": {"X-Key": "bad"}},
        None,
        401,
        'Bearer realm="https://api.example.com", ApiKey realm=',
    ),
    ("GET /v1/either", {}, None, 401, 'Bearer realm="https://api.example.com", ApiKey realm="https://api.example.com"'),
    ("GET /v1/either", {"headers": {"X-Key": "good", "Authorization": "Bearer"}}, None, 400, "invalid_request"),
    ("GET /v1/both", {"headers": {"X-Key": "good"}}, READER, 200, None),
    ("GET /v1/both", {"headers": {"X-Key": "bad"}}, READER, 401, "realm="),
    ("GET /v1/both", {}, None, 200, None),
    ("GET /v1/both", {"headers": {"Authorization": "Bearer x"}}, None, 401, "invalid_token"),
    ("GET /v1/both", {"headers": {"Authorization": "Bearer x", "X-Key": "good"}}, None, 401, "invalid_token"),
    ("GET /v1/both", {"headers": {"Authorization": "Bearer"}}, None, 400, "invalid_request"),
    ("GET /v1/own", {"headers": {"Authorization": "Bearer mine"}}, None, 200, None),
    ("GET /v1/own", {"headers": {"Authorization": "Bearer scopeless"}}, None, 403, 'scope="own"'),
    ("GET /v1/own", {"headers": {"Authorization": "Bearer other"}}, None, 401, "is not accepted by this API"),
    ("GET /v1/bearer", {}, READER, 200, None),
    ("GET /v1/bearer", {"headers": {"Authorization": "Bearer x"}}, None, 401, "invalid_token"),
    ("GET /v1/basic", {"auth": ("ada", "ada")}, None, 200, None),
    ("GET /v1/basic", {"auth": ("ada", "ben")}, None, 401, "Basic realm="),
    ("GET /v1/basic", {}, None, 401, "Basic realm="),
    ("GET /v1/answers/404", {}, READER, 404, None),
    ("GET /v1/answers/499", {}, READER, 499, None),
    ("HEAD /v1/note", {}, READER, 200, None),
    ("GET /static/shop.py", {}, READER, 404, None),
    ("POST /static/shop.py", {}, READER, 404, None),
    ("OPTIONS /static/shop.py", {}, READER, 404, None),
    ("GET /v1/status", {}, None, 200, None),
    ("GET /v1/status", {"headers": {"Authorization": "Bearer x"}}, None, 200, None),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call[0]} {call[2]}")
def test_operation_of_another_contract(shop: httpx.Client, tenant: Tenant, call: Call) -> None:
    operation, sent, who, status, challenge = call
    method, _, path = operation.partition(" ")
    headers = {"Authorization": f"Bearer {tenant.token(**{'scope': '', **who})}"} if who is not None else {}
    response = shop.request(method, path, **{**sent, "headers": {**headers, **sent.get("headers", {})}})
    assert response.status_code == status, response.text
    assert (challenge is None) == ("www-authenticate" not in response.headers)
    assert (challenge or "") in response.headers.get("www-authenticate", "")
    if status >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json().keys() - {"errors", "traceback"} == {"type", "title", "status", "detail", "code"}
        assert "secret" not in response.text or status == 500  # in development it is told
        assert "Failed validating" not in response.text


def get(shop: httpx.Client, tenant: Tenant, path: str, **claims: Any) -> httpx.Response:
    return shop.get(path, headers={"Authorization": f"Bearer {tenant.token(**claims)}"})


def test_handlers_get_their_arguments_and_answer_as_declared(shop: httpx.Client, tenant: Tenant) -> None:
    headers = {"Authorization": f"Bearer {tenant.token(scope='read:items write:items')}"}
    assert shop.get("/v1/items?limit=2", headers=headers).json() == [
        {"id": 0, "name": "item 0"},
        {"id": 1, "name": "item 1"},
    ]
    added = shop.post("/v1/items", headers=headers, json={"name": "a"})
    assert (added.json(), added.headers["location"]) == ({"id": 7, "name": "a"}, "/v1/items/7")
    note = shop.put("/v1/items/-5/notes/a%20b", headers={**headers, "Content-Type": "text/plain"}, content="x")
    assert (note.text, note.headers["content-type"]) == ("-5 a b: x", "text/plain; charset=utf-8")
    assert get(shop, tenant, "/v1/whoami", scope="a b").json() == {"user": "auth0|ada", "scope": "a b"}
    assert shop.get("/v1/whoami").json() == {"user": None, "scope": None}


def test_path_that_says_more_comes_first(shop: httpx.Client, tenant: Tenant) -> None:
    assert get(shop, tenant, "/v1/things/a.csv", scope="read:items").json() == {"name": "a", "form": "csv"}
    assert get(shop, tenant, "/v1/things/a", scope="read:items").json() == {"name": "a"}


def test_answers_of_handlers_stay_as_they_are(shop: httpx.Client, tenant: Tenant) -> None:
    cookies = get(shop, tenant, "/v1/answers/1", scope="read:items")
    assert cookies.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert cookies.headers["content-type"] == "application/json"
    assert get(shop, tenant, "/v1/answers/2", scope="read:items").status_code == 204
    table = get(shop, tenant, "/v1/answers/3", scope="read:items")
    assert (table.status_code, table.headers["content-type"]) == (201, "text/csv; charset=utf-8")
    assert get(shop, tenant, "/v1/answers/4", scope="read:items").headers["x-a"] == "b"
    assert get(shop, tenant, "/v1/answers/404", scope="read:items").json()["detail"] == "No such answer."
    assert shop.get("/v1/either", headers={"X-Key": "good"}).json() == {"user": "key-user"}


def test_nothing_of_a_request_is_left_for_the_next_on_its_connection(shop: httpx.Client, tenant: Tenant) -> None:
    """A path that the router misreads must not run a handler in the context of the request before."""
    authorized = f"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tenant.token()}\r\n\r\n"
    misread = "GET /v1/things/yours%0A HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection((shop.base_url.host, shop.base_url.port or 80), timeout=10) as connection:
        connection.sendall((authorized + misread).encode())
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answers.count(b"HTTP/1.1 200") == 1
    assert answers.count(b"HTTP/1.1 404") == 1


@pytest.mark.parametrize("base", ["", "/v1"])
@pytest.mark.parametrize(
    "path", ["/things/yours%0A", "/things/%0A", "//things/yours", "/things//yours", "/things/yours/"]
)
def test_unauthorized_path_never_reaches_a_handler_under_any_base_path(
    tenant: Tenant, tmp_path: Path, base: str, path: str
) -> None:
    contract = (SHOP / "openapi.yaml").read_text().replace("url: /v1", f"url: {base or '/'}")
    (tmp_path / "openapi.yaml").write_text(contract)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SHOP))
        app = create_app(Settings(issuers=(tenant.url,), audience=AUDIENCE), specification=tmp_path / "openapi.yaml")
        assert app.test_client().get(base + path).status_code == 404


def test_annotations_may_name_what_only_type_checkers_import(tenant: Tenant, tmp_path: Path) -> None:
    """Python 3.14 takes them without quotes (PEP 649), those before it with an import from `__future__`."""
    source = (SHOP / "shop.py").read_text().replace("limit: int", "limit: Missing[int]")
    source = source.replace("token: str", "token: Missing.Token")
    if sys.version_info < (3, 14):
        source = f"from __future__ import annotations\n{source}"
    (tmp_path / "annotated_shop.py").write_text(source)
    contract = (SHOP / "openapi.yaml").read_text().replace("shop.", "annotated_shop.")
    (tmp_path / "openapi.yaml").write_text(contract)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        app = create_app(Settings(issuers=(tenant.url,), audience=AUDIENCE), specification=tmp_path / "openapi.yaml")
        assert get(app.test_client(), tenant, "/v1/items", scope="read:items").status_code == 200


def test_problems_of_handlers_keep_their_own_members(shop: httpx.Client, tenant: Tenant) -> None:
    assert get(shop, tenant, "/v1/items/409", scope="read:items").json() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "It is being changed.",
        "code": "busy",
    }


def test_allow_names_every_method_of_the_path(shop: httpx.Client) -> None:
    assert shop.request("PATCH", "/v1/items/5").headers["allow"] == "DELETE, GET, HEAD"
    assert shop.request("PATCH", "/v1/items").headers["allow"] == "GET, HEAD, POST"


def test_run_serves_another_contract_with_its_own_scopes() -> None:
    environ = {"PORT": "0", "PYTHONPATH": str(SAMPLE)}
    with running(api("run", "--spec", "openapi.yaml"), environ, cwd=SHOP) as process:
        url = process.wait_for(r"(http://\S+)/ui/")[1]
        token = process.wait_for('Bearer ([^"]+)')[1]
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{url}/items", headers=headers, trust_env=False).status_code == 200
        added = httpx.post(f"{url}/items", headers=headers, json={"name": "a"}, trust_env=False)
        assert (added.status_code, json.loads(added.text)["name"]) == (201, "a")
        assert url.endswith("/v1")
        assert httpx.get(f"{url}/ui/", trust_env=False).status_code == 200
