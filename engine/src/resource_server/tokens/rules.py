"""What an operation requires of a token's claims, beside scopes: `x-claims` in its contract."""

import copy
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from types import NoneType
from typing import Any, NamedTuple

from resource_server.tokens.claims import Claims, claim_at
from resource_server.tokens.errors import QUOTABLE


class ClaimRule(NamedTuple):
    """One thing that a claim must be.

    Args:
        claim: The claim's name, as `claim_at` takes it.
        keyword: How it is compared, one of `KEYWORDS`.
        value: What it is compared with.
    """

    claim: str
    keyword: str
    value: Any

    def holds(self, claims: Claims, path: Mapping[str, str]) -> bool:
        """Whether it holds, of a token's claims and the parameters of a request's path. A missing claim never does."""
        wanted = path.get(self.value) if self.keyword == EQUALS_PATH_PARAMETER else self.value
        return KEYWORDS[self.keyword].holds(claim_at(claims, self.claim), wanted)

    def __str__(self) -> str:
        return f"`{self.claim}` {KEYWORDS[self.keyword].says.format(_written(self.value))}"


class Keyword(NamedTuple):
    """A way to compare a claim.

    Args:
        takes: What it takes, for people.
        usable: Whether it can be compared with a value.
        holds: Whether a claim's value is as required.
        says: What it requires, for people.
    """

    takes: str
    usable: Callable[[Any], bool]
    holds: Callable[[Any, Any], bool]
    says: str


def rules_of(required: Any) -> list[ClaimRule]:
    """The rules that an object lists: by the claim's name, by the keyword, a value.

    Raises:
        ValueError: They can't be enforced; the message says what to write.
    """
    if not isinstance(required, Mapping) or not required:
        raise ValueError(f"it must be an object, {_LIKE}")
    for claim, requirement in required.items():
        _check_name(claim)
        if not isinstance(requirement, Mapping) or not requirement:
            raise ValueError(f"say what {claim!r} must be, {_LIKE}")
        for keyword, value in requirement.items():
            if keyword not in KEYWORDS:
                close = get_close_matches(str(keyword), KEYWORDS, 1) or KEYWORDS
                raise ValueError(f"{claim!r}: {keyword!r} means nothing: write {' or '.join(close)}")
            if not KEYWORDS[keyword].usable(value):
                raise ValueError(f"{claim!r}: {keyword} takes {KEYWORDS[keyword].takes}")
    return [ClaimRule(claim, *each) for claim, requirement in required.items() for each in requirement.items()]


def _check_name(claim: Any) -> None:
    if not isinstance(claim, str) or not QUOTABLE.fullmatch(claim):
        raise ValueError(f"{claim!r} can't be named in a challenge: use ASCII without quotes and backslashes")
    if instead := _ELSEWHERE.get(claim.partition(".")[0]):
        raise ValueError(f"{claim!r} is no claim for rules: {instead}")


_VALIDATOR = "the validator checks it; for an issuer's own rules there is security.token_info"
_ELSEWHERE = {
    **dict.fromkeys(("iss", "aud", "exp", "nbf", "iat", "cnf", "nonce", "events"), _VALIDATOR),
    **dict.fromkeys(("scope", "scp"), "name scopes in security"),
    "acr": "write x-acr-values",
    "auth_time": "write x-max-age",
}
"""By the claim, what there is for it."""

_LIKE = "like `org_id: {equalsPathParameter: org_id}` or `plan: {oneOf: [pro, team]}`"


def unmet(rules: Iterable[ClaimRule], claims: Claims, path: Mapping[str, str]) -> list[str]:
    """The claims that aren't as required, in order."""
    return list(dict.fromkeys(rule.claim for rule in rules if not rule.holds(claims, path)))


