"""Whether a contract can be served and enforced as it stands: what it promises, and nothing it says is passed over."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any
from urllib.request import parse_http_list

from connexion.utils import get_function_from_name

from resource_server.contract.compiled import Compiled, Declared
from resource_server.contract.schemas import FORMATS
from resource_server.contract.spec import (
    TOKEN_KINDS,
    Contract,
    claim_rules,
    needs_access_token,
    operations,
    paths,
    scheme_kind,
    scheme_scopes,
    takes_access_token,
)
from resource_server.contract.structure import places, written
from resource_server.contract.types import SEQUENCES
from resource_server.tokens.errors import QUOTABLE
from resource_server.tokens.rules import EQUALS_PATH_PARAMETER, good_claims, rules_of, unmet

_VALIDATORS = {
    "oauth2": "x-tokenInfoFunc",
    "openIdConnect": "x-tokenInfoFunc",
    "apiKey": "x-apikeyInfoFunc",
    "basic": "x-basicInfoFunc",
    "bearer": "x-bearerInfoFunc",
}
"""By scheme, the member that names the function which validates its credentials."""

_STEP_UP = ("x-acr-values", "x-max-age")
_CLAIMS = "x-claims"
_POLICY = (*_STEP_UP, _CLAIMS)
_BODY_NAME = "x-body-name"
OWN = (*_POLICY, *set(_VALIDATORS.values()), "x-openapi-router-controller", _BODY_NAME)
"""What has a meaning here."""

_NO_BODY = ("operation", "media type", "schema")
"""Where converters and Connexion 2 have the name of a body."""

_RESERVED = ("/ui", "/ui/", "/openapi.json", "/openapi.yaml")
_SCOPE = re.compile(r"[!#-\[\]-~]+")  # RFC 6749, section 3.3
_HINT = "like security.token_info for access tokens"


def complaints(compiled: Compiled) -> Iterator[str]:
    """What can't be served or enforced: each with its place, and what to write."""
    yield from _extension_complaints(compiled.contract)
    yield from _path_complaints(compiled.contract)
    yield from _range_complaints(compiled.contract)
    for name, scheme in compiled.schemes.items():
        yield from _scheme_complaints(name, scheme)
    functions: dict[str, str] = {}
    wrong = list(_policy_complaints(compiled.contract))
    yield from wrong
    for declared in compiled.operations():
        yield from _handler_complaints(declared, functions)
        for requirement in declared.security:
            yield from _requirement_complaints(declared.name, requirement, compiled.schemes)
        yield from _step_up_complaints(declared, compiled.schemes)
        if not wrong:
            yield from _rule_complaints(declared, compiled)


def _extension_complaints(contract: Contract) -> Iterator[str]:
    """Members that look like ours and aren't: what was meant would not be enforced."""
    alike = {_plain(name): name for name in OWN}
    for kind, pointer, node in places(contract):
        if isinstance(node, dict) and kind in _NO_BODY and _BODY_NAME in node:
            yield f"{written((*pointer, _BODY_NAME))}: nothing reads it here: move it into the requestBody"
        if not isinstance(node, dict) or kind not in ("document", "path item", "operation", "security scheme"):
            continue
        for name in (name for name in node if name.startswith("x-") and name not in OWN):
            close = get_close_matches(_plain(name), alike, 1, 0.8)
            close += ["claims"] if "claim" in name.lower() and kind in ("document", "operation") else []
            if close:
                yield f"{written((*pointer, name))}: it means nothing: write `{alike[close[0]]}`, or another name"


def remarks(contract: Contract) -> Iterator[str]:
    """What is served, but not all that it seems.

    Formats that are unknown, bodies that only their handlers can judge, and paths that no request has.
    """
    yield from (f"{path}: no request has a path with ? or #" for path in paths(contract) if set("?#") & set(path))
    known = set(FORMATS)
    for kind, pointer, node in places(contract):
        if kind == "schema" and isinstance(node, dict) and isinstance(node.get("format"), str):
            if node["format"] not in known:
                known.add(node["format"])
                yield f"{written((*pointer, 'format'))}: nothing checks the format {node['format']!r}"
        elif kind == "request body" and isinstance(node, dict):
            for name, definition in node.get("content", {}).items():
                if not _is_validated(name, definition):
                    yield f"{written((*pointer, 'content', name))}: nothing validates {name}; its handlers get bytes"


