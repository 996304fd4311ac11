"""Houses in folders of their own, with the files of the sample, and the engine as a folder or as a wheel."""

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

from tests.processes import ENGINE, SAMPLE, clean_environ

_NOT_COPIED = (
    *("__pycache__", "node_modules", ".hypothesis", ".*_cache", ".env", ".venv*"),
    *("dist", "mutants", "artifacts", "sdk"),
)


def house(folder: Path, *, wheel: Path | None = None, installed: bool = False) -> Path:
    """Make a house.

    Args:
        folder: Where.
        wheel: The engine; by default a copy of its folder.
        installed: Whether it has this environment, in which its own engine comes first.
    """
    assert not (wheel and installed), "its rules would lead this environment to the wheel"
    shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns(*_NOT_COPIED), dirs_exist_ok=True)
    if wheel:
        (folder / "vendor").mkdir()
        shutil.copy(wheel, folder / "vendor")
    else:
        copy_engine(folder / "engine")
    if installed:
        (folder / ".venv").symlink_to(Path(sys.prefix))  # whose `.pth` leads on from here
    return folder


def borrowed_environment(folder: Path) -> None:
    """Make an environment for a house: what is installed in it is its own, the rest is this one's."""
    venv.create(folder / ".venv")  # which has this one's pip, too
    (packages,) = (folder / ".venv" / "lib").glob("python*/site-packages")
    (packages / "zz-borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    for program in ("ruff", "uv"):
        (folder / ".venv" / "bin" / program).symlink_to(Path(sysconfig.get_path("scripts")) / program)


def local_package(folder: Path, name: str) -> str:
    """Put the wheel of a package that has nothing in it into a folder; returns the line that pins it."""
    stem, info = f"{name}-1.0", f"{name}-1.0.dist-info"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "".join(f"{each},,\n" for each in (f"{name}.py", f"{info}/METADATA")))
    return f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


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
