"""Parameters of a request, as the contract's styles write them (OpenAPI 3.1, section 4.8.12), and what is wrong."""

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import Any
from urllib.parse import unquote, unquote_plus

from connexion.decorators.parameter import pythonic, sanitized
from starlette.types import Scope

from resource_server.contract.schemas import Schemas
from resource_server.contract.types import Types, json_value
from resource_server.serving.badrequest import Problems

_STYLES = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}
_DELIMITERS = {"form": ",", "simple": ",", "spaceDelimited": " ", "pipeDelimited": "|"}
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


class _Absent(Enum):  # which stays itself when it is copied
    ABSENT = 0


ABSENT: Any = _Absent.ABSENT
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
_MOST_KEYS = 16

Pairs = list[tuple[str, str]]
"""Names, decoded, and values, as they have been sent."""


@dataclass(frozen=True)
class Style:
    """How the value of a parameter, or of a form's field, is written.

    Args:
        name: Of the parameter.
        style: `form`, `simple`, `deepObject` and so on.
        explode: Whether each item or member is written on its own.
        schema: Of the value.
        types: What the contract says of types.
        taken: The names of other parameters.
    """

    name: str
    style: str
    explode: bool
    schema: Any
    types: Types
    taken: frozenset[str] = frozenset()

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The types that the value may have."""
        return self.types.of(self.schema)

    @cached_property
    def _items(self) -> tuple[Any, tuple[str, ...]]:
        """The schema of an array's items, and their types."""
        schema = self.types.items(self.schema)
        return schema, self.types.of(schema)

    @cached_property
    def _members(self) -> "list[Style]":
        """How the members of an object are written if each is a parameter of its own."""
        members = self.types.properties(self.schema).items()
        return [Style(name, "form", explode=True, schema=schema, types=self.types) for name, schema in members]

    def of_pairs(self, pairs: Pairs, decode: Callable[[str], str] = unquote_plus) -> Any:
        """The value among the pairs of a query or a form; `ABSENT` without one."""
        kinds = self.kinds
        if self.style == "deepObject":
            return self._deep(pairs, decode)
        found = [value for name, value in pairs if name == self.name]
        if "object" in kinds and "string" not in kinds and self.style == "form" and self.explode and not found:
            return self._exploded(pairs, decode)
        if not found:
            return ABSENT
        is_list = "array" in kinds and not ("string" in kinds and len(found) == 1)
        if is_list and self.explode:
            return [self._item(decode(each)) for each in found]
        if is_list or ("object" in kinds and "string" not in kinds):
            parts = [decode(each) for each in _split(found[-1], _DELIMITERS.get(self.style, ","))]
            return [self._item(each) for each in parts] if is_list else self._object(_two_by_two(parts))
        return decode(found[-1]) if len(found) == 1 else [decode(each) for each in found]

    def of_text(self, text: str) -> Any:
        """The value that one text has, in a path or a field."""
        kinds = self.kinds
        between = ","
        if self.style == "label":
            text, between = text.removeprefix("."), "." if self.explode else ","
        elif self.style == "matrix":
            if "array" in kinds and self.explode:
                return [self._item(each.removeprefix(f"{self.name}=")) for each in text.removeprefix(";").split(";")]
            if "object" in kinds and self.explode:
                return self._object(_pairs(text.removeprefix(";").split(";")))
            text = text.removeprefix(f";{self.name}").removeprefix("=")
        if "array" in kinds and "string" not in kinds:
            return [self._item(each.strip()) for each in text.split(between)] if text else []
        if "object" in kinds and "string" not in kinds:
            parts = text.split(between)
            return self._object(_pairs(parts) if self.explode else _two_by_two(parts))
        return text

    def _item(self, text: str) -> Any:
        return next(self.types.values(text, *self._items))

    def _object(self, members: Iterable[tuple[str, str]]) -> dict[str, Any]:
        return {name: self.types.value(text, self.types.property(self.schema, name)) for name, text in members}

    def _exploded(self, pairs: Pairs, decode: Callable[[str], str]) -> Any:
        """An object whose members are parameters of their own."""
        value: dict[str, Any] = {}
        for style in self._members:
            member = style.of_pairs(pairs, decode)
            if member is not ABSENT:
                value[style.name] = self.types.value(member, style.schema) if isinstance(member, str) else member
        if self.types.is_open(self.schema):
            for name, text in pairs:
                if name not in value and name not in self.taken:
                    value[name] = self.types.value(decode(text), self.types.property(self.schema, name))
        return value or ABSENT

    def names(self) -> set[str] | None:
        """The names that it has in a query; nothing, if they may be any."""
        kinds = self.kinds
        if self.style != "form" or not self.explode or "object" not in kinds or "string" in kinds:
            return {self.name}
        return None if self.types.is_open(self.schema) else {self.name, *self.types.properties(self.schema)}

    def _deep(self, pairs: Pairs, decode: Callable[[str], str]) -> Any:
        """An object whose members are named like `a[b][c]`."""
        tree: dict[str, Any] = {}
        for name, text in pairs:
            if not name.startswith(f"{self.name}["):
                continue
            keys = _BRACKETS.findall(name)
            if f"{self.name}{''.join(f'[{key}]' for key in keys)}" != name or len(keys) > _MOST_KEYS:
                continue
            node = tree
            for key in keys[:-1]:
                node = node.setdefault(key, {})
                if not isinstance(node, dict):
                    return decode(text)  # it is a value and an object at once, which nothing declares
            if isinstance(node.setdefault(keys[-1], []), list):
                node[keys[-1]].append(decode(text))
        return self._grown(tree, self.schema) if tree else ABSENT

    def _grown(self, tree: Any, schema: Any) -> Any:
        kinds = self.types.of(schema)
        if isinstance(tree, dict) and "object" not in kinds and "array" in kinds:
            return [value for each in tree.values() for value in _as_list(self._grown(each, self.types.items(schema)))]
        if isinstance(tree, dict):
            return {name: self._grown(each, self.types.property(schema, name)) for name, each in tree.items()}
        if "array" in kinds and ("string" not in kinds or len(tree) > 1):
            return [self.types.value(each, self.types.items(schema)) for each in tree]
        return self.types.value(tree[-1], schema) if len(tree) == 1 else tree


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _split(text: str, delimiter: str) -> list[str]:
    """The parts of a value: a delimiter that is escaped is data, unless all are (many clients escape every one)."""
    if delimiter == " ":
        return re.split(r"%20|\+| ", text)
    if delimiter in text:
        return text.split(delimiter)
    return re.split(f"(?i)%{ord(delimiter):02x}", text)


