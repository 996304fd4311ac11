"""What must be answered, and whether it was (RFC 6750, section 3; RFC 9110, section 11.6.1; RFC 9457)."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx


class Challenge(NamedTuple):
    """One challenge of `WWW-Authenticate`; the scheme and the names of its parameters in small letters."""

    scheme: str
    params: dict[str, str]


_PIECE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # RFC 9110, section 5.6.2
_CHALLENGE = re.compile(rf'(?:({_TOKEN})(?:$| +))?(?:({_TOKEN})\s*=\s*("(?:[^"\\]|\\.)*"|{_TOKEN}))?')


def challenges(fields: Sequence[str]) -> list[Challenge] | None:
    """Read the values of all `WWW-Authenticate` fields (RFC 9110, section 11.6.1); `None` when they are malformed."""
    found: list[Challenge] = []
    for piece in _PIECE.findall(",".join(fields)):
        match = _CHALLENGE.fullmatch(piece.strip())
        if match is None or (match[1] is None and match[2] and not found):
            return None
        if match[1]:
            found.append(Challenge(match[1].lower(), {}))
        if match[2]:
            value = match[3]
            found[-1].params[match[2].lower()] = (
                re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
            )
    return found


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be answered.

    Args:
        status: The status; `None` for any that says that the credentials are good.
        error: The error that a challenge names; `None` when a challenge has none.
        code: The problem document's code, if the contract names it.
        scopes: The alternatives of what a challenge's `scope` may name.
        scheme: Of the challenge that says so, in small letters.
        params: Other parameters that the challenge must have.
    """

    status: int | None
    error: str | None = None
    code: str | None = None
    scopes: tuple[str, ...] = ()
    scheme: str = "bearer"
    params: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        if self.status is None:
            return "accepted"
        return f"{self.status} {self.error}" if self.error else f"{self.status}, no error"


_NAMES = {"bearer": "Bearer", "dpop": "DPoP"}

ACCEPTED = Expected(None)
MISSING = Expected(401, None, "missing_credentials")
INVALID_REQUEST = Expected(400, "invalid_request", "invalid_request")
INVALID_TOKEN = Expected(401, "invalid_token", "invalid_token")


def deviations(
    response: httpx.Response, expected: Expected, *, bearer: bool = True, codes: Collection[str] = ()
) -> Iterator[str]:
    """How the refusal of a request deviates from what is expected, a sentence each.

    Args:
        response: The answer.
        expected: What should have been answered.
        bearer: Whether the operation speaks the scheme Bearer.
        codes: The problem codes that the contract names for this status.
    """
    if response.status_code != expected.status:
        yield f"the status is {response.status_code}, not {expected.status}"
        return
    yield from _challenge_deviations(response.headers.get_list("www-authenticate"), expected, bearer=bearer)
    problem = _problem(response)
    if problem is not None and expected.code in codes and problem.get("code") != expected.code:
        yield f"the problem's code is {problem.get('code')!r}, not {expected.code!r}"


def _challenge_deviations(fields: list[str], expected: Expected, *, bearer: bool) -> Iterator[str]:
    if not fields:
        yield "there is no challenge (WWW-Authenticate)"
        return
    found, said = challenges(fields), ", ".join(fields)
    if found is None:
        yield f"the challenge {said!r} is malformed"
        return
    spoken = [challenge.params for challenge in found if challenge.scheme == expected.scheme or not bearer]
    lacking = [name for name, value in expected.params for params in spoken if params.get(name) != value]
    if not spoken:
        yield f"the challenge {said!r} is not one for {_NAMES[expected.scheme]}"
    elif any(params.get("error") != expected.error for params in spoken):
        yield f"the challenge {said!r} should have {f'the error {expected.error!r}' if expected.error else 'no error'}"
    elif expected.scopes and not all(_names(params, expected.scopes) for params in spoken):
        yield f"the challenge {said!r} should have the scope {expected.scopes[0]!r}"
    elif lacking:
        yield f"the challenge {said!r} should have {lacking[0]}={dict(expected.params)[lacking[0]]!r}"


def _names(params: dict[str, str], alternatives: Sequence[str]) -> bool:
    named = set(params.get("scope", "").split())
    return any(named == set(scopes.split()) for scopes in alternatives)


def _problem(response: httpx.Response) -> dict[str, Any] | None:
    """The problem document, if the answer is one; whether it must be is the contract's to say."""
    if response.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/problem+json":
        return None
    try:
        problem = response.json()
    except (ValueError, RecursionError):
        return None
    return problem if isinstance(problem, dict) else None
