"""Mutation testing of `resource_server.tokens`, a part of `make proof`.

Every mutant is killed by a test or stands in `mutants.yaml` with the reason why it may live. Prints those that do
neither, and reasons that no mutant needs any more; exits with 1 if there are any. With the name of a module, like
`uris`, only that is changed, and only its own tests are asked.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.processes import ENGINE

REASONS = Path(__file__).with_suffix(".yaml")
MUTMUT = [sys.executable, "-m", "mutmut"]


def output(folder: Path, *arguments: str) -> str:
    return subprocess.run([*MUTMUT, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout  # noqa: S603


def survivors(folder: Path) -> Iterator[tuple[str, str]]:
    """Each surviving mutant's name, and the lines that it changes."""
    for name in re.findall(r"(?m)^\s*(\S+): survived$", output(folder, "results")):
        changed = re.findall(r"(?m)^[-+](?!--|\+\+).*", output(folder, "show", name))
        yield name, "\n".join(line[0] + " " + line[1:].strip() for line in changed)


def prepare(folder: Path, module: str | None) -> None:
    """A copy of the engine in which a module is to be changed; without one, all of them."""
    for name in ("docs", "src", "tests"):
        shutil.copytree(ENGINE / name, folder / name, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    settings = (ENGINE / "pyproject.toml").read_text()
    if module:
        only, tests = [f"src/resource_server/tokens/{module}.py"], [f"tests/unit/test_{module}.py"]
        settings = settings.replace("[tool.mutmut]", f"[tool.mutmut]\nonly_mutate = {only}")
        settings = re.sub(r"(?s)(pytest_add_cli_args_test_selection = )\[.*?\]", rf"\1{tests}", settings)
    (folder / "pyproject.toml").write_text(settings)


def main(module: str | None = None) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, module)
        subprocess.run([*MUTMUT, "run"], cwd=folder, check=True)  # noqa: S603
        found, number = dict(survivors(folder)), len(output(folder, "results", "--all", "true").splitlines())
    reasons = {mutant for group in yaml.safe_load(REASONS.read_text()) for mutant in group["mutants"]}
    unexplained = {name: change for name, change in found.items() if change not in reasons}
    for name, change in unexplained.items():
        sys.stdout.write(f"{name} survived without a reason:\n{change}\n\n")
    idle = set() if module else reasons - set(found.values())
    for change in idle:
        sys.stdout.write(f"No mutant survived that would need this reason any more:\n{change}\n\n")
    sys.stdout.write(f"{len(found)} of {number} mutants survived, {len(unexplained)} of them without a reason\n")
    return bool(unexplained or idle)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
