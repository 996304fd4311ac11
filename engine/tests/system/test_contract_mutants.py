"""Contract tests, tested: every change to the application that matters must be caught, by the check it concerns."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from resource_server import Settings
from resource_server.contract.loading import read_contract
from resource_server.contract.spec import Contract
from resource_server.developing.contract_tests.results import Verdict
from resource_server.serving.app import build
from resource_server.serving.background import in_background
from tests.application_mutants import MUTANTS, Mutant
from tests.contract_runs import SHOP, failures, results
from tests.sample import SPECIFICATION, create_app
from tests.serving import free_port
from tests.tenant import AUDIENCE, Tenant

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
        with in_background(build(create_app(settings)), port) as url:
            yield url


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
