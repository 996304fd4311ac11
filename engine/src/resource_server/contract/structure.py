"""What OpenAPI's objects are made of: which member is what, so that data is never taken for structure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

Pointer = tuple[str, ...]
"""A place in a document, as a JSON pointer has it."""

_MAP, _LIST = "map of ", "list of "

_SCHEMA = {
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), f"{_LIST}schema"),
    **dict.fromkeys(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"), f"{_MAP}schema"),
    **dict.fromkeys(
        (
            *("additionalProperties", "items", "not", "if", "then", "else", "contains", "propertyNames"),
            *("unevaluatedItems", "unevaluatedProperties", "contentSchema"),
        ),
        "schema",
    ),
}
_PARAMETER = {"schema": "schema", "content": f"{_MAP}media type", "examples": f"{_MAP}example"}

_MEMBERS: Mapping[str, Mapping[str, str]] = {
    "document": {"paths": f"{_MAP}path item", "webhooks": f"{_MAP}path item", "components": "components"},
    "components": {
        "schemas": f"{_MAP}schema",
        "responses": f"{_MAP}response",
        "parameters": f"{_MAP}parameter",
        "examples": f"{_MAP}example",
        "requestBodies": f"{_MAP}request body",
        "headers": f"{_MAP}header",
        "securitySchemes": f"{_MAP}security scheme",
        "links": f"{_MAP}link",
        "callbacks": f"{_MAP}callback",
        "pathItems": f"{_MAP}path item",
        "mediaTypes": f"{_MAP}media type",
    },
    "path item": {
        "parameters": f"{_LIST}parameter",
        "additionalOperations": f"{_MAP}operation",
        **dict.fromkeys(
            ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query"),
            "operation",
        ),
    },
    "operation": {
        "parameters": f"{_LIST}parameter",
        "requestBody": "request body",
        "responses": f"{_MAP}response",
        "callbacks": f"{_MAP}callback",
    },
    "parameter": _PARAMETER,
    "header": _PARAMETER,
    "request body": {"content": f"{_MAP}media type"},
    "response": {"headers": f"{_MAP}header", "content": f"{_MAP}media type", "links": f"{_MAP}link"},
    "media type": {
        "schema": "schema",
        "itemSchema": "schema",
        "examples": f"{_MAP}example",
        "encoding": f"{_MAP}encoding",
        "prefixEncoding": f"{_LIST}encoding",
        "itemEncoding": "encoding",
    },
    "encoding": {"headers": f"{_MAP}header"},
    "schema": _SCHEMA,
}
"""By the kind of an object, the kinds of its members; what isn't here is data, or text."""


class Place(NamedTuple):
    """An object of a document: what it is, where it stands, and the object itself."""

    kind: str
    pointer: Pointer
    node: Any


def members(kind: str, node: Any) -> Iterator[tuple[Pointer, str, Any]]:
    """The objects directly below one: the way to each, its kind, and the object itself."""
    if not isinstance(node, dict):
        return
    if kind == "callback":
        yield from (((name,), "path item", value) for name, value in node.items() if not name.startswith("x-"))
        return
    known = _MEMBERS.get(kind, {})
    for name in [name for name in node if name in known]:
        below, value = known[name], node[name]
        if isinstance(value, list):
            below = below.removeprefix(_LIST)
            yield from (((name, str(index)), below, each) for index, each in enumerate(value))
        elif not below.startswith(_MAP):
            yield (name,), below, value
        elif isinstance(value, dict):
            below, extensible = below.removeprefix(_MAP), name in _EXTENSIBLE and kind != "components"
            yield from (
                ((name, key), below, each) for key, each in value.items() if not (extensible and key.startswith("x-"))
            )


_EXTENSIBLE = ("paths", "responses")
"""Maps whose members may be extensions, too."""


def places(document: Mapping[str, Any], kind: str = "document", pointer: Pointer = ()) -> Iterator[Place]:
    """Each object at or below one, references as they stand."""
    waiting = [Place(kind, pointer, document)]
    while waiting:
        place = waiting.pop()
        yield place
        if reference(place.kind, place.node) is None or place.kind in ("schema", "path item"):
            below = [Place(kind, (*place.pointer, *way), node) for way, kind, node in members(place.kind, place.node)]
            waiting += reversed(below)


def with_members(kind: str, node: Any, change: Callable[[str, Any], Any]) -> Any:
    """A copy of an object, each object directly below it changed."""
    if not isinstance(node, dict):
        return node
    copy = dict(node)
    for way, below, value in members(kind, node):
        holder: Any = copy
        if len(way) > 1:
            if copy[way[0]] is node[way[0]]:
                copy[way[0]] = node[way[0]].copy()
            holder = copy[way[0]]
        holder[int(way[-1]) if isinstance(holder, list) else way[-1]] = change(below, value)
    return copy


def reference(kind: str, node: Any) -> str | None:
    """What an object refers to in place of being it."""
    target = node.get("$ref") if isinstance(node, dict) and kind not in ("document", "components") else None
    return target if isinstance(target, str) else None


def written(pointer: Pointer) -> str:
    """A pointer as a URI has it (RFC 6901, section 6)."""
    return "/".join(("#", *(each.replace("~", "~0").replace("/", "~1") for each in pointer)))


def parsed(fragment: str) -> Pointer:
    """The pointer that a fragment without its `#` is, decoded."""
    if not fragment:
        return ()
    return tuple(each.replace("~1", "/").replace("~0", "~") for each in fragment.removeprefix("/").split("/"))


def at(document: Any, pointer: Pointer) -> Any:
    """What stands at a place.

    Raises:
        LookupError: Nothing does.
    """
    for name in pointer:
        if isinstance(document, list):
            document = document[int(name)] if name.isdigit() else _nothing(name)
        elif isinstance(document, dict):
            document = document[name]
        else:
            _nothing(name)
    return document


def _nothing(name: str) -> Any:
    raise LookupError(name)