def _two_by_two(parts: Sequence[str]) -> Iterable[tuple[str, str]]:
    return zip(parts[::2], [*parts[1::2], ""], strict=False)


def _pairs(parts: Iterable[str]) -> Iterable[tuple[str, str]]:
    for part in parts:
        name, _, value = part.partition("=")
        yield name, value


def pairs_of(query: bytes | str) -> Pairs:
    """The names of a query, decoded, and its values as they are."""
    text = query if isinstance(query, str) else query.decode("latin-1")
    return [(unquote_plus(name), value) for name, value in _pairs(text.split("&")) if name or value] if text else []


class Parameter:
    """A parameter of an operation.

    Args:
        definition: What the contract says.
        schemas: The contract's, to validate against.
        types: The contract's.
        pythonic_params: Whether its argument is named as Python names arguments.
    """

    def __init__(self, definition: Mapping[str, Any], schemas: Schemas, types: Types, *, pythonic_params: bool) -> None:
        self.name: str = definition["name"]
        self.location: str = definition["in"]
        style = definition.get("style") or _STYLES.get(self.location, "form")
        self.is_required: bool = definition.get("required", False)
        self._may_be_empty: bool = definition.get("allowEmptyValue", False)
        media_type, content = next(iter(_content(definition)), ("", {}))
        self._is_json = "json" in media_type.lower()
        self.has_content = media_type.lower() not in ("", FORM)
        self.schema = schema = content.get("schema", {}) if media_type else definition.get("schema", {})
        self.style = Style(self.name, style, definition.get("explode", style in ("form", "cookie")), schema, types)
        if self.has_content and self.location == "query":
            self.style = replace(self.style, schema={"type": "string"})
        if self.location == "querystring":
            self.style = replace(self.style, style="form", explode=True)
        self._types = types
        self._validator = schemas.of_requests(schema)
        self.default = _default(schema, types)
        name = self.name if self.location in ("query", "querystring") else self.name.replace("-", "_")
        if self.location in ("header", "cookie"):
            name = name.lower()
        self.argument: str = pythonic(name) if pythonic_params else sanitized(name)
        self.is_argument = False
        """Whether the handler takes it."""

    def prepare(self) -> None:
        """Compile its schema now."""
        self._validator.prepare()

    def wrong_default(self) -> str | None:
        """What is wrong with the default."""
        faults = [] if self.default is ABSENT else self._validator.faults(self.default)
        return faults[0].detail if faults else None

    def read(self, sent: Any, problems: Problems) -> Any:
        """The value that was sent, or the default, or `ABSENT`; what is wrong is added to the problems.

        Args:
            sent: In a query or cookies the pairs; elsewhere a text, or nothing.
            problems: What has been found.
        """
        try:
            value = self._value(sent)
        except (ValueError, RecursionError):
            problems.add(self.location, self.name, "#", "it can't be decoded")
            return ABSENT
        if value is ABSENT:
            if self.is_required:
                problems.add(self.location, self.name, "#", "it is required")
            return copy.deepcopy(self.default)
        if value == "" and self._may_be_empty:
            return value
        return self._checked(value, problems)

    def _value(self, sent: Any) -> Any:
        if sent is None:
            return ABSENT
        if isinstance(sent, list):
            value = self.style.of_pairs(sent, unquote if self.location == "cookie" else unquote_plus)
        else:
            value = sent if self.has_content else self.style.of_text(sent)
        if value is not ABSENT and self._is_json:
            return json_value(value)
        return value

    def _checked(self, value: Any, problems: Problems) -> Any:
        """A value of the contract's type, if there is nothing wrong with it."""
        if isinstance(value, str) and not self.has_content:
            candidates = list(self._types.values(value, self.schema, self.style.kinds))
            value = next((each for each in candidates if self._validator.is_valid(each)), candidates[0])
        problems.check(self._validator, value, self.location, self.name)
        return value


