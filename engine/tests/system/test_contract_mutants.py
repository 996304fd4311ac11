"""Contract tests, tested: every change to the application that matters must be caught, by the check it concerns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from resource_server.contract.loading import read_contract
from resource_server.contract.spec import Contract
from resource_server.developing.contract_tests.results import Verdict
from tests.application_mutants import MUTANTS, Edit, Mutant
from tests.contract_runs import SHOP, failures, results
from tests.processes import SAMPLE, api, running
from tests.sample import SPECIFICATION
from tests.serving import free_port
from tests.tenant import AUDIENCE, Tenant


@contextmanager
def served(place: Path, tenant: Tenant, edits: Sequence[Edit], *, shop: bool = False) -> Iterator[str]:
    """A copy of the application, changed, in a process of its own; yields its URL."""
    for folder in ("api", "security"):
        copytree(SAMPLE / folder, place / folder, ignore=ignore_patterns("__pycache__"))
    (place / "openapi.yaml").write_text(SPECIFICATION.read_text())
    for file, old, new in edits:
        text = (place / file).read_text()
        assert text.count(old) == 1, f"{file} has no single place that reads {old!r}"
        (place / file).write_text(text.replace(old, new))
    port = free_port()
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "PORT": str(port), "PYTHONPATH": str(SHOP)}
    environ["PUBLIC_URL"] = url = f"http://127.0.0.1:{port}"
    spec = ["--spec", str(SHOP / "openapi.yaml")] if shop else []
    with running(api("serve", *spec), environ, cwd=place) as process:
        process.wait_for("Started worker-1")
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
    with served(tmp_path, tenant, mutant.edits, shop=mutant.shop) as url:
        found = results(promised(mutant), url, tenant, examples=5)
    caught = [f"{result.operation}: {result.check}" for result in found if result.verdict is Verdict.FAILED]
    assert mutant.caught_by in caught


def test_application_as_it_is_passes(tmp_path: Path, tenant: Tenant) -> None:
    with served(tmp_path, tenant, ()) as url:
        found = results(read_contract(SPECIFICATION), url, tenant, examples=5)
    assert list(failures(found)) == []
