"""Whether a document is OpenAPI: by the standard's own schemas, and by what its text says beyond them."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs
from jsonschema_rs import ValidationErrorKind as Kind
from openapi_spec_validator.schemas import schema_v30, schema_v31, schema_v32

from resource_server.contract.schemas import is_pattern
from resource_server.contract.spec import (
    VARIABLE,
    Contract,
    base_path,
    methods,
    operations,
    parameters,
    path_item,
    paths,
    security_schemes,
)
from resource_server.contract.structure import Pointer, members, places, reference, written

_DIALECTS = (
    "https://spec.openapis.org/oas/3.1/dialect/base",
    "https://spec.openapis.org/oas/3.2/dialect/2025-09-17",
    "https://json-schema.org/draft/2020-12/schema",
)
_IDENTIFIERS = ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor")
_LONGEST = 160


def version_complaint(contract: Contract) -> str | None:
    """Why a document of this version can't be served."""
    version = contract.get("openapi")
    if isinstance(version, str) and re.fullmatch(r"3\.[012](\..*)?", version):
        return None
    if "swagger" in contract:
        return (
            "it is Swagger 2.0, and must be OpenAPI 3.0, 3.1 or 3.2: convert it, for example by "
            "`npx swagger2openapi --outfile openapi.yaml swagger.yaml`"
        )
    if version is None:
        return "it doesn't say which OpenAPI it is: write `openapi: 3.1.0`, or a version of 3.0 or 3.2"
    return f"`openapi: {version}` is not supported: write `openapi: 3.1.0`, or a version of 3.0 or 3.2 in quotes"


def formal_complaints(contract: Contract) -> Iterator[str]:
    """What the standard's schema doesn't allow."""
    for error in _schema(contract["openapi"][:3]).iter_errors(contract):
        yield from (f"it is not valid OpenAPI, at {written(place)}: {said}" for place, said in _causes(error))
    if contract["openapi"].startswith("3.0."):
        return
    yield from _dialect_complaints(contract)
    for pointer, schema in _whole_schemas("document", contract, ()):
        for error in _metaschema().iter_errors(schema):
            yield from (
                f"it is not valid OpenAPI, at {written((*pointer, *place))}: {said}" for place, said in _causes(error)
            )


def textual_complaints(contract: Contract) -> Iterator[str]:
    """What the standard's text doesn't allow, though its schema does."""
    yield from _schema_complaints(contract)
    yield from _identity_complaints(contract)
    schemes = security_schemes(contract)
    for method, path, operation, security in operations(contract):
        name = f"{method} {path}"
        yield from _parameter_complaints(name, path, parameters(contract, path_item(contract, path), operation))
        for scheme in (scheme for requirement in security for scheme in requirement if scheme not in schemes):
            yield f"{name}: security scheme {scheme!r} is not declared in components/securitySchemes"
    yield from _server_complaints(contract)


@lru_cache(3)
def _schema(version: str) -> Any:
    if version == "3.0":
        return jsonschema_rs.Draft4Validator(dict(schema_v30), validate_formats=False)
    return jsonschema_rs.Draft202012Validator(dict(schema_v31 if version == "3.1" else schema_v32))


@lru_cache(1)
def _metaschema() -> Any:
    return jsonschema_rs.Draft202012Validator({"$ref": "https://json-schema.org/draft/2020-12/schema"})


def _causes(error: Any) -> Iterator[tuple[Pointer, str]]:
    """Where something is wrong, and what: of alternatives, the faults of the one that was meant."""
    place, kind = tuple(map(str, error.instance_path)), error.kind
    if isinstance(kind, Kind.AnyOf | Kind.OneOfNotValid):
        told = next((each for branch in kind.context for each in branch if _tells(each)), None)
        if meant := _meant(error.instance, kind.context):
            yield from (cause for each in meant for cause in _causes(each))
        elif told is not None:
            yield tuple(map(str, told.instance_path)), f"{_cut(repr(told.instance))} may not stand there"
        else:
            yield place, "it is none of what may stand there"
    elif isinstance(kind, Kind.AdditionalProperties | Kind.UnevaluatedProperties):
        yield from (((*place, name), f"{name!r} may not stand there") for name in kind.unexpected)
    elif isinstance(kind, Kind.Required):
        yield place, f"add {kind.property!r}, which is required"
    else:
        yield place, "it may not stand there" if isinstance(kind, Kind.FalseSchema) else _cut(error.message)


