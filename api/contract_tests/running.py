"""A whole run: the server that is tested, what it trusts, and both parts."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import httpx

from api.contract import Contract
from api.contract_tests.conformance import check_conformance, not_tested
from api.contract_tests.defects import EXPIRED
from api.contract_tests.material import Material, Trust
from api.contract_tests.matrix import Matrix, rows
from api.contract_tests.operations import Requirements, requirements
from api.contract_tests.results import NotRun, Progress, Result
from api.contract_tests.schema import good_requests, load
from api.development.clients import is_local


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a run is made.

    Args:
        needed: Names of rows without which the run is incomplete, beside those that need no one's key.
        examples: How many requests conformance makes at most for each operation and phase.
        seed: What they are made from.
        read_only: Whether operations that may change something are left out.
        progress: Is told what is being done.
    """

    needed: Collection[str] = ()
    examples: int = 50
    seed: int = 0
    read_only: bool = False
    progress: Progress = field(default=lambda _: None)


def run(contract: Contract, url: str, trusted: Trust, options: Options) -> Iterator[Result]:
    """Test a server; yields results as they come.

    Args:
        contract: What it is to do.
        url: Where it is, without the path of the contract's first server.
        trusted: What it is to trust.
        options: How.
    """
    required = requirements(contract)
    if options.read_only:
        left_out = [operation for operation in required if not operation.startswith("GET ")]
        yield from (not_tested(operation, "left out by --read-only", required=False) for operation in left_out)
        required = {operation: each for operation, each in required.items() if operation not in left_out}
    yield from _conformance(contract, url, trusted, options, required)
    yield from _authorization(contract, url, trusted, options, required)


_Required = Mapping[str, Requirements]


def _conformance(
    contract: Contract, url: str, trusted: Trust, options: Options, required: _Required
) -> Iterator[Result]:
    scopes = {scope for each in required.values() for alternative in each.alternatives for scope in alternative}
    try:
        token, untestable = Material(trusted, sorted(scopes)).good, ""
    except NotRun as reason:
        token, untestable = None, f"there is no token that grants all scopes: {reason}"
    testable = [operation for operation, each in required.items() if token or each.optional]
    schema = load(contract, url, token=token, examples=options.examples, seed=options.seed, read_only=options.read_only)
    yield from check_conformance(schema, testable, options.progress)
    yield from (not_tested(operation, untestable) for operation in required if operation not in testable)


def _authorization(
    contract: Contract, url: str, trusted: Trust, options: Options, required: _Required
) -> Iterator[Result]:
    with httpx.Client(trust_env=not is_local(url), timeout=_TIMEOUT) as client:
        requests = dict(good_requests(contract, load(contract, url)))
        matrix = Matrix(trusted, requests, client, needed=None if trusted.signs else options.needed)
        # Those with an expired token last, because it may have to be waited for.
        for row in sorted(rows(required), key=lambda row: row.defect is EXPIRED):
            options.progress(f"authorization: {row.operation}")
            yield matrix.run(row)
        yield from matrix.forms()


_TIMEOUT = 10  # seconds
