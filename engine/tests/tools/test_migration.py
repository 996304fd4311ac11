"""docs/migration, carried out: what a page starts from, the house that its steps lead to, and what it says differs."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from resource_server.contract.loading import load_contract, read_contract
from resource_server.contract.spec import ContractError, public_operations
from resource_server.developing.contract_tests.forging import ABSENT
from tests.processes import DOCS, ENGINE, TESTS, api, run, running
from tests.serving import free_port
from tests.tenant import AUDIENCE, Tenant

GUIDES = DOCS / "migration"


def blocks(name: str, language: str = "python") -> dict[str, str]:
    """A page's blocks, by the file that the first line of each names."""
    page = (GUIDES / f"{name}.md").read_text()
    return dict(re.findall(rf"(?s)```{language}\n# (\S+\.[a-z]+(?:, below)?)\n(.*?)```", page))


def module(text: str, name: str = "server") -> ModuleType:
    """A page's module, executed."""
    made = ModuleType(name)
    made.__file__ = f"{name}.py"
    exec(compile(text, made.__file__, "exec"), made.__dict__)  # noqa: S102  # the page's own code
    return made


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


SCOPED = "/api/private-scoped"


@pytest.fixture(scope="module")
def old_quickstart(tenant: Tenant) -> Any:
    """A client of the app that Auth0's first quickstart is, in essence."""
    text = blocks("auth0-quickstart")["old/server.py"].replace("https://", "http://")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTH0_DOMAIN", tenant.url.removeprefix("http://").rstrip("/"))
        patch.setenv("API_IDENTIFIER", AUDIENCE)
        return module(text).app.test_client()


def new_quickstart(tenant: Tenant, *names: str) -> Any:
    text = "".join(blocks("auth0-quickstart")[name] for name in ("new/server.py", *names))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTH0_DOMAIN", tenant.url)
        patch.setenv("API_IDENTIFIER", AUDIENCE)
        return module(text).app.test_client()


Case = tuple[Callable[[Tenant], dict[str, str]], int, int, str | None]
"""The header fields of a request, the status before and now, and what the answer's code is now."""

QUICKSTART: dict[str, Case] = {
    "good": (lambda tenant: bearer(tenant.token()), 200, 200, None),
    "none": (lambda _: {}, 401, 401, "missing_credentials"),
    "scheme alone": (lambda _: {"Authorization": "Bearer"}, 401, 400, "invalid_request"),
    "two words": (lambda _: bearer("a b"), 401, 400, "invalid_request"),
    "opaque": (lambda _: bearer("abc"), 401, 401, "invalid_token"),
    "expired": (lambda tenant: bearer(tenant.token(exp=1)), 401, 401, "invalid_token"),
    "another audience": (lambda tenant: bearer(tenant.token(aud="x")), 401, 401, "invalid_token"),
    "no scope": (lambda tenant: bearer(tenant.token(scope="")), 403, 403, "insufficient_scope"),
    "no kid": (lambda tenant: bearer(tenant.token({"kid": ABSENT})), 500, 200, None),
    "scope a list": (lambda tenant: bearer(tenant.token(scope=["read:messages"])), 500, 200, None),
    "no sub": (lambda tenant: bearer(tenant.token(sub=ABSENT)), 200, 401, "invalid_token"),
    "no exp": (lambda tenant: bearer(tenant.token(exp=ABSENT)), 200, 401, "invalid_token"),
    "another kind": (lambda tenant: bearer(tenant.token({"typ": "logout+jwt"})), 200, 401, "invalid_token"),
    "bound to a key": (lambda tenant: bearer(tenant.token(cnf={"jkt": "x" * 43})), 200, 401, "invalid_token"),
}


@pytest.mark.parametrize("case", QUICKSTART.values(), ids=QUICKSTART)
def test_quickstart_answers_as_its_page_says(old_quickstart: Any, tenant: Tenant, case: Case) -> None:
    fields, before, now, code = case
    old = old_quickstart.get(SCOPED, headers=fields(tenant))
    new = new_quickstart(tenant).get(SCOPED, headers=fields(tenant))
    assert (old.status_code, new.status_code) == (before, now)
    assert "WWW-Authenticate" not in old.headers
    if code:
        assert new.json["code"] == code
        assert new.headers["WWW-Authenticate"].startswith("Bearer ")
    else:
        assert new.json["message"].startswith("Hello from a private endpoint! ")


def test_quickstart_can_keep_the_form_of_its_errors(old_quickstart: Any, tenant: Tenant) -> None:
    new = new_quickstart(tenant, "new/server.py, below")
    for headers in ({}, bearer("a b")):
        before, now = (client.get("/api/private", headers=headers).json for client in (old_quickstart, new))
        assert (before.keys(), before["code"]) == (now.keys(), now["code"])
    refused = new.get(SCOPED, headers=bearer(tenant.token(scope="")))
    assert (refused.status_code, refused.json["code"]) == (403, "insufficient_scope")
    assert 'scope="read:messages"' in refused.headers["WWW-Authenticate"]


