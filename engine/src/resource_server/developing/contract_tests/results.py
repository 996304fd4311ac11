"""What a check has found."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

AUTHORIZATION, CONFORMANCE = "authorization", "conformance"

TIME_IS_UP = "the time of --max-time was up"

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
        part: `AUTHORIZATION` or `CONFORMANCE`.
        operation: Method and path.
        check: What was checked.
        expected: What the contract promises.
        verdict: How it has ended.
        details: What deviates, or why it wasn't run; no token stands in them.
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

    A run in which nothing has passed has left out everything. Click has 2 for wrong usage.
    """
    found = {(result.verdict, result.required) for result in results}
    if any(verdict is Verdict.FAILED for verdict, _ in found):
        return 1
    complete = (Verdict.NOT_RUN, True) not in found and any(verdict is Verdict.PASSED for verdict, _ in found)
    return 0 if complete else 3


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets, the longest of them first."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "…")
    return text
