"""`python -m api scaffold`: the functions that the contract names and nobody has written."""

import ast
import json
import keyword
import re
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from resource_server.contract.compiled import Compiled, Declared
from resource_server.contract.spec import ContractError, scheme_kind
from resource_server.serving.mediatypes import MediaType
from resource_server.serving.parameters import ABSENT, FORM, MULTIPART, Parameter
from resource_server.serving.plans import files_of, required_files

_MOST_LITERALS = 12
_LINE = 100

_CREDENTIALS = {
    "apiKey": ("x-apikeyInfoFunc", "apikey: str, required_scopes: list[str] | None = None"),
    "basic": ("x-basicInfoFunc", "username: str, password: str, required_scopes: list[str] | None = None"),
}
"""By scheme, the member that names its function, and what that takes. What validates tokens is never made up."""


class Written(NamedTuple):
    """What has been written into a file.

    Args:
        path: The file.
        functions: What it has now that it hadn't.
        kept: How many functions that the contract names it had.
    """

    path: Path
    functions: list[str]
    kept: int


def scaffold(compiled: Compiled, folder: Path) -> list[Written]:
    """Write the functions that a contract names and its modules lack; what is there stays as it is.

    Args:
        compiled: The contract.
        folder: Where its modules are.

    Raises:
        ContractError: A function can't be written: its name says no module, or its file is no Python.
    """
    wanted: dict[Path, dict[str, str]] = {}
    for name, code in (*_handlers(compiled, folder), *_validators(compiled)):
        module, _, function = name.rpartition(".")
        if not module or not all(part.isidentifier() for part in name.split(".")):
            raise ContractError(
                f"{name!r} can't be written: write operationIds like api.handlers.{function or name}, or add "
                "`x-openapi-router-controller: api.handlers` to the contract"
            )
        wanted.setdefault(_file(folder, module), {})[function] = code
    return [_complete(path, functions, folder) for path, functions in wanted.items()]


def _handlers(compiled: Compiled, folder: Path) -> Iterator[tuple[str, str]]:
    known: dict[str, set[str]] = {}
    for declared in compiled.operations():
        if declared.handler is None:
            raise ContractError(
                f"{declared.name}: it has no operationId: write one, or add "
                "`x-openapi-router-controller: api.handlers` to the contract"
            )
        name = declared.handler.rpartition(".")[2]
        package = declared.handler.partition(".")[0]
        if package not in known:
            path = folder / package / "schemas.py"
            known[package] = _names(ast.parse(path.read_text(encoding="utf-8"))) if path.exists() else set()
        types = Annotations(compiled, known[package])
        returns = types.of(_answer(declared), depth=0) if known[package] else "Any"
        code = _function(name, _arguments(declared, types), _summary(declared), "abort(501)", returns)
        yield declared.handler, code


def _answer(declared: Declared) -> Any:
    """The schema of what is answered when all is well, if it is JSON."""
    good = next((each for status, each in sorted(declared.responses.items()) if status.startswith("2")), {})
    content = [(MediaType.of(name), each) for name, each in good.get("content", {}).items()]
    return next((each.get("schema", {}) for media_type, each in content if media_type.is_json), {})


def _validators(compiled: Compiled) -> Iterator[tuple[str, str]]:
    for name, scheme in compiled.schemes.items():
        member, arguments = _CREDENTIALS.get(scheme_kind(scheme), ("", ""))
        if member in scheme:
            function = scheme[member].rpartition(".")[2]
            says = f"Whom credentials of the scheme {name} belong to; nobody's are good until this is written."
            yield scheme[member], _function(function, [arguments], says, "return None", "dict[str, Any] | None")


def _function(name: str, arguments: Iterable[str], says: str, body: str, returns: str = "Any") -> str:
    head = f"def {name}({', '.join(arguments)}) -> {returns}:"
    if len(head) > _LINE:
        head = f"def {name}(\n" + "".join(f"    {each},\n" for each in arguments) + f") -> {returns}:"
    return f'{head}\n    """{says}"""\n    {body}\n'


def _summary(declared: Declared) -> str:
    said = declared.operation.get("summary") or declared.name
    text = " ".join(str(said).replace("\\", "/").replace('"', "'").split())
    return f"{textwrap.shorten(text, _LINE - 10, placeholder=' …').rstrip('.')}."


class Annotations:
    """The Python types of a contract's values, as annotations.

    Args:
        compiled: The contract.
        named: The schemas that `schemas.py` has types for.
    """

    def __init__(self, compiled: Compiled, named: Collection[str] = ()) -> None:
        self.compiled = compiled
        self._types = compiled.types
        self._named = named

    def of(self, schema: Any, depth: int = 3) -> str:
        """The type of a schema's values; at a depth of 0 only if it has a name."""
        name = str(schema.get("$ref", "")).rpartition("/")[2] if isinstance(schema, dict) else ""
        if name in self._named:
            return f"schemas.{name}"
        followed = self._types.followed(schema)
        values = followed.get("enum") if isinstance(followed, dict) else None
        if values and len(values) <= _MOST_LITERALS and all(type(value) in (str, int) for value in values):
            return f"Literal[{', '.join(json.dumps(value) for value in values)}]"
        kinds = sorted(self._types.of(schema), key=lambda kind: kind == "null")
        if len(kinds) > _MOST_KINDS or not depth:
            return "Any"
        return " | ".join(self._of_kind(kind, schema, depth) for kind in kinds) or "Any"

    def _of_kind(self, kind: str, schema: Any, depth: int) -> str:
        if kind == "array":
            return f"list[{self.of(self._types.items(schema), depth - 1)}]"
        return _TYPES.get(kind, "dict[str, Any]")

    def of_body(self, media_type: MediaType, definition: Mapping[str, Any]) -> str:
        """The type of a body's value."""
        if media_type.essence in (FORM, MULTIPART):
            return "dict[str, Any]"
        return self.of(definition.get("schema", {})) if media_type.is_json else "bytes"


