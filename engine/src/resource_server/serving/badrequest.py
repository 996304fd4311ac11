"""What is wrong with a request, with its place: collected while it is read, told when all of it has been."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from connexion.exceptions import BadRequestProblem

from resource_server.contract.schemas import MOST_FAULTS, Fault, Validator
from resource_server.contract.structure import written

_EXPLAINED = 8 * 1024
"""Of a longer value not all is told that is wrong: looking for all of it takes time for each place."""

_DEPTH = 3
"""As deep in a longer value shorter ones are looked for of which it is told."""

_TOO_LONG = Fault("#", "it is not as the contract says, and too long to say where")


class Problem(NamedTuple):
    """What is wrong: where (`query`, `path`, `header`, `cookie` or `body`), of what name, and what."""

    location: str
    name: str | None
    pointer: str
    detail: str

    def member(self) -> dict[str, str]:
        """As the problem document has it."""
        place = {"in": self.location, "name": self.name, "pointer": self.pointer, "detail": self.detail}
        return {name: value for name, value in place.items() if value is not None}

    def __str__(self) -> str:
        what = "The body" if self.location == "body" else f"The {self.location} parameter {self.name!r}"
        return f"{what}{f', {self.pointer}' if self.pointer != '#' else ''}: {self.detail}"


class BadRequest(BadRequestProblem):  # type: ignore[misc]  # Connexion's classes are not typed
    """A request isn't what the contract says.

    Args:
        problems: What is wrong with it.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        said = [problem.member() for problem in problems[:MOST_FAULTS]]
        super().__init__(detail=f"{problems[0]}.")
        self.ext = {"errors": said}


class Problems:
    """What has been found wrong with a request."""

    def __init__(self) -> None:
        self._found: list[Callable[[], list[Problem]]] = []

    def __bool__(self) -> bool:
        """Whether anything has."""
        return bool(self._found)

    def add(self, location: str, name: str | None, pointer: str, detail: str) -> None:
        """Add what is known; the arguments are those of a problem."""
        problem = Problem(location, name, pointer, detail)
        if len(self._found) < MOST_FAULTS:
            self._found.append(lambda: [problem])

    def check(self, validator: Validator, value: Any, location: str, name: str | None = None) -> None:
        """Add that a value isn't valid, if it isn't; what is wrong with it is found out when it is told."""
        if not validator.is_valid(value):
            self._found.append(lambda: [Problem(location, name, *fault) for fault in _faults(validator, value)])

    def told(self) -> BadRequest:
        """The refusal that tells all of them. It takes milliseconds."""
        return BadRequest([problem for find in self._found for problem in find()])


def _faults(validator: Validator, value: Any) -> list[Fault]:
    return list(islice(_found(validator, value, _DEPTH), MOST_FAULTS)) or [_TOO_LONG]


def _found(validator: Validator, value: Any, depth: int) -> Iterator[Fault]:
    if len(json.dumps(value, default=str)) <= _EXPLAINED:
        yield from validator.faults(value)
        return
    yield from validator.own_faults(value)
    for name, member, below in validator.members(value) if depth else ():
        for fault in _found(below, member, depth - 1):
            yield Fault(written((name,)) + fault.pointer.removeprefix("#"), fault.detail)
