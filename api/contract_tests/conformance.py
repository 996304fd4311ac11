"""Conformance to the contract, tested by Schemathesis with all of its checks."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from schemathesis import engine
from schemathesis.core.failures import Failure
from schemathesis.engine import events
from schemathesis.specs.openapi.schemas import OpenApiSchema

from api.contract_tests.results import Progress, Result, Verdict

PART = "conformance"


def check_conformance(schema: OpenApiSchema, operations: Iterable[str], progress: Progress) -> Iterator[Result]:
    """Test every operation, in all phases; yields a result for each operation and check.

    Args:
        schema: The contract, from `load`, with a token that is good for all operations.
        operations: Those to test, by method and path.
        progress: Is told what is being tested.
    """
    failures: dict[tuple[str, str], set[str]] = defaultdict(set)
    chosen = set(operations)
    tested = schema.include(lambda context: context.operation.label in chosen)
    for event in engine.from_schema(tested).execute():
        if isinstance(event, events.ScenarioStarted):
            progress(f"{PART}, {event.phase.value}: {event.label or 'sequences of operations'}")
        for operation, check, failure in _findings(event):
            failures[operation, check].update([failure] if failure else [])
    for (operation, check), found in failures.items():
        yield conforming(operation, check, found)
    for operation in sorted(chosen - {operation for operation, _ in failures}):
        yield not_tested(operation, "Schemathesis made no request for it")


def _findings(event: events.EngineEvent) -> Iterator[tuple[str, str, str | None]]:
    """Operation, check, and what has failed or nothing."""
    match event:
        case events.ScenarioFinished(recorder=recorder):
            for node in chain.from_iterable(recorder.checks.values()):
                yield recorder.label, node.name, sentence(node.failure_info.failure) if node.failure_info else None
        case events.NonFatalError(label=label, value=error):
            yield label, "requests", f"{type(error).__name__}: {error}".splitlines()[0]
        case events.FatalError(exception=error):
            raise error


def conforming(operation: str, check: str, failures: Collection[str]) -> Result:
    """Whether an operation conforms in one respect."""
    verdict = Verdict.FAILED if failures else Verdict.PASSED
    return Result(PART, operation, check, "conforms", verdict, tuple(sorted(failures)))


def not_tested(operation: str, reason: str, *, required: bool = True) -> Result:
    """That an operation's conformance hasn't been tested."""
    return Result(PART, operation, "all checks", "conforms", Verdict.NOT_RUN, (reason,), required)


def sentence(failure: Failure) -> str:
    """What has failed, in a line."""
    return " ".join(f"{failure.title}: {failure.message}".split())[:_LONGEST]


_LONGEST = 300
