"""Bound tokens and their proofs, over a socket (RFC 9449)."""

from collections.abc import Iterator

import httpx
import pytest

from api.app import create_app
from api.background import in_background
from api.settings import Settings
from tests.proofs import Prover
from tests.tenant import AUDIENCE, Tenant
from tests.test_commands import free_port

PATH = "/api/private-scoped"


@pytest.fixture(scope="module")
def prover() -> Prover:
    return Prover()


@pytest.fixture(scope="module")
def bound(tenant: Tenant, prover: Prover) -> str:
    return tenant.token(cnf=prover.cnf)


def served(tenant: Tenant, **settings: object) -> Iterator[str]:
    port = free_port()
    given = Settings(issuers=(tenant.url,), audience=AUDIENCE, public_url=f"http://127.0.0.1:{port}", **settings)  # type: ignore[arg-type]
    with in_background(create_app(given), port) as url:
        yield url


@pytest.fixture(scope="module")
def allowed(tenant: Tenant) -> Iterator[str]:
    yield from served(tenant)


def get(url: str, headers: dict[str, str], path: str = PATH) -> httpx.Response:
    return httpx.get(url + path, headers=headers, trust_env=False)


def test_bound_token_with_its_proof_is_accepted(allowed: str, prover: Prover, bound: str) -> None:
    assert get(allowed, prover.headers(allowed + PATH, bound)).status_code == 200


def test_proof_is_used_once(allowed: str, prover: Prover, bound: str) -> None:
    headers = prover.headers(allowed + PATH, bound)
    assert [get(allowed, headers).status_code for _ in range(3)] == [200, 401, 401]
