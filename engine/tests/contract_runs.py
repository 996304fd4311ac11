"""Contract tests in this process, with tokens of a tenant that signs anything."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from connexion.json_schema import resolve_refs

from resource_server.contract.spec import Contract
from resource_server.developing.contract_tests.metadata import resource_metadata, takes_proofs
from resource_server.developing.contract_tests.operations import ANY_LOGIN, Login, requirements
from resource_server.developing.contract_tests.results import Result, Verdict
from resource_server.developing.contract_tests.running import Options, Run
from resource_server.developing.contract_tests.trust import Trust
from resource_server.tokens.issuer import Issuer
from tests.tenant import AUDIENCE, Tenant

SHOP = Path(__file__).parent / "shop"


class TenantTokens:
    """A source that can give every token there is."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    def token(self, scopes: Collection[str], changes: Mapping[str, Any], login: Login = ANY_LOGIN) -> str:
        usual = {"scope": " ".join(sorted(scopes)), "gty": "client-credentials"}
        return self._tenant.token(**{**usual, **login.claims(), **changes})


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
    contract = resolve_refs(contract)
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
