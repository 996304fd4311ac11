"""Which operations of the contract a token may call, and why not the others."""

import asyncio
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from connexion.utils import get_function_from_name

from resource_server.contract.spec import Contract, base_path, claim_rules, operations, scheme_kind
from resource_server.doctor.findings import Finding, Verdict, failed, not_checked, passed, printable, shown
from resource_server.serving.signatures import argument_names
from resource_server.settings import Settings
from resource_server.tokens import VALIDATOR, AccessDenied, AccessToken, Auth0JWTBearerTokenValidator, require_scopes
from resource_server.tokens.claims import claim_at, granted_scopes
from resource_server.tokens.errors import InsufficientAuthentication, InsufficientScope
from resource_server.tokens.rules import EQUALS_PATH_PARAMETER, ClaimRule

_OTHERS = "Needs other credentials"
_OPEN = "Needs no token."
_MEMBERS = {"oauth2": "x-tokenInfoFunc", "openIdConnect": "x-tokenInfoFunc", "bearer": "x-bearerInfoFunc"}


def operations_for(token: AccessToken | None, contract: Contract, settings: Settings) -> Iterator[Finding]:
    """What comes of calling each operation with a token.

    Args:
        token: The token; nothing if it is refused.
        contract: The operations.
        settings: How the API validates tokens.
    """
    validator = Auth0JWTBearerTokenValidator(settings.issuers, settings.audience, leeway=settings.leeway)
    schemes = contract.get("components", {}).get("securitySchemes", {})
    for method, path, operation, alternatives in operations(contract):
        name = f"{method} {base_path(contract)}{path}"
        optional = {} in alternatives
        if not alternatives:
            yield passed(name, meaning=_OPEN)
        elif token is None:
            yield failed(
                name,
                meaning=f"Needs {'no' if optional else 'a'} token, {'but' if optional else 'and'} refuses this one.",
            )
        else:
            found = [_alternative(name, token, each, schemes) for each in alternatives if each]
            if optional and all(each.meaning.startswith(_OTHERS) for each in found):  # nothing refuses the token itself
                found.append(passed(name, meaning=_OPEN))
            finding = _with_claims(min(found, key=_closeness), token, claim_rules(contract, operation))
            yield _stepped_up(finding, token, operation, validator)


def _closeness(finding: Finding) -> int:
    return (Verdict.PASSED, Verdict.NOT_CHECKED, Verdict.FAILED).index(finding.verdict)


def _alternative(
    name: str, token: AccessToken, requirement: Mapping[str, list[str]], schemes: Mapping[str, Any]
) -> Finding:
    """What comes of one security requirement, all of whose schemes are needed."""
    others = [scheme for scheme in requirement if scheme_kind(schemes[scheme]) not in _MEMBERS]
    if others:
        meaning = f"{_OTHERS}{'' if len(others) == len(requirement) else ' as well'}: {', '.join(others)}."
        return failed(name, meaning=meaning, advice="Send those credentials.")
    for scheme, scopes in requirement.items():
        function = schemes[scheme].get(_MEMBERS[scheme_kind(schemes[scheme])], "")
        try:
            if not _validates(function, token, scopes):
                return not_checked(name, meaning=f"{function} decides, a function of your own.")
            require_scopes(token, scopes)
        except AccessDenied as error:
            return failed(name, "", error.error, f"{function} refuses it: {error.description}", _ELSE)
        except InsufficientScope as error:
            missing = [scope for scope in scopes if scope not in token.scopes]
            found = shown(" ".join(sorted(token.scopes)))
            return failed(name, found, error.required, error.description, _advice(token, missing))
    return passed(name, expected=" ".join(sorted({scope for scopes in requirement.values() for scope in scopes})))


_ELSE = "Send a token that the rules of this API accept."


class _Validated:
    """Stands for the validator, of a token that has been validated."""

    def __init__(self, token: AccessToken) -> None:
        self._token = token
        self.asked = False

    async def validate(self, _: object) -> AccessToken:
        self.asked = True
        return self._token


