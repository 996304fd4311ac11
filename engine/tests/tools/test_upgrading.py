"""A house whose owner has made it theirs takes a later engine, as a folder or as a wheel, and all is well."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.houses import borrowed_environment, build_wheel, copy_engine, house, local_package
from tests.image import build, missing
from tests.nodepeers import LINTERS
from tests.processes import SAMPLE, run
from tests.tools.test_your_api import follow

pytestmark = pytest.mark.timeout(600)

TARGET = "\nhello: $(RUN_STAMP) ## Greet\n\t@$(BIN)/python -c 'import zqmine; print(\"hello from mine\")'\n"
# Stands for a layer of tests that `make test` runs, which fails if it finds none.
NOTHING = (
    '"""The engine."""\n\nimport resource_server\n\n\n'
    'def test_engine_is_there() -> None:\n    assert "Settings" in resource_server.__all__\n'
)
DEBIAN = "RUN apt-get update && apt-get install --no-install-recommends -y libpq5\n"


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the packages are found that are on no index."""
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="module")
def environ(packages: Path) -> Mapping[str, str]:
    return {"PIP_FIND_LINKS": str(packages), "UV_FIND_LINKS": str(packages)}


@pytest.fixture
def theirs(tmp_path: Path, packages: Path, environ: Mapping[str, str]) -> Path:
    """A house whose owner has replaced the samples, and added a bit of everything."""
    theirs = follow(house(tmp_path / "house"))
    few_tests(theirs / "engine")
    borrowed_environment(theirs)
    local_package(packages, "zqmine")
    changed(theirs / "pyproject.toml", '  "flask",\n', '  "flask",\n  "zqmine",\n')
    (theirs / "Makefile").write_text((theirs / "Makefile").read_text() + TARGET)
    changed(theirs / "Dockerfile", "USER 65532", f"{DEBIAN}USER 65532")
    locked = run(["make", "lock"], environ, cwd=theirs, seconds=300)
    assert locked.returncode == 0, locked.stderr
    return theirs


def few_tests(engine: Path) -> None:
    """Leave some of an engine's tests, which are all run elsewhere."""
    for layer in ("api", "system", "tools"):
        for path in (engine / "tests" / layer).glob("test_*.py"):
            path.unlink()
    (engine / "tests" / "api" / "test_nothing.py").write_text(NOTHING)
    for path in (engine / "tests" / "unit").glob("test_*.py"):
        if path.stem not in ("test_settings", "test_rooms"):
            path.unlink()


def later_engine(folder: Path, packages: Path) -> Path:
    """An engine in which everything that a house calls has changed."""
    copy_engine(folder)
    few_tests(folder)
    changed(folder / "pyproject.toml", 'version = "1.0.0"', 'version = "1.1.0"')
    for requirements in folder.glob("requirements*.txt"):
        requirements.write_text(requirements.read_text() + local_package(packages, "zqlater"))
    changed(folder / "rules.mk", ".DEFAULT_GOAL := run", ".DEFAULT_GOAL := run\n\nlater: ## New\n\t@echo a later rule")
    (folder / "image.sh").write_text((folder / "image.sh").read_text() + "echo later > /opt/venv/later\n")
    (folder / "ci.sh").write_text("echo later packages\n")
    (folder / "docs" / "your-api.md").write_text("# Another guide\n")
    shutil.rmtree(folder / "docs" / "examples")
    (folder / "src" / "resource_server" / "doctor" / "later.py").write_text('"""New."""\n')
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (1, 1))  # as an archive may have it
    return folder


def make(house: Path, target: str, environ: Mapping[str, str]) -> str:
    ended = run(["make", target], environ, cwd=house, seconds=300)
    assert ended.returncode == 0, ended.stdout[-3_000:] + ended.stderr[-3_000:]
    return ended.stdout