def _is_validated(media_type: str, definition: Any) -> bool:
    essence = media_type.partition(";")[0].strip().lower()
    if "itemSchema" in definition:
        return essence in SEQUENCES
    return essence in _VALIDATED or essence.endswith("+json") or essence.startswith(_BYTES)


_VALIDATED = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
_BYTES = ("application/octet-stream", "image/", "audio/", "video/", "*/*", "application/*", "text/*")
"""Of which there is nothing to validate, or not before one knows which it is."""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower().removeprefix("x-"))


def _path_complaints(contract: Contract) -> Iterator[str]:
    for path in paths(contract):
        if path in _RESERVED:
            yield f"{path}: this path is taken, by Swagger UI or the contract itself"


def _handler_complaints(declared: Declared, functions: dict[str, str]) -> Iterator[str]:
    name, handler = declared.name, declared.handler
    if declared.method == "TRACE":
        yield f"{name}: operations of this method can't be declared: TRACE would echo the access token"
    if handler is None:
        yield (
            f"{name}: it has no operationId: name the function that handles it, like api.handlers.private, "
            "or its module as the contract's x-openapi-router-controller"
        )
        return
    if handler in functions:
        yield f"{name}: {handler} handles {functions[handler]}, too: give each operation an operationId of its own"
    functions[handler] = name
    if "." not in handler:
        yield (
            f"{name}: operationId {handler!r} names no module: write it like api.handlers.{handler}, "
            "or add `x-openapi-router-controller: api.handlers` to the contract"
        )
        return
    if problem := _import_problem(handler):
        yield f"{name}: operationId {handler!r} can't be imported ({problem}): define the function or correct the name"


def _range_complaints(contract: Contract) -> Iterator[str]:
    """Ranges of media types that nothing is in (RFC 9110, section 12.5.1): whatever is sent would be refused."""
    for kind, pointer, node in places(contract):
        if kind != "request body" or not isinstance(node, dict):
            continue
        for name, definition in node.get("content", {}).items():
            place = (*pointer, "content", name)
            found = [(place, name)]
            for field, encoding in definition.get("encoding", {}).items():
                types = parse_http_list(encoding.get("contentType", ""))
                found += (((*place, "encoding", field, "contentType"), each) for each in types)
            for where, each in found:
                essence = each.partition(";")[0].strip()
                if "*" in essence and not _RANGE.fullmatch(essence):
                    yield f"{written(where)}: no media type is in {essence!r}: write it like {_RANGES}"


_RANGE = re.compile(r"\*/\*|[^*/]+/\*(\+[^*/+]+)?")
_RANGES = "image/png, image/*, application/*+json or */*"


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
    functions = {
        schemes[scheme].get(_VALIDATORS[kind])
        for scheme in requirement
        if (kind := scheme_kind(schemes[scheme])) in TOKEN_KINDS
    }
    if len(functions) > 1:
        yield (
            f"{name}: schemes whose tokens are validated by different functions can't both be required; "
            "a request has one access token"
        )


def _validator_complaints(name: str, scheme: str, definition: Mapping[str, Any]) -> Iterator[str]:
    kind = scheme_kind(definition)
    member = _VALIDATORS.get(kind)
    if member is None:
        yield f"{name}: security schemes of type {kind!r}, like {scheme!r}, are not supported{_INSTEAD.get(kind, '')}"
    elif member not in definition:
        yield f"security scheme {scheme!r} has no validator: add {member} with the function that validates, {_HINT}"
    elif problem := _import_problem(definition[member]):
        yield f"security scheme {scheme!r}: {member} {definition[member]!r} can't be imported ({problem})"


_INSTEAD = {
    "mutualTLS": ": have a proxy check the certificate, and write an apiKey scheme for the header in which it names it"
}


def _scope_complaints(name: str, scheme: str, definition: Mapping[str, Any], scopes: list[str]) -> Iterator[str]:
    kind, declared = scheme_kind(definition), scheme_scopes(definition)
    for scope in scopes:
        if kind not in ("oauth2", "openIdConnect"):
            yield f"{name}: scopes are enforced for oauth2 schemes only, and {scheme!r} is none: remove {scope!r}"
        elif not _SCOPE.fullmatch(scope):
            yield f"{name}: {scope!r} can't be a scope (RFC 6749, section 3.3)"
        elif kind == "oauth2" and scope not in declared:
            yield f"{name}: scope {scope!r} is not declared by the security scheme {scheme!r}: add it to its flows"