def _validates(function: str, token: AccessToken, scopes: list[str]) -> bool:
    """Whether the function that the contract names leaves the token to the validator.

    Raises:
        AccessDenied: It does, and refuses the token by a rule of its own.
    """
    validator = _Validated(token)
    offered = {"request": SimpleNamespace(scope={VALIDATOR: validator}), "required_scopes": scopes}
    try:
        called = get_function_from_name(function)
        names, takes_all = argument_names(called)
        answer = called("", **{name: value for name, value in offered.items() if takes_all or name in names})
        if inspect.isawaitable(answer):
            asyncio.run(_awaited(answer))
    except AccessDenied:
        raise
    except Exception:  # noqa: BLE001  # whatever a person's function raises
        return False
    return validator.asked


async def _awaited(answer: Any) -> None:
    await answer


def _advice(token: AccessToken, missing: list[str]) -> str:
    names = " ".join(missing)
    permitted = token.get("permissions")
    if isinstance(permitted, list) and set(missing) <= set(permitted):
        return f"Request scope={names} with the token. Set TOKEN_PERMISSIONS=true only if {_EVERY_CLIENT}."
    for claim in _OTHER_CLAIMS:
        if granted_scopes(token, claim).issuperset(missing):
            return f"Request scope={names}. Add {claim} to TOKEN_SCOPE_CLAIMS only if {_EVERY_CLIENT}."
    granted = " ".join(token.scopes)
    if set(missing) <= set(granted.replace(",", " ").replace(";", " ").split()):
        return "Scopes are separated by spaces, not by commas: have the issuer write them so."
    if set(" ".join(missing).lower().split()) <= set(granted.lower().split()):
        return f"Scopes differ in capitals only: request scope={names} exactly so."
    return f"Request scope={names} with the token; in Auth0 the permission must exist, and the machine or user have it."


_EVERY_CLIENT = "every client may do all that its user may"
_OTHER_CLAIMS = ("roles", "realm_access.roles", "cognito:groups", "groups", "authorities")
"""Where other issuers than Auth0 say what may be done."""


def _with_claims(finding: Finding, token: AccessToken, rules: Sequence[ClaimRule]) -> Finding:
    """The same, if the claims are what the contract requires; with which path, if that is compared with one."""
    if finding.failed or finding.meaning == _OPEN:
        return finding
    where = []
    for rule in rules:
        found = claim_at(token, rule.claim)
        path = {rule.value: str(found)} if rule.keyword == EQUALS_PATH_PARAMETER else {}  # the one that would be good
        if not rule.holds(token, path):
            return failed(finding.check, shown(found), str(rule), f"The token doesn't say that {rule}.", _CLAIM)
        where += [f"{{{name}}} is {value}" for name, value in path.items()]
    return replace(finding, meaning=f"Only where {printable(', '.join(where))}.") if where else finding


_CLAIM = (
    "Send a token that has it. In Auth0 an Action adds claims (`api.accessToken.setCustomClaim`), and a login to an "
    "organization adds `org_id`; with the development issuer it is `make token CLAIMS='{…}'`."
)


def _stepped_up(
    finding: Finding, token: AccessToken, operation: Mapping[str, Any], validator: Auth0JWTBearerTokenValidator
) -> Finding:
    """The same, if the user has logged in as the operation asks (RFC 9470)."""
    acr_values, max_age = operation.get("x-acr-values"), operation.get("x-max-age")
    if finding.failed or (acr_values is None and max_age is None):
        return finding
    try:
        validator.require_authentication(token, acr_values, max_age)
    except InsufficientAuthentication as error:
        present = (f"{name} {shown(token[name])}" for name in ("acr", "auth_time") if name in token)
        asked = {"acr_values": acr_values, "max_age": max_age}
        wanted = "&".join(f"{name}={value}" for name, value in asked.items() if value is not None)
        advice = f"Send the user to /authorize again, with {wanted}; the new token must carry acr and auth_time."
        found = ", ".join(present) or "neither acr nor auth_time"
        return failed(finding.check, found, wanted, error.description, advice)
    return finding
