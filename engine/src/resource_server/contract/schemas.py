"""Schemas of a contract, compiled: OpenAPI 3.0's by its own rules, those of later versions by JSON Schema 2020-12."""

import base64
import binascii
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple

import jsonschema_rs
from jsonschema_rs import ValidationErrorKind as Kind

from resource_server.contract.spec import Contract, referred
from resource_server.contract.structure import written

_KEPT = frozenset(
    (
        *("type", "enum", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"),
        *("maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "maxProperties", "minProperties"),
        *("required", "format"),
    )
)
_KEPT_LATER = _KEPT | {"const", "dependentRequired", "minContains", "maxContains"}
_LISTS = ("allOf", "anyOf", "oneOf")
_MAPS = ("properties",)
_ONES = ("not", "items", "additionalProperties")
_LISTS_LATER = (*_LISTS, "prefixItems")
_MAPS_LATER = (*_MAPS, "patternProperties", "dependentSchemas")
_ONES_LATER = (
    *(*_ONES, "if", "then", "else", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties"),
)
"""The members of a schema that validation goes by: texts and numbers, and schemas below it."""

_RANGES = {"int32": 2**31, "int64": 2**63}
_CHECKED = (
    *("date", "date-time", "time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6"),
    *("uri", "uri-reference", "iri", "iri-reference", "uri-template", "uuid"),
    *("json-pointer", "relative-json-pointer", "regex"),
)
FORMATS = frozenset((*_CHECKED, *_RANGES, "byte", "float", "double", "password", "binary"))
"""The formats that are known; one that isn't is checked by nobody."""

_SIZE = 64 * 2**20  # bytes of a compiled pattern: `.{1,8192}` takes 20 million
_LINEAR = jsonschema_rs.RegexOptions(size_limit=_SIZE)
_LIMITED = jsonschema_rs.FancyRegexOptions(backtrack_limit=100_000, size_limit=_SIZE)
"""How patterns are matched: in linear time, or, if they look around or back, in no more than so many steps."""

_LONGEST = 200
MOST_FAULTS = 20
"""How many faults are told at most."""


class Fault(NamedTuple):
    """What is wrong with a value, and where in it."""

    pointer: str
    detail: str


class Schemas:
    """The schemas of a contract.

    A reference leads into the contract, whatever stands there. What is `readOnly` may not be sent in requests, nor what
    is `writeOnly` in answers; neither is asked for there.

    Args:
        contract: What has been read.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._later = not contract["openapi"].startswith("3.0.")
        self._views = {hidden: _View(contract, hidden, later=self._later) for hidden in ("readOnly", "writeOnly", "")}

    def of_requests(self, schema: Any) -> "Validator":
        """What validates values of requests."""
        return Validator(self._views["readOnly"], schema)

    def of_answers(self, schema: Any) -> "Validator":
        """What validates values of answers."""
        return Validator(self._views["writeOnly"], schema)

    def of_both(self, schema: Any) -> "Validator":
        """What validates values wherever they stand: of `readOnly` and `writeOnly` nothing is hidden."""
        return Validator(self._views[""], schema)


class Validator:
    """Validates values against a schema, which is compiled when the first one comes.

    Args:
        view: Of the contract.
        schema: As it stands in the contract.
    """

    def __init__(self, view: "_View", schema: Any) -> None:
        self._view = view
        self._schema = schema

    @cached_property
    def _compiled(self) -> Any:
        return self._view.compiled(self._schema)

    def prepare(self) -> None:
        """Compile the schema now."""
        _ = self._compiled

    def is_valid(self, value: Any) -> bool:
        """Whether nothing is wrong with a value."""
        return bool(self._compiled.is_valid(value))

    def faults(self, value: Any) -> list[Fault]:
        """What is wrong with a value, `MOST_FAULTS` at most."""
        if self._compiled.is_valid(value):
            return []
        found: list[Fault] = []
        for error in self._compiled.iter_errors(value):
            found += (Fault(written(tuple(map(str, place))), said) for place, said in _causes(error))
            if len(found) >= MOST_FAULTS:
                break
        return found[:MOST_FAULTS]

    def own_faults(self, value: Any) -> Iterator[Fault]:
        """What is wrong with a long value itself, in little time: a text that is too long, members that are missing."""
        for each in self._always:
            if isinstance(value, str) and len(value) > (most := each.get("maxLength", len(value))):
                yield Fault("#", f"it is {len(value)} long, and its maxLength is {most}")
            if isinstance(value, dict):
                missing = [name for name in each.get("required", ()) if name not in value]
                yield from (Fault("#", f"{name!r} is required") for name in missing if name not in self._hidden)

    def members(self, value: Any) -> Iterator[tuple[str, Any, "Validator"]]:
        """The members of a value that are declared, each with what validates it; of lists, those of short ones."""
        if isinstance(value, dict):
            yield from ((name, value[name], below) for name, below in self._properties if name in value)
        if isinstance(value, list) and len(value) <= MOST_FAULTS:
            yield from ((str(index), each, below) for index, each in enumerate(value) for below in self._items)

    @cached_property
    def _always(self) -> list[Mapping[str, Any]]:
        return list(self._view.always(self._schema))

    @cached_property
    def _hidden(self) -> frozenset[str]:
        return self._view.hidden_names(self._schema)

    @cached_property
    def _properties(self) -> list[tuple[str, "Validator"]]:
        declared = [pair for each in self._always for pair in each.get("properties", {}).items()]
        return [(name, Validator(self._view, below)) for name, below in declared if name not in self._hidden]

    @cached_property
    def _items(self) -> list["Validator"]:
        return [Validator(self._view, each["items"]) for each in self._always if "items" in each]


class _View:
    """A contract's schemas as requests have them, or answers."""

    def __init__(self, contract: Contract, hidden: str, *, later: bool) -> None:
        self._contract = contract
        self._hidden = hidden
        self._later = later
        self._validator: Any = jsonschema_rs.Draft202012Validator if later else jsonschema_rs.Draft4Validator
        self._definitions = "$defs" if later else "definitions"
        self._maps: Sequence[str] = _MAPS_LATER if later else _MAPS
        self._below = {*self._maps, *(_LISTS_LATER if later else _LISTS), *(_ONES_LATER if later else _ONES)}
        self._kept = _KEPT_LATER if later else _KEPT
        self._names: dict[str, str] = {}
        self._translated: dict[str, tuple[Any, set[str]]] = {}
        self._lock = threading.Lock()

    def compiled(self, schema: Any) -> Any:
        """What validates against a schema."""
        with self._lock:
            document = self._document(schema)
        try:
            return self._compile(document, _LINEAR)
        except jsonschema_rs.ValidationError:  # a pattern looks around or back: what takes too many steps doesn't match
            return self._compile(document, _LIMITED)

    def _document(self, schema: Any) -> Any:
        """A schema with all that it refers to."""
        needed: set[str] = set()
        document = self._translate(schema, needed)
        definitions: dict[str, Any] = {}
        while needed:
            target = needed.pop()
            if self._names.get(target) not in definitions:
                definitions[self._name(target)], others = self._definition(target)
                needed |= others
        return {"allOf": [document], self._definitions: definitions} if definitions else document

    def _compile(self, document: Any, patterns: Any) -> Any:
        formats = {"byte": _is_base64} if self._later else {"byte": _is_base64, **_checks()}
        return self._validator(document, validate_formats=True, formats=formats, pattern_options=patterns, offline=True)

    def _name(self, target: str) -> str:
        return self._names.setdefault(target, f"d{len(self._names)}")

    def _definition(self, target: str) -> tuple[Any, set[str]]:
        if target not in self._translated:
            needed: set[str] = set()
            schema = referred(self._contract, target)  # which may itself refer to something, and say more
            self._translated[target] = self._translate(schema, needed), needed
        return self._translated[target]

    def _translate(self, schema: Any, needed: set[str], inherited: frozenset[str] = frozenset()) -> Any:
        """A schema as its draft has it; `needed` gets what it refers to."""
        if not isinstance(schema, dict):
            return schema if self._later else {}
        target = schema.get("$ref")
        if isinstance(target, str) and not self._later:
            return self._reference(target, needed)
        hidden = inherited | self.hidden_names(schema)
        found: dict[str, Any] = {name: value for name, value in schema.items() if name in self._kept}
        if isinstance(target, str):
            found |= self._reference(target, needed)
        for name in schema.keys() & self._below:
            passed = hidden if name == "allOf" else frozenset[str]()
            found[name] = self._translate_below(schema[name], name in self._maps, needed, passed)
        self._hide(schema, found, hidden)
        self._restrict(schema, found)
        return found

    def _translate_below(self, below: Any, is_map: bool, needed: set[str], inherited: frozenset[str]) -> Any:  # noqa: FBT001
        if isinstance(below, bool):
            return below
        if isinstance(below, list):
            return [self._translate(each, needed, inherited) for each in below]
        if is_map:
            return {name: self._translate(each, needed) for name, each in below.items()}
        return self._translate(below, needed)

    def _reference(self, target: str, needed: set[str]) -> dict[str, Any]:
        needed.add(target)
        return {"$ref": f"#/{self._definitions}/{self._name(target)}"}

    def _hide(self, schema: Mapping[str, Any], found: dict[str, Any], hidden: frozenset[str]) -> None:
        for name in hidden & schema.get("properties", {}).keys():
            found["properties"][name] = {"not": {"title": self._hidden}}  # a title tells it from others: none is kept
        if hidden and isinstance(found.get("required"), list):
            required = [name for name in found.pop("required") if name not in hidden]
            if required:
                found["required"] = required

    def hidden_names(self, schema: Any, depth: int = 8) -> frozenset[str]:
        """The properties that may not be there."""
        names: frozenset[str] = frozenset()
        for each in self._layers(schema):
            names |= {name for name, below in each.get("properties", {}).items() if self._is_hidden(below)}
            if depth:
                names = names.union(*(self.hidden_names(below, depth - 1) for below in each.get("allOf", ())))
        return names

    def always(self, schema: Any, depth: int = 8) -> Iterator[Mapping[str, Any]]:
        """The schemas that every value must meet: this one, what it refers to, and those of `allOf`."""
        for each in self._layers(schema):
            yield each
            for below in each.get("allOf", ()) if depth else ():
                yield from self.always(below, depth - 1)

    def _is_hidden(self, schema: Any) -> bool:
        return any(each.get(self._hidden) is True for each in self._layers(schema))

    def _layers(self, schema: Any) -> Iterator[Mapping[str, Any]]:
        """A schema, and what it refers to; in OpenAPI 3.0 a reference says nothing itself."""
        while isinstance(schema, dict):
            target = schema.get("$ref")
            if self._later or not isinstance(target, str):
                yield schema
            schema = referred(self._contract, target) if isinstance(target, str) else None

    def _restrict(self, schema: Mapping[str, Any], found: dict[str, Any]) -> None:
        """What this version of OpenAPI says besides the draft."""
        kind, format_ = schema.get("type"), schema.get("format")
        if not self._later and schema.get("nullable") is True and isinstance(kind, str):
            found["type"] = [kind, "null"]
        if format_ in _RANGES:
            most = _RANGES[format_]
            range_ = {"minimum": -most, "maximum": most - 1}
            found["allOf"] = [*found.get("allOf", ()), range_]
        if "format" in found and (format_ not in FORMATS or not _is_text(kind)):
            del found["format"]


def _is_text(kind: Any) -> bool:
    return kind in (None, "string") or (isinstance(kind, list) and "string" in kind)


@lru_cache(1)
def _checks() -> dict[str, Any]:
    """The formats of today, for the draft of OpenAPI 3.0."""
    return {
        name: jsonschema_rs.Draft202012Validator({"format": name}, validate_formats=True).is_valid for name in _CHECKED
    }


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def is_pattern(text: str) -> bool:
    """Whether a text is a pattern as ECMA-262 has it."""
    return any(map(partial(_compiles, text), (_LINEAR, _LIMITED)))


def _compiles(pattern: str, options: Any) -> bool:
    try:
        # This draft's own schema asks whether it is one of ECMA-262; the engine alone takes others, too, like `\\A`.
        jsonschema_rs.Draft4Validator({"pattern": pattern}, validate_formats=True, pattern_options=options)
    except (jsonschema_rs.ValidationError, ValueError):
        return False
    return True


def _causes(error: Any) -> Iterator[tuple[list[Any], str]]:
    """Where something is wrong, and what: of alternatives, the faults of the one that is meant."""
    place, kind = list(error.instance_path), error.kind
    if isinstance(kind, Kind.AnyOf | Kind.OneOfNotValid):
        meant = _closest([[(list(each.instance_path), each) for each in branch] for branch in kind.context])
        if meant is None:
            yield place, "it is none of the alternatives"
        for _, each in meant or ():
            yield from _causes(each)
    elif isinstance(kind, Kind.AdditionalProperties | Kind.UnevaluatedProperties):
        for name in kind.unexpected:
            yield [*place, name], "it is not declared"
    else:
        yield place, _said(error)


def _said(error: Any) -> str:
    kind = error.kind
    if isinstance(kind, Kind.Required):
        return f"{kind.property!r} is required"
    if isinstance(kind, Kind.Not) and isinstance(kind.schema, dict) and "title" in kind.schema:
        return _HIDDEN[str(kind.schema["title"])]
    if isinstance(kind, Kind.Not | Kind.FalseSchema):
        return "it may not be there"
    if isinstance(kind, Kind.Format):
        return f"{_shown(error.instance)} is no {kind.format}"
    return _cut(error.message)


_HIDDEN = {
    "readOnly": "it is readOnly: it may not be sent",
    "writeOnly": "it is writeOnly: it may not be answered",
}


def _closest(branches: list[list[tuple[list[Any], Any]]]) -> list[tuple[list[Any], Any]] | None:
    """Of alternatives the one that is meant: only something within is wrong, or only one is of the value's type."""
    top = min((len(place) for branch in branches for place, _ in branch), default=0)
    within = [branch for branch in branches if all(len(place) > top for place, _ in branch)]
    of_type = [
        branch
        for branch in branches
        if not any(isinstance(error.kind, Kind.Type) and len(place) == top for place, error in branch)
    ]
    return next((found[0] for found in (within, of_type) if len(found) == 1), None)


def _shown(value: Any) -> str:
    return _cut(repr(value) if isinstance(value, str) else str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