def _step_up_complaints(declared: Declared, schemes: Mapping[str, Any]) -> Iterator[str]:
    name, operation = declared.name, declared.operation
    acr_values, max_age = operation.get("x-acr-values"), operation.get("x-max-age")
    if "x-acr-values" in operation and not _is_acr_values(acr_values):
        yield f"{name}: x-acr-values must be text, like 'urn:example:mfa', several separated by spaces"
    if "x-max-age" in operation and (type(max_age) is not int or not 0 <= max_age < 2**31):
        yield f"{name}: x-max-age must be a number of seconds"
    if (acr_values is not None or max_age is not None) and not needs_access_token(declared.security, schemes):
        yield f"{name}: x-acr-values and x-max-age need an access token in each alternative of its security"


def _is_acr_values(value: object) -> bool:
    return isinstance(value, str) and bool(value.split()) and QUOTABLE.fullmatch(value) is not None


def _policy_complaints(contract: Contract) -> Iterator[str]:
    """What stands where nothing enforces it, and what is no `x-claims`."""
    enforced = {id(operation) for *_, operation, _ in operations(contract)}
    for pointer, node in _objects(contract):
        for member in (name for name in _POLICY if name in node):
            place = written((*pointer, member))
            if id(node) not in enforced and (pointer or member != _CLAIMS):
                yield f"{place}: it belongs to an operation, and is enforced nowhere else"
            elif member == _CLAIMS:
                try:
                    rules_of(node[_CLAIMS])
                except ValueError as error:
                    yield f"{place}: {error}"


def _objects(contract: Contract) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Each object of a document, but for those that name things by the document's own words, and for data."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), contract)]
    while waiting:
        pointer, node = waiting.pop()
        if isinstance(node, dict):
            if not pointer or pointer[-1] not in _NAMED:
                yield pointer, node
            waiting += (((*pointer, str(name)), each) for name, each in node.items() if name not in _DATA)
        elif isinstance(node, list):
            waiting += (((*pointer, str(index)), each) for index, each in enumerate(node))


_NAMED = (
    *("properties", "patternProperties", "dependentSchemas", "$defs", "definitions", "schemas", "mapping"),
    *("headers", "parameters", "responses", "requestBodies", "securitySchemes", "links", "encoding", "content"),
    *("variables", "scopes"),
)
_DATA = ("example", "examples", "default", "enum", "const", _CLAIMS)


def _rule_complaints(declared: Declared, compiled: Compiled) -> Iterator[str]:
    """Rules that can't be enforced, or that no token can meet."""
    name = declared.name
    if _CLAIMS in declared.operation and not needs_access_token(declared.security, compiled.schemes):
        yield f"{name}: {_CLAIMS} needs an access token in each alternative of its security"
    if not takes_access_token(declared.security, compiled.schemes):
        return
    rules = claim_rules(compiled.contract, declared.operation)
    for rule in rules:
        if rule.keyword == EQUALS_PATH_PARAMETER and not _is_plain_parameter(rule.value, declared, compiled):
            yield (
                f"{name}: {_CLAIMS}: {rule.claim!r}: its path has no parameter {rule.value!r} of type string or "
                "integer, of style simple: name one, or write it in the operations that have it"
            )
    fixed = [rule for rule in rules if rule.keyword != EQUALS_PATH_PARAMETER]
    good = good_claims(fixed, {})
    contradicted = unmet(fixed, good, {}) or ([] if isinstance(good.get("sub", ""), str) else ["sub"])
    if contradicted:
        yield f"{name}: {_CLAIMS}: no token can meet all that is required of {contradicted[0]!r}"


def _is_plain_parameter(name: str, declared: Declared, compiled: Compiled) -> bool:
    return any(
        parameter["in"] == "path"
        and parameter["name"] == name
        and parameter.get("style", "simple") == "simple"
        and compiled.types.of(parameter.get("schema")) in (("string",), ("integer",))
        for parameter in declared.parameters
    )


def _import_problem(name: str) -> str | None:
    try:
        function = get_function_from_name(name)
    except Exception as error:  # noqa: BLE001  # whatever importing a person's module raises is what they must know
        return f"{type(error).__name__}: {error}"
    return None if callable(function) else "it is not callable"
