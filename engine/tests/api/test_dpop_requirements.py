"""Proofs and security requirements: one request may be verified several times, but uses its proof once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.processes import api, running
from tests.proofs import Prover
from tests.sample import create_app
from tests.serving import free_port
from tests.tenant import AUDIENCE, Tenant

HANDLERS = '''
"""Handlers, and functions that verify credentials, some of which need an event loop."""

import asyncio


async def key_info(api_key):
    await asyncio.sleep(0)
    return {"uid": "key-user"} if api_key == "good" else None


def own_token_info(token):
    raise AssertionError("a token that is presented with a proof is for security.token_info only")


def handle():
    return {}


async def later():
    await asyncio.sleep(0)
    return {}
'''

REQUIREMENTS: dict[str, list[dict[str, list[str]]]] = {
    "/other-scope-first": [{"oauth2": ["a"]}, {"oauth2": ["b"]}],
    "/other-scheme": [{"oauth2": ["a"]}, {"other": ["b"]}],
    "/key-too": [{"oauth2": [], "key": []}],
    "/or-key": [{"oauth2": ["a"]}, {"key": []}, {"oauth2": ["b"]}],
    "/own": [{"own": []}],
    "/own-first": [{"own": []}, {"oauth2": []}],
    "/optional": [{"oauth2": []}, {}],
    "/later": [{"oauth2": []}],
}


def name(path: str) -> str:
    """Of the function that handles it."""
    return path[1:].replace("-", "_")


def contract() -> dict[str, Any]:
    def oauth2(function: str) -> dict[str, Any]:
        flow = {"tokenUrl": "https://issuer.example/token", "scopes": {"a": "A", "b": "B"}}
        return {"type": "oauth2", "x-tokenInfoFunc": function, "flows": {"clientCredentials": flow}}

    ours = oauth2("security.token_info")
    key = {"type": "apiKey", "in": "header", "name": "X-Key", "x-apikeyInfoFunc": "proof_handlers.key_info"}
    answers = {"200": {"description": "Fine.", "content": {"application/json": {"schema": {"type": "object"}}}}}
    return {
        "openapi": "3.0.3",
        "info": {"title": "Requirements", "version": "1"},
        "components": {
            "securitySchemes": {
                "oauth2": ours,
                "other": ours,
                "own": oauth2("proof_handlers.own_token_info"),
                "key": key,
            }
        },
        "paths": {
            path: {"get": {"operationId": f"proof_handlers.{name(path)}", "security": security, "responses": answers}}
            for path, security in REQUIREMENTS.items()
        },
    }


@pytest.fixture(scope="module")
def specification(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("requirements")
    (folder / "proof_handlers.py").write_text(
        HANDLERS + "".join(f"\n{name(path)} = handle" for path in REQUIREMENTS if path != "/later")
    )
    (folder / "openapi.yaml").write_text(json.dumps(contract()))
    return folder / "openapi.yaml"


@pytest.fixture(scope="module")
def in_loop(tenant: Tenant, specification: Path) -> Iterator[str]:
    """On uvicorn, where everything runs in the event loop."""
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(specification.parent))
        public_url = f"http://127.0.0.1:{port}"
        settings = Settings(issuers=(tenant.url,), audience=AUDIENCE, port=port, public_url=public_url)
        with in_background(create_app(settings, specification=specification), port) as url:
            yield url


@pytest.fixture(scope="module")
def in_threads(tenant: Tenant, specification: Path) -> Iterator[str]:
    """As `serve` runs it: in the server's threads, from where a request may have to move to the event loop."""
    port = free_port()
    environ = {
        "AUTH0_DOMAIN": tenant.url,
        "AUTH0_AUDIENCE": AUDIENCE,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "PYTHONPATH": str(specification.parent),
    }
    with running(api("serve", "--port", str(port), "--spec", str(specification)), environ) as process:
        process.wait_for("Started worker-1")
        yield environ["PUBLIC_URL"]


@pytest.fixture(params=["in_loop", "in_threads"])
def served(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


# path, other header fields, the status, and that of the same request sent again
CALLS = [
    ("/other-scope-first", {}, [200, 401]),
    ("/other-scheme", {}, [200, 401]),
    ("/key-too", {"X-Key": "good"}, [200, 401]),
    ("/key-too", {"X-Key": "bad"}, [401, 401]),
    ("/key-too", {}, [401, 401]),
    ("/or-key", {}, [200, 401]),
    ("/or-key", {"X-Key": "good"}, [200, 200]),
    ("/own", {}, [401, 401]),
    ("/own-first", {}, [200, 401]),
    ("/optional", {}, [200, 401]),
    ("/later", {}, [200, 401]),
]


@pytest.mark.parametrize(("path", "others", "statuses"), CALLS)
def test_request_uses_its_proof_once(
    served: str, tenant: Tenant, path: str, others: dict[str, str], statuses: list[int]
) -> None:
    prover = Prover()
    headers = prover.headers(served + path, tenant.token(cnf=prover.cnf, scope="b")) | others
    with httpx.Client(trust_env=False) as client:
        assert [client.get(served + path, headers=headers).status_code for _ in range(2)] == statuses


def test_proof_that_was_used_elsewhere_is_no_better_for_an_alternative(served: str, tenant: Tenant) -> None:
    prover = Prover()
    token = tenant.token(cnf=prover.cnf, scope="b")
    headers = prover.headers(f"{served}/optional", token, jti="once")
    elsewhere = prover.headers(f"{served}/other-scope-first", token, jti="once")
    with httpx.Client(base_url=served, trust_env=False) as client:
        assert client.get("/optional", headers=headers).status_code == 200
        assert client.get("/other-scope-first", headers=elsewhere).json()["code"] == "invalid_dpop_proof"
