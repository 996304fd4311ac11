"""Contracts as people have them: YAML as JSON has it, several files, recursion, and what is refused with its place."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from resource_server.contract.files import as_yaml, read_document
from resource_server.contract.loading import read_contract
from resource_server.contract.schemas import Schemas
from resource_server.contract.spec import Contract, ContractError, inlined

HEAD: dict[str, Any] = {"openapi": "3.0.3", "info": {"title": "T", "version": "1"}}
DONE = {"200": {"description": "Done."}}


def written(folder: Path, **files: Any) -> Path:
    """Files beside each other, YAML or text as it is; the path of the first."""
    for name, content in files.items():
        path = folder / (name.replace("__", "/") + ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return folder / (next(iter(files)) + ".yaml")


def with_schema(schema: Any, **more: Any) -> Contract:
    """A contract whose one operation takes a body of a schema."""
    body = {"content": {"application/json": {"schema": schema}}}
    return HEAD | {"paths": {"/x": {"post": {"operationId": "a.b", "requestBody": body, "responses": DONE}}}} | more


def body_faults(contract: Contract, value: Any) -> list[str]:
    body = contract["paths"]["/x"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return [f"{fault.pointer} {fault.detail}" for fault in Schemas(contract).of_requests(body).faults(value)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("on", "on"),
        ("true", True),
        ("True", "True"),
        ("012", "012"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        (".5", ".5"),
        (".nan", ".nan"),
        ("-0", 0),
        ("2026-01-02", "2026-01-02"),
        ("2026-01-02T10:00:00Z", "2026-01-02T10:00:00Z"),
        ("null", None),
        ("", None),
        ("=", "="),
        ('"5"', "5"),
    ],
)
def test_yaml_is_read_as_json_has_it(tmp_path: Path, text: str, value: Any) -> None:
    assert read_document(written(tmp_path, spec=f"x-value: {text}\nx-in: [{text or 'null'}]"))["x-value"] == value


def test_names_are_text_as_they_are_written(tmp_path: Path) -> None:
    document = read_document(
        written(tmp_path, spec="200: a\n010: b\nno: c\ntrue: d\nbase: &b {x: 1}\nnew: {<<: *b, y: 2}")
    )
    assert document == {"200": "a", "010": "b", "no": "c", "true": "d", "base": {"x": 1}, "new": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "the name 'a' is there twice in \"<byte string>\", line 2, column 1"),
        ("a: {b: 1, b: 2}", "the name 'b' is there twice"),
        ("? [a]\n: 1", "a name must be text"),
        ("a: &a [*a]", "it can't be read as YAML that is JSON, too"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor for the tag"),
        ("a: 1e999", "it can't be read as YAML that is JSON, too"),
        ("- a", "it is no object, with members like `openapi`"),
        ("a: [", "line 2, column 1"),
    ],
)
def test_what_is_no_contract_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ContractError) as error:
        read_document(written(tmp_path, spec=text))
    assert said.replace('"<byte string>"', '"<unicode string>"') in str(error.value)


def test_json_is_read_as_json(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(with_schema({"type": "string", "enum": ["NO", "2026-01-02"]}), indent="\t"))
    assert body_faults(read_contract(path), "NO") == []
    path.write_text('{"a": NaN}')
    with pytest.raises(ContractError, match="it can't be read as JSON: NaN is no JSON"):
        read_contract(path)


NODE = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}, "value": {"type": "integer"}}}


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_recursive_schemas_are_validated(version: str) -> None:
    contract = with_schema({"$ref": "#/components/schemas/Node"}, components={"schemas": {"Node": NODE}})
    contract = read_contract({**contract, "openapi": version})
    assert body_faults(contract, {"next": {"next": {"value": 1}}}) == []
    assert body_faults(contract, {"next": {"next": {"value": "a"}}}) == [
        '#/next/next/value "a" is not of type "integer"'
    ]
    assert inlined(contract)["components"]["schemas"]["Node"]["properties"]["next"]["type"] == "object"


def test_reference_may_say_more_beside_since_3_1_only() -> None:
    base = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["b"]}
    schemas = {"Base": base, "More": {"$ref": "#/components/schemas/Base", "required": ["a"]}}
    old = with_schema({"$ref": "#/components/schemas/More"}, components={"schemas": schemas})
    assert body_faults(read_contract(old), {}) == ["# 'b' is required"]
    assert sorted(body_faults(read_contract({**old, **LATER}), {})) == ["# 'a' is required", "# 'b' is required"]


def test_other_files_become_part_of_the_contract(tmp_path: Path) -> None:
    main = with_schema({"$ref": "schemas/tree.yaml#/Tree"}, components={"schemas": {"Leaf": {"type": "boolean"}}})
    main["paths"]["/y"] = {"$ref": "paths/y.yaml"}
    tree = {
        "Tree": {
            "type": "object",
            "properties": {"kids": {"type": "array", "items": {"$ref": "#/Tree"}}, "leaf": LEAF},
        },
        "Leaf": {"type": "integer"},
    }
    item = {"get": {"operationId": "a.c", "parameters": [{"$ref": "../parts.yaml#/limit"}], "responses": DONE}}
    parts = {"limit": {"name": "limit", "in": "query", "schema": {"$ref": "schemas/tree.yaml#/Leaf"}}}
    contract = read_contract(written(tmp_path, spec=main, schemas__tree=tree, paths__y=item, parts=parts))
    assert body_faults(contract, {"kids": [{"kids": [], "leaf": 1}]}) == []
    assert body_faults(contract, {"kids": [{"leaf": True}]}) == ['#/kids/0/leaf true is not of type "integer"']
    assert contract["paths"]["/y"]["get"]["parameters"] == [
        {"name": "limit", "in": "query", "schema": {"$ref": "#/components/schemas/Leaf_2"}}
    ]
    assert contract["components"]["schemas"]["Leaf"] == {"type": "boolean"}
    assert read_contract(contract) == contract


LEAF = {"$ref": "#/Leaf"}


def test_schema_that_is_a_whole_file_may_refer_to_itself_and_back(tmp_path: Path) -> None:
    main = with_schema({"$ref": "./node.yaml"}, components={"schemas": {"Id": {"type": "string", "format": "uuid"}}})
    node = {"properties": {"next": {"$ref": "#"}, "id": {"$ref": "spec.yaml#/components/schemas/Id"}}}
    contract = read_contract(written(tmp_path, spec=main, node=node))
    assert body_faults(contract, {"next": {"id": "x"}}) == ["#/next/id 'x' is no uuid"]
    assert contract["components"]["schemas"]["node"]["properties"]["next"] == {"$ref": "#/components/schemas/node"}


def test_discriminators_of_other_files_name_the_components(tmp_path: Path) -> None:
    pet = {"oneOf": [{"$ref": "#/Cat"}], "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/Cat"}}}
    main = with_schema({"$ref": "pets.yaml#/Pet"})
    contract = read_contract(written(tmp_path, spec=main, pets={"Pet": pet, "Cat": {"type": "object"}}))
    assert contract["components"]["schemas"]["Pet"]["discriminator"]["mapping"] == {"cat": "#/components/schemas/Cat"}


def test_ref_may_be_the_name_of_a_property_or_stand_in_an_extension() -> None:
    schema = {
        "type": "object",
        "properties": {"$ref": {"type": "string"}, "example": {"$ref": "#/components/schemas/Id"}},
        "example": {"$ref": "#/nowhere"},
        "x-more": {"$ref": "nowhere.yaml"},
    }
    contract = read_contract(with_schema(schema, components={"schemas": {"Id": {"type": "integer"}}}))
    assert body_faults(contract, {"$ref": 1, "example": "a"}) == [
        '#/$ref 1 is not of type "string"',
        '#/example "a" is not of type "integer"',
    ]
    assert (
        "$ref"
        in inlined(contract)["paths"]["/x"]["post"]["requestBody"]["content"]["application/json"]["schema"]["x-more"]
    )


def parameter(**more: Any) -> dict[str, Any]:
    return {"name": "p", "in": "query", "schema": {"type": "string"}, **more}


def with_parameters(*parameters: Any, path: str = "/x", **more: Any) -> Contract:
    operation = {"operationId": "a.b", "parameters": list(parameters), "responses": DONE}
    return HEAD | {"paths": {path: {"get": operation}}} | more


SERVERS = [{"url": "/{v}", "variables": {"v": {"default": "v3", "enum": ["v1", "v2"]}}}]
LATER = {"openapi": "3.1.0"}
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
BODY = "#/paths/~1x/post/requestBody/content/application~1json/schema"
ROOT = "it is not valid OpenAPI, at "
IN_PATH = {**parameter(name="id", required=True), "in": "path"}
ONE = {"operationId": "a.b", "responses": DONE}
SAME = {
    f"/{{{name}}}": {"get": {**ONE, "operationId": f"a.{name}", "parameters": [{**IN_PATH, "name": name}]}}
    for name in "ab"
}
REFUSED: list[tuple[Contract, str]] = [
    (with_schema({"$ref": "#/components/schemas/No"}), f"{BODY}: $ref '#/components/schemas/No' leads nowhere"),
    (with_schema({"$ref": "https://example.com/a.yaml"}), "another server: save that document beside the contract"),
    (with_schema({"items": {"$ref": "#"}}), f"{BODY}/items: $ref '#' leads to the whole contract, which is no schema"),
    (with_schema({"$ref": "#Node"}, **LATER), "$ref '#Node' is no JSON pointer"),
    (with_schema({"type": "strin"}), f"{ROOT}{BODY}/type: "),
    (with_schema({"type": "strin"}, **LATER), f"{ROOT}{BODY}/type: "),
    (with_schema({"items": {"minimum": "1"}}, **LATER), f'{ROOT}{BODY}/items/minimum: "1" is not of type "number"'),
    (with_schema({"pattern": "(a"}), f"{BODY}/pattern: '(a' can't be matched: it is no regular expression of ECMA-262"),
    (
        with_schema({"pattern": "\\Aa"}, **LATER),
        f"{BODY}/pattern: '\\\\Aa' can't be matched: it is no regular expression",
    ),
    (with_schema({"$dynamicRef": "#a"}, **LATER), f"{BODY}/$dynamicRef: $dynamicRef is not supported"),
    (with_schema({"$id": "https://example.com/a"}, **LATER), f"{BODY}/$id: $id is not supported"),
    (
        with_schema({}, jsonSchemaDialect=DRAFT_7, **LATER),
        "#/jsonSchemaDialect: schemas are read as JSON Schema 2020-12",
    ),
    (with_parameters(path="/x/{id}"), "GET /x/{id}: declare its path parameter 'id', `in: path` and `required: true`"),
    (with_parameters(IN_PATH), "GET /x: its path has no {id}, which is declared as a path parameter"),
    (with_parameters({**parameter(), "in": "body"}), f"{ROOT}#/paths/~1x/get/parameters/0/in: 'body' may not stand"),
    (with_parameters(servers=SERVERS), "#/servers/0/variables/v/default: 'v3' is not among the variable's enum: write"),
    (HEAD | {"paths": {"/x": {"get": ONE, "put": ONE}}}, "PUT /x: its operationId 'a.b' is that of GET /x, too"),
    (HEAD | {"paths": SAME}, "GET /{b}: it can't be told from GET /{a}: they are the same path"),
]


@pytest.mark.parametrize(("contract", "said"), REFUSED, ids=[said[:60] for _, said in REFUSED])
def test_refusal_names_the_place_and_what_to_write(contract: Contract, said: str) -> None:
    with pytest.raises(ContractError) as error:
        read_contract(contract)
    assert said in str(error.value)
    assert len(str(error.value)) < 1_000


def test_first_five_faults_are_told_and_how_many_more_there_are() -> None:
    contract = with_parameters(*(parameter(name=f"p{i}", schema={"type": "x"}) for i in range(8)))
    with pytest.raises(ContractError) as error:
        read_contract(contract)
    lines = str(error.value).split("\n")
    assert len(lines) == 6
    assert lines[4].startswith("The document: it is not valid OpenAPI, at #/paths/~1x/get/parameters/4/schema/type: ")
    assert lines[5] == "… and 3 more"


@pytest.mark.parametrize("target", ["https://example.com/api/it#/components/schemas/A", "#/components/schemas/A"])
def test_document_may_be_referred_to_by_the_uri_that_it_gives_itself(tmp_path: Path, target: str) -> None:
    components = {"schemas": {"A": {"type": "integer"}, "B": {"type": "array", "items": {"$ref": target}}}}
    contract = with_schema({"$ref": "#/components/schemas/B"}, components=components)
    contract |= {"openapi": "3.2.0", "$self": "https://example.com/api/it"}
    read = read_contract(written(tmp_path, it=contract))
    assert (body_faults(read, [1]), len(body_faults(read, ["a"]))) == ([], 1)
    del contract["$self"]
    if "://" in target:
        with pytest.raises(ContractError, match="leads to another server"):
            read_contract(written(tmp_path, it=contract))


TEXTS = [
    "1e3",
    ".5",
    "5.",
    "0o17",
    "0x1F",
    "-0",
    "+1",
    "1_000",
    "012",
    "NO",
    "on",
    "null",
    "~",
    "",
    "2026-01-02",
    "12:30",
]
TEXTS += [
    "=",
    "<<",
    "a: b",
    "#",
    "- a",
    "é",
    "'",
    '"',
    "a\nb",
    "a\n",
    " a ",
    "\ta",
    "\u2028",
    "\x07",
    "1.5.0",
    "true",
    ".nan",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_that_is_written_as_yaml_stays_text(tmp_path: Path, text: str) -> None:
    document = HEAD | {"x-text": [text, {text: text}], "x-numbers": [1, 1.5, 1e300, -0.0, True, None]}
    path = written(tmp_path, it=as_yaml(document))
    assert read_document(path) == document
    assert yaml.safe_load(path.read_text()) == document  # as YAML 1.1 has it