def test_quickstart_without_its_issuer() -> None:
    with Tenant().running() as tenant:
        held, new = new_quickstart(tenant), new_quickstart(tenant)
        headers = bearer(tenant.token())
        assert held.get(SCOPED, headers=headers).status_code == 200
    assert held.get(SCOPED, headers=headers).status_code == 200
    answer = new.get(SCOPED, headers=headers)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)


def test_contract_of_the_sample_serves_the_quickstarts_routes(old_quickstart: Any, url: str, tenant: Tenant) -> None:
    for path in ("/api/public", "/api/private", SCOPED):
        headers = bearer(tenant.token())
        served = httpx.get(url + path, headers=headers, trust_env=False)
        assert served.json() == old_quickstart.get(path, headers=headers).json


def moved(name: str, folder: Path) -> Path:
    """Carry out a page's steps: the house that its command makes of its contract, with the files that it shows."""
    texts = blocks(name) | blocks(name, "yaml")
    for path, text in texts.items():
        if path.startswith("old/"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
    if "openapi.yaml" in texts:
        (folder / "old" / "openapi.yaml").write_text(texts["openapi.yaml"])
    (arguments,) = re.findall(
        r"(?m)^\$ \.venv/bin/python -m resource_server (new .*)$", (GUIDES / f"{name}.md").read_text()
    )
    (folder / "checkout").mkdir()
    made = run([sys.executable, "-m", "resource_server", *arguments.split()], cwd=folder / "checkout")
    assert made.returncode == 0, made.stderr
    house: Path = folder / arguments.split()[1].removeprefix("../")
    for path, text in texts.items():
        if not path.startswith("old/") and path != "openapi.yaml":
            (house / path).write_text(text)
    return house


@contextmanager
def served(house: Path, tenant: Tenant, **environ: str) -> Iterator[httpx.Client]:
    port = free_port()
    environ |= {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE}
    with running(api("serve", "--port", str(port)), environ, house) as process:
        process.wait_for("Started worker-1", seconds=60)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=15) as client:
            yield client


@pytest.fixture(scope="module")
def of_connexion_2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moved("connexion-2", tmp_path_factory.mktemp("connexion-2"))


@pytest.fixture(scope="module")
def client_2(of_connexion_2: Path, tenant: Tenant) -> Iterator[httpx.Client]:
    with served(of_connexion_2, tenant) as client:
        yield client


MESSAGE = "/v1/messages/a"


def test_functions_of_connexion_2_get_what_they_got(client_2: httpx.Client, tenant: Tenant) -> None:
    fields = {"X-Client": "web", "X-Trace": "t1"}
    writer, reader = bearer(tenant.token(scope="write:messages")), bearer(tenant.token())
    kept = client_2.put(MESSAGE, json={"text": "x"}, headers=writer | fields)
    assert (kept.status_code, kept.headers["X-Client"], kept.headers["X-Trace"]) == (204, "web", "t1")
    assert client_2.get(MESSAGE, headers=reader).json() == {"text": "x"}
    assert client_2.get(f"{MESSAGE}?shout=true", headers=reader).json() == {"text": "X"}
    missing = client_2.get(MESSAGE, headers=bearer(tenant.token(sub="ben")))
    assert (missing.status_code, missing.json()["detail"]) == (404, "You have no such message.")
    assert client_2.get("/v1/health").json() == {"well": True}


def test_connexion_2_refusals_are_those_of_the_page(client_2: httpx.Client, tenant: Tenant) -> None:
    for fields, status, code in (
        ({}, 401, "missing_credentials"),
        ({"Authorization": "Bearer"}, 400, "invalid_request"),
        (bearer("a b"), 400, "invalid_request"),
        (bearer("abc"), 401, "invalid_token"),
        (bearer(tenant.token(scope="write:messages")), 403, "insufficient_scope"),
    ):
        refused = client_2.get(MESSAGE, headers=fields)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
        assert "www-authenticate" in refused.headers
    reader, writer = bearer(tenant.token()), bearer(tenant.token(scope="write:messages"))
    for query in ("shout=1", "other=1"):
        refused = client_2.get(f"{MESSAGE}?{query}", headers=reader)
        assert (refused.status_code, len(refused.json()["errors"])) == (400, 1), query
    assert client_2.put(MESSAGE, json={"text": ""}).status_code == 401
    assert client_2.put(MESSAGE, json={"text": ""}, headers=writer).status_code == 400
    assert client_2.put(MESSAGE, content="x", headers=writer | {"Content-Type": "text/plain"}).status_code == 415
    assert [client_2.get("/v1/none").status_code, client_2.post("/v1/health").status_code] == [404, 405]
    assert [client_2.get(path).status_code for path in ("/v1/openapi.json", "/v1/ui/")] == [200, 200]