def _content(definition: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    content: Mapping[str, Mapping[str, Any]] = definition.get("content", {})
    return content.items()


def _default(schema: Any, types: Types) -> Any:
    followed = types.followed(schema)
    return followed.get("default", ABSENT) if isinstance(followed, dict) else ABSENT


class Parameters:
    """The parameters of an operation.

    Args:
        parameters: They.
        strict: Whether others in the query are refused.
        credentials: Names in the query that aren't parameters, but credentials.
    """

    def __init__(self, parameters: Sequence[Parameter], *, strict: bool, credentials: Iterable[str]) -> None:
        self._of = {
            location: [each for each in parameters if each.location == location]
            for location in ("path", "query", "header", "cookie", "querystring")
        }
        self.of_path = [each.argument for each in self._of["path"]]
        self._strict = strict
        names = [each.style.names() for each in self._of["query"]]
        self._known = {*credentials}.union(*(each for each in names if each is not None))
        self._is_open = None in names or bool(self._of["querystring"])
        for each in self._of["query"]:
            each.style = replace(each.style, taken=frozenset(self._known))

    def read(self, scope: Scope, problems: Problems) -> dict[str, Any]:
        """The arguments that the parameters of a request are, by name; what is wrong is added to the problems."""
        arguments: dict[str, Any] = {}
        path = scope["path_params"]
        for each in self._of["path"]:
            _take(each, path.get(each.name), arguments, problems)
        if self._of["query"] or self._of["querystring"] or self._strict:
            self._read_query(scope["query_string"], arguments, problems)
        if self._of["header"] or self._of["cookie"]:
            fields = _fields(scope)
            for each in self._of["header"]:
                _take(each, fields.get(each.name.lower()), arguments, problems)
            cookies = [(name.strip(), value.strip()) for name, value in _pairs(fields.get("cookie", "").split(";"))]
            for each in self._of["cookie"]:
                _take(each, cookies, arguments, problems)
        return arguments

    def _read_query(self, query: bytes, arguments: dict[str, Any], problems: Problems) -> None:
        pairs = pairs_of(query)
        for each in self._of["query"]:
            _take(each, pairs, arguments, problems)
        for each in self._of["querystring"]:
            whole = unquote_plus(query.decode("latin-1")) or None
            _take(each, whole if each.has_content else pairs, arguments, problems)
        if self._strict and not self._is_open:
            others = dict.fromkeys(name for name, _ in pairs if name.partition("[")[0] not in self._known)
            for name in others:
                problems.add("query", name, "#", "it is not declared")


def _take(parameter: Parameter, sent: Any, arguments: dict[str, Any], problems: Problems) -> None:
    value = parameter.read(sent, problems)
    if value is not ABSENT and parameter.is_argument:
        arguments[parameter.argument] = value


def _fields(scope: Scope) -> dict[str, str]:
    """The header fields; a repeated one is one (RFC 9110, section 5.3)."""
    fields: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1").strip(" \t")
        between = "; " if key == "cookie" else ", "
        fields[key] = f"{fields[key]}{between}{text}" if key in fields else text
    return fields
