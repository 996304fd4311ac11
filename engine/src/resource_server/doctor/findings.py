"""What has been found; how values of strangers and moments are shown."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any


class Verdict(StrEnum):
    """What has come of a check."""

    PASSED = "passed"
    FAILED = "failed"
    WARNING = "warning"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found.

    Args:
        verdict: What has come of it.
        check: What has been checked.
        found: The value there is; of a token nothing but what its header and claims say.
        expected: What it is compared with, where that is a value.
        meaning: What that means; of a failed check the sentence that the API answers with.
        advice: What to do about it.
    """

    verdict: Verdict
    check: str
    found: str = ""
    expected: str = ""
    meaning: str = ""
    advice: str = ""

    @property
    def failed(self) -> bool:
        """Whether the check has failed."""
        return self.verdict is Verdict.FAILED


passed, failed = partial(Finding, Verdict.PASSED), partial(Finding, Verdict.FAILED)
warning, not_checked = partial(Finding, Verdict.WARNING), partial(Finding, Verdict.NOT_CHECKED)


def shown(value: Any, longest: int = 300) -> str:
    """A value of a stranger's, on one line: escaped, so that a terminal takes nothing in it for a command."""
    text = printable(json.dumps(plain(value), ensure_ascii=False))
    return text if len(text) <= longest else f"{text[:longest]} …"


def printable(text: str) -> str:
    """A text with everything escaped that isn't to be seen, line breaks and changes of direction included."""
    return "".join(character if character.isprintable() else _escaped(ord(character)) for character in text)


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def plain(value: Any) -> Any:
    """A value as JSON can have it: numbers that overflow (1e999) become text."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def moment(seconds: float, now: float) -> str:
    """A time in seconds since the epoch; both are."""
    try:
        utc = datetime.fromtimestamp(seconds, UTC)
        local = utc.astimezone()
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.0f}, {distance(seconds, now)}: no such date"
    here = "" if local.utcoffset() == utc.utcoffset() else f" ({local:%Y-%m-%d %H:%M:%S} {local.tzname()} here)"
    return f"{utc:%Y-%m-%d %H:%M:%S} UTC{here}, {distance(seconds, now)}"


def distance(seconds: float, now: float) -> str:
    """How far a time is from now."""
    if abs(now - seconds) < 1:
        return "now"
    return f"{duration(now - seconds)} ago" if seconds < now else f"in {duration(seconds - now)}"


def duration(seconds: float) -> str:
    """A number of seconds in the largest unit that fits."""
    units = (("year", 31_557_600), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
    unit, size = next((each for each in units if seconds >= each[1]), units[-1])
    count = round(seconds / size)
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
