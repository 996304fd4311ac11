"""`resource-server new`: an API in a folder of its own, from the samples or from a contract that exists already."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from resource_server.contract.files import of_yaml
from resource_server.contract.loading import read_contract
from resource_server.developing.adopting import adopted
from tests.houses import borrowed_environment, build_wheel
from tests.processes import ENGINE, SAMPLE, clean_environ, run, running
from tests.serving import free_port, get
from tests.survey import PACKAGES, contracts

SHOP = """# The shop's contract.
openapi: 3.0.3
info: {title: Shop, version: "1.0"}
paths:
  /items/{item-id}: # one of them
    parameters: [{name: item-id, in: path, required: true, schema: {type: integer}}]
    get:
      operationId: getItem
      security: [{login: [read]}]
      responses: {"200": {description: It., content: {application/json: {}}}}
    put:
      security: [{apiKey: []}]
      responses: {"204": {description: Done.}}
  /items:
    get:
      operationId: list-items
      summary: What is "sold".
      responses: {"200": {description: They., content: {application/json: {}}}}
components:
  securitySchemes:
    login:
      # Where people log in.
      type: oauth2
      flows: {clientCredentials: {tokenUrl: "https://tenant.example.com/token", scopes: {read: Reads.}}}
    apiKey: {type: apiKey, in: header, name: X-Key}
"""


WITHOUT_LINTERS = {"CI": ""}
"""Where they are missing, the tests that need them are skipped."""


def new(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return run([*COMMAND, "new", *arguments], cwd=folder)


COMMAND = [sys.executable, "-m", "resource_server"]


def installed(house: Path) -> Path:
    """A house with this environment, in which its own engine comes first."""
    (house / ".venv").symlink_to(Path(sys.prefix))
    return house


def guides(house: Path) -> list[str]:
    """The guides that a house's own words name."""
    return re.findall(r"`(\S+\.md)`", (house / "README.md").read_text())


def test_samples_are_made_under_another_name(tmp_path: Path) -> None:
    made = new(tmp_path, "notes")
    assert (made.returncode, made.stdout) == (0, "Made notes. Next: cd notes && make run\n")
    house = installed(tmp_path / "notes")
    texts = {path: path.read_text() for path in house.glob("[!e]*") if path.is_file()}
    assert not [path for path, text in texts.items() if "auth0-openapi-flask" in text]
    assert 'name = "notes"' in texts[house / "pyproject.toml"]
    assert "    make token      # " in texts[house / "README.md"]
    assert guides(house) == [f"engine/docs/{name}.md" for name in ("README", "your-api", "testing", "troubleshooting")]
    assert all((house / guide).exists() for guide in guides(house))
    assert "image: notes" in (house / "deploy" / "compose.yaml").read_text()
    assert (house / "openapi.yaml").read_text() == (SAMPLE / "openapi.yaml").read_text()
    missing = {path.relative_to(ENGINE) for path in ENGINE.rglob("src/**/*.py")} - {
        path.relative_to(house / "engine") for path in house.rglob("engine/src/**/*.py")
    }
    assert not [path for path in missing if "template" not in path.parts and "node_modules" not in path.parts]
    for target in ("test", "lint"):
        ended = run(["make", target, "TESTS="], WITHOUT_LINTERS, house)
        assert ended.returncode == 0, ended.stdout