def test_what_an_owner_adds_is_pinned_against_the_engine(theirs: Path, environ: Mapping[str, str]) -> None:
    pins = (theirs / "requirements.txt").read_text()
    assert re.findall(r"(?m)^(\S+?)==", pins) == ["zqmine"]
    assert "--hash=sha256:" in pins
    assert not (theirs / "requirements-dev.txt").exists()
    assert make(theirs, "hello", environ) == "hello from mine\n"
    changed(theirs / "pyproject.toml", 'dev = ["pytest"]', 'dev = ["pytest", "zqalsomine"]')
    local_package(Path(environ["PIP_FIND_LINKS"]), "zqalsomine")
    make(theirs, "lock", environ)
    assert (theirs / "requirements.txt").read_text() == pins
    assert re.findall(r"(?m)^(\S+?)==", (theirs / "requirements-dev.txt").read_text()) == ["zqalsomine"]


@pytest.mark.parametrize("form", ["folder", "wheel"])
def test_later_engine_takes_the_place_of_the_one_before(
    theirs: Path, packages: Path, environ: Mapping[str, str], tmp_path: Path, form: str
) -> None:
    before = {path: path.read_bytes() for path in theirs.iterdir() if path.is_file()}
    assert "passed" in make(theirs, "test", environ)
    later = later_engine(tmp_path / "later", packages)
    shutil.rmtree(theirs / "engine")
    if form == "folder":
        shutil.copytree(later, theirs / "engine", symlinks=True)
    else:
        (theirs / "vendor").mkdir()
        shutil.copy(build_wheel(tmp_path / "dist", later), theirs / "vendor")
    make(theirs, "lock", environ)
    if form == "wheel":  # as `npm ci` would
        (linters,) = (theirs / ".venv").glob("resource_server-*/resource_server/testing/linters")
        (linters / "node_modules").symlink_to(LINTERS / "node_modules")
    summaries = re.findall(r"\d+ passed", make(theirs, "test", environ))
    assert len(summaries) == (3 if form == "folder" else 1)
    make(theirs, "lint", environ)
    assert make(theirs, "hello", environ) == "hello from mine\n"
    assert make(theirs, "later", environ) == "a later rule\n"
    assert make(theirs, "ci-packages", environ) == "later packages\n"
    assert make(theirs, "contract", environ).rstrip().endswith("0 failed, 0 not run")
    look = "import zqlater, zqmine, resource_server.doctor.later as new; print(new.__file__)"
    found = run([str(theirs / ".venv" / "bin" / "python"), "-c", look], cwd=theirs)
    assert str(theirs) in found.stdout, found.stderr
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("form", ["folder", "wheel"])
def test_image_is_made_of_the_later_engine(
    theirs: Path, packages: Path, engine_packages: Path, tmp_path: Path, form: str
) -> None:
    if why := missing():
        pytest.skip(why)
    later = later_engine(tmp_path / "later", packages)
    shutil.rmtree(theirs / "engine")
    if form == "folder":
        shutil.copytree(later, theirs / "engine", symlinks=True)
    else:
        (theirs / "vendor").mkdir()
        shutil.copy(build_wheel(tmp_path / "dist", later), theirs / "vendor")
    shutil.copytree(engine_packages, packages, dirs_exist_ok=True)
    image = build(theirs, tmp_path / "image", packages)
    assert (image.root / "opt" / "venv" / "later").read_text() == "later\n"
    (installed,) = (image.root / "opt" / "venv" / "lib").glob("python*/site-packages")
    assert {"zqlater.py", "zqmine.py", "resource_server"} <= {path.name for path in installed.iterdir()}
    assert image.debian == [DEBIAN.removeprefix("RUN ").strip()]


@pytest.mark.parametrize("wheels", [(), ("1.0.0", "1.1.0")])
def test_house_without_an_engine_says_what_is_missing(tmp_path: Path, wheels: tuple[str, ...]) -> None:
    shutil.copy(SAMPLE / "Makefile", tmp_path)
    (tmp_path / "vendor").mkdir()
    for version in wheels:
        (tmp_path / "vendor" / f"resource_server-{version}-py3-none-any.whl").touch()
    ended = run(["make", "run"], cwd=tmp_path)
    assert ended.returncode == 2
    assert "Without engine/ there must be one wheel of it in vendor/, resource_server-*.whl" in ended.stderr