_MOST_KINDS = 3
_TYPES = {"null": "None", "boolean": "bool", "integer": "int", "number": "float", "string": "str"}


def _arguments(declared: Declared, types: Annotations) -> list[str]:
    """What a handler takes: what requests are sure to have, and then the rest, with defaults."""
    needed: dict[str, str] = {}
    others: dict[str, str] = {}
    is_open = False
    compiled = types.compiled
    for definition in declared.parameters:
        parameter = Parameter(definition, compiled.schemas, compiled.types, pythonic_params=False)
        name, kind = parameter.argument, types.of(parameter.schema)
        if not _is_name(name) or name in (needed | others):
            is_open = is_open or parameter.location in ("path", "query")
        elif parameter.is_required:
            needed[name] = f"{name}: {kind}"
        elif parameter.default is not ABSENT and isinstance(parameter.default, str | int | float | bool):
            others[name] = f"{name}: {kind} = {parameter.default!r}"
        else:
            others[name] = f"{name}: {_or_none(kind)} = None"
    if declared.body is not None:
        _add_body(declared, types, needed, others)
    return [*needed.values(), *others.values(), *(["**others: Any"] if is_open else [])]


def _add_body(declared: Declared, types: Annotations, needed: dict[str, str], others: dict[str, str]) -> None:
    body = declared.body or {}
    name = body.get("x-body-name", "body")
    content = [(MediaType.of(each), definition) for each, definition in body.get("content", {}).items()]
    kind = " | ".join(dict.fromkeys(types.of_body(*each) for each in content)) or "Any"
    if _is_name(name) and name not in needed | others:
        if body.get("required"):
            needed[name] = f"{name}: {kind}"
        else:
            others[name] = f"{name}: {_or_none(kind)} = None"
    required = required_files(declared, types.compiled)
    for field in files_of(declared, types.compiled):
        if _is_name(field) and field not in needed | others:
            if field in required:
                needed[field] = f"{field}: Any"
            else:
                others[field] = f"{field}: Any = None"


def _is_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _or_none(kind: str) -> str:
    return kind if kind == "Any" or kind.endswith("None") else f"{kind} | None"


def _file(folder: Path, module: str) -> Path:
    path = folder.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _complete(path: Path, functions: Mapping[str, str], folder: Path) -> Written:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise ContractError(f"{path.relative_to(folder)}, line {error.lineno}: {error.msg}") from error
    names = _names(tree)
    package = path.relative_to(folder).parts[0]
    missing = {name: code for name, code in functions.items() if name not in names}
    if missing:
        _make_packages(path.parent, folder)
        code = "\n\n".join(missing.values())
        path.write_text(_imports(text, code, names, package) + code, encoding="utf-8")
    return Written(path.relative_to(folder), list(missing), len(functions) - len(missing))


def _names(tree: ast.Module) -> set[str]:
    """What a module defines, or imports."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(each.asname or each.name).partition(".")[0] for each in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def _imports(text: str, code: str, names: set[str], package: str) -> str:
    """A file's text so far, with the imports that its new functions need after those that it has."""
    typing = [name for name in ("Any", "Literal") if name in code and name not in names]
    needed = [f"from typing import {', '.join(typing)}"] if typing else []
    if "abort(" in code and "abort" not in names:
        needed += ["", "from flask import abort"] if typing else ["from flask import abort"]
    if re.search(r"(?:: |-> |\[|\| )schemas\.", code) and "schemas" not in names:
        needed += ["", f"from {package} import schemas"]
    if not text.strip():
        says = "What answers the operations of the contract." if "abort(" in code else "Whose credentials are good."
        first = [f'"""{says}"""', "", "from __future__ import annotations", ""]
        return "\n".join([*first, *needed, "", "", ""])
    lines = text.rstrip().split("\n")
    last = max((node.end_lineno or 0 for node in ast.parse(text).body if _is_preamble(node)), default=0)
    return "\n".join([*lines[:last], *needed, *lines[last:], "", "", ""])


def _is_preamble(node: ast.stmt) -> bool:
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.lineno == 1
    return is_docstring or isinstance(node, ast.Import | ast.ImportFrom)


def _make_packages(folder: Path, top: Path) -> None:
    """Make the packages of a module, down from where modules are found."""
    folder.mkdir(parents=True, exist_ok=True)
    while folder != top:
        init = folder / "__init__.py"
        if not init.exists():
            init.write_text('"""Yours."""\n', encoding="utf-8")
        folder = folder.parent
