"""What builds and runs the clients: the commands of `clients.yaml`, on a machine that has the toolchains."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openapi_generator_cli
import pytest
import tree_sitter_objc
import yaml
from tree_sitter import Language, Node, Parser

from tests.processes import DOCS as GUIDES
from tests.processes import ENGINE, TESTS, clean_environ

DOCS = GUIDES / "clients"
NODE = TESTS / "clients"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A program, or a generated client with the program that calls it.

    Args:
        file: The program's name in its folder.
        run: The command that runs it.
        build: The command that builds it first.
        parsed: Whether the sources are only parsed, since nothing here compiles them.
        language: The name by which the client is generated.
    """

    file: str | None = None
    run: str | None = None
    build: str | None = None
    parsed: bool = False
    language: str | None = None


@dataclass(frozen=True, kw_only=True)
class Client:
    """A language, what it takes to build and run it, and its parts."""

    commands: tuple[str, ...] = ()
    packages: str | None = None
    modules: str | None = None
    version: Mapping[str, str] | None = None
    program: Part | None = None
    sdk: Part | None = None

    def missing(self) -> str | None:
        """What to install, if something is missing."""
        if lacking := [names for names in self.commands if not any(map(_is_there, names.split(" or ")))]:
            return f"this needs {', '.join(lacking)}, which .ci/run installs (from Debian: {self.packages})"
        if self.modules and not (NODE / "node_modules" / self.modules).is_dir():
            return f"this needs Node modules: run `npm ci --prefix {NODE.relative_to(ENGINE)}`"
        return None

    def versions(self) -> str:
        """The toolchain and its version, without what changes with every patch."""
        return ", ".join(f"{name} {_version(command)}" for name, command in (self.version or {}).items())


def clients() -> dict[str, Client]:
    """The clients, by the name of their language."""
    table = yaml.safe_load((TESTS / "clients.yaml").read_text())
    return {name: _client(**given) for name, given in table.items()}


def _is_there(name: str) -> bool:
    return bool(shutil.which(name)) or Path(name).is_file()


def _client(*, program: Any = None, sdk: Any = None, **given: Any) -> Client:
    return Client(program=program and Part(**program), sdk=sdk and Part(**sdk), **given)


def _version(command: str) -> str:
    found = re.search(r"\d+\.\d+", shell(command, cwd=ENGINE).stdout)
    return found[0] if found else "of an unknown version"


def shell(command: str, cwd: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the table to its end."""
    places = {
        "DOCS": str(DOCS),
        "NODE": str(NODE),
        "GENERATOR": str(Path(openapi_generator_cli.__file__).with_name("openapi-generator.jar")),
        "PYTHON": sys.executable,
    }
    return subprocess.run(  # noqa: S603  # the tests' own commands
        [str(shutil.which("bash")), "-euo", "pipefail", "-c", command],
        env=clean_environ(**places, **environ),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def unparsed(folder: Path) -> list[str]:
    """Where a folder's files of Objective-C can't be read as such."""
    parser = Parser(Language(tree_sitter_objc.language()))
    files = [path for path in folder.rglob("*") if path.suffix in (".m", ".h")]
    assert files, f"there is nothing to parse in {folder}"
    return [
        f"{path.name}:{node.start_point.row + 1}"
        for path in sorted(files)
        for node in _errors(parser.parse(path.read_bytes()).root_node)
    ]


def _errors(node: Node) -> Iterator[Node]:
    if node.is_error or node.is_missing:
        yield node
    for child in node.children if node.has_error else ():
        yield from _errors(child)


CLIENTS = clients()


def require(client: Client) -> None:
    """Without what builds and runs it the test is skipped; in CI it fails."""
    if missing := client.missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
