"""Moments as people read them: in UTC, by this machine's clock, and how long ago."""

from datetime import UTC, datetime


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
    for unit, size in (("year", 31_557_600), ("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            return _count(seconds / size, unit)
    return _count(seconds, "second")


def _count(number: float, unit: str) -> str:
    rounded = round(number)
    return f"{rounded} {unit}" if rounded == 1 else f"{rounded} {unit}s"
