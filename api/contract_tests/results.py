"""What a check has found."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

Progress = Callable[[str], None]
"""Is told what is being tested."""


class Verdict(StrEnum):
    """How a check has ended. One that wasn't run has not passed."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"


class NotRun(Exception):
    """A check can't be run; the message says why."""


@dataclass(frozen=True, slots=True)
class Result:
    """One check of one operation.

    Args:
        part: `authorization` or `conformance`.
        operation: Method and path.
        check: What was checked.
        expected: What the contract promises.
        verdict: How it has ended.
        details: What deviates, or why it wasn't run.
        required: Whether the run is incomplete without it.
    """

    part: str
    operation: str
    check: str
    expected: str
    verdict: Verdict
    details: tuple[str, ...] = ()
    required: bool = True


def exit_code(results: Iterable[Result]) -> int:
    """0 when all that is required has passed and nothing failed, 1 with a failure, 3 when something required is left.

    Click has 2 for wrong usage.
    """
    found = {(result.verdict, result.required) for result in results}
    if any(verdict is Verdict.FAILED for verdict, _ in found):
        return 1
    return 3 if not found or (Verdict.NOT_RUN, True) in found else 0
