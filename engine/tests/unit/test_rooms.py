"""The engine's rooms: which may import which, and what the engine offers to a house."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import resource_server
import resource_server.flask
import resource_server.serving
import resource_server.testing
from resource_server.serving import FlaskApp
from resource_server.serving.flasks import Flask
from resource_server.serving.requirements import Requirements, TokenHandler
from resource_server.settings import table
from tests.processes import DOCS, ENGINE, SAMPLE

SOURCES = ENGINE / "src" / "resource_server"
ROOMS = {
    "tokens": set[str](),
    "networks": {"tokens"},
    "settings": {"networks", "tokens"},
    "validating": {"settings", "tokens"},
    "flask": {"networks", "tokens"},
    "contract": {"tokens"},
    "serving": {"contract", "networks", "settings", "tokens"},
    "developing": {"contract", "networks", "serving", "settings", "tokens"},
    "doctor": {"contract", "networks", "serving", "settings", "tokens", "validating"},
    "testing": {"contract", "serving", "settings"},
    "command": {"contract", "developing", "doctor", "serving", "settings"},
    "__main__": {"developing"},
    "": {"settings", "tokens", "validating"},
}
"""Each room of the engine, and those that it imports; the last is the package itself."""


def modules() -> Iterator[tuple[str, Path]]:
    """Each module, with its room. The template is none: it is a house's own files, which nothing here imports."""
    for path in SOURCES.rglob("*.py"):
        room = path.relative_to(SOURCES).parts[0].removesuffix(".py").removeprefix("__init__")
        if room != "template":
            yield room, path


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_each_room_imports_those_below_it_only() -> None:
    found: dict[str, set[str]] = {room: set() for room in ROOMS}
    for room, path in modules():
        others = {name.split(".")[1] for name in imported(path) if name.startswith("resource_server.")}
        found[room] |= others & ROOMS.keys() - {room}
    assert found == ROOMS


def test_engine_knows_nothing_of_a_house() -> None:
    theirs = {"api", "security", "tests"}
    assert [path for _, path in modules() if theirs & {name.partition(".")[0] for name in imported(path)}] == []


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("resource_server", ("connexion", "flask", "uvicorn", "a2wsgi")),
        ("resource_server.tokens", ("connexion", "flask", "uvicorn", "a2wsgi")),
        ("resource_server.flask", ("connexion", "uvicorn", "a2wsgi", "starlette.applications")),
        ("resource_server.command", ("connexion", "flask", "uvicorn", "a2wsgi")),
        ("api.__main__", ("connexion", "flask", "api.app", "security")),
        ("resource_server.developing.token", ("connexion", "flask")),
        ("resource_server.developing.new", ("uvicorn", "pytest")),
        ("resource_server.serving", ("uvicorn", "schemathesis", "prometheus_client", "redis", "opentelemetry")),
    ],
)
def test_import_brings_in_no_more_than_it_needs(module: str, without: tuple[str, ...]) -> None:
    look = f"import sys, {module}; print(*sorted(name for name in {without!r} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", look], cwd=SAMPLE, capture_output=True, text=True, check=True)  # noqa: S603
    assert found.stdout.split() == []


def test_environment_is_read_by_the_settings_alone() -> None:
    reading = {path.name for _, path in modules() if {"os.environ", "os.getenv"} & names_of(path)}
    assert reading == {"settings.py"}


def names_of(path: Path) -> set[str]:
    """The attributes that are used in a module, like `os.environ`."""
    nodes = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute))
    return {f"{node.value.id}.{node.attr}" for node in nodes if isinstance(node.value, ast.Name)}


def test_no_private_name_of_a_dependency_is_used() -> None:
    """What hangs on one breaks at the next release."""
    serving = Path(resource_server.serving.__file__).parent
    used = {
        f"{path.name}: {ast.unparse(node)}"
        for path in serving.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and ast.unparse(node.value) not in ("self", "cls")
    }
    used |= {name for path in serving.glob("*.py") for name in imported(path) if any(map(_is_private, name.split(".")))}
    inherited = {
        name
        for kind in (FlaskApp, Flask, TokenHandler, Requirements)
        for base in kind.__mro__[1:]
        if not base.__module__.startswith("resource_server")
        for name in vars(base).keys() & vars(kind).keys()
        if _is_private(name)
    }
    assert used - {"making.py: os._exit", "authorization.py: resource.protection._replace"} == set()  # both are public
    assert inherited == set()


@pytest.mark.parametrize("package", ["connexion", "httpx"])
def test_names_of_a_dependency_that_are_used_are_those_of_the_guide(package: str) -> None:
    used = set[str]()
    for _, path in modules():
        names = {*imported(path), *names_of(path)}
        used |= {name for name in names if name.startswith(f"{package}.")}
    rows = re.findall(r"(?m)^\| (`.*?) \|", (DOCS / "dependencies.md").read_text())
    assert used == set(re.findall(rf"`({package}\.[\w.]+)`", "\n".join(rows)))


def test_guide_has_each_dependency() -> None:
    project = tomllib.loads((ENGINE / "pyproject.toml").read_text())["project"]
    needed = [re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]]  # type: ignore[index]
    table = (DOCS / "dependencies.md").read_text().partition("\n\nuvicorn's extra")[0]
    assert re.findall(r"(?m)^\| `([\w-]+)` \|", table) == needed


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def test_public_names_are_these() -> None:
    assert set(resource_server.__all__) == {
        "CREDENTIALS",
        "VALIDATOR",
        "AccessDenied",
        "AccessToken",
        "Auth0JWTBearerTokenValidator",
        "Credentials",
        "DPoP",
        "IssuerResolver",
        "IssuerUnavailable",
        "MutualTLS",
        "Nonces",
        "SQLiteReplayCache",
        "SecurityError",
        "Settings",
        "SettingsError",
        "credentials_of",
        "environ",
        "require_scopes",
        "validator_options",
    }
    assert set(resource_server.flask.__all__) == {"ResourceProtector", "current_token"}
    assert set(resource_server.serving.__all__) == {"FlaskApp", "Lifespan", "ReturnValue", "make_app"}
    assert set(resource_server.testing.__all__) == {
        *("AccessTokens", "Client", "TestIssuer"),
        *("access_token", "app", "client", "issuer", "settings"),
    }


def test_house_imports_the_public_names_only() -> None:
    names = {f"resource_server.{name}" for name in resource_server.__all__}
    names |= {f"resource_server.serving.{name}" for name in resource_server.serving.__all__}
    names |= {f"resource_server.testing.{name}" for name in resource_server.testing.__all__}
    names |= {"resource_server.command.main"}
    names |= {f"resource_server.testing.contract.{name}" for name in CONTRACT_TESTS}
    used = {name for path in SAMPLE.rglob("*.py") for name in imported(path) if name.startswith("resource_server")}
    assert used - names == set()


CONTRACT_TESTS = ("breaking_changes", "lint_complaints", "public_operations", "rule_complaints")


def test_table_of_settings_is_the_documents() -> None:
    assert table() in (DOCS / "settings.md").read_text()