def test_contract_that_exists_is_served_and_tested(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SHOP)
    made = new(tmp_path, "a/house", "--spec", "shop.yaml", "--name", "shop")
    assert made.returncode == 0, made.stderr
    house = installed(tmp_path / "a" / "house")
    before, after = SHOP.splitlines(), (house / "openapi.yaml").read_text().splitlines()
    assert [line for line in after if line not in before] == [
        "x-openapi-router-controller: api.handlers",
        "      x-tokenInfoFunc: security.token_info",
        "    apiKey: {x-apikeyInfoFunc: security.keys.api_key, type: apiKey, in: header, name: X-Key}",
    ]
    assert [line for line in before if line not in after] == [before[-1]]
    missing = {path.relative_to(ENGINE) for path in ENGINE.rglob("src/**/*.py")} - {
        path.relative_to(house / "engine") for path in house.rglob("engine/src/**/*.py")
    }
    assert not [path for path in missing if "template" not in path.parts and "node_modules" not in path.parts]
    for target in ("test", "lint"):
        ended = run(["make", target, "TESTS="], WITHOUT_LINTERS, house)
        assert ended.returncode == 0, ended.stdout
    assert '        "GET /items",\n    ]' in (house / "tests" / "test_contract.py").read_text()
    with running(["make", "run"], {"PORT": str(free_port())}, house) as process:
        url = process.wait_for(r"(http://\S+)/ui/", seconds=60)[1]
        token = run(["make", "-s", "token"], {"PORT": url.rpartition(":")[2]}, house).stdout.strip()
        assert [get(f"{url}/items").status_code, get(f"{url}/items/1").status_code] == [501, 401]
        assert get(f"{url}/items/1", token).status_code == 501


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["taken"], "taken is there already, and isn't empty"),
        (["Notes"], "Images and services can't be called 'Notes': --name takes a-z"),
        (["x", "--name", "x" * 60], "--name takes a-z"),
        (["x", "--spec", "none.yaml"], "'none.yaml' does not exist"),
        (["x", "--spec", "broken.yaml"], "it can't be read as YAML"),
        (["x", "--spec", "old.yaml"], "it is Swagger 2.0"),
        (["x", "--spec", "nowhere.yaml"], "leads nowhere"),
        (["x", "--spec", "mutual.yaml"], "GET /x: security schemes of type 'mutualTLS'"),
    ],
)
def test_what_cannot_be_made_leaves_nothing_behind(tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    (tmp_path / "broken.yaml").write_text("a: [")
    (tmp_path / "old.yaml").write_text('swagger: "2.0"\ninfo: {title: T, version: "1"}\npaths: {}\n')
    (tmp_path / "nowhere.yaml").write_text(SHOP.replace("{type: integer}", "{$ref: '#/components/schemas/None'}"))
    (tmp_path / "mutual.yaml").write_text(
        yaml.safe_dump(
            {
                "openapi": "3.1.0",
                "info": {"title": "T", "version": "1"},
                "paths": {"/x": {"get": {"security": [{"m": []}], "responses": {"200": {"description": "It."}}}}},
                "components": {"securitySchemes": {"m": {"type": "mutualTLS"}}},
            }
        )
    )
    before = {*tmp_path.iterdir()}
    made = new(tmp_path, *arguments)
    assert made.returncode in (1, 2)
    assert says in " ".join(made.stderr.split())
    assert "Traceback" not in made.stderr
    assert {*tmp_path.iterdir()} == before


def test_json_and_several_files_become_one_document(tmp_path: Path) -> None:
    contract = of_yaml(SHOP)
    (tmp_path / "shop.json").write_text(json.dumps(contract))
    contract["paths"]["/items"]["get"]["responses"]["200"]["content"]["application/json"] = {
        "schema": {"$ref": "items.yaml#/Items"}
    }
    (tmp_path / "items.yaml").write_text('Items: {type: array, items: {type: string, example: "1e3"}}')
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(contract))
    for name in ("shop.json", "shop.yaml"):
        found: Any = of_yaml(adopted(tmp_path / name))
        assert found["x-openapi-router-controller"] == "api.handlers"
        assert found["components"]["securitySchemes"]["login"]["x-tokenInfoFunc"] == "security.token_info"
    assert found["components"]["schemas"]["Items"]["items"] == {"type": "string", "example": "1e3"}


def test_public_contracts_are_adopted_as_they_are(tmp_path: Path) -> None:
    names = list(contracts())[::40]
    assert len(names) > 10
    for name in names:
        source = PACKAGES / name
        try:
            before = read_contract(source)
        except ValueError:
            continue
        (tmp_path / "openapi.yaml").write_text(adopted(source))
        after = read_contract(tmp_path / "openapi.yaml")
        after.pop("x-openapi-router-controller", None)
        for scheme in after.get("components", {}).get("securitySchemes", {}).values():
            for member in [each for each in scheme if each.startswith("x-") and each.endswith("InfoFunc")]:
                del scheme[member]
        assert after == before, name


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where only the built wheel is installed, beside what it needs."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel = build_wheel(folder / "dist")
    borrowed_environment(folder)
    pip = [str(folder / ".venv" / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, env=clean_environ())  # noqa: S603
    return folder


def test_installed_wheel_makes_houses_that_depend_on_it(environment: Path, tmp_path: Path) -> None:
    made = run([str(environment / ".venv" / "bin" / "resource-server"), "new", "notes"], cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    house = tmp_path / "notes"
    (built,) = (environment / "dist").glob("*.whl")
    with zipfile.ZipFile(built) as first, zipfile.ZipFile(house / "vendor" / built.name) as second:
        assert sorted(first.namelist()) == sorted(second.namelist())
        assert all(first.read(name) == second.read(name) for name in first.namelist() if "RECORD" not in name)
    assert not (house / "engine").exists()
    borrowed_environment(house)
    stamps = run(["make", "--question", "test"], cwd=house)
    assert stamps.returncode in (0, 1), stamps.stderr
    environ = {"PORT": str(free_port())}
    served = ["make", "run", "PIP_INSTALL=true"]
    with running(served, environ, house) as process:
        url = process.wait_for(r"(http://\S+)/ui/", seconds=60)[1]
        assert get(f"{url}/api/public").status_code == 200
    assert [(house / guide).exists() for guide in guides(house)] == [True] * 4
    tested = run(["make", "test", "PIP_INSTALL=true"], WITHOUT_LINTERS, house)
    assert tested.returncode == 0, tested.stdout
