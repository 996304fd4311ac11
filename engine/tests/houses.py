"""Houses in folders of their own, with the files of the sample, and the engine as a folder or as a wheel."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.processes import ENGINE, SAMPLE, clean_environ

_NOT_COPIED = ("__pycache__", "node_modules", ".hypothesis", ".*_cache", "mutants", "artifacts", "sdk")


def house(folder: Path, *, wheel: Path | None = None, installed: bool = False) -> Path:
    """Make a house.

    Args:
        folder: Where.
        wheel: The engine; by default a copy of its folder.
        installed: Whether it has this environment, in which its own engine comes first.
    """
    shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns(*_NOT_COPIED), dirs_exist_ok=True)
    if wheel:
        (folder / "vendor").mkdir()
        shutil.copy(wheel, folder / "vendor")
    else:
        copy_engine(folder / "engine")
    if installed:
        (folder / ".venv").symlink_to(Path(sys.prefix))  # whose `.pth` leads on from here
    return folder


def copy_engine(folder: Path) -> None:
    """Copy the engine, with what Node's programs are there, so that they need not be installed again."""

    def left_out(place: str, names: list[str]) -> set[str]:
        ignored = set(shutil.ignore_patterns(*_NOT_COPIED)(place, names))
        return ignored - ({"sdk"} if Path(place).name in ("clients", "developing") else set())

    shutil.copytree(ENGINE, folder, ignore=left_out)
    for modules in [*ENGINE.glob("tests/*/node_modules"), *ENGINE.glob("src/resource_server/testing/*/node_modules")]:
        (folder / modules.relative_to(ENGINE)).symlink_to(modules)


def build_wheel(folder: Path, engine: Path = ENGINE) -> Path:
    """Build the engine's wheel into a folder."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    built = subprocess.run(command, cwd=engine, env=clean_environ(), capture_output=True, text=True, check=False)  # noqa: S603
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel
