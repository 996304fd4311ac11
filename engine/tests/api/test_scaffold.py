"""`scaffold` writes what is missing, typed, and touches nothing else; what it writes can be served at once."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.processes import ENGINE, TESTS

DONE = {"200": {"description": "Done.", "content": {"application/json": {}}}}
PARAMETERS = [
    {"name": "pet-id", "in": "path", "required": True, "schema": {"type": "integer"}},
    {"name": "limit", "in": "query", "schema": {"type": "integer", "default": 20}},
    {"name": "status", "in": "query", "schema": {"type": "string", "enum": ["sold", "free"]}},
    {"name": "tags", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
    {"name": "since", "in": "query", "required": True, "schema": {"type": "string", "format": "date"}},
    {"name": "X-Trace", "in": "header", "schema": {"type": "number", "nullable": True}},
]
BODY = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
FORM = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}, "age": {"type": "integer"}}}
FILE = {"type": "string", "format": "binary"}
COVERS = {
    "type": "object",
    "required": ["cover", "pages"],
    "properties": {"cover": FILE, "back": FILE, "pages": {"type": "array", "items": FILE}},
}
CONTRACT: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Pets", "version": "1"},
    "x-openapi-router-controller": "pets.handlers",
    "paths": {
        "/pets/{pet-id}": {
            "get": {
                "operationId": "listPets",
                "summary": 'List "all" pets.',
                "parameters": PARAMETERS,
                "responses": DONE,
            },
            "put": {"operationId": "pets/change", "parameters": PARAMETERS[:1], "requestBody": BODY, "responses": DONE},
        },
        "/covers": {
            "post": {
                "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": COVERS}}},
                "responses": DONE,
            },
            "put": {
                "requestBody": {
                    "required": True,
                    "content": {each: {"schema": COVERS} for each in ("application/json", "multipart/form-data")},
                },
                "responses": DONE,
            },
        },
        "/files": {
            "post": {"requestBody": {"content": {"multipart/form-data": {"schema": FORM}}}, "responses": DONE},
            "get": {
                "operationId": "index",
                "parameters": [{"name": "from", "in": "query", "schema": {"type": "string"}}],
                "security": [{"key": []}],
                "responses": DONE,
            },
        },
    },
    "components": {
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "X-Key", "x-apikeyInfoFunc": "pets.keys.check"}
        }
    },
}
HANDLERS = '''\
def listPets(
    pet_id: int,
    since: str,
    limit: int = 20,
    status: Literal["sold", "free"] | None = None,
    tags: list[str] | None = None,
    x_trace: float | None = None,
) -> Any:
    """List 'all' pets."""
    abort(501)


def pets_change(pet_id: int, body: dict[str, Any]) -> Any:
    """PUT /pets/{pet-id}."""
    abort(501)


def put_covers(body: dict[str, Any], cover: Any = None, back: Any = None, pages: Any = None) -> Any:
    """PUT /covers."""
    abort(501)


def post_covers(body: dict[str, Any], cover: Any, pages: Any, back: Any = None) -> Any:
    """POST /covers."""
    abort(501)


def index(**others: Any) -> Any:
    """GET /files."""
    abort(501)


def post_files(body: dict[str, Any] | None = None, file: Any = None) -> Any:
    """POST /files."""
    abort(501)
'''


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": f"{folder}:{ENGINE / 'src'}"}
    program = "from resource_server.command import main; main('api.app:create_app')"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)  # noqa: S603


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "openapi.yaml").write_text(yaml.safe_dump(CONTRACT, sort_keys=False))
    return tmp_path


def test_missing_functions_are_written_with_typed_arguments(folder: Path) -> None:
    done = run(folder, "scaffold")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "pets/handlers.py: wrote listPets, pets_change, put_covers, post_covers, index, post_files\n"
        "pets/keys.py: wrote check\n"
    )
    text = (folder / "pets" / "handlers.py").read_text()
    assert text.endswith(HANDLERS)
    assert (folder / "pets" / "__init__.py").exists()
    again = run(folder, "scaffold")
    assert (
        again.stdout
        == "pets/handlers.py: nothing to write; 6 were there\npets/keys.py: nothing to write; 1 were there\n"
    )
    assert (folder / "pets" / "handlers.py").read_text() == text
    lint = [sys.executable, "-m", "ruff", "check", "--isolated", "--ignore", "A001", str(folder)]
    assert subprocess.run(lint, capture_output=True, text=True, check=False).returncode == 0  # noqa: S603
    types = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, "-p", "pets"]
    checked = subprocess.run(types, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    assert checked.returncode == 0, checked.stdout


def test_what_is_there_is_not_touched(folder: Path) -> None:
    module = folder / "pets" / "handlers.py"
    module.parent.mkdir()
    module.write_text('"""Mine."""\n\nimport os\n\nfrom elsewhere import pets_change\n\nindex = os.getcwd  # mine\n')
    assert run(folder, "scaffold").stdout.startswith(
        "pets/handlers.py: wrote listPets, put_covers, post_covers, post_files; 2 were there\n"
    )
    text = module.read_text()
    assert text.startswith(
        '"""Mine."""\n\nimport os\n\nfrom elsewhere import pets_change\nfrom typing import Any, Literal\n'
    )
    assert "\nindex = os.getcwd  # mine\n\n\ndef listPets(" in text
    assert "def pets_change" not in text


def test_what_is_written_is_served_and_answers_501(folder: Path) -> None:
    run(folder, "scaffold")
    program = """
from pathlib import Path
from resource_server.settings import Settings
from tests.sample import create_app
settings = Settings(issuers=("https://t.example.com/",), audience="a")
client = create_app(settings, specification=Path("openapi.yaml")).test_client()
for method, path in (("GET", "/pets/1?since=2026-01-01"), ("GET", "/pets/1"), ("POST", "/files"), ("GET", "/files")):
    print(client.request(method, path, headers={"X-Key": "any"}).status_code)
"""
    environ = {**os.environ, "PYTHONPATH": f"{folder}:{TESTS.parent}:{TESTS.parent.parent}:{ENGINE / 'src'}"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.stdout.split() == ["501", "400", "501", "401"], done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x-openapi-router-controller": "pets-1"}, "'pets-1.listPets' can't be written: write operationIds like"),
        ({"openapi": "2.0"}, "`openapi: 2.0` is not supported"),
    ],
)
def test_what_cannot_be_written_is_said(folder: Path, change: dict[str, Any], said: str) -> None:
    (folder / "openapi.yaml").write_text(yaml.safe_dump(CONTRACT | change, sort_keys=False))
    done = run(folder, "scaffold")
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr


def test_file_that_is_no_python_is_named(folder: Path) -> None:
    (folder / "pets").mkdir()
    (folder / "pets" / "handlers.py").write_text("def (:\n")
    assert "pets/handlers.py, line 1: " in run(folder, "scaffold").stderr
    assert (folder / "pets" / "handlers.py").read_text() == "def (:\n"


THING = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}, "name": {"type": "string"}}}
TYPED = """\
def add(body: schemas.Thing) -> schemas.Thing:
    \"\"\"POST /things.\"\"\"
    abort(501)
"""
WRONG = """\
from {package} import schemas


def add(body: schemas.Thing) -> schemas.Thing:
    return {"id": body["name"]}
"""


def test_handlers_are_checked_against_the_types_of_the_contract(tmp_path: Path) -> None:
    """As `make types` writes them."""
    reference = {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}
    operation = {
        "operationId": "api.things.add",
        "requestBody": {"required": True, "content": reference},
        "responses": {"201": {"description": "The thing.", "content": reference}},
    }
    contract = {key: CONTRACT[key] for key in ("openapi", "info")} | {"paths": {"/things": {"post": operation}}}
    contract["components"] = {"schemas": {"Thing": THING}}
    (tmp_path / "openapi.yaml").write_text(yaml.safe_dump(contract))
    (tmp_path / "api").mkdir()
    rule = (ENGINE / "rules.mk").read_text().partition("\ntypes: ")[2].partition("\n\n")[0]
    command = rule.partition("\n\t")[2].partition("\n\t@")[0].replace("\\\n", "").replace("$(BIN)", str(BIN))
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)  # noqa: S602  # the rule's own
    assert run(tmp_path, "scaffold").stdout == "api/things.py: wrote add\n"
    module = tmp_path / "api" / "things.py"
    assert module.read_text().endswith(f"from flask import abort\n\nfrom api import schemas\n\n\n{TYPED}")
    for text, errors in ((module.read_text(), 0), (WRONG.replace("{package}", "api"), 1)):
        module.write_text(text)
        types = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, "-p", "api"]
        checked = subprocess.run(types, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603
        assert (checked.returncode, "[typeddict-item]" in checked.stdout) == (errors, bool(errors)), checked.stdout


BIN = Path(sys.executable).parent
