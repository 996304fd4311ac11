"""A Flask app that was there already, with folders of its own called `api` and `security`, under gunicorn and uWSGI."""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.processes import Running, running
from tests.proofs import Prover
from tests.serving import free_port, listens, raw_request, wait_until
from tests.tenant import AUDIENCE, Answer, Tenant

FILES = {
    "security/__init__.py": """
import os, time
from resource_server import Auth0JWTBearerTokenValidator, DPoP, SQLiteReplayCache
from resource_server.flask import ResourceProtector

dpop = DPoP(SQLiteReplayCache("used-proofs.sqlite3"))
validator = Auth0JWTBearerTokenValidator(os.environ["ISSUERS"].split(), os.environ["AUDIENCE"], dpop=dpop)
require_auth = ResourceProtector(validator, os.environ["URL"])
if "WARM" in os.environ:
    validator.unready()  # begins to fetch the keys
    time.sleep(0.5)  # and the server forks meanwhile
""",
    "api/__init__.py": """
import asyncio, os
from flask import Blueprint, request
from resource_server.flask import current_token
from security import require_auth

api = Blueprint("api", __name__, url_prefix="/api")

@api.get("/public")
def public():
    return {"process": os.getpid()}

@api.get("/items/<path:name>")
@require_auth("read:messages")
def item(name):
    return {"sub": current_token["sub"], "name": name}

@api.get("/async")
@require_auth
async def later():
    await asyncio.sleep(float(request.args.get("seconds", 0)))
    return {"sub": current_token["sub"]}
""",
    "existing.py": """
from flask import Flask
from api import api
from security import require_auth

app = Flask(__name__)
app.register_blueprint(api)
require_auth.init_app(app)
""",
}

GUNICORN = (sys.executable, "-m", "gunicorn", "existing:app", "--no-control-socket", "--workers", "2", "--bind")
UWSGI = (
    *(str(Path(sys.executable).with_name("uwsgi")), "--module", "existing:app", "--virtualenv", sys.prefix),
    *("--master", "--processes", "2", "--die-on-term", "--need-app", "--http-socket"),
)
SERVERS = {
    "gunicorn, sync": (*GUNICORN, "{}"),
    "gunicorn, gthread": (*GUNICORN, "{}", "--threads", "4"),
    "gunicorn, gevent": (*GUNICORN, "{}", "--worker-class", "gevent"),
    "gunicorn, sync, preloaded": (*GUNICORN, "{}", "--preload"),
    "gunicorn, gthread, preloaded": (*GUNICORN, "{}", "--threads", "4", "--preload"),
    "gunicorn, gevent, preloaded": (*GUNICORN, "{}", "--worker-class", "gevent", "--preload"),
    "uwsgi, preloaded": (*UWSGI, "{}"),
    "uwsgi, threads, preloaded": (*UWSGI, "{}", "--threads", "4"),
    "uwsgi": (*UWSGI, "{}", "--enable-threads", "--lazy-apps"),
}
"""Command lines; `{}` is the address. uWSGI loads the application before it forks, if not told otherwise."""


@contextmanager
def served(folder: Path, command: tuple[str, ...], *issuers: Tenant, **environ: str) -> Iterator[tuple[str, Running]]:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ |= {"ISSUERS": " ".join(issuer.url for issuer in issuers), "AUDIENCE": AUDIENCE, "URL": url}
    with running([each.format(f"127.0.0.1:{port}") for each in command], environ, folder) as server:
        wait_until(lambda: listens(port))
        yield url, server


@pytest.fixture(scope="module", params=list(SERVERS.values()), ids=list(SERVERS))
def url(request: pytest.FixtureRequest, tenant: Tenant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("existing"), request.param, tenant) as (url, server):
        yield url
    assert "Traceback" not in server.output


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, trust_env=False, timeout=15)