def good_claims(rules: Collection[ClaimRule], claims: Claims) -> Claims:
    """Claims that meet the rules, as far as some can, made of others; what a path decides is left as it is."""
    made = copy.deepcopy(claims)
    for claim in sorted({rule.claim for rule in rules}, key=len):  # what others are within comes first
        own = [rule for rule in rules if rule.claim == claim and rule.keyword != EQUALS_PATH_PARAMETER]
        good = _good_value(own, claim_at(made, claim))
        if good is not None:
            set_claim(made, claim, good)
    return made


def _good_value(rules: Collection[ClaimRule], found: Any) -> Any:
    """What meets the rules of one claim: what is there, if it does, or else what they name."""
    named = [value for rule in rules if rule.keyword in ("equals", "oneOf") for value in values_of(rule.value)]
    if named or not isinstance(found, list | NoneType):
        good = (
            each for each in (found, *named) if all(KEYWORDS[rule.keyword].holds(each, rule.value) for rule in rules)
        )
        return next(good, found)
    made = list(found or [])
    for rule in rules:
        if not KEYWORDS[rule.keyword].holds(made, rule.value):
            made += values_of(rule.value) if rule.keyword == "contains" else rule.value[:1]
    return made or found


def set_claim(claims: Claims, name: str, value: Any) -> None:
    """Set a claim where `claim_at` finds it; of a name that is a URL only what follows its last slash has parts.

    Where a part of the way is something else than an object, the claim is called by its whole name.
    """
    start = name.rfind("/") + 1
    first, *parts = name[start:].split(".")
    holder, way = claims, [name[:start] + first, *parts]
    for part in way[:-1]:
        holder = holder.setdefault(part, {})
        if not isinstance(holder, dict):
            claims[name] = value
            return
    holder[way[-1]] = value


def values_of(value: Any) -> list[Any]:
    """The values that a keyword names, one or several."""
    return value if isinstance(value, list) else [value]


def _equals(found: Any, wanted: Any) -> bool:
    """Whether two JSON values are equal. In JSON, `true` isn't 1."""
    return isinstance(found, bool) is isinstance(wanted, bool) and bool(found == wanted)


def _is_one_of(found: Any, wanted: list[Any]) -> bool:
    return any(_equals(found, each) for each in wanted)


def _contains(found: Any, wanted: Any) -> bool:
    """Whether a list has all values. A text is no list: a part of it may be anything."""
    return isinstance(found, list) and all(_is_one_of(each, found) for each in values_of(wanted))


def _contains_one_of(found: Any, wanted: list[Any]) -> bool:
    return isinstance(found, list) and any(_is_one_of(each, found) for each in wanted)


def _equals_text(found: Any, text: str | None) -> bool:
    """Whether a claim is what a text of the path says, written in the one usual way."""
    return isinstance(found, str | int) and not isinstance(found, bool) and str(found) == text


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


def _are_scalars(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_scalar, value))


def _written(value: Any) -> str:
    return ", ".join(f"`{'true' if each is True else 'false' if each is False else each}`" for each in values_of(value))


_SCALAR = "a text, a number, true or false"

EQUALS_PATH_PARAMETER = "equalsPathParameter"
KEYWORDS = {
    "equals": Keyword(_SCALAR, _is_scalar, _equals, "is {}"),
    "oneOf": Keyword(f"a list, each of it {_SCALAR}", _are_scalars, _is_one_of, "is one of {}"),
    "contains": Keyword(
        f"{_SCALAR}, or a list of what must all be there",
        lambda value: _is_scalar(value) or _are_scalars(value),
        _contains,
        "is a list with {}",
    ),
    "containsOneOf": Keyword(
        f"a list, each of it {_SCALAR}", _are_scalars, _contains_one_of, "is a list with one of {}"
    ),
    EQUALS_PATH_PARAMETER: Keyword(
        "the name of a parameter in the path, of type string or integer",
        lambda value: isinstance(value, str),
        _equals_text,
        "is the path's {}",
    ),
}
"""By its name in the contract."""
