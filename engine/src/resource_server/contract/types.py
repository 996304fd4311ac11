"""Texts of requests as values: a schema says which types they may have."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from resource_server.contract.spec import Contract, follow

ANYTHING = ("null", "boolean", "integer", "number", "object", "array", "string")
"""The types, what says most first: of a schema that allows them all nothing is known."""

_INTEGER = re.compile(r"[-+]?[0-9]{1,400}")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][-+]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "false": False}
_DEEPEST = 8
_SIGNS = {
    "object": {"properties", "additionalProperties", "minProperties", "maxProperties", "required"},
    "array": {"items", "minItems", "maxItems", "uniqueItems", "prefixItems"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "string": {"minLength", "maxLength", "pattern"},
}
"""What a schema that names no type is about, by its members."""


class Types:
    """What a contract's schemas say of types, through references and combinations.

    Args:
        contract: What has been read.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._later = not contract["openapi"].startswith("3.0.")

    def followed(self, schema: Any) -> Any:
        """A schema, or what it refers to; if it says more than that, both."""
        if self._later and isinstance(schema, dict) and "$ref" in schema and len(schema) > 1:
            beside = {name: value for name, value in schema.items() if name != "$ref"}
            return {**beside, "allOf": [{"$ref": schema["$ref"]}, *schema.get("allOf", ())]}
        return follow(self._contract, schema)

    def of(self, schema: Any, depth: int = _DEEPEST) -> tuple[str, ...]:
        """The types that a schema allows, what says most first."""
        schema = self.followed(schema)
        if not isinstance(schema, dict) or not depth:
            return ANYTHING
        allowed = set(ANYTHING)
        declared = schema.get("type")
        if declared is not None:
            allowed &= {declared} if isinstance(declared, str) else set(declared)
            if schema.get("nullable") is True:
                allowed.add("null")
        elif "enum" in schema or "const" in schema:
            allowed &= {_type_of(value) for value in schema.get("enum", [schema.get("const")])}
        else:
            allowed = next(({kind} for kind, names in _SIGNS.items() if not names.isdisjoint(schema)), allowed)
        for each in schema.get("allOf", ()):
            allowed = _both(allowed, set(self.of(each, depth - 1)))
        for name in ("oneOf", "anyOf"):
            if schema.get(name):
                allowed = _both(allowed, {kind for each in schema[name] for kind in self.of(each, depth - 1)})
        return tuple(kind for kind in ANYTHING if kind in allowed)

    def property(self, schema: Any, name: str, depth: int = _DEEPEST) -> Any:
        """The schema of a property, wherever it is declared; one that allows anything, if it isn't."""
        schema = self.followed(schema)
        if not isinstance(schema, dict) or not depth:
            return {}
        if name in schema.get("properties", {}):
            return schema["properties"][name]
        for each in (*schema.get("allOf", ()), *schema.get("oneOf", ()), *schema.get("anyOf", ())):
            found = self.property(each, name, depth - 1)
            if found != {}:
                return found
        additional = schema.get("additionalProperties")
        return additional if isinstance(additional, dict) else {}

    def properties(self, schema: Any, depth: int = _DEEPEST) -> dict[str, Any]:
        """The properties that a schema declares, wherever."""
        schema = self.followed(schema)
        if not isinstance(schema, dict) or not depth:
            return {}
        found: dict[str, Any] = {}
        for each in (*schema.get("oneOf", ()), *schema.get("anyOf", ()), *schema.get("allOf", ())):
            found |= self.properties(each, depth - 1)
        return {**found, **schema.get("properties", {})}

    def is_open(self, schema: Any) -> bool:
        """Whether an object may have members that it doesn't declare."""
        schema = self.followed(schema)
        if not isinstance(schema, dict):
            return False
        return bool(schema.get("additionalProperties", not self.properties(schema)))

    def items(self, schema: Any, depth: int = _DEEPEST) -> Any:
        """The schema of an array's items."""
        schema = self.followed(schema)
        if not isinstance(schema, dict) or not depth:
            return {}
        if isinstance(schema.get("items"), dict):
            return schema["items"]
        for each in (*schema.get("allOf", ()), *schema.get("oneOf", ()), *schema.get("anyOf", ())):
            found = self.items(each, depth - 1)
            if found != {}:
                return found
        return {}

    def values(self, text: str, schema: Any, types: tuple[str, ...] | None = None) -> Iterator[Any]:
        """What a text may stand for, what says most first; the text itself, if it is no value of any of the types.

        Args:
            text: The text.
            schema: The schema of the values.
            types: What `of` says of the schema, if that is known.
        """
        types = self.of(schema) if types is None else types
        found = False
        if types == ANYTHING:
            types = ("string",)
        for kind in types:
            for value in _readings(kind, text):
                found = True
                yield value
        if not found:
            yield text

    def value(self, text: str, schema: Any) -> Any:
        """What a text stands for."""
        return next(self.values(text, schema))


def _both(one: set[str], other: set[str]) -> set[str]:
    integer = ("integer" in one and "number" in other) or ("integer" in other and "number" in one)
    return one & other | ({"integer"} if integer else set())


def _readings(kind: str, text: str) -> Iterator[Any]:
    if kind == "string":
        yield text
    elif kind == "integer" and _INTEGER.fullmatch(text):
        yield int(text)
    elif kind == "number" and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        yield float(text)
    elif kind == "boolean" and text.lower() in _BOOLEANS:
        yield _BOOLEANS[text.lower()]
    elif kind == "null" and text == "null":
        yield None


def _type_of(value: Any) -> str:
    for kind, types in (("null", type(None)), ("boolean", bool), ("integer", int), ("number", float), ("string", str)):
        if isinstance(value, types):
            return kind
    return "array" if isinstance(value, list) else "object"


def json_value(text: str) -> Any:
    """What a text of JSON stands for (RFC 8259): `NaN`, `Infinity` and halves of characters are none.

    Raises:
        ValueError: It is none.
        RecursionError: It is nested too deeply.
    """
    value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    if "\\ud" in text or "\\uD" in text:
        json.dumps(value, ensure_ascii=False).encode()  # half of a character has no bytes
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large a number")
    return value


SEQUENCES = {"application/jsonl": "\n", "application/x-ndjson": "\n", "application/json-seq": "\x1e"}
"""The media types of JSON values one after another (RFC 7464 is the last one's), and what stands between these."""


class Content(NamedTuple):
    """What a body must be.

    Args:
        schema: Of its value.
        separator: If it is a sequence of JSON values, what stands between them; their list is the value.
    """

    schema: Any
    separator: str | None

    @staticmethod
    def of(essence: str, definition: Mapping[str, Any]) -> "Content":
        """What the contract says of a media type (OpenAPI 3.2, Media Type Object)."""
        schema = definition.get("schema", {})
        if "itemSchema" not in definition or essence not in SEQUENCES:
            return Content(schema, None)
        listed = {"type": "array", "items": definition["itemSchema"]}
        return Content({"allOf": [schema, listed]} if schema else listed, SEQUENCES[essence])

    def value(self, text: str) -> Any:
        """What a text of JSON, or several, stands for.

        Raises:
            ValueError: It is none.
            RecursionError: It is nested too deeply.
        """
        if self.separator is None:
            return json_value(text)
        return [json_value(each) for each in text.split(self.separator) if each.strip()]
