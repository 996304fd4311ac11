"""Conformance to the contract, tested by Schemathesis with all of its checks."""

import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from schemathesis import engine
from schemathesis.core.failures import Failure
from schemathesis.engine import events
from schemathesis.specs.openapi.schemas import OpenApiSchema

from resource_server.developing.contract_tests.results import (
    CONFORMANCE,
    TIME_IS_UP,
    Progress,
    Result,
    Verdict,
    redacted,
)

_LONGEST = 300  # characters of a sentence


class Conformance:
    """Tests operations in all of Schemathesis's phases.

    Args:
        schema: The contract, from `load`, with a token that is good for the operations.
        operations: Those to test, by method and path.
        secrets: What no report may show.
        until: The monotonic time after which nothing more is begun.
    """

    def __init__(
        self,
        schema: OpenApiSchema,
        operations: Iterable[str],
        secrets: Collection[str],
        *,
        until: float = math.inf,
    ) -> None:
        self._until = until
        self._chosen = set(operations)
        self._schema = schema.include(lambda context: context.operation.label in self._chosen)
        self._secrets = secrets
        self._failures: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.successful: set[str] = set()
        """Operations that have answered a request with success."""

    def run(self, progress: Progress) -> Iterator[Result]:
        """Test; yields a result for each operation and check.

        Raises:
            KeyboardInterrupt: Schemathesis was interrupted.
        """
        events_ = engine.from_schema(self._schema).execute()
        for event in events_:
            if time.monotonic() > self._until:
                events_.stop()
            if isinstance(event, events.ScenarioStarted):
                progress(f"{CONFORMANCE}, {event.phase.value}: {event.label or 'sequences of operations'}")
            self._take(event)
        for (operation, check), found in self._failures.items():
            yield conforming(operation, check, found)
        for operation in sorted(self._chosen - {operation for operation, _ in self._failures}):
            late = time.monotonic() > self._until
            yield not_tested(operation, TIME_IS_UP if late else "Schemathesis made no request for it")

    def _take(self, event: events.EngineEvent) -> None:
        match event:
            case events.ScenarioFinished(recorder=recorder):
                for node in chain.from_iterable(recorder.checks.values()):
                    failure = node.failure_info.failure if node.failure_info else None
                    found = [sentence(failure, self._secrets)] if failure else []
                    self._failures[recorder.label, node.name].update(found)
                for case_id, interaction in recorder.interactions.items():
                    if interaction.response is not None and interaction.response.status_code < 300:
                        self.successful.add(recorder.cases[case_id].value.operation.label)
            case events.NonFatalError(label=label, value=error):
                said = redacted(f"{type(error).__name__}: {error}", self._secrets).partition("\n")[0]
                self._failures[label, "requests"].add(said)
            case events.FatalError(exception=error):
                raise error
            case events.Interrupted() if time.monotonic() <= self._until:
                raise KeyboardInterrupt


def conforming(operation: str, check: str, failures: Collection[str]) -> Result:
    """Whether an operation conforms in one respect."""
    verdict = Verdict.FAILED if failures else Verdict.PASSED
    return Result(CONFORMANCE, operation, check, "conforms", verdict, tuple(sorted(failures)))


def not_tested(operation: str, reason: str, *, required: bool = True) -> Result:
    """That an operation's conformance hasn't been tested."""
    return Result(CONFORMANCE, operation, "all checks", "conforms", Verdict.NOT_RUN, (reason,), required)


def sentence(failure: Failure, secrets: Collection[str]) -> str:
    """What has failed, in a line without secrets."""
    return redacted(" ".join(f"{failure.title}: {failure.message}".split()), secrets)[:_LONGEST]
