"""Files of a contract, read as OpenAPI has them, and put together into one document."""

import json
import re
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from resource_server.contract.spec import Contract, ContractError
from resource_server.contract.structure import Pointer, at, parsed, places, reference, with_members, written

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]  # the quick one, where PyYAML has it
    """YAML 1.2 by its JSON schema, as OpenAPI asks: names are text, and so is whatever JSON doesn't write so."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012  # PyYAML's

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  # PyYAML's
        """A mapping whose names are text, as they are written."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a name must be text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the name {key.value!r} is there twice", key.start_mark
                )
            seen.add(key.value)
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),  # what is left out is nothing
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", "-0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


class _Dumper(yaml.SafeDumper):
    """YAML that every version of it reads the same; paragraphs stay readable."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write what is there several times so often."""
        return True

    def text(self, text: str) -> yaml.ScalarNode:
        """A text, in quotes if it looks like anything else."""
        style = "|" if "\n" in text else '"' if _NUMBER.fullmatch(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.text)
_NUMBER = re.compile(r"[-+]?(?:0o[0-7]+|0x[0-9a-fA-F]+|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)")
"""Of YAML 1.2, section 10.3.2; PyYAML knows those of 1.1."""


def as_yaml(document: Contract) -> str:
    """A document as YAML."""
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def read_document(source: Path | Contract) -> Contract:
    """Read a document, with all that it refers to in other files: these become part of it.

    Raises:
        ContractError: It can't be read, or refers to what isn't there.
    """
    if isinstance(source, Path):
        return _Files(source.resolve(), _read(source)).together()
    try:
        copied = json.loads(json.dumps(source, allow_nan=False))
    except (ValueError, TypeError, RecursionError) as error:
        raise ContractError(f"it isn't JSON: {error}") from error
    if not isinstance(copied, dict):
        raise ContractError("it isn't a JSON object")
    return _Files(Path.cwd() / "the document", copied).together()


def of_yaml(text: str) -> Any:
    """What a text of YAML says."""
    return yaml.load(text, _Loader)  # noqa: S506  # a safe one


def _read(path: Path) -> Any:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if path.suffix == ".json":
            document = json.loads(text, parse_constant=_refuse)
        else:
            document = of_yaml(text)
            json.dumps(document, allow_nan=False)  # which no circle of aliases can be written as
    except FileNotFoundError as error:
        raise ContractError("there is no such file") from error
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise ContractError(f"it can't be read as {_form(path)}: {said}") from error
    if not isinstance(document, dict):
        raise ContractError(f"it can't be read as {_form(path)}: it is no object, with members like `openapi`")
    return document


def _form(path: Path) -> str:
    return "JSON" if path.suffix == ".json" else "YAML that is JSON, too"


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


