"""Contract tests, tested: every change to the application that matters must be caught, by the check it concerns."""

from pathlib import Path

import pytest

from resource_server.contract.loading import read_contract
from resource_server.contract.spec import Contract
from resource_server.developing.contract_tests.results import Verdict
from tests.application_mutants import MUTANTS, Mutant
from tests.contract_runs import AS_IT_IS, SHOP, failures, results, served
from tests.sample import SPECIFICATION
from tests.tenant import Tenant


def promised(mutant: Mutant) -> Contract:
    """What the application was to do before it was changed; of the shop the operation that needs two scopes."""
    if not mutant.shop:
        return read_contract(SPECIFICATION)
    contract = read_contract(SHOP / "openapi.yaml")
    contract["paths"] = {"/items": {"post": contract["paths"]["/items"]["post"]}}
    return contract


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_changed_application_is_caught_by_the_check_that_it_concerns(
    tmp_path: Path, tenant: Tenant, mutant: Mutant
) -> None:
    with served(tmp_path, tenant, mutant) as url:
        found = results(promised(mutant), url, tenant, examples=5)
    caught = [f"{result.operation}: {result.check}" for result in found if result.verdict is Verdict.FAILED]
    assert mutant.caught_by in caught


def test_application_as_it_is_passes(tmp_path: Path, tenant: Tenant) -> None:
    with served(tmp_path, tenant, AS_IT_IS) as url:
        found = results(read_contract(SPECIFICATION), url, tenant, examples=5)
    assert list(failures(found)) == []
