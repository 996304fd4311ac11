"""Reading a contract, and the checks before anything is served: what it promises must be enforceable."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from connexion.json_schema import resolve_refs
from connexion.utils import get_function_from_name, inspect_function_arguments
from openapi_spec_validator import validate

from resource_server.contract.spec import Contract, ContractError, base_path, operations, scheme_kind, scheme_scopes
from resource_server.tokens.errors import QUOTABLE

_UNSUPPORTED_METHODS = {
    "head": "GET answers HEAD",
    "options": "OPTIONS is for CORS",
    "trace": "TRACE would echo the access token",
}
_VALIDATORS = {
    "oauth2": "x-tokenInfoFunc",
    "apiKey": "x-apikeyInfoFunc",
    "basic": "x-basicInfoFunc",
    "bearer": "x-bearerInfoFunc",
}
"""By scheme, the member that names the function which validates its credentials."""

_STEP_UP = frozenset(("x-acr-values", "x-max-age"))
_RESERVED = ("/ui", "/openapi.json", "/openapi.yaml")
_SCOPE = re.compile(r"[!#-\[\]-~]+")  # RFC 6749, section 3.3


def load_contract(source: Path | Contract) -> Contract:
    """Read a contract, or take one that has been read, and check that it can be served and enforced.

    Checks, beyond what `read_contract` does, that each operationId and validator function can be imported, that each
    scheme in use has a validator, and that scopes are asked for only where they are enforced and declared.

    Raises:
        ContractError: It can't be.
    """
    contract = read_contract(source)
    for complaint in _complaints(resolve_refs(contract)):
        raise ContractError(f"{_name(source)}: {complaint}")
    return contract


def read_contract(source: Path | Contract) -> Contract:
    """Read an OpenAPI 3.0 document, whoever serves it. References to other files are replaced by what they refer to.

    Raises:
        ContractError: It can't be read, or isn't valid.
    """
    path = _name(source)
    folder = source.resolve().parent if isinstance(source, Path) else Path.cwd()
    try:
        document = yaml.load(source.read_text(encoding="utf-8"), _Loader) if isinstance(source, Path) else source  # noqa: S506  # safe
        contract: Contract = _with_text_keys(document)
        json.dumps(contract, allow_nan=False)
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise ContractError(f"{path}: it can't be read as YAML that is JSON, too: {error}") from error
    if not isinstance(contract, dict) or not str(contract.get("openapi", "")).startswith("3.0."):
        raise ContractError(f"{path}: it must be an OpenAPI 3.0 document: write 'openapi: 3.0.3'")
    try:
        resolved = resolve_refs(contract, base_uri=f"{folder}{os.sep}")
    except Exception as error:  # whichever reader stumbles: files, URLs, YAML, pointers, circles
        raise ContractError(f"{path}: a $ref leads nowhere, or in a circle: {type(error).__name__}: {error}") from error
    if _refers_elsewhere(contract):
        contract = resolved
    try:
        validate(contract)
    except Exception as error:  # what the validator stumbles over isn't valid either
        where = "/".join(map(str, getattr(error, "absolute_path", ())))
        said = str(error).partition("\n")[0]  # the schema and all of the document follow
        raise ContractError(f"{path}: it is not valid OpenAPI, at /{where}: {said}") from error
    for complaint in _undeclared_schemes(resolved):
        raise ContractError(f"{path}: {complaint}")
    return contract


def _name(source: Path | Contract) -> str:
    return str(source) if isinstance(source, Path) else "The document"


class _Loader(yaml.SafeLoader):
    """YAML as JSON has it: what looks like a date stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _with_text_keys(node: Any) -> Any:
    # YAML reads `200:` as a number; JSON, and so OpenAPI, has names only.
    if isinstance(node, dict):
        return {str(key): _with_text_keys(value) for key, value in node.items()}
    return [_with_text_keys(value) for value in node] if isinstance(node, list) else node


def _refers_elsewhere(node: Any) -> bool:
    if isinstance(node, dict):
        reference = node.get("$ref")
        elsewhere = isinstance(reference, str) and not reference.startswith("#")
        return elsewhere or any(map(_refers_elsewhere, node.values()))
    return isinstance(node, list) and any(map(_refers_elsewhere, node))


def _undeclared_schemes(resolved: Contract) -> Iterator[str]:
    schemes = resolved.get("components", {}).get("securitySchemes", {})
    for method, path, _, security in operations(resolved):
        for scheme in (scheme for requirement in security for scheme in requirement if scheme not in schemes):
            yield f"{method} {path}: security scheme {scheme!r} is not declared in components/securitySchemes"


def _complaints(resolved: Contract) -> Iterator[str]:
    yield from _path_complaints(resolved)
    schemes = resolved.get("components", {}).get("securitySchemes", {})
    for name, scheme in schemes.items():
        yield from _scheme_complaints(name, scheme)
    for method, path, operation, security in operations(resolved):
        yield from _handler_complaints(f"{method} {path}", operation, resolved["paths"][path])
        for requirement in security:
            yield from _requirement_complaints(f"{method} {path}", requirement, schemes)
        yield from _step_up_complaints(f"{method} {path}", operation, security, schemes)


