"""The contract, an OpenAPI document, and what can be read from it."""

import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from resource_server.contract.structure import at, parsed, reference, with_members
from resource_server.tokens.rules import ClaimRule, rules_of

TOKEN_KINDS = ("oauth2", "openIdConnect", "bearer")
"""The kinds of security schemes whose credentials are access tokens."""

VARIABLE = re.compile(r"\{([^{}]*)\}")
"""A parameter in a path template, or a variable in a server's URL."""

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")

Contract = dict[str, Any]
Operation = tuple[str, str, Mapping[str, Any], list[dict[str, list[str]]]]
"""Method, path, operation object, and security requirements, its own or the default ones."""


class ContractError(ValueError):
    """The contract can't be served as it stands. The message says where it is wrong and what to do."""


def declared_scopes(contract: Contract) -> list[str]:
    """The scopes that the OAuth2 schemes declare, in order, and those that operations need of OpenID Connect's."""
    schemes = security_schemes(contract)
    declared = [scope for scheme in schemes.values() for scope in scheme_scopes(scheme)]
    needed = [each for *_, security in operations(contract) for requirement in security for each in requirement.items()]
    oidc = {name for name, scheme in schemes.items() if scheme.get("type") == "openIdConnect"}
    return list(dict.fromkeys([*declared, *(scope for name, scopes in needed if name in oidc for scope in scopes)]))


def operations(contract: Contract) -> Iterator[Operation]:
    """Each operation of the contract."""
    for path in paths(contract):
        item = path_item(contract, path)
        for method, operation in methods(item).items():
            yield method, path, operation, operation.get("security", contract.get("security", []))


def public_operations(contract: Contract) -> list[str]:
    """The operations that everybody may call, like `GET /api/public`."""
    found = operations(contract)
    return [f"{method} {path}" for method, path, _, security in found if not security or {} in security]


def paths(contract: Contract) -> Iterator[str]:
    """The paths of the contract."""
    return (path for path in contract.get("paths") or {} if not path.startswith("x-"))


def path_item(contract: Contract, path: str) -> dict[str, Any]:
    """What the contract says of a path; what it refers to included."""
    item: dict[str, Any] = contract["paths"][path]
    return {**follow(contract, item), **item} if "$ref" in item else item


