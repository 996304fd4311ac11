"""The contract as the generator gets it."""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from resource_server.contract.spec import Contract, inlined, operations
from resource_server.contract.structure import places

Security = list[dict[str, list[str]]]

_SCHEMAS = "#/components/schemas/"

_TYPES = {"any", "array", "binary", "boolean", "date", "datetime", "file", "integer", "map", "number", "object", "set"}
_TYPES |= {"string", "uri", "uuid"}
"""What generators take for their own types, though it is the name of a schema."""


def generator_view(contract: Contract, server: str) -> Contract:
    """The contract, changed so that every generator makes a client that people can use.

    - An operation is called by the last part of its operationId, which is a Python function's dotted name; without one
      by its method and path.
    - Access tokens belong to an HTTP bearer scheme. With an OAuth2 scheme TypeScript's client sends a token without the
      word Bearer, Java's and Ruby's ask for a whole OAuth2 client, and Go's for a module of one.
    - An operation has one tag, so that one class has it: TypeScript's doesn't compile with two.
    - A schema doesn't have the name of a type, like `file`.
    - There are no webhooks: who calls the API is called by them, and Python's client of one is no Python.
    - An operation's description ends with its scopes, which such a scheme doesn't have, and its errors, which not every
      template shows.

    Args:
        contract: What `read_contract` returns.
        server: The URL that the client calls unless it is told another.
    """
    view, resolved = copy.deepcopy(contract), inlined(contract)
    view["servers"] = [{"url": server}]
    view.pop("webhooks", None)
    _rename_schemas(view)
    schemes = view.get("components", {}).get("securitySchemes", {})
    for name, scheme in schemes.items():
        schemes[name] = _bearer(scheme)
    if "security" in view:
        view["security"] = _without_scopes(view["security"])
    for method, path, shown, _ in operations(view):
        if "operationId" not in shown:
            shown["operationId"] = re.sub(r"\W+", "_", f"{method.lower()}{path}").strip("_")  # type: ignore[index]  # of the copy
    names = operation_names([str(shown["operationId"]) for *_, shown, _ in operations(view)])
    for (*_, shown, _), (*_, known, security) in zip(operations(view), operations(resolved), strict=True):
        _describe(shown, known, security, names)  # type: ignore[arg-type]  # of the copy
    return view


def operation_names(identifiers: Sequence[str]) -> dict[str, str]:
    """What each operation is called: as much of the end of its operationId as no other one ends with."""
    names = {}
    for identifier in filter(None, identifiers):
        endings = [_ending(identifier, parts) for parts in range(1, identifier.count(".") + 2)]
        alone = [ending for parts, ending in enumerate(endings, 1) if _owners(ending, parts, identifiers) == 1]
        names[identifier] = alone[0] if alone else endings[-1]
    return names


def _ending(identifier: str, parts: int) -> str:
    return "_".join(identifier.split(".")[-parts:])


def _owners(ending: str, parts: int, identifiers: Sequence[str]) -> int:
    # In another language `get_item` may be getItem or GetItem.
    return [_plain(_ending(identifier, parts)) for identifier in identifiers].count(_plain(ending))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _rename_schemas(view: dict[str, Any]) -> None:
    schemas = view.get("components", {}).get("schemas", {})
    renamed = {name: f"{name[0].upper()}{name[1:]}Schema" for name in schemas if name.lower() in _TYPES}
    if not renamed:
        return
    view["components"]["schemas"] = {renamed.get(name, name): schema for name, schema in schemas.items()}
    targets = {f"{_SCHEMAS}{name}": f"{_SCHEMAS}{other}" for name, other in renamed.items()}
    for place in places(view):
        if place.kind == "schema" and isinstance(place.node, dict):
            mapping = place.node.get("discriminator", {}).get("mapping", {})
            for node, name in ((place.node, "$ref"), *((mapping, value) for value in mapping)):
                if name in node:
                    node[name] = targets.get(node[name], node[name])


def _bearer(scheme: dict[str, Any]) -> dict[str, Any]:
    if scheme.get("type") not in ("oauth2", "openIdConnect"):
        return scheme
    return {"type": "http", "scheme": "bearer", "description": scheme.get("description", "An access token.")}


def _without_scopes(security: Security) -> Security:
    plain: Security = [{name: [] for name in alternative} for alternative in security]
    return [alternative for number, alternative in enumerate(plain) if alternative not in plain[:number]]


def _describe(shown: dict[str, Any], known: Mapping[str, Any], security: Security, names: Mapping[str, str]) -> None:
    shown["operationId"] = names[shown["operationId"]]
    if "tags" in shown:
        shown["tags"] = shown["tags"][:1]
    if "security" in shown:
        shown["security"] = _without_scopes(shown["security"])
    paragraphs = (known.get("description", "").strip(), *_notes(known, security))
    shown["description"] = "\n\n".join(filter(None, paragraphs))


def _notes(operation: Mapping[str, Any], security: Security) -> Iterator[str]:
    # Paragraphs: most templates make one line of a list.
    scopes = [" and ".join(scope for names in alternative.values() for scope in names) for alternative in security]
    if any(scopes):
        yield f"Scopes: {', or '.join(filter(None, scopes))}."
    for status, response in operation["responses"].items():
        if status[0] not in "123":
            yield f"Error {status}: {response['description'].strip()}"
