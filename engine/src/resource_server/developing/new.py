"""`resource-server new DIRECTORY`: what is an API's own, in a folder of its own, with the engine that it needs."""

import importlib.metadata
import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import click

from resource_server.contract.compiled import Compiled
from resource_server.contract.loading import load_contract, read_contract
from resource_server.contract.spec import ContractError, public_operations
from resource_server.developing.adopting import adopted
from resource_server.developing.scaffold import scaffold

_PACKAGE = Path(__file__).resolve().parent.parent
_TEMPLATE = _PACKAGE / "template"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "node_modules", ".*_cache", ".env", ".venv*", ".hypothesis")
_NAME = "auth0-openapi-flask"


@click.group()
def cli() -> None:
    """A resource server of OAuth 2: an API whose contract, routes and authorization policy are one OpenAPI document."""


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--spec",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Start from this OpenAPI document, in place of the samples.",
)
@click.option("--name", help="What the API is called, like 'notes'; by default as the directory is.")
def new(directory: Path, spec: Path | None, name: str | None) -> None:
    """Make an API in DIRECTORY. There, `make run` serves it, and `make test` tests it."""
    name = name or directory.resolve().name
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,50}[a-z0-9])?", name):
        raise click.UsageError(f"Images and services can't be called {name!r}: --name takes a-z, 0-9 and - in between.")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise click.UsageError(f"{directory} is there already, and isn't empty.")
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=directory.parent) as folder:  # so that there is all of it, or nothing
            made = make_house(Path(folder) / "house", name, spec)
            made.replace(directory)
    except (ContractError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Made {directory}. Next: cd {directory} && make run")


def make_house(folder: Path, name: str, spec: Path | None) -> Path:
    """Write what is an API's own, and the engine; returns the folder.

    Args:
        folder: Where; it is not there yet.
        name: What the API is called.
        spec: A contract for which handlers are written, in place of the samples.

    Raises:
        ContractError: The contract isn't valid, or its functions can't be written.
    """
    shutil.copytree(_TEMPLATE, folder, ignore=_LEFT_OUT)
    for path in (path for pattern in _NAMED for path in folder.glob(pattern) if path.is_file()):
        path.write_text(path.read_text(encoding="utf-8").replace(_NAME, name), encoding="utf-8")
    (folder / "CHANGELOG.md").write_text(_CHANGELOG, encoding="utf-8")
    (folder / "LICENSE").unlink()
    if spec:
        _replace_samples(folder, spec)
    guides = _add_engine(folder)
    (folder / "README.md").write_text(_README.format(name=name, guides=guides), encoding="utf-8")
    return folder


_NAMED = ("pyproject.toml", "Dockerfile", "deploy/**/*")
_README = """# {name}

An OpenAPI-first Flask API, protected by access tokens. `openapi.yaml` is the contract, `api/` has the functions that it
names and the application, `security/` says which tokens are good, `tests/` are the tests.

    make run        # serves it with an issuer for development, and prints a call
    make token      # prints a token of that issuer, while it runs: SCOPE="read:messages" says with which scopes
    make test       # tests it; make test-mine leaves out the engine's own tests
    make contract   # tests it against its contract
    make lint       # checks style and types

The engine's guides, which are there after the first of these:

- `{guides}/README.md`: all of them
- `{guides}/your-api.md`: your operations in place of the samples
- `{guides}/testing.md`: your tests
- `{guides}/troubleshooting.md`: what is refused, and why
"""
_CHANGELOG = "# Changelog\n\nWhat changes for those who call this API.\n"


def _replace_samples(folder: Path, spec: Path) -> None:
    """Put a contract in place of that of the samples, with its functions, and tests that hold of it."""
    for sample in ("api/handlers.py", "tests/released.yaml", "tests/test_messages.py"):
        (folder / sample).unlink()
    path = folder / "openapi.yaml"
    path.write_text(adopted(spec), encoding="utf-8")
    contract = read_contract(path)
    scaffold(Compiled(contract), folder)
    sys.path.insert(0, str(folder))
    load_contract(contract)
    public = "".join(f"        {operation!r},\n".replace("'", '"') for operation in public_operations(contract))
    (folder / "tests" / "test_contract.py").write_text(
        _TESTS.replace("[]", f"[\n{public}    ]" if public else "[]"), encoding="utf-8"
    )


_TESTS = '''"""What holds of the contract, whatever its operations are."""

from pathlib import Path

from resource_server.testing.contract import breaking_changes, public_operations

CONTRACT, RELEASED = Path("openapi.yaml"), Path("tests/released.yaml")


def test_contract_breaks_nobody_who_calls_its_last_release() -> None:
    assert breaking_changes(CONTRACT, RELEASED) is None


def test_everybody_may_call_these_operations_and_no_others() -> None:
    assert public_operations(CONTRACT) == []
'''


def _add_engine(folder: Path) -> str:
    """Add the folder of the engine that this is, or the wheel that it is installed from; returns where its docs are."""
    checkout = _PACKAGE.parent.parent
    if (checkout / "rules.mk").exists():
        shutil.copytree(checkout, folder / "engine", ignore=_LEFT_OUT)
        return "engine/docs"
    (folder / "vendor").mkdir()
    wheel = _write_wheel(importlib.metadata.distribution("resource-server"), folder / "vendor")
    return f".venv/{wheel}/resource_server/engine/docs"  # where make unpacks it


def _write_wheel(distribution: importlib.metadata.Distribution, folder: Path) -> str:
    """Make the wheel anew that a distribution has been installed from, file for file the same; returns its name."""
    stem = f"resource_server-{distribution.version}"
    record = f"{stem}.dist-info/RECORD"
    name = f"{stem}-py3-none-any"
    with zipfile.ZipFile(folder / f"{name}.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        lines = []
        for file in distribution.files or ():
            if file.hash and file.parts[0] != ".." and file.name not in _BY_PIP and file.suffix != ".pyc":
                wheel.write(str(file.locate()), str(file))
                lines.append(f"{file},{file.hash.mode}={file.hash.value},{file.size}\n")
        wheel.writestr(record, "".join([*lines, f"{record},,\n"]))
    return name


_BY_PIP = {"INSTALLER", "REQUESTED", "direct_url.json"}
"""What pip adds to a distribution."""


def main() -> None:
    """Run the command line."""
    cli(prog_name="resource-server")
