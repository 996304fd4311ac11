"""The rules that any contract must follow, whatever its operations. Each yields what it complains of."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from resource_server.contract.schemas import Schemas, Validator
from resource_server.contract.spec import Contract, inlined, operations
from resource_server.contract.validity import formal_complaints, textual_complaints

_FREE = (
    *("content", "encoding", "headers", "links", "parameters", "paths"),
    *("properties", "requestBodies", "responses", "schemas", "securitySchemes"),
)
"""Members whose own members have names that anybody may choose."""

Place = tuple[str, ...]


def complaints(contract: Contract) -> list[str]:
    """What the rules have to say against a contract."""
    invalid = list(_invalid(contract))
    return invalid or [complaint for rule in RULES for complaint in rule(contract)]


def _invalid(contract: Contract) -> Iterator[str]:
    yield from list(formal_complaints(contract)) or textual_complaints(contract)


def security_is_stated(contract: Contract) -> Iterator[str]:
    """An operation is public because it says so, never because nobody thought of it."""
    for method, path, operation, _ in operations(contract):
        if "security" not in contract and "security" not in operation:
            yield f"{method} {path}: it says nothing of security: add `security: []` if everybody may call it"


def refusals_are_declared(contract: Contract) -> Iterator[str]:
    """Clients can read which refusals to expect, and that 401 and 403 carry a challenge."""
    resolved = inlined(contract)
    for method, path, operation, security in operations(resolved):
        expected = {
            "400": any(security) or _takes_input(resolved["paths"][path]) or _takes_input(operation),
            "401": any(security),
            "403": any(scopes for requirement in security for scopes in requirement.values()),
        }
        for status in (status for status, may_happen in expected.items() if may_happen):
            response = operation["responses"].get(status)
            if response is None:
                yield f"{method} {path}: it can be refused with {status}, which is not among its responses"
            elif status != "400" and not _requires_header(response, "www-authenticate"):
                yield f"{method} {path}: its {status} has no header WWW-Authenticate that is required"


def _takes_input(place: Mapping[str, Any]) -> bool:
    # A path whose parameters don't fit is not found.
    return "requestBody" in place or any(parameter["in"] != "path" for parameter in place.get("parameters", ()))


def _requires_header(response: Mapping[str, Any], name: str) -> bool:
    return any(header.get("required") for key, header in response.get("headers", {}).items() if key.lower() == name)


def responses_have_examples(contract: Contract) -> Iterator[str]:
    """Every body that the API may send is shown."""
    for place, node in _objects(contract):
        if "responses" in place and place[-2] == "content" and not {"example", "examples"} & node.keys():
            yield f"{_pointer(place)}: it has no example"


def examples_are_valid(contract: Contract) -> Iterator[str]:
    """Every example, of a body, a parameter, a header or a property, is one of what it is an example of."""
    schemas = Schemas(contract)
    for place, node in _objects(contract):
        for name, value in _examples(node):
            for fault in _validator(schemas, place, node.get("schema", node)).faults(value):
                yield f"{_pointer((*place, *name))}{fault.pointer[1:]}: {fault.detail}"


def _examples(node: Mapping[str, Any]) -> Iterator[tuple[Place, Any]]:
    if "example" in node:
        yield ("example",), node["example"]
    examples = node.get("examples", {})
    if isinstance(examples, list):  # a schema's, from 3.1 on
        yield from ((("examples", str(index)), value) for index, value in enumerate(examples))
        return
    for name, example in examples.items():
        for member in ("value", "dataValue"):  # the second is 3.2's
            if member in example:
                yield ("examples", name), example[member]


def _validator(schemas: Schemas, place: Place, schema: Any) -> Validator:
    if "responses" in place:
        return schemas.of_answers(schema)
    return schemas.of_requests(schema) if {"requestBody", "requestBodies"} & set(place) else schemas.of_both(schema)


def scopes_are_declared_and_used(contract: Contract) -> Iterator[str]:
    """The scopes that people are asked to grant are those that some operation needs."""
    schemes = contract.get("components", {}).get("securitySchemes", {})
    flows = [(name, flow) for name, scheme in schemes.items() for flow in scheme.get("flows", {}).values()]
    used = [
        (name, scope) for *_, all_of in operations(contract) for one in all_of for name in one for scope in one[name]
    ]
    for scheme, scope in dict.fromkeys((name, scope) for name, flow in flows for scope in flow["scopes"]):
        if (scheme, scope) not in used:
            yield f"security scheme {scheme!r}: no operation needs the scope {scope!r}"
    for scheme, scope in dict.fromkeys(used):
        if any(name == scheme and scope not in flow["scopes"] for name, flow in flows):
            yield f"security scheme {scheme!r}: not every flow declares the scope {scope!r}, which an operation needs"


def components_are_used(contract: Contract) -> Iterator[str]:
    """What nothing refers to has no reader."""
    references = [f"{reference}/" for reference in re.findall(r'"\$ref": "([^"]*)"', json.dumps(contract))]
    schemes = {name for *_, security in operations(contract) for requirement in security for name in requirement}
    for section, components in contract.get("components", {}).items():
        for name in components:
            pointer = _pointer(("components", section, name))
            needed = section == "securitySchemes" and name in schemes
            if not needed and not any(reference.startswith(f"{pointer}/") for reference in references):
                yield f"{pointer}: nothing refers to it"


def texts_read_alike(contract: Contract) -> Iterator[str]:
    """Descriptions are sentences; summaries are headings."""
    for place, node in _objects(contract):
        description, summary = node.get("description"), node.get("summary")
        if isinstance(description, str) and not description.rstrip().endswith("."):
            yield f"{_pointer(place)}: its description doesn't end with a full stop"
        if isinstance(summary, str) and (summary.endswith(".") or not summary[:1].isupper()):
            yield f"{_pointer(place)}: its summary doesn't start with a capital letter, or ends with a full stop"


RULES = (
    security_is_stated,
    refusals_are_declared,
    responses_have_examples,
    examples_are_valid,
    scopes_are_declared_and_used,
    components_are_used,
    texts_read_alike,
)


def _objects(contract: Contract) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    return _below((), contract, inlined(contract))


def _below(place: Place, node: Any, resolved: Any, *, free: bool = False) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Each of OpenAPI's objects at or below a place, references in it replaced; a component is only where it stands."""
    if isinstance(node, list):
        for index, member in enumerate(node):
            yield from _below((*place, str(index)), member, resolved[index])
    elif isinstance(node, dict) and "$ref" not in node:
        if not free:
            yield place, resolved
        for name, member in node.items():
            if free or not name.startswith(("example", "default", "enum", "x-")):
                yield from _below((*place, name), member, resolved[name], free=not free and name in _FREE)


def _pointer(place: Place) -> str:
    return "/".join(["#", *(name.replace("~", "~0").replace("/", "~1") for name in place)])
