"""The authorization matrix of bound tokens and of logins: what a server does right passes, what it leaves out fails."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
import yaml
from connexion.json_schema import resolve_refs

from resource_server.contract.loading import read_contract
from resource_server.contract.spec import Contract
from resource_server.developing.contract_tests.matrix import Matrix, rows
from resource_server.developing.contract_tests.metadata import checked, resource_metadata, takes_proofs
from resource_server.developing.contract_tests.operations import requirements
from resource_server.developing.contract_tests.proof_defects import PROOF_DEFECTS
from resource_server.developing.contract_tests.results import Result, Verdict
from resource_server.developing.contract_tests.schema import good_requests, load
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from resource_server.tokens import Auth0JWTBearerTokenValidator
from resource_server.tokens.dpop import DPoP
from tests.contract_runs import trusting
from tests.sample import SPECIFICATION, create_app
from tests.serving import free_port
from tests.tenant import AUDIENCE, Tenant

PLAIN: Contract = resolve_refs(read_contract(SPECIFICATION))
STEP_UP = copy.deepcopy(PLAIN)
STEP_UP["paths"]["/api/private"]["get"] |= {"x-acr-values": "urn:example:mfa urn:example:passkey", "x-max-age": 300}


class Forgetful:
    """Lets every proof be used again."""

    def use(self, proof_id: bytes, until: float) -> bool:
        return True


@contextmanager
def served(tenant: Tenant, folder: Path, contract: Contract, dpop: DPoP | None = None, **given: Any) -> Iterator[str]:
    (folder / "openapi.yaml").write_text(yaml.safe_dump(contract))
    port = free_port()
    settings = Settings(
        issuers=(tenant.url,),
        audience=AUDIENCE,
        public_url=f"http://127.0.0.1:{port}",
        specification=folder / "openapi.yaml",
        **given,
    )
    validator = Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE, dpop=dpop) if dpop else None
    with in_background(create_app(settings, validator=validator), port) as url:
        yield url


def results(tenant: Tenant, url: str, contract: Contract) -> list[Result]:
    with httpx.Client(trust_env=False) as client:
        matrix = Matrix(trusting(tenant), dict(good_requests(contract, load(contract, url))), client)
        return [matrix.run(row) for row in rows(requirements(contract), proofs=True)]


def failed(found: list[Result]) -> set[str]:
    return {result.check for result in found if result.verdict is not Verdict.PASSED}


def test_every_row_of_proofs_and_logins_passes(tenant: Tenant, tmp_path: Path) -> None:
    with served(tenant, tmp_path, STEP_UP) as url:
        assert takes_proofs(resource_metadata(url), url)
        found = results(tenant, url, STEP_UP)
    assert failed(found) == set()
    checks = [(result.operation, result.check) for result in found]
    assert {(path, each.name) for path in ("GET /api/private", "GET /api/private-scoped") for each in PROOF_DEFECTS} < {
        *checks
    }
    logins = [operation for operation, check in checks if check.startswith("logged in")]
    assert logins == ["GET /api/private"] * 2


def test_server_that_lets_proofs_be_used_again_fails_in_that_row(tenant: Tenant, tmp_path: Path) -> None:
    with served(tenant, tmp_path, PLAIN, DPoP(Forgetful())) as url:
        assert failed(results(tenant, url, PLAIN)) == {"a proof that has been used"}


def test_server_that_does_not_ask_for_a_login_fails_in_those_rows(tenant: Tenant, tmp_path: Path) -> None:
    with served(tenant, tmp_path, PLAIN) as url:
        assert failed(results(tenant, url, STEP_UP)) == {"logged in too weakly", "logged in too long ago"}


def test_server_that_asks_for_nonces_gets_them(tenant: Tenant, tmp_path: Path) -> None:
    with served(tenant, tmp_path, PLAIN, dpop_nonce_secret="s" * 32) as url:
        assert failed(results(tenant, url, PLAIN)) == set()


def test_server_without_proofs_says_so_and_one_that_takes_no_others_is_not_tested(tenant: Tenant) -> None:
    with in_background(create_app(Settings(issuers=(tenant.url,), audience=AUDIENCE))) as url:
        assert resource_metadata(url) == {}
    required = Settings(issuers=(tenant.url,), audience=AUDIENCE, public_url="http://127.0.0.1", dpop="required")
    with in_background(create_app(required)) as url, pytest.raises(click.ClickException, match="bound tokens only"):
        resource_metadata(url)


METADATA = {"resource": "https://a.example", "authorization_servers": ["https://i.example/"], "scopes_supported": ["r"]}


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, Verdict.PASSED),
        ({"resource": "https://a.example/"}, Verdict.PASSED),
        ({"resource": "https://b.example"}, Verdict.NOT_RUN),
        ({"resource": None}, Verdict.NOT_RUN),
        ({"authorization_servers": ["https://i.example"]}, Verdict.FAILED),
        ({"authorization_servers": "https://i.example/"}, Verdict.FAILED),
        ({"authorization_servers": None}, Verdict.FAILED),
        ({"scopes_supported": []}, Verdict.FAILED),
        ({"scopes_supported": "r"}, Verdict.FAILED),
    ],
)
def test_metadata_must_be_of_the_api_and_lead_to_tokens(changed: dict[str, Any], verdict: Verdict) -> None:
    (result,) = checked({**METADATA, **changed}, "https://a.example", "https://i.example/", ["r"])
    assert result.verdict is verdict
    assert not takes_proofs({**METADATA, **changed}, "https://a.example")
    proofs = {**METADATA, **changed, "dpop_signing_alg_values_supported": ["ES256"]}
    assert takes_proofs(proofs, "https://a.example") is (verdict is not Verdict.NOT_RUN)


def test_api_without_metadata_has_nothing_to_check() -> None:
    assert list(checked({}, "https://a.example", "https://i.example/", [])) == []
