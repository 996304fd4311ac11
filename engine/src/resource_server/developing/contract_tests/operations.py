"""What each operation of a contract requires of credentials."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from resource_server.contract.spec import TOKEN_KINDS, Contract, claim_rules, operations, scheme_kind
from resource_server.tokens.rules import EQUALS_PATH_PARAMETER, ClaimRule, good_claims


@dataclass(frozen=True, slots=True)
class Caller:
    """What an operation requires a token to say of who calls, beside scopes.

    Args:
        acr_values: Space-separated, of which `acr` must be one (RFC 9470).
        max_age: Seconds since `auth_time`.
        rules: What other claims must be. None depends on a request's path: see `schema.fixed`.
    """

    acr_values: str | None = None
    max_age: int | None = None
    rules: tuple[ClaimRule, ...] = ()

    def claims(self) -> dict[str, Any]:
        """What a good token says."""
        acr = {"acr": self.acr_values.split()[0]} if self.acr_values else {}
        now = {"auth_time": int(time.time())} if self.max_age is not None else {}
        return good_claims(self.rules, {**acr, **now})

    def defects(self, claims: Mapping[str, Any], changes: Mapping[str, Any]) -> Iterator[str]:
        """What a token says otherwise, without being meant to."""
        if self.acr_values and "acr" not in changes and claims.get("acr") not in self.acr_values.split():
            yield f"isn't of a user who has logged in with one of {self.acr_values}"
        at = claims.get("auth_time")
        recent = isinstance(at, int | float) and self.max_age is not None and time.time() - at < self.max_age
        if self.max_age is not None and "auth_time" not in changes and not recent:
            yield f"isn't of a user who has logged in during the last {self.max_age} seconds"
        if not changes:
            yield from (f"doesn't say that {rule}" for rule in self.rules if not rule.holds(dict(claims), {}))


ANY_CALLER = Caller()


@dataclass(frozen=True, slots=True)
class Requirements:
    """What an operation requires of credentials.

    Args:
        alternatives: The scopes of each alternative that one bearer token alone meets.
        others: The schemes that other alternatives need as well or instead.
        without: The schemes of each alternative that takes no bearer token.
        optional: Whether no credentials will do.
        bearer: Whether any alternative takes a bearer token.
        caller: What a token must say of who calls.
    """

    alternatives: tuple[frozenset[str], ...]
    others: tuple[str, ...]
    without: tuple[frozenset[str], ...]
    optional: bool
    bearer: bool
    caller: Caller = ANY_CALLER


def _of_fixed_path(rule: ClaimRule, operation: Mapping[str, Any]) -> ClaimRule:
    """A rule that compares with the one value that a parameter of the path has."""
    for parameter in operation.get("parameters", ()) if rule.keyword == EQUALS_PATH_PARAMETER else ():
        if (parameter["in"], parameter["name"]) == ("path", rule.value):
            (value,) = parameter["schema"]["enum"]
            return ClaimRule(rule.claim, "equals", str(value))
    return rule


def requirements(contract: Contract) -> dict[str, Requirements]:
    """What each operation requires, by its method and path; of a contract that is `schema.fixed`."""
    schemes = contract.get("components", {}).get("securitySchemes", {})
    bearer = {name for name, scheme in schemes.items() if scheme_kind(scheme) in TOKEN_KINDS}
    return {
        f"{method} {path}": Requirements(
            alternatives=tuple(
                frozenset(scope for scopes in alternative.values() for scope in scopes)
                for alternative in security
                if alternative and bearer.issuperset(alternative)
            ),
            others=tuple(dict.fromkeys(name for alternative in security for name in alternative if name not in bearer)),
            without=tuple(frozenset(each) for each in security if each and bearer.isdisjoint(each)),
            optional=not security or {} in security,
            bearer=any(not bearer.isdisjoint(alternative) for alternative in security),
            caller=Caller(
                operation.get("x-acr-values"),
                operation.get("x-max-age"),
                tuple(_of_fixed_path(rule, operation) for rule in claim_rules(contract, operation)),
            ),
        )
        for method, path, operation, security in operations(contract)
    }