def test_each_outcome_is_answered_as_it_should_be(url: str, tenant: Tenant) -> None:
    good, lacking = f"Bearer {tenant.token()}", f"Bearer {tenant.token(scope='')}"
    metadata = f'resource_metadata="{url}/.well-known/oauth-protected-resource"'
    assert get(f"{url}/api/public").status_code == 200
    assert get(f"{url}/api/items/a", Authorization=good).json() == {"sub": "auth0|ada", "name": "a"}
    for authorization, status, code in (
        (None, 401, "missing_credentials"),
        ("Basic YWRhOng=", 401, "missing_credentials"),
        ("Bearer", 400, "invalid_request"),
        ("Bearer abc", 401, "invalid_token"),
        (lacking, 403, "insufficient_scope"),
    ):
        response = get(f"{url}/api/items/a", **({"Authorization": authorization} if authorization else {}))
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert response.headers["content-type"] == "application/problem+json"
        assert metadata in response.headers["www-authenticate"]
    assert get(f"{url}/.well-known/oauth-protected-resource").json()["authorization_servers"] == [tenant.url]


def test_view_that_is_a_coroutine_is_awaited(url: str, tenant: Tenant) -> None:
    headers = {"Authorization": f"Bearer {tenant.token()}"}
    assert [get(f"{url}/api/async", **headers).json() for _ in range(3)] == [{"sub": "auth0|ada"}] * 3
    assert get(f"{url}/api/async").json()["code"] == "missing_credentials"


def test_two_header_fields_are_no_request(url: str, tenant: Tenant) -> None:
    twice = [(b"Authorization", b"Bearer " + tenant.token().encode())] * 2
    assert raw_request(url, b"/api/items/a", twice).status == 400


def test_proof_is_for_the_path_as_it_is_sent_and_used_once_in_all_processes(url: str, tenant: Tenant) -> None:
    prover = Prover()
    token = tenant.token(cnf=prover.cnf)
    for path in ("/api/items/a%2Fb", "/api/items/%C3%A9", "/api/items/a:b"):
        headers = prover.headers(url + path, token)
        answers = [get(f"{url}{path}?a=b", **headers) for _ in range(6)]
        assert [each.status_code for each in answers] == [200, 401, 401, 401, 401, 401]
    fields = [(name.encode(), value.encode()) for name, value in prover.headers(url + path, token).items()]
    assert raw_request(url, path.encode(), [*fields, fields[-1]]).status == 401


def test_many_at_once_are_answered(url: str, tenant: Tenant) -> None:
    headers = {"Authorization": f"Bearer {tenant.token()}"}
    paths = ["/api/items/a", "/api/public"] * 20
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda path: get(url + path, **headers).status_code, paths))
    assert answers == [200] * len(paths)


@pytest.mark.parametrize("name", [name for name in SERVERS if "preloaded" in name])
def test_fork_while_the_keys_are_fetched_keeps_nobody_waiting(name: str, tmp_path: Path) -> None:
    asked: list[float] = []

    def slow_at_first(path: str) -> Answer:
        asked.append(time.monotonic())
        time.sleep(3 if len(asked) == 1 else 0)
        return tenant.document(path)

    with Tenant().running() as tenant:
        tenant.misbehave = slow_at_first
        with served(tmp_path, SERVERS[name], tenant, WARM="1") as (url, _):
            headers = {"Authorization": f"Bearer {tenant.token()}"}
            assert [get(f"{url}/api/items/a", **headers).status_code for _ in range(6)] == [200] * 6
            assert time.monotonic() - asked[0] < 3


def test_greenlets_fetch_keys_while_a_coroutine_runs(tmp_path: Path) -> None:
    """Flask itself runs no two coroutines at once in greenlets."""
    command = (*SERVERS["gunicorn, gevent"], "--workers", "1")
    with Tenant().running() as one, Tenant().running() as two, served(tmp_path, command, one, two) as (url, _):
        get(f"{url}/api/items/a", Authorization=f"Bearer {one.token()}")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(get, f"{url}/api/async?seconds=2", Authorization=f"Bearer {one.token()}")
            time.sleep(0.5)
            assert get(f"{url}/api/items/a", Authorization=f"Bearer {two.token()}").status_code == 200
            assert not waiting.done()
            assert waiting.result().status_code == 200
