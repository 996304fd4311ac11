"""Contract tests in this process, with tokens of a tenant that signs anything."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from connexion.json_schema import resolve_refs

from resource_server import Settings
from resource_server.contract.loading import read_contract
from resource_server.contract.spec import Contract
from resource_server.developing.contract_tests.metadata import resource_metadata, takes_proofs
from resource_server.developing.contract_tests.operations import ANY_CALLER, Caller, requirements
from resource_server.developing.contract_tests.results import Result, Verdict
from resource_server.developing.contract_tests.running import Options, Run
from resource_server.developing.contract_tests.schema import fixed
from resource_server.developing.contract_tests.trust import Trust
from resource_server.serving.background import in_background
from resource_server.tokens.issuer import Issuer
from tests.application_mutants import Mutant
from tests.sample import SPECIFICATION, create_app
from tests.serving import free_port
from tests.tenant import AUDIENCE, Tenant

SHOP = Path(__file__).parent / "shop"
AS_IT_IS = Mutant("nothing", "")


@contextmanager
def served(place: Path, tenant: Tenant, mutant: Mutant) -> Iterator[str]:
    """The application, changed; yields its URL."""
    specification = (SHOP if mutant.shop else SPECIFICATION.parent) / "openapi.yaml"
    contract = deepcopy(read_contract(specification))
    mutant.contract(contract)
    (place / "openapi.yaml").write_text(yaml.safe_dump(contract, sort_keys=False))
    port = free_port()
    settings = Settings(
        issuers=(tenant.url,),
        audience=AUDIENCE,
        port=port,
        public_url=f"http://127.0.0.1:{port}",
        specification=place / "openapi.yaml",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SHOP))
        mutant.change(patch)
        with in_background(create_app(settings), port) as url:
            yield url


class TenantTokens:
    """A source that can give every token there is."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    def token(self, scopes: Collection[str], changes: Mapping[str, Any], caller: Caller = ANY_CALLER) -> str:
        usual = {"scope": " ".join(sorted(scopes)), "gty": "client-credentials"}
        return self._tenant.token(**{**usual, **caller.claims(), **changes})


def trusting(tenant: Tenant) -> Trust:
    """A server's trust in a tenant."""
    issuer = Issuer(tenant.url, ["RS256"])
    return Trust(
        issuer=tenant.url,
        audience=AUDIENCE,
        keys=lambda: issuer.fetch_keys().keys,
        sources=[TenantTokens(tenant)],
        signs=True,
    )


def results(contract: Contract, url: str, tenant: Tenant, **options: Any) -> list[Result]:
    """What a whole run finds."""
    contract = fixed(resolve_refs(contract))
    tested = requirements(contract)
    proofs = takes_proofs(resource_metadata(url), url)
    run = Run(
        contract=contract, url=url, trust=trusting(tenant), tested=tested, options=Options(**options), proofs=proofs
    )
    return list(run.results())


def failures(found: Collection[Result]) -> Iterator[str]:
    """What hasn't passed, a line each, for a failed test's message."""
    for result in found:
        if result.verdict is not Verdict.PASSED:
            yield f"{result.operation}: {result.check}: {result.verdict}: {'; '.join(result.details)}"
