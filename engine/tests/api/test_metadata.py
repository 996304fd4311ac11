"""The metadata of the protected resource, and a client that knows nothing but the API's URL (RFC 9728)."""

import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from authlib.integrations.requests_client import OAuth2Session

from resource_server.developing.clients import MACHINE
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from resource_server.tokens.dpop import PROOF_ALGORITHMS
from tests.processes import api as command
from tests.processes import running
from tests.sample import SPECIFICATION, create_app
from tests.serving import free_port
from tests.tenant import AUDIENCE, Tenant

WELL_KNOWN = "/.well-known/oauth-protected-resource"


@contextmanager
def served(tenant: Tenant, prefix: str = "", **settings: Any) -> Iterator[str]:
    port = free_port()
    public_url = f"http://127.0.0.1:{port}{prefix}"
    app = create_app(Settings(issuers=(tenant.url,), audience=AUDIENCE, public_url=public_url, **settings))
    with in_background(app, port) as url:
        yield url


@pytest.fixture(scope="module")
def known(tenant: Tenant) -> Iterator[str]:
    with served(tenant) as url:
        yield url


def ask(url: str, path: str = WELL_KNOWN, method: str = "GET", **headers: str) -> httpx.Response:
    return httpx.request(method, url + path, headers=headers, trust_env=False)


def test_metadata_says_who_issues_tokens_for_what_and_how_they_are_sent(known: str, tenant: Tenant) -> None:
    answer = ask(known)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json() == {
        "resource": known,
        "resource_name": "Messages API",
        "authorization_servers": [tenant.url],
        "scopes_supported": ["read:messages"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": sorted(PROOF_ALGORITHMS),
        "dpop_bound_access_tokens_required": False,
        "resource_documentation": f"{known}/ui/",
    }


def test_metadata_can_be_asked_for_only(known: str) -> None:
    head, post = ask(known, method="HEAD"), ask(known, method="POST")
    assert (head.status_code, head.content) == (200, b"")
    assert (post.status_code, post.headers["allow"]) == (405, "GET, HEAD")


def test_metadata_of_an_api_that_takes_bound_tokens_only_says_so(tenant: Tenant) -> None:
    with served(tenant, dpop="required", swagger_ui=False) as url:
        metadata = ask(url).json()
        scheme = ask(url, "/openapi.json")
    assert (metadata["bearer_methods_supported"], metadata["dpop_bound_access_tokens_required"]) == ([], True)
    assert "resource_documentation" not in metadata
    assert scheme.status_code == 404


def test_metadata_of_an_api_without_proofs_says_nothing_of_them(tenant: Tenant) -> None:
    with served(tenant, dpop="disabled") as url:
        assert not [name for name in ask(url).json() if name.startswith("dpop")]
        assert "x-dpop" not in ask(url, "/openapi.json").text


def test_contract_that_is_served_says_which_tokens_are_taken(known: str) -> None:
    scheme = ask(known, "/openapi.json").json()["components"]["securitySchemes"]["oauth2"]
    assert scheme["x-dpop"] == {"required": False, "algorithms": sorted(PROOF_ALGORITHMS)}


def test_api_below_a_prefix_has_its_metadata_where_the_rfc_says(tenant: Tenant) -> None:
    with served(tenant, "/shop") as url:
        challenge = ask(url, "/api/private").headers["www-authenticate"]
        (where, *_) = re.findall(r'resource_metadata="([^"]*)"', challenge)
        assert where == f"{url}{WELL_KNOWN}/shop"
        assert httpx.get(where, trust_env=False).json()["resource"] == f"{url}/shop"
        assert ask(url).json()["resource"] == f"{url}/shop"  # to a proxy that has cut the prefix off


def test_metadata_are_found_behind_a_proxy_that_cuts_its_prefix_off(tenant: Tenant) -> None:
    networks = (ipaddress.ip_network("127.0.0.0/8"),)
    with served(tenant, "/shop", trusted_proxies=networks) as url:
        assert ask(url, WELL_KNOWN, **{"X-Forwarded-Prefix": "/shop"}).json()["resource"] == f"{url}/shop"


def test_path_of_the_contracts_own_stays_its_own(tenant: Tenant, tmp_path: Path) -> None:
    contract = yaml.safe_load(SPECIFICATION.read_text())
    contract["paths"][WELL_KNOWN] = contract["paths"].pop("/api/private")
    (tmp_path / "openapi.yaml").write_text(yaml.safe_dump(contract))
    with served(tenant, specification=tmp_path / "openapi.yaml") as url:
        assert ask(url).status_code == 401


def test_metadata_of_a_contract_without_scopes_name_none(tenant: Tenant, tmp_path: Path) -> None:
    contract = yaml.safe_load(
        SPECIFICATION.read_text()
        .replace('&scopes\n            "read:messages": Read messages', "&scopes {}")
        .replace('["read:messages"]', "[]")
    )
    (tmp_path / "openapi.yaml").write_text(yaml.safe_dump(contract))
    with served(tenant, specification=tmp_path / "openapi.yaml") as url:
        assert "scopes_supported" not in ask(url).json()


def test_api_that_does_not_know_where_it_is_reached_has_no_metadata(tenant: Tenant) -> None:
    with in_background(create_app(Settings(issuers=(tenant.url,), audience=AUDIENCE))) as url:
        assert ask(url).status_code == 404
        assert "resource_metadata" not in ask(url, "/api/private").headers["www-authenticate"]


@pytest.mark.parametrize(
    ("authorization", "status"), [("", 401), ("Bearer", 400), ("Bearer x", 401), ("DPoP x", 401), ("unscoped", 403)]
)
def test_each_challenge_leads_to_the_metadata(known: str, tenant: Tenant, authorization: str, status: int) -> None:
    credentials = f"Bearer {tenant.token(scope='')}" if authorization == "unscoped" else authorization
    answer = ask(known, "/api/private-scoped", Authorization=credentials)
    assert answer.status_code == status
    challenges = re.split(r", (?=Bearer |DPoP )", answer.headers["www-authenticate"])
    assert challenges
    assert all(f'resource_metadata="{known}{WELL_KNOWN}"' in challenge for challenge in challenges)


def test_client_that_knows_only_the_url_gets_a_token_and_calls() -> None:
    """With Authlib's client, at the development issuer; the audience is the API's URL, as RFC 8707 has it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(command("run"), {"PORT": str(port), "AUTH0_AUDIENCE": url}) as process:
        process.wait_for("Try")
        refused = ask(url, "/api/private-scoped")
        metadata = httpx.get(
            re.findall(r'resource_metadata="([^"]*)"', refused.headers["www-authenticate"])[0], trust_env=False
        ).json()
        assert url.startswith(metadata["resource"])
        (issuer,) = metadata["authorization_servers"]
        server = httpx.get(f"{issuer}.well-known/openid-configuration", trust_env=False).json()
        assert server["issuer"] == issuer
        with OAuth2Session(MACHINE.client_id, MACHINE.secret, scope=" ".join(metadata["scopes_supported"])) as client:
            client.trust_env = False
            client.fetch_token(server["token_endpoint"], grant_type="client_credentials", resource=metadata["resource"])
            assert client.get(f"{url}/api/private-scoped").status_code == 200
