"""`make lock`: pins what a house adds to the engine's packages, and nothing that the engine pins already."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import click

_HEADER = "# `make lock` pins here what pyproject.toml adds to the engine's packages.\n"
_PIN = re.compile(r"(?m)^([A-Za-z0-9._-]+)==.*(?:\n .*)*\n")


def pinned(text: str) -> dict[str, str]:
    """The pins of a file of requirements: each package's lines, by its name."""
    return {pin[1]: pin[0] for pin in _PIN.finditer(text)}


def lock(engine: Path, compiler: Sequence[str]) -> None:
    """Write requirements.txt, and requirements-dev.txt if the group `dev` adds something.

    Args:
        engine: Where the engine's requirements are. All of them constrain what is added.
        compiler: The command that compiles requirements.

    Raises:
        subprocess.CalledProcessError: It can't be done, which the command has said.
    """
    given = set(pinned((engine / "requirements.txt").read_text()))
    added = _compiled(engine, compiler, Path("requirements.txt"), (), given)
    groups = tomllib.loads(Path("pyproject.toml").read_text()).get("dependency-groups", {})
    if "dev" in groups:
        given = set(pinned((engine / "requirements-dev.txt").read_text())) | added
        _compiled(engine, compiler, Path("requirements-dev.txt"), ("--group", "dev"), given)


def _compiled(engine: Path, compiler: Sequence[str], path: Path, arguments: Sequence[str], given: set[str]) -> set[str]:
    """Compile into a file, without what is given; returns the names of what is left."""
    click.echo(f"Resolving {path} …", err=True)
    constraints = ["-c", str(engine / "requirements-dev.txt"), *(["-c", "requirements.txt"] if arguments else [])]
    subprocess.run([*compiler, *constraints, *arguments, "pyproject.toml", "-o", str(path)], check=True)  # noqa: S603
    left = {name: lines for name, lines in pinned(path.read_text()).items() if name not in given}
    if left or path.name == "requirements.txt":
        path.write_text(_HEADER + "".join(left.values()))
    else:
        path.unlink()
    return set(left)


if __name__ == "__main__":
    try:
        lock(Path(sys.argv[1]), sys.argv[2:])
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