def methods(item: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The operations of a path by their methods, those of OpenAPI 3.2 included."""
    found = {method.upper(): item[method] for method in METHODS if method in item}
    return found | dict(item.get("additionalOperations", {}))


def follow(contract: Contract, node: Any) -> Any:
    """An object, or what it refers to in the end. Nothing refers in a circle, or to nowhere, once it has been read."""
    while isinstance(node, dict) and isinstance(target := node.get("$ref"), str):
        node = referred(contract, target)
    return node


def referred(contract: Contract, target: str) -> Any:
    """What a reference leads to, which may be another one."""
    return at(contract, parsed(unquote(target.removeprefix("#"))))


def claim_rules(contract: Contract, operation: Mapping[str, Any] = MappingProxyType({})) -> tuple[ClaimRule, ...]:
    """What a contract requires of claims, and an operation in addition; for operations that take access tokens.

    Raises:
        ContractError: It can't be enforced.
    """
    holders = [holder for holder in (contract, operation) if "x-claims" in holder]
    try:
        return tuple(rule for holder in holders for rule in rules_of(holder["x-claims"]))
    except ValueError as error:
        raise ContractError(f"x-claims: {error}") from error


def parameters(contract: Contract, item: Mapping[str, Any], operation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The parameters of an operation: those of its path, unless it has its own of that place and name."""
    found = {}
    for each in (*item.get("parameters", ()), *operation.get("parameters", ())):
        parameter = follow(contract, each)
        found[parameter["in"], parameter["name"]] = parameter
    return list(found.values())


def inlined(contract: Contract) -> Contract:
    """A contract to be read: objects stand where they are referred to, but for schemas within themselves."""
    inlining = _Inlining(contract)
    whole: Contract = inlining.copied("document", contract)
    return whole


class _Inlining:
    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._known: dict[str, Any] = {}
        self._begun: set[str] = set()

    def copied(self, kind: str, node: Any) -> Any:
        """An object, with what it refers to."""
        target = reference(kind, node)
        if target is not None:
            return node if target in self._begun else self._referred(kind, node, target)
        return with_members(kind, node, self.copied)

    def _referred(self, kind: str, node: Mapping[str, Any], target: str) -> Any:
        if target not in self._known:
            self._begun.add(target)
            self._known[target] = self.copied(kind, follow(self._contract, {"$ref": target}))
            self._begun.discard(target)
        beside = {name: value for name, value in node.items() if name != "$ref"}
        found = self._known[target]
        return {**found, **beside} if beside and isinstance(found, dict) else found


def base_path(contract: Contract) -> str:
    """The path of the first server, below which Connexion serves the operations; without a final slash."""
    server: dict[str, Any] = next(iter(contract.get("servers", [])), {"url": ""})
    variables = server.get("variables", {})
    url = VARIABLE.sub(lambda name: str(variables.get(name[1], {}).get("default", name[0])), server["url"])
    return str(urlsplit(url).path).rstrip("/")


@dataclass
class Usage:
    """What a contract's operations use of HTTP."""

    methods: set[str] = field(default_factory=set)
    request_headers: set[str] = field(default_factory=set)
    response_headers: set[str] = field(default_factory=set)


def usage(contract: Contract) -> Usage:
    """The methods and header fields that a contract declares."""
    used = Usage()
    schemes = security_schemes(contract).values()
    used.request_headers.update(scheme["name"] for scheme in schemes if scheme.get("in") == "header")
    for method, path, operation, _ in operations(contract):
        used.methods.add(method)
        taken = parameters(contract, path_item(contract, path), operation)
        used.request_headers.update(parameter["name"] for parameter in taken if parameter["in"] == "header")
        for response in operation.get("responses", {}).values():
            used.response_headers.update(follow(contract, response).get("headers", ()))
    return used


def security_schemes(contract: Contract) -> dict[str, Mapping[str, Any]]:
    """The security schemes that the contract declares."""
    declared = contract.get("components", {}).get("securitySchemes", {})
    return {name: follow(contract, scheme) for name, scheme in declared.items()}


def scheme_scopes(scheme: Mapping[str, Any]) -> list[str]:
    """The scopes that a security scheme declares."""
    return [scope for flow in scheme.get("flows", {}).values() for scope in flow.get("scopes", {})]


def scheme_kind(scheme: Mapping[str, Any]) -> str:
    """A security scheme's type; of one for HTTP, the authentication scheme, in small letters."""
    return str(scheme["scheme"]).lower() if scheme["type"] == "http" else str(scheme["type"])


def needs_access_token(security: Sequence[Mapping[str, Any]], schemes: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether each alternative of what an operation requires has an access token."""
    tokens = [any(scheme_kind(schemes[name]) in TOKEN_KINDS for name in each) for each in security]
    return bool(tokens) and all(tokens)


def takes_access_token(security: Sequence[Mapping[str, Any]], schemes: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether any alternative of what an operation requires has an access token."""
    return any(scheme_kind(schemes[name]) in TOKEN_KINDS for each in security for name in each)


class Try(NamedTuple):
    """An operation to try: its path in the contract, and whether it needs a token."""

    path: str
    protected: bool


def operation_to_try(contract: Contract) -> Try | None:
    """An operation that needs no input and no user, a protected one if there is one."""
    without_input = [
        (bool(security), path)
        for method, path, operation, security in operations(contract)
        if method == "GET"
        and "{" not in path
        and not any(
            parameter.get("required") for parameter in parameters(contract, path_item(contract, path), operation)
        )
        and operation.keys().isdisjoint(("x-acr-values", "x-max-age"))
    ]
    if not without_input:
        return None
    protected, path = max(without_input)
    return Try(path, protected)


def handler_name(
    contract: Contract, item: Mapping[str, Any], operation: Mapping[str, Any], method: str, path: str
) -> str | None:
    """The function that handles an operation, with its module; nothing, if the contract doesn't say.

    It is the `operationId`, like `api.handlers.private`. An `x-openapi-router-controller` of the operation or its path
    comes before it. Below one of the whole contract it may be any text, and may be missing: there it becomes a name
    that Python takes.
    """
    operation_id = operation.get("operationId")
    controller = operation.get(_CONTROLLER) or item.get(_CONTROLLER)
    if controller:
        return f"{controller}.{operation_id}" if operation_id else None
    if _CONTROLLER not in contract:
        return operation_id
    name = _python_name(operation_id or "") or _python_name(f"{method}{path}".lower())
    return f"{contract[_CONTROLLER]}.{name}"


def _python_name(text: str) -> str:
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")
    return f"{name}_" if keyword.iskeyword(name) else re.sub(r"^(?=[0-9])", "_", name)


_CONTROLLER = "x-openapi-router-controller"
