"""The contract, an OpenAPI 3.0 document, and what can be read from it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

Contract = dict[str, Any]
Operation = tuple[str, str, Mapping[str, Any], list[dict[str, list[str]]]]
"""Method, path, operation object, and security requirements, its own or the default ones."""


class ContractError(ValueError):
    """The contract can't be served as it stands. The message says where it is wrong and what to do."""


def declared_scopes(contract: Contract) -> list[str]:
    """The scopes that the OAuth2 schemes declare, in order."""
    schemes = contract.get("components", {}).get("securitySchemes", {}).values()
    return list(dict.fromkeys(scope for scheme in schemes for scope in scheme_scopes(scheme)))


def operations(contract: Contract) -> Iterator[Operation]:
    """Each operation of the contract."""
    for path, item in contract["paths"].items():
        for method in _METHODS:
            if method in item:
                security = item[method].get("security", contract.get("security", []))
                yield method.upper(), path, item[method], security


def base_path(contract: Contract) -> str:
    """The path of the first server, below which Connexion serves the operations; without a final slash."""
    server: dict[str, Any] = next(iter(contract.get("servers", [])), {"url": ""})
    variables = server.get("variables", {})
    url = re.sub(r"\{([^{}]*)\}", lambda name: str(variables.get(name[1], {}).get("default", name[0])), server["url"])
    return str(urlsplit(url).path).rstrip("/")


@dataclass
class Usage:
    """What a contract's operations use of HTTP."""

    methods: set[str] = field(default_factory=set)
    request_headers: set[str] = field(default_factory=set)
    response_headers: set[str] = field(default_factory=set)


def usage(contract: Contract) -> Usage:
    """The methods and header fields that a contract declares."""
    from connexion.json_schema import resolve_refs

    resolved, used = resolve_refs(contract), Usage()
    schemes = resolved.get("components", {}).get("securitySchemes", {}).values()
    used.request_headers.update(scheme["name"] for scheme in schemes if scheme.get("in") == "header")
    for method, path, operation, _ in operations(resolved):
        used.methods.add(method)
        parameters = (*resolved["paths"][path].get("parameters", ()), *operation.get("parameters", ()))
        used.request_headers.update(parameter["name"] for parameter in parameters if parameter["in"] == "header")
        for response in operation.get("responses", {}).values():
            used.response_headers.update(response.get("headers", ()))
    return used


def scheme_scopes(scheme: Mapping[str, Any]) -> list[str]:
    """The scopes that a security scheme declares."""
    return [scope for flow in scheme.get("flows", {}).values() for scope in flow.get("scopes", {})]


def scheme_kind(scheme: Mapping[str, Any]) -> str:
    """A security scheme's type; of one for HTTP, the authentication scheme, in small letters."""
    return str(scheme["scheme"]).lower() if scheme["type"] == "http" else str(scheme["type"])


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
        and not any(map(_is_required, operation.get("parameters", [])))
        and operation.keys().isdisjoint(("x-acr-values", "x-max-age"))
    ]
    if not without_input:
        return None
    protected, path = max(without_input)
    return Try(path, protected)


def _is_required(parameter: Mapping[str, Any]) -> bool:
    return "$ref" in parameter or bool(parameter.get("required"))