class _Files:
    """A document and the files that it refers to.

    Schemas of other files become components, which may refer to themselves; whatever else is there is copied.
    """

    def __init__(self, path: Path, document: Contract) -> None:
        self._root = path
        self._self = document.get("$self")
        """Its own URI (OpenAPI 3.2)."""
        self._documents = {path: document}
        self._components: dict[tuple[Path, Pointer], str] = {}
        self._schemas: dict[str, Any] = {}
        self._taken = set(_members_of(_members_of(document, "components"), "schemas"))

    def together(self) -> Contract:
        """The one document."""
        document = self._documents[self._root]
        elsewhere = [place for place in places(document) if self._refers_elsewhere(*place)]
        if not elsewhere:
            return document
        together: Contract = self._copied("document", document, self._root, ())
        if self._schemas:
            components = together.setdefault("components", {})
            components["schemas"] = {**_members_of(components, "schemas"), **self._schemas}
        return together

    def _refers_elsewhere(self, kind: str, pointer: Pointer, node: Any) -> bool:
        target = reference(kind, node)
        if target is None:
            return False
        file, place, _ = self._target(target, self._root, pointer)
        if file == self._root and not place:
            raise ContractError(f"{written(pointer)}: $ref {target!r} leads to the whole contract, which is no {kind}")
        return not target.startswith("#")

    def _copied(self, kind: str, node: Any, path: Path, trail: tuple[tuple[Path, Pointer], ...]) -> Any:
        """An object with what it refers to in other files."""
        target = reference(kind, node)
        if target is not None:
            return self._referred(kind, node, target, path, trail)
        copy = with_members(kind, node, lambda below, value: self._copied(below, value, path, trail))
        if path != self._root and isinstance(copy, dict) and isinstance(copy.get("discriminator"), dict):
            copy["discriminator"] = self._mapped(copy["discriminator"], path, trail)
        return copy

    def _referred(
        self, kind: str, node: dict[str, Any], target: str, path: Path, trail: tuple[tuple[Path, Pointer], ...]
    ) -> Any:
        file, pointer, found = self._target(target, path, ())
        beside = {name: value for name, value in node.items() if name != "$ref"}
        if file == self._root:
            return {"$ref": written(pointer), **beside}
        if kind == "schema":
            rest = self._copied(kind, beside, path, trail)
            return {"$ref": f"#/components/schemas/{self._component(file, pointer, found)}", **rest}
        if (file, pointer) in trail:
            raise ContractError(f"$ref {target!r} in {file.name} leads in a circle")
        copied = self._copied(kind, found, file, (*trail, (file, pointer)))
        return {**copied, **beside} if isinstance(copied, dict) else copied

    def _component(self, file: Path, pointer: Pointer, found: Any) -> str:
        """The name of the component that a schema of another file becomes."""
        if (file, pointer) not in self._components:
            wanted = re.sub(r"[^A-Za-z0-9._-]", "_", pointer[-1] if pointer else file.stem)
            name = next(each for each in _names(wanted) if each not in self._taken)
            self._taken.add(name)
            self._components[file, pointer] = name
            self._schemas[name] = self._copied("schema", found, file, ())
        return self._components[file, pointer]

    def _mapped(self, discriminator: dict[str, Any], path: Path, trail: Any) -> dict[str, Any]:
        mapping = {
            value: self._referred("schema", {"$ref": target}, target, path, trail)["$ref"] if "/" in target else target
            for value, target in _members_of(discriminator, "mapping").items()
        }
        return {**discriminator, "mapping": mapping} if mapping else discriminator

    def _target(self, target: str, path: Path, place: Pointer) -> tuple[Path, Pointer, Any]:
        """The file, the place in it, and the object that a reference leads to."""
        where = f"{written(place)}: " if place else ""
        url, _, fragment = target.partition("#")
        if url and url == self._self:
            url, path = "", self._root
        if "://" in url:
            raise ContractError(
                f"{where}$ref {target!r} leads to another server: save that document beside the contract"
            )
        if fragment and not fragment.startswith("/"):
            raise ContractError(f"{where}$ref {target!r} is no JSON pointer: write it like '#/components/schemas/Name'")
        file = (path.parent / unquote(url)).resolve() if url else path
        if file not in self._documents:
            try:
                self._documents[file] = _read(file)
            except ContractError as error:
                raise ContractError(f"{where}$ref {target!r} leads nowhere: {error}") from error
        pointer = parsed(unquote(fragment))
        try:
            return file, pointer, at(self._documents[file], pointer)
        except (LookupError, ValueError) as error:
            known = "" if file == self._root else f", in {file.name}"
            raise ContractError(f"{where}$ref {target!r} leads nowhere{known}") from error


def _names(wanted: str) -> Iterator[str]:
    yield wanted
    number = 2
    while True:
        yield f"{wanted}_{number}"
        number += 1


def _members_of(node: Any, name: str) -> dict[str, Any]:
    found = node.get(name) if isinstance(node, dict) else None
    return found if isinstance(found, dict) else {}
