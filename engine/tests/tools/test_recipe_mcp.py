"""docs/recipes/mcp.md, carried out: FastMCP's client, the server of the page, oidc-provider, and a house."""

import asyncio
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport

from resource_server.tokens.jwt import SignedJWT
from tests.nodepeers import node
from tests.processes import Running, api, run, running
from tests.recipes import carried_out
from tests.relays import Relay, relay
from tests.serving import free_port
from tests.system.test_oidc_provider import user_token
from tests.tenant import AUDIENCE, Tenant

pytestmark = pytest.mark.timeout(180)
MCP_PORT = free_port()
MCP_URL = f"http://127.0.0.1:{MCP_PORT}/mcp"
SECRET = "machine-secret"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with node("tenant.mjs", "--exchange", AUDIENCE, "--exchange", MCP_URL) as peer:
        yield peer["issuer"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The API is the sample; beside it is the server of the tools, with a file of the other page."""
    folder = tmp_path_factory.mktemp("mcp")
    house, other = carried_out("mcp", folder / "house"), carried_out("on-behalf-of", folder / "other")
    shutil.copy(other / "api" / "on_behalf_of.py", house / "api")
    return house


@dataclass
class World:
    """The API, what stands in front of it and of the issuer's token endpoint, and the server of the tools."""

    api: Relay
    issuer: Relay
    process: Running


@contextmanager
def tools(house: Path, issuer: str, exchange: str, api_url: str, port: int = MCP_PORT) -> Iterator[Running]:
    environ = {
        "AUTH0_DOMAIN": issuer,
        "TOKEN_URL": f"{exchange}/oauth/token",
        "CLIENT_ID": "exchange-2",
        "CLIENT_SECRET": SECRET,
        "API_URL": api_url,
        "API_AUDIENCE": AUDIENCE,
        "MCP_URL": MCP_URL,
        "PORT": str(port),
    }
    with running([sys.executable, "tools.py"], environ, house) as process:
        process.wait_for("Uvicorn running on", seconds=90)
        yield process


@pytest.fixture(scope="module")
def running_world(house: Path, issuer: str) -> Iterator[World]:
    with ExitStack() as stack:
        port = free_port()
        environ = {"AUTH0_DOMAIN": issuer, "AUTH0_AUDIENCE": AUDIENCE, "PORT": str(port)}
        served = stack.enter_context(running(api("serve", "--workers", "1"), environ, house))
        served.wait_for("Started worker-1", seconds=60)
        before_api = stack.enter_context(relay(f"http://127.0.0.1:{port}"))
        before_issuer = stack.enter_context(relay(issuer))
        process = stack.enter_context(tools(house, issuer, before_issuer.url, before_api.url))
        yield World(before_api, before_issuer, process)


@pytest.fixture
def world(running_world: World) -> World:
    for each in (running_world.api, running_world.issuer):
        each.answer = None
        each.requests.clear()
    return running_world


def token_of(issuer: str, user: str) -> str:
    return user_token(issuer, user, MCP_URL)


def call(
    token: str, name: str, port: int = MCP_PORT, headers: Mapping[str, str] | None = None
) -> tuple[list[str], Any]:
    """The tools that are listed, and what one answers: its content, or the text of its error."""

    async def called() -> tuple[list[str], Any]:
        transport = StreamableHttpTransport(f"http://127.0.0.1:{port}/mcp", dict(headers or {}), auth=token)
        async with Client(transport) as client:
            names = [tool.name for tool in await client.list_tools()]
            answer = await client.call_tool(name, raise_on_error=False)
            said = answer.content[0].text if answer.is_error else answer.structured_content
            return names, said

    return asyncio.run(called())


def post(token: str | None, port: int = MCP_PORT) -> httpx.Response:
    headers = {"Accept": "application/json, text/event-stream"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    return httpx.post(f"http://127.0.0.1:{port}/mcp", json=body, headers=headers, trust_env=False)


def test_tool_is_called_on_behalf_of_the_user(world: World, issuer: str) -> None:
    token = token_of(issuer, "ada")
    names, said = call(token, "private_scoped")
    assert sorted(names) == ["private", "private_scoped", "public"]
    assert said["message"].startswith("Hello from a private endpoint!")
    (asked,) = world.api.requests
    presented = asked.headers["authorization"].removeprefix("Bearer ")
    claims = SignedJWT.parse(presented).claims
    assert presented != token
    assert {name: claims[name] for name in ("sub", "aud", "scope", "act")} == {
        "sub": "auth0|ada",
        "aud": AUDIENCE,
        "scope": "read:messages",
        "act": {"sub": "exchange-2"},
    }


@pytest.mark.usefixtures("world")
def test_without_a_token_the_answer_leads_to_the_metadata(issuer: str) -> None:
    answer = post(None)
    metadata = MCP_URL.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
    assert answer.status_code == 401
    assert f'resource_metadata="{metadata}"' in answer.headers["www-authenticate"]
    document = httpx.get(metadata, trust_env=False).json()
    assert {name: document[name] for name in ("resource", "authorization_servers", "scopes_supported")} == {
        "resource": MCP_URL,
        "authorization_servers": [issuer],
        "scopes_supported": ["read:messages"],
    }


def test_tokens_are_good_for_one_of_both_only(world: World, issuer: str) -> None:
    for_api, for_tools = user_token(issuer, "ada"), token_of(issuer, "ada")
    for bad in (for_api, f"{for_tools[:-8]}{for_tools[:8]}", "opaque", f" {for_tools}"):
        answer = post(bad)
        assert (answer.status_code, 'error="invalid_token"' in answer.headers["www-authenticate"]) == (401, True)
    assert post(for_tools).status_code == 200
    headers = {"Authorization": f"Bearer {for_tools}"}
    refused = httpx.get(f"{world.api.target}/api/private", headers=headers, trust_env=False)
    assert refused.json()["code"] == "invalid_token"


def test_who_was_granted_nothing_calls_as_nobody(world: World, issuer: str) -> None:
    token = token_of(issuer, "ben")
    assert call(token, "public")[1]["message"].startswith("Hello from a public endpoint!")
    assert "missing_credentials" in call(token, "private_scoped")[1]
    assert world.issuer.requests == []


def test_api_is_sent_nothing_else_of_the_assistants(world: World, issuer: str) -> None:
    sent = {
        "X-Forwarded-For": "192.0.2.1",
        "X-API-Key": "k",
        "DPoP": "p",
        "Cookie": "c=d",
        "Forwarded": "for=192.0.2.1",
    }
    call(token_of(issuer, "ada"), "private_scoped", headers=sent)
    (asked,) = world.api.requests
    names = {"accept", "accept-encoding", "authorization", "host", "user-agent", "content-length", "content-type"}
    assert set(asked.headers) <= names


def test_refusals_tell_no_secret(world: World, issuer: str) -> None:
    token = token_of(issuer, "eve")
    said = call(token, "private_scoped")[1]
    assert said == "This API may not do this on behalf of whom the access token is for."
    for secret in (token, SECRET, "not on behalf of ey"):
        assert secret not in world.process.output
    world.issuer.answer = lambda _: (503, b"secret")
    assert call(token, "private_scoped")[1] == "The authorization server can't be reached."
    assert world.api.requests == []


def test_what_is_left_out_is_no_tool(world: World, house: Path, issuer: str) -> None:
    contract = httpx.get(f"{world.api.target}/openapi.json", trust_env=False).json()
    contract["paths"]["/api/private"]["delete"] = contract["paths"]["/api/private"]["get"] | {
        "operationId": "api.x.gone"
    }
    texts = {"/openapi.json": json.dumps(contract).encode()}
    port = free_port()
    with relay() as other:
        other.answer = lambda request: (200, texts.get(request.path, b'{"message": ""}'))
        with tools(house, issuer, world.issuer.url, other.url, port):
            names, _ = call(token_of(issuer, "ada"), "public", port)
    assert sorted(names) == ["private", "private_scoped", "public"]


def test_while_keys_cannot_be_had_nobody_is_sent_to_log_in(world: World, house: Path) -> None:
    port, tenant = free_port(), Tenant()
    tenant.url = f"http://127.0.0.1:{free_port()}/"  # where nothing is
    with tools(house, tenant.url, world.issuer.url, world.api.url, port):
        assert post(tenant.token(aud=MCP_URL), port).status_code == 500
        assert post(user_token(world.issuer.target, "ada", MCP_URL), port).status_code == 401


def test_linters_of_the_house_pass_the_page(house: Path) -> None:
    files = ["tools.py"]
    for command in (["check", *files], ["format", "--check", *files]):
        ended = run([sys.executable, "-m", "ruff", *command], cwd=house)
        assert ended.returncode == 0, ended.stdout