def _path_complaints(resolved: Contract) -> Iterator[str]:
    for place, item in (("", resolved), *resolved["paths"].items()):
        for member in _STEP_UP.intersection(item):
            yield f"{place}: {member} belongs to an operation, and is enforced nowhere else".removeprefix(": ")
    base = base_path(resolved)
    if not f"{base}/".startswith("/") or "{" in base:
        yield "the path of the first server must start with a slash, and each variable in it have a default"
    for path in resolved["paths"]:
        if path in _RESERVED or path.startswith("/ui/"):
            yield f"{path}: this path is taken, by Swagger UI or the contract itself"


def _handler_complaints(name: str, operation: Mapping[str, Any], item: Mapping[str, Any]) -> Iterator[str]:
    method, operation_id = name.partition(" ")[0].lower(), operation.get("operationId")
    if method in _UNSUPPORTED_METHODS:
        yield f"{name}: operations of this method can't be declared: {_UNSUPPORTED_METHODS[method]}"
    if operation_id is None:
        yield f"{name}: it has no operationId: name the function that handles it, like api.handlers.private"
        return
    controller = operation.get("x-openapi-router-controller") or item.get("x-openapi-router-controller")
    handler = f"{controller}.{operation_id}" if controller else operation_id
    if problem := _import_problem(handler):
        yield f"{name}: operationId {handler!r} can't be imported ({problem}): define the function or correct the name"
        return
    arguments, takes_all = inspect_function_arguments(get_function_from_name(handler))
    for parameter in (*item.get("parameters", ()), *operation.get("parameters", ())):
        argument = parameter["name"].replace("-", "_")
        if parameter["in"] == "path" and not takes_all and argument not in arguments:
            yield f"{name}: {handler} takes no argument {argument!r}, which the path has"


def _scheme_complaints(name: str, scheme: Mapping[str, Any]) -> Iterator[str]:
    for member in ("x-scopeValidateFunc", "x-tokenInfoUrl"):
        if member in scheme:
            yield f"security scheme {name!r}: {member} is not supported: check it in the function of x-tokenInfoFunc"
    for scope in scheme_scopes(scheme):
        if not _SCOPE.fullmatch(scope):
            yield f"security scheme {name!r}: {scope!r} can't be a scope (RFC 6749, section 3.3)"


def _requirement_complaints(
    name: str, requirement: Mapping[str, list[str]], schemes: Mapping[str, Any]
) -> Iterator[str]:
    for scheme, scopes in requirement.items():
        yield from _validator_complaints(name, scheme, schemes[scheme])
        yield from _scope_complaints(name, scheme, schemes[scheme], scopes)
    if sum(scheme_kind(schemes[scheme]) in ("oauth2", "bearer") for scheme in requirement) > 1:
        yield f"{name}: two OAuth2 schemes can't both be required; a request has one access token"


def _validator_complaints(name: str, scheme: str, definition: Mapping[str, Any]) -> Iterator[str]:
    kind = scheme_kind(definition)
    member = _VALIDATORS.get(kind)
    if member is None:
        yield f"{name}: security schemes of type {kind!r}, like {scheme!r}, are not supported"
    elif member not in definition:
        yield f"security scheme {scheme!r} has no validator: add {member} with the function that validates, {_HINT}"
    elif problem := _import_problem(definition[member]):
        yield f"security scheme {scheme!r}: {member} {definition[member]!r} can't be imported ({problem})"


def _scope_complaints(name: str, scheme: str, definition: Mapping[str, Any], scopes: list[str]) -> Iterator[str]:
    declared = scheme_scopes(definition)
    for scope in scopes:
        if scheme_kind(definition) != "oauth2":
            yield f"{name}: scopes are enforced for oauth2 schemes only, and {scheme!r} is none: remove {scope!r}"
        elif scope not in declared:
            yield f"{name}: scope {scope!r} is not declared by the security scheme {scheme!r}: add it to its flows"


def _step_up_complaints(
    name: str, operation: Mapping[str, Any], security: list[dict[str, list[str]]], schemes: Mapping[str, Any]
) -> Iterator[str]:
    acr_values, max_age = operation.get("x-acr-values"), operation.get("x-max-age")
    if "x-acr-values" in operation and not _is_acr_values(acr_values):
        yield f"{name}: x-acr-values must be text, like 'urn:example:mfa', several separated by spaces"
    if "x-max-age" in operation and (type(max_age) is not int or not 0 <= max_age < 2**31):
        yield f"{name}: x-max-age must be a number of seconds"
    tokens = [any(scheme_kind(schemes[scheme]) in ("oauth2", "bearer") for scheme in each) for each in security]
    if (acr_values is not None or max_age is not None) and not (tokens and all(tokens)):
        yield f"{name}: x-acr-values and x-max-age need an access token in each alternative of its security"


def _is_acr_values(value: object) -> bool:
    return isinstance(value, str) and bool(value.split()) and QUOTABLE.fullmatch(value) is not None


_HINT = "like security.token_info for access tokens"


def _import_problem(name: str) -> str | None:
    try:
        function = get_function_from_name(name)
    except Exception as error:  # noqa: BLE001  # whatever importing a person's module raises is what they must know
        return f"{type(error).__name__}: {error}"
    return None if callable(function) else "it is not callable"
