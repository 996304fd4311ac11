"""A whole run: conformance, then authorization."""

import math
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import httpx

from resource_server.contract.spec import Contract, operations
from resource_server.developing.contract_tests.conformance import Conformance, not_tested
from resource_server.developing.contract_tests.defects import EXPIRED
from resource_server.developing.contract_tests.material import secrets_in
from resource_server.developing.contract_tests.matrix import Matrix, rows
from resource_server.developing.contract_tests.operations import Caller, Requirements
from resource_server.developing.contract_tests.results import AUTHORIZATION, TIME_IS_UP, NotRun, Progress, Result
from resource_server.developing.contract_tests.schema import TIMEOUT, good_requests, load
from resource_server.developing.contract_tests.trust import Trust
from resource_server.networks import is_local


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a run is made.

    Args:
        needed: Names of rows without which the run is incomplete, beside those that need no one's key.
        examples: How many requests conformance makes at most for each operation and phase.
        seed: What they are made from.
        read_only: Whether only methods that change nothing are used.
        progress: Is told what is being done.
        credentials: By the security scheme, an API key, or a name and password as `name:password`.
        until: The monotonic time after which nothing more is begun.
    """

    needed: Collection[str] = ()
    examples: int = 50
    seed: int = 0
    read_only: bool = False
    progress: Progress = field(default=lambda _: None)
    credentials: Mapping[str, str] = field(default_factory=dict)
    until: float = math.inf


@dataclass(frozen=True, kw_only=True)
class Run:
    """A test of a server.

    Args:
        contract: What it is to do, without references.
        url: Where it is, without the path of the contract's first server.
        trust: What it is to trust.
        tested: The operations to test, with what they require.
        options: How.
        proofs: Whether the server takes bound tokens with proofs, too.
    """

    contract: Contract
    url: str
    trust: Trust
    tested: Mapping[str, Requirements]
    options: Options
    proofs: bool = False
    _successful: set[str] = field(default_factory=set)

    def results(self) -> Iterator[Result]:
        """Test; yields results as they come.

        Raises:
            ContractError: No request can be made up for an operation.
            KeyboardInterrupt: Whoever waits for it has had enough.
        """
        yield from self._conformance()
        yield from self._authorization()

    def _conformance(self) -> Iterator[Result]:
        try:
            token, untestable = (
                self._best_token(),
                "the token that there is doesn't grant its scopes, or hasn't the claims that it needs",
            )
        except NotRun as reason:
            token, untestable = None, str(reason)
        testable = [
            operation
            for operation, each in self.tested.items()
            if each.optional
            or (token and self.trust.opens(token, each))
            or any(self.options.credentials.keys() >= schemes for schemes in each.without)
        ]
        schema = load(
            self.contract,
            self.url,
            token=token,
            credentials=self.options.credentials,
            examples=self.options.examples,
            seed=self.options.seed,
            filtered=len(testable) < len(list(operations(self.contract))),
            read_only=self.options.read_only,
        )
        secrets = {*secrets_in(self.trust.secrets), *self.options.credentials.values()}
        conformance = Conformance(schema, testable, secrets, until=self.options.until)
        yield from conformance.run(self.options.progress)
        self._successful.update(conformance.successful)
        for operation, each in self.tested.items():
            if operation not in testable:
                needs = f"it needs credentials for {' and '.join(each.others)}: give them with --credential"
                yield not_tested(operation, untestable if each.alternatives else needs)

    def _best_token(self) -> str:
        """A token that is good for all operations, or at least for some."""
        firsts = [alternative for each in self.tested.values() for alternative in each.alternatives[:1]]
        callers = [each.caller for each in self.tested.values()]
        acr_values = next((caller.acr_values for caller in callers if caller.acr_values), None)
        max_age = min((caller.max_age for caller in callers if caller.max_age is not None), default=None)
        rules = tuple(rule for caller in callers for rule in caller.rules)
        try:
            return self.trust.token(frozenset().union(*firsts), caller=Caller(acr_values, max_age, rules))
        except NotRun:
            return self.trust.token(())

    def _authorization(self) -> Iterator[Result]:
        with httpx.Client(trust_env=not is_local(self.url), timeout=TIMEOUT) as client:
            requests = dict(good_requests(self.contract, load(self.contract, self.url)))
            needed = None if self.trust.signs else self.options.needed
            matrix = Matrix(self.trust, requests, client, needed=needed, successful=self._successful)
            # Those with an expired token last, because it may have to be waited for.
            for row in sorted(rows(self.tested, proofs=self.proofs), key=lambda row: row.defect is EXPIRED):
                self.options.progress(f"{AUTHORIZATION}: {row.operation}")
                yield matrix.run(row) if time.monotonic() < self.options.until else matrix.left_out(row, TIME_IS_UP)
            yield from matrix.forms()