def test_connexion_2_house_says_who_may_call_what(of_connexion_2: Path) -> None:
    assert '== [\n        "GET /health",\n    ]' in (of_connexion_2 / "tests" / "test_contract.py").read_text()


@pytest.fixture(scope="module")
def of_connexion_3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moved("connexion-3", tmp_path_factory.mktemp("connexion-3"))


@pytest.fixture(scope="module")
def client_3(of_connexion_3: Path, tenant: Tenant) -> Iterator[httpx.Client]:
    with served(of_connexion_3, tenant, CORS_ORIGINS="https://app.example.com") as client:
        yield client


@pytest.fixture(scope="module")
def old_connexion_3(tmp_path_factory: pytest.TempPathFactory, tenant: Tenant) -> Iterator[httpx.Client]:
    """The app that the page starts from, as its last line runs it."""
    folder = tmp_path_factory.mktemp("old")
    for path, text in (blocks("connexion-3") | blocks("connexion-3", "yaml")).items():
        if path.startswith("old/"):
            (folder / Path(path).name).write_text(text.replace('f"https://{os', 'f"http://{os'))
    port = free_port()
    environ = {"AUTH0_DOMAIN": tenant.url.removeprefix("http://").rstrip("/"), "AUTH0_AUDIENCE": AUDIENCE}
    with running([sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)], environ, folder) as process:
        process.wait_for("Uvicorn running", seconds=60)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=15) as client:
            yield client


def test_connexion_3_app_answers_as_before(
    old_connexion_3: httpx.Client, client_3: httpx.Client, tenant: Tenant
) -> None:
    reader, writer = bearer(tenant.token()), bearer(tenant.token(scope="write:messages"))
    other = bearer(tenant.token(sub="ben"))
    for client in (old_connexion_3, client_3):
        assert client.put(MESSAGE, json={"text": "x"}, headers=writer).status_code == 204
        assert client.get(MESSAGE, headers=reader).json() == {"text": "x"}
        missing = client.get(MESSAGE, headers=other)
        assert (missing.status_code, missing.json()["detail"]) == (404, "You have no message a.")
        assert client.put(MESSAGE, json={"text": ""}, headers=writer).status_code == 400
        origin = client.get("/v1/feed", headers={"Origin": "https://app.example.com"})
        assert origin.headers["access-control-allow-origin"] == "https://app.example.com"
        assert origin.json() == {"for": "everybody"}


def test_connexion_3_differences_are_those_of_the_page(
    old_connexion_3: httpx.Client, client_3: httpx.Client, tenant: Tenant
) -> None:
    found = {}
    writer = bearer(tenant.token(scope="write:messages"))
    for client in (old_connexion_3, client_3):
        assert client.put(MESSAGE, json={"text": "x"}, headers=writer).status_code == 204
        spelt = writer | {"Content-Type": "Application/JSON"}
        without = client.get(MESSAGE)
        found[client] = (
            client.get(MESSAGE, headers=bearer(tenant.token(scope=""))).status_code,
            (without.status_code, "www-authenticate" in without.headers),
            [client.get(MESSAGE, headers={"Authorization": each}).status_code for each in ("Bearer", "Bearer a b")],
            client.get("/v1/feed", headers=bearer("bad")).status_code,
            client.get("/v1/feed", headers=bearer(tenant.token())).json(),
            client.put(MESSAGE, content=b'{"text": ""}', headers=spelt).status_code,
        )
    assert found[old_connexion_3] == (200, (401, False), [401, 401], 200, {"for": "everybody"}, 204)
    assert found[client_3] == (403, (401, True), [400, 400], 401, {"for": "auth0|ada"}, 400)
    twice = [httpx.get(f"{str(client.base_url).rstrip('/')}/{MESSAGE}", trust_env=False) for client in found]
    assert [answer.status_code for answer in twice] == [500, 404]


def test_old_contract_of_connexion_3_is_not_served_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "openapi.yaml").write_text(blocks("connexion-3", "yaml")["old/openapi.yaml"])
    with pytest.raises(ContractError, match="scopes are enforced for oauth2 schemes only, and 'jwt' is none"):
        load_contract(tmp_path / "openapi.yaml")


def test_wrapped_application_runs_under_another_server(of_connexion_3: Path, tenant: Tenant) -> None:
    port = free_port()
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE}
    with running(
        [sys.executable, "-m", "uvicorn", "asgi:app", "--port", str(port)], environ, of_connexion_3
    ) as process:
        process.wait_for("Uvicorn running", seconds=60)
        answer = httpx.get(f"http://127.0.0.1:{port}/v1/feed", trust_env=False)
    assert (answer.status_code, answer.headers["x-version"]) == (200, "1")


