"""Contract tests in this process, with tokens of a tenant that signs anything."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from api.contract import Contract
from api.contract_tests.material import Trust
from api.contract_tests.results import Result, Verdict
from api.contract_tests.running import Options, run
from security.issuer import Issuer
from tests.tenant import AUDIENCE, Tenant

SHOP = Path(__file__).parent / "shop"


class TenantTokens:
    """A source that can give every token there is."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    def token(self, scopes: Collection[str], *, without: Collection[str] = (), **changes: Any) -> str:
        return self._tenant.token(**{"scope": " ".join(sorted(scopes)), "gty": "client-credentials", **changes})


def trusting(tenant: Tenant) -> Trust:
    """A server's trust in a tenant."""
    issuer = Issuer(tenant.url, ["RS256"])
    return Trust(tenant.url, AUDIENCE, lambda: issuer.fetch_keys().keys, TenantTokens(tenant), signs=True)


def results(contract: Contract, url: str, tenant: Tenant, **options: Any) -> list[Result]:
    """What a whole run finds."""
    return list(run(contract, url, trusting(tenant), Options(**options)))


def failures(found: Collection[Result]) -> Iterator[str]:
    """What hasn't passed, a line each, for a failed test's message."""
    for result in found:
        if result.verdict is not Verdict.PASSED:
            yield f"{result.operation}: {result.check}: {result.verdict}: {'; '.join(result.details)}"