def _meant(node: Any, branches: list[list[Any]]) -> list[Any] | None:
    """Of alternatives the one that was meant: a reference has `$ref`, and some members say what an object is."""
    if isinstance(node, dict) and "$ref" not in node:
        branches = [branch for branch in branches if not _asks_for_reference(branch)]
    top = min((len(error.instance_path) for branch in branches for error in branch), default=0)
    telling = [
        branch
        for branch in branches
        if not any(
            _tells(error) or (isinstance(error.kind, Kind.Type) and len(error.instance_path) == top) for error in branch
        )
    ]
    candidates = telling or branches
    return min(candidates, key=len) if candidates and (len(candidates) == 1 or telling) else None


def _tells(error: Any) -> bool:
    """Whether an error is one of a member that says what an object is."""
    return isinstance(error.kind, Kind.Enum | Kind.Constant) and list(error.instance_path)[-1:] in _TELLING


_TELLING = (["in"], ["type"], ["scheme"])


def _asks_for_reference(branch: list[Any]) -> bool:
    return any(isinstance(error.kind, Kind.Required) and error.kind.property == "$ref" for error in branch)


def _whole_schemas(kind: str, node: Any, pointer: Pointer) -> Iterator[tuple[Pointer, Any]]:
    """The schemas that are within no other."""
    if kind == "schema":
        yield pointer, node
    elif reference(kind, node) is None or kind == "path item":
        for way, below, each in members(kind, node):
            yield from _whole_schemas(below, each, (*pointer, *way))


def _dialect_complaints(contract: Contract) -> Iterator[str]:
    dialect = contract.get("jsonSchemaDialect")
    if dialect is not None and dialect not in _DIALECTS:
        yield f"#/jsonSchemaDialect: schemas are read as JSON Schema 2020-12 only, not as {_cut(str(dialect))}"


def _schema_complaints(contract: Contract) -> Iterator[str]:
    later = not contract["openapi"].startswith("3.0.")
    for kind, pointer, node in places(contract):
        if kind != "schema" or not isinstance(node, dict):
            continue
        pattern = node.get("pattern")
        if isinstance(pattern, str) and not is_pattern(pattern):
            yield (
                f"{written((*pointer, 'pattern'))}: {_cut(pattern)!r} can't be matched: "
                "it is no regular expression of ECMA-262, or too large"
            )
        if later:
            for name in _IDENTIFIERS:
                if name in node:
                    place = written((*pointer, name))
                    yield f"{place}: {name} is not supported: refer by `$ref: '#/components/schemas/…'`"
            if node.get("$schema", _DIALECTS[0]) not in _DIALECTS:
                yield f"{written((*pointer, '$schema'))}: schemas are read as JSON Schema 2020-12 only"


def _identity_complaints(contract: Contract) -> Iterator[str]:
    known: dict[str, str] = {}
    for method, path, operation, _ in operations(contract):
        operation_id = operation.get("operationId")
        if operation_id in known:
            yield (
                f"{method} {path}: its operationId {operation_id!r} is that of {known[operation_id]}, too: "
                "each operation needs one of its own"
            )
        elif operation_id is not None:
            known[operation_id] = f"{method} {path}"
    templates: dict[tuple[str, str], str] = {}
    for path in paths(contract):
        template = VARIABLE.sub("{}", path)
        if set("{}") & set(VARIABLE.sub("", path)):
            yield f"{path}: a parameter of a path is written like {{name}}"
        for method in methods(path_item(contract, path)):
            other = templates.setdefault((method, template), path)
            if other != path:
                yield f"{method} {path}: it can't be told from {method} {other}: they are the same path"


def _parameter_complaints(name: str, path: str, found: list[Mapping[str, Any]]) -> Iterator[str]:
    declared = {parameter["name"] for parameter in found if parameter["in"] == "path"}
    names = VARIABLE.findall(path)
    for each in dict.fromkeys(names):
        if each not in declared:
            yield f"{name}: declare its path parameter {each!r}, `in: path` and `required: true`"
        if names.count(each) > 1:
            yield f"{name}: its path has the parameter {each!r} twice"
    for each in sorted(declared.difference(names)):
        yield f"{name}: its path has no {{{each}}}, which is declared as a path parameter"


def _server_complaints(contract: Contract) -> Iterator[str]:
    for index, server in enumerate(contract.get("servers", ())):
        for name, variable in server.get("variables", {}).items():
            enum, default = variable.get("enum"), variable.get("default")
            if enum and default not in enum:
                place = written(("servers", str(index), "variables", name, "default"))
                yield f"{place}: {default!r} is not among the variable's enum: write one of {_cut(', '.join(enum))}"
    base = base_path(contract)
    if not f"{base}/".startswith("/") or "{" in base:
        yield "#/servers/0/url: its path must start with a slash, and each variable in it have a default"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