SDK = """
class Auth0FastAPI:
    def __init__(self, domain, audience):
        pass

    def require_auth(self, scopes=None):
        async def dependency(request: Request):
            return {}

        return dependency
"""
"""What of the SDK makes the contract: its dependencies tell FastAPI nothing."""


@pytest.fixture(scope="module")
def of_fastapi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fastapi")
    old = folder / "old"
    old.mkdir()
    (old / "fastapi_plugin.py").write_text(f"from fastapi import Request\n{SDK}")
    for path in ("old/main.py", "old/contract.py"):
        (folder / path).write_text(blocks("fastapi")[path])
    printed = run([sys.executable, "contract.py"], {"AUTH0_DOMAIN": "", "AUTH0_AUDIENCE": ""}, old)
    assert printed.returncode == 0, printed.stderr
    (old / "openapi.json").write_text(printed.stdout)
    return moved("fastapi", folder)


@pytest.fixture(scope="module")
def client_of_fastapi(of_fastapi: Path, tenant: Tenant) -> Iterator[httpx.Client]:
    with served(of_fastapi, tenant) as client:
        yield client


NOTE = "/notes/a"


def test_contract_of_fastapi_gets_its_security(of_fastapi: Path) -> None:
    contract = read_contract(of_fastapi / "openapi.yaml")
    assert public_operations(contract) == ["GET /health"]
    assert contract["security"] == [{"oauth2": []}]
    assert contract["paths"]["/notes/{name}"]["put"]["security"] == [{"oauth2": ["write:notes"]}]
    assert sorted(contract["components"]["schemas"]) == ["Note", "Text"]


def test_fastapi_app_answers_as_before(client_of_fastapi: httpx.Client, tenant: Tenant) -> None:
    client = client_of_fastapi
    reader, writer = bearer(tenant.token(scope="read:notes")), bearer(tenant.token(scope="write:notes"))
    assert client.put(NOTE, json={"text": "x"}, headers=writer).json() == {"name": "a", "text": "x"}
    assert client.get(NOTE, headers=reader).json() == {"name": "a", "text": "x"}
    assert client.get(f"{NOTE}?shout=true", headers=reader).json() == {"name": "a", "text": "X"}
    assert client.get("/notes/b", headers=reader).json()["detail"] == "You have no such note."
    assert client.get("/health").json() == {"well": True}


def test_fastapi_differences_are_those_of_the_page(client_of_fastapi: httpx.Client, tenant: Tenant) -> None:
    def status(path: str = NOTE, header: Any = None, **claims: Any) -> int:
        token = tenant.token(header, **{"scope": "read:notes", "sub": "ben", **claims})
        return client_of_fastapi.get(path, headers=bearer(token)).status_code

    writer = bearer(tenant.token(scope="write:notes", sub="ben"))
    assert client_of_fastapi.put(NOTE, json={"text": "x"}, headers=writer).status_code == 200
    assert client_of_fastapi.put(NOTE, json={"text": ""}, headers=writer).status_code == 400
    assert client_of_fastapi.put(NOTE, json={"text": ""}).status_code == 401
    for authorization, expected in ((None, 401), ("Basic eA==", 401), ("Bearer", 400), ("Bearer a b", 400)):
        fields = {"Authorization": authorization} if authorization else {}
        assert client_of_fastapi.get(NOTE, headers=fields).status_code == expected
    assert (status(), status(scope="x"), status(scope=["read:notes"])) == (200, 403, 200)
    assert (status(nbf=9999999999), status(sub=ABSENT), status(cnf={"x5t#S256": "x" * 43})) == (401, 401, 401)
    assert (status(header={"typ": "logout+jwt"}), status(header={"kid": ABSENT})) == (401, 200)
    assert (status(f"{NOTE}?shout=1"), status(f"{NOTE}/")) == (400, 404)


def test_comparison_names_the_versions_that_run_here() -> None:
    page = (DOCS / "comparison.md").read_text()
    named = dict(re.findall(r"(?m)^\| ([\w-]+)[^|]* \| ([\w.]+) \|", page))
    node = json.loads((TESTS / "peers" / "package.json").read_text())["dependencies"]
    assert named["express-oauth2-jwt-bearer"] == node["express-oauth2-jwt-bearer"]
    pins = dict(re.findall(r"(?m)^([\w-]+)==(\S+)", (ENGINE / "benchmarks" / "requirements.txt").read_text()))
    for name in ("auth0-api-python", "auth0-fastapi-api", "connexion"):
        assert named.get(name, named.get(name.capitalize())) == pins[name]
