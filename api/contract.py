"""The contract, checked before anything is served: what it promises must be enforceable."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from connexion.utils import get_function_from_name
from openapi_spec_validator import validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

_VALIDATORS = {
    "oauth2": "x-tokenInfoFunc",
    "apiKey": "x-apikeyInfoFunc",
    "basic": "x-basicInfoFunc",
    "bearer": "x-bearerInfoFunc",
}
"""By scheme, the member that names the function which validates its credentials."""

Contract = dict[str, Any]


class ContractError(ValueError):
    """The contract can't be served as it stands. The message says where it is wrong and what to do."""


def load_contract(path: Path) -> Contract:
    """Read an OpenAPI 3.0 document and check that it can be served and enforced.

    Checks that the document is valid, that each operationId and validator function can be imported, that each scheme in
    use has a validator, and that scopes are asked for only where they are enforced and declared.

    Raises:
        ContractError: It can't be.
    """
    try:
        contract = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ContractError(f"{path}: it can't be read as YAML: {error}") from error
    for complaint in _complaints(contract, path):
        raise ContractError(f"{path}: {complaint}")
    return contract  # type: ignore[no-any-return]  # _complaints has seen that it is a mapping


def declared_scopes(contract: Contract) -> list[str]:
    """The scopes that the OAuth2 schemes declare, in order."""
    schemes = contract.get("components", {}).get("securitySchemes", {}).values()
    return list(dict.fromkeys(scope for scheme in schemes for scope in _scopes(scheme)))


def operations(contract: Contract) -> Iterator[tuple[str, str, Mapping[str, Any], list[dict[str, list[str]]]]]:
    """Each operation: method, path, operation object, and its security requirements, its own or the default ones."""
    for path, item in contract["paths"].items():
        for method in _METHODS:
            if method in item:
                security = item[method].get("security", contract.get("security", []))
                yield method.upper(), path, item[method], security


def _complaints(contract: Any, path: Path) -> Iterator[str]:
    if not isinstance(contract, dict) or not str(contract.get("openapi", "")).startswith("3.0."):
        yield "it must be an OpenAPI 3.0 document: write 'openapi: 3.0.3'"
    try:
        validate(contract, base_uri=path.absolute().as_uri())
    except OpenAPIValidationError as error:
        where = "/".join(map(str, getattr(error, "absolute_path", ())))
        yield f"it is not valid OpenAPI, at /{where}: {error}"
    schemes = contract.get("components", {}).get("securitySchemes", {})
    for method, route, operation, security in operations(contract):
        name = f"{method} {route}"
        yield from _handler_complaints(name, operation)
        for requirement in security:
            for scheme, scopes in requirement.items():
                yield from _scheme_complaints(name, scheme, schemes.get(scheme), scopes)
            if sum(schemes[scheme]["type"] == "oauth2" for scheme in requirement) > 1:
                yield f"{name}: two OAuth2 schemes can't both be required; a request has one access token"


def _handler_complaints(name: str, operation: Mapping[str, Any]) -> Iterator[str]:
    operation_id = operation.get("operationId")
    if operation_id is None:
        yield f"{name}: it has no operationId: name the function that handles it, like api.handlers.private"
        return
    controller = operation.get("x-openapi-router-controller")
    handler = f"{controller}.{operation_id}" if controller else operation_id
    if problem := _import_problem(handler):
        yield f"{name}: operationId {handler!r} can't be imported ({problem}): define the function or correct the name"


def _scheme_complaints(name: str, scheme: str, definition: Any, scopes: list[str]) -> Iterator[str]:
    if definition is None:
        yield f"{name}: security scheme {scheme!r} is not declared in components/securitySchemes"
        return
    kind = definition["scheme"].lower() if definition["type"] == "http" else definition["type"]
    member = _VALIDATORS.get(kind)
    function = definition.get(member)
    if member is None:
        yield f"{name}: security schemes of type {kind!r}, like {scheme!r}, are not supported"
    elif function is None:
        yield f"security scheme {scheme!r} has no validator: add '{member}: security.token_info' or a function of yours"
    elif problem := _import_problem(function):
        yield f"security scheme {scheme!r}: {member} {function!r} can't be imported ({problem})"
    declared = _scopes(definition)
    for scope in scopes:
        if kind != "oauth2":
            yield f"{name}: scopes are enforced for oauth2 schemes only, and {scheme!r} is none: remove {scope!r}"
        elif scope not in declared:
            yield f"{name}: scope {scope!r} is not declared by the security scheme {scheme!r}: add it to its flows"


def _scopes(scheme: Mapping[str, Any]) -> list[str]:
    return [scope for flow in scheme.get("flows", {}).values() for scope in flow.get("scopes", {})]


def _import_problem(name: str) -> str | None:
    try:
        function = get_function_from_name(name)
    except Exception as error:  # noqa: BLE001  # whatever importing a person's module raises is what they must know
        return f"{type(error).__name__}: {error}"
    return None if callable(function) else "it is not callable"
