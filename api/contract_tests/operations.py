"""What each operation of a contract requires of credentials."""

from dataclasses import dataclass

from api.contract import Contract, operations, scheme_kind

_BEARER = ("oauth2", "openIdConnect", "bearer")


@dataclass(frozen=True, slots=True)
class Requirements:
    """What an operation requires of credentials.

    Args:
        alternatives: The scopes of each alternative that one bearer token alone meets.
        others: The schemes that other alternatives need as well or instead.
        optional: Whether no credentials will do.
        bearer: Whether any alternative takes a bearer token.
    """

    alternatives: tuple[frozenset[str], ...]
    others: tuple[str, ...]
    optional: bool
    bearer: bool


def requirements(contract: Contract) -> dict[str, Requirements]:
    """What each operation requires, by its method and path."""
    schemes = contract.get("components", {}).get("securitySchemes", {})
    bearer = {name for name, scheme in schemes.items() if scheme_kind(scheme) in _BEARER}
    return {
        f"{method} {path}": Requirements(
            alternatives=tuple(
                frozenset(scope for scopes in alternative.values() for scope in scopes)
                for alternative in security
                if alternative and bearer.issuperset(alternative)
            ),
            others=tuple(dict.fromkeys(name for alternative in security for name in alternative if name not in bearer)),
            optional=not security or {} in security,
            bearer=any(not bearer.isdisjoint(alternative) for alternative in security),
        )
        for method, path, _, security in operations(contract)
    }
