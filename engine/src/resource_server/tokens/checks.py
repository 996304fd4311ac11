"""What the tables of checks are made of. The validator goes through them, and whoever explains a refusal does, too."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

Members = dict[str, Any]
Reason = TypeVar("Reason")


class Check(NamedTuple, Generic[Reason]):
    """One thing that must hold of a header's members, or of claims.

    Args:
        name: What is checked; rows that belong together share it.
        of: The members that it is about.
        must: What they must be, for people.
        holds: Whether it holds, of all members and what they are compared with. May be asked only if every earlier row
            about one of these members holds.
        refusal: What to answer when it doesn't.
    """

    name: str
    of: tuple[str, ...]
    must: str
    holds: Callable[[Members, Any], bool]
    refusal: Reason


def required(name: str, must: str, good: Callable[[Any], bool], refusal: Reason) -> Check[Reason]:
    """A member that must be there, and of its type."""
    return Check("claims", (name,), must, lambda members, _: name in members and good(members[name]), refusal)


def optional(name: str, must: str, good: Callable[[Any], bool], refusal: Reason) -> Check[Reason]:
    """A member that must be of its type if it is there."""
    return Check("claims", (name,), must, lambda members, _: name not in members or good(members[name]), refusal)


def is_text(value: object) -> bool:
    """Whether a member's value is a text."""
    return isinstance(value, str)


def broken(checks: Iterable[Check[Reason]], members: Members, expected: object) -> Iterator[Check[Reason]]:
    """The rows that don't hold, in order, as far as they can be asked."""
    bad: set[str] = set()
    for check in checks:
        if bad.isdisjoint(check.of) and not check.holds(members, expected):
            bad.update(check.of)
            yield check
