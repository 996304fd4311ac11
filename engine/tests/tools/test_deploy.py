"""The image and the wheel: what each has in it is all that the API needs, and serves as the checkout does."""

import email
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.houses import build_wheel, copy_engine, house
from tests.image import Image, build, context_files, instructions, missing
from tests.processes import ENGINE, SAMPLE, Running, clean_environ, run, running
from tests.serving import RawResponse, comparable, free_port, get, listens, production, raw_request, wait_until
from tests.tenant import AUDIENCE, Tenant
from tests.tools.test_manifests import SETTINGS

pytestmark = pytest.mark.timeout(600)  # the first test installs all that the API needs

PROJECT = tomllib.loads((SAMPLE / "pyproject.toml").read_text())["project"]
STEPS = instructions((SAMPLE / "Dockerfile").read_text())
BASE_PYTHON = re.findall(r"python:([\d.]+)-", STEPS[0][1])[0]


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    made = subprocess.run(command, env=clean_environ(), capture_output=True, text=True, check=False)  # noqa: S603
    assert made.returncode == 0, made.stdout + made.stderr


def test_base_is_pinned_and_the_command_needs_no_shell_and_no_root() -> None:
    steps = dict(STEPS)  # the last of each
    assert re.fullmatch(r"arg BASE=python:3\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", " ".join(STEPS[0]))
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", steps["user"])
    assert steps["cmd"] == '["python", "-m", "api", "serve", "--host", "0.0.0.0"]'
    assert "--no-deps --require-hashes --only-binary :all:" in (ENGINE / "image.sh").read_text()


def litter(*folders: Path) -> None:
    """Leave what work leaves in folders."""
    for name in (".env", ".venv/x", ".hypothesis/x", ".mypy_cache/x", "__pycache__/x.pyc", "node_modules/x", "dist/x"):
        for path in (folder / name for folder in folders):
            path.parent.mkdir(exist_ok=True)
            path.touch()


def contents(folder: Path) -> dict[str, bytes]:
    """The files in a folder, without what is compiled."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_image_is_made_of_what_production_needs(tmp_path: Path) -> None:
    made = house(tmp_path)
    litter(made)
    for folder in (made / "api", made / "security", made / "engine" / "src" / "resource_server"):
        (folder / "__pycache__").mkdir()
        for name in (".env", "__pycache__/x.pyc"):
            (folder / name).touch()
    files = set(map(str, context_files(made)))
    needed = {"openapi.yaml", "requirements.txt", "api/__main__.py", "security/__init__.py"}
    assert needed <= files
    assert {"engine/image.sh", "engine/requirements-extras.txt", "engine/src/resource_server/command.py"} <= files
    others = {file for file in files if not file.startswith(("api/", "security/", "engine/"))}
    assert others == {"openapi.yaml", "requirements.txt"}
    kept_out = r"(^|/)(\..*|__pycache__|node_modules|developing|template|testing|tests|benchmarks|docs|site)(/|$)"
    assert [file for file in files if re.search(kept_out, file)] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of an engine that has been worked with."""
    folder = tmp_path_factory.mktemp("wheel")
    engine = folder / "engine"
    copy_engine(engine)
    litter(engine, engine / "docs", engine / "src" / "resource_server", engine / "src" / "resource_server" / "template")
    return build_wheel(folder / "dist", engine)


@pytest.fixture(scope="module", params=["folder", "wheel"])
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine_packages: Path) -> Image:
    """An image of the sample, with the engine as a folder and as a wheel."""
    if why := missing():
        pytest.skip(why)
    wheel = request.getfixturevalue("wheel") if request.param == "wheel" else None
    context = house(tmp_path_factory.mktemp("house"), wheel=wheel)
    for path in context.rglob("*"):
        if not path.is_symlink():  # one leads out of the house
            path.chmod(path.stat().st_mode & 0o700)  # its owner's only
    return build(context, tmp_path_factory.mktemp("image"), engine_packages)


def test_argument_is_known_to_its_stage_alone(tmp_path: Path) -> None:
    if why := missing():
        pytest.skip(why)
    (tmp_path / ".dockerignore").write_text("*\n")
    (tmp_path / "Dockerfile").write_text(
        "ARG BASE=python:3.11\nARG ONE=1\nFROM ${BASE} AS build\nARG ONE\nARG TWO=2\nRUN echo $ONE$TWO > /first\n"
        "FROM ${BASE}\nENV THREE=3\nARG THREE=4\nRUN echo $ONE$TWO$THREE > /second\nCOPY --from=build /first /first\n"
    )
    image = build(tmp_path, tmp_path / "image", tmp_path, TWO="two")
    assert [(image.root / name).read_text() for name in ("first", "second")] == ["1two\n", "3\n"]


def test_image_has_what_production_needs_and_nothing_else(image: Image) -> None:
    (packages,) = (image.root / "opt" / "venv" / "lib").glob("python*/site-packages")
    assert {"uvicorn", "uvloop"} <= {path.name for path in packages.iterdir()}
    assert not {"watchfiles", "websockets"} & {
        path.name for path in packages.iterdir()
    }  # nothing that serves uses these
    rooms = {path.stem for path in (packages / "resource_server").iterdir() if not path.name.startswith("__")}
    assert {"tokens", "contract", "serving", "doctor", "settings", "command"} <= rooms
    assert not rooms & {"developing", "engine", "template", "testing"}
    app = image.root / "app"
    own = {name: content for name, content in contents(SAMPLE).items() if re.match("openapi.yaml|api/|security/", name)}
    assert contents(app) == own
    for source in (path for folder in (app, packages / "resource_server") for path in folder.rglob("*.py")):
        assert list(source.parent.glob(f"__pycache__/{source.stem}.*.pyc")), source


@contextmanager
def container(
    image: Image, tenant: Tenant, *arguments: str, tmp: bool = False, **settings: str
) -> Iterator[tuple[Running, str]]:
    """A container of the image; yields it, and where it is reached."""
    port = str(free_port())
    environ = {**settings, "PORT": port, "AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE}
    with running(image.entering([*image.command, *arguments], environ, tmp=tmp)) as process:
        process.wait_for("Started worker-1", seconds=60)
        yield process, f"http://127.0.0.1:{port}"


def first_process(engine: Running) -> int:
    """The process that is number 1 in a container."""
    pid = engine.process.pid
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def test_image_says_what_it_is(image: Image) -> None:
    kept = {name.rpartition(".")[2]: value for name, value in image.labels.items()}
    assert kept == {
        "title": PROJECT["name"],
        "description": PROJECT["description"],
        "version": PROJECT["version"],
        "licenses": (SAMPLE / "LICENSE").read_text().partition(" ")[0],
    }
    assert image.ports == [int(image.environ["PORT"])]


def test_container_serves_the_contract_without_a_file_that_it_could_write(image: Image, tenant: Tenant) -> None:
    assert (image.root / "app" / "openapi.yaml").read_bytes() == (SAMPLE / "openapi.yaml").read_bytes()
    with container(image, tenant) as (process, url):
        assert get(f"{url}/api/public").status_code == 200
        assert get(f"{url}/api/private").status_code == 401
        assert get(f"{url}/api/private-scoped", tenant.token()).status_code == 200
        status = Path(f"/proc/{first_process(process)}/status").read_text()
    assert re.findall(r"(?m)^(?:Uid|Gid|CapEff):\s+(\w+)", status) == [*image.user.split(":"), "0" * 16]
    writing = (
        "for place in / /app /app/api /opt/venv /tmp; do touch $place/file 2>/dev/null && echo $place; done; id -u"
    )
    tried = subprocess.run(image.entering(["sh", "-c", writing]), capture_output=True, text=True, check=True)  # noqa: S603
    assert tried.stdout == image.user.partition(":")[0] + "\n"


def test_nothing_in_the_image_is_its_users(image: Image) -> None:
    theirs = [
        path
        for folder in ("app", "opt")
        for path in (image.root / folder).rglob("*")
        if not path.is_symlink() and (path.stat().st_uid != 0 or path.stat().st_mode & 0o022)
    ]
    assert theirs == []


@pytest.mark.parametrize("workers", [1, 2])
def test_container_ends_with_sigterm_to_its_first_process(image: Image, tenant: Tenant, workers: int) -> None:
    with container(image, tenant, "--workers", str(workers)) as (process, url):
        for number in range(1, workers + 1):
            process.wait_for(f"Started worker-{number}")
        assert get(f"{url}/api/public").status_code == 200
        os.kill(first_process(process), signal.SIGTERM)
        assert process.process.wait(15) == 0
        wait_until(lambda: not process.left_behind())
        assert "Traceback" not in process.output


def test_health_check_finds_a_container_that_lives_and_one_that_does_not(image: Image, tenant: Tenant) -> None:
    def health(url: str) -> int:
        # The proxy answers nobody; the check must not ask it.
        environ = {
            "PORT": url.rpartition(":")[2],
            "HTTP_PROXY": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
        }
        return subprocess.run(image.entering(image.health, environ), capture_output=True, check=False).returncode  # noqa: S603

    with container(image, tenant) as (_, url):
        assert health(url) == 0
    assert health(url) == 1


def test_container_runs_with_the_settings_of_the_cluster(image: Image, tenant: Tenant) -> None:
    metrics = free_port()
    settings = {**SETTINGS, "METRICS_PORT": str(metrics)}
    with container(image, tenant, tmp=True, **settings) as (process, url):
        wait_until(lambda: get(f"{url}/readyz").status_code == 200)
        assert get(f"{url}/api/private-scoped", tenant.token()).status_code == 200
        assert get(f"{url}/ui/").status_code == 404
        assert "private_scoped" in get(f"http://127.0.0.1:{metrics}/metrics").text
        line = process.wait_for(r'(?m)^\{.*"/api/private-scoped".*$')[0]
        assert json.loads(line)["status"] == 200


def test_doctor_works_in_a_container(image: Image, tenant: Tenant) -> None:
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE}
    for token, status in ((tenant.token(), 0), (tenant.token(aud="another"), 1)):
        asked = image.entering(["python", "-m", "api", "doctor", token], environ)
        ended = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603
        assert (ended.returncode, ended.stderr) == (status, "")
        assert "GET /api/private-scoped" in ended.stdout


def test_image_with_the_extras_has_what_the_optional_settings_need(
    tmp_path: Path, engine_packages: Path, tenant: Tenant
) -> None:
    if why := missing():
        pytest.skip(why)
    image = build(house(tmp_path / "house"), tmp_path, engine_packages, REQUIREMENTS="requirements-extras.txt")
    with container(image, tenant, TRACING="true", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9") as (process, url):
        assert get(f"{url}/api/private-scoped", tenant.token()).status_code == 200
        process.wait_for('"trace_id": "[0-9a-f]{32}"')


def test_wheel_has_one_name_and_what_a_house_calls(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "wheel")
        names = archive.namelist()
    made = house(tmp_path / "house", wheel=wheel)
    shutil.rmtree(made / "vendor")
    assert contents(tmp_path / "wheel" / "resource_server" / "template") == contents(made)
    version = tomllib.loads((ENGINE / "pyproject.toml").read_text())["project"]["version"]
    assert {name.partition("/")[0] for name in names} == {"resource_server", f"resource_server-{version}.dist-info"}
    called = ("rules.mk", "image.sh", "ci.sh", *(path.name for path in ENGINE.glob("requirements*.txt")))
    assert len(called) == 7
    assert {f"resource_server/engine/{name}" for name in (*called, "CHANGELOG.md", "docs/your-api.md")} <= set(names)
    hidden = (".ci/run", ".dockerignore", ".gitignore", "openapi.yaml")
    assert {f"resource_server/template/{name}" for name in hidden} <= set(names)
    linters = (".spectral.yaml", "package.json", "package-lock.json")
    assert {f"resource_server/testing/linters/{name}" for name in linters} <= set(names)
    left = r"(^|/)(node_modules|__pycache__|dist|\.(env|venv|hypothesis|\w+_cache))(/|$)"
    assert [name for name in names if re.search(left, name)] == []


def test_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
        assert "resource_server/py.typed" in archive.namelist()
        assert f"{Path(name).parent}/licenses/LICENSE" in archive.namelist()
    assert metadata["License-Expression"] == "MIT"
    classifiers = metadata.get_all("Classifier", [])
    assert {"Typing :: Typed", "Framework :: Flask"} <= set(classifiers)
    versions = [
        each.rpartition(" ")[2] for each in classifiers if each.startswith("Programming Language :: Python :: 3.")
    ]
    assert f">={versions[0]}" == metadata["Requires-Python"]
    assert BASE_PYTHON in versions
    needed = [each for each in metadata.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert [each for each in needed if "[standard]" in each or "watchfiles" in each] == []


@pytest.fixture(scope="module")
def environment(wheel: Path, engine_packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python with nothing but the wheel, and what that asks for."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)  # noqa: S603
    offline = ("--isolated", "--python", str(environment), "install", "--quiet", "--no-index")
    pip(*offline, "--find-links", str(engine_packages), str(wheel))
    return environment / "bin" / "python"


def test_wheel_serves_a_folder_that_has_its_own_api_and_security(
    environment: Path, tenant: Tenant, tmp_path: Path
) -> None:
    for name in ("api", "security"):
        shutil.copytree(SAMPLE / name, tmp_path / name)
    (tmp_path / "openapi.yaml").write_bytes((SAMPLE / "openapi.yaml").read_bytes())
    command = [str(environment), "-m", "api", "serve", "--port", "0"]
    settings = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "PYTHONPATH": ""}

    def answers(url: str) -> list[RawResponse]:
        open_to_all = (b"/api/public", b"/api/private", b"/openapi.json", b"/ui/")
        good = [(b"Authorization", b"Bearer " + token.encode())]
        return [*(raw_request(url, path) for path in open_to_all), raw_request(url, b"/api/private-scoped", good)]

    token = tenant.token()
    with running(command, settings, cwd=tmp_path) as process, production(tenant) as checkout:
        port = process.wait_for(r"Serving on 127.0.0.1 port (\d+)", seconds=60)[1]
        process.wait_for("Started worker-1")
        wait_until(lambda: listens(int(port)))
        expected = answers(checkout)
        assert [response.status for response in expected] == [200, 401, 200, 200, 200]
        served = answers(f"http://127.0.0.1:{port}")
        assert list(map(comparable, served)) == list(map(comparable, expected))


def test_wheel_says_that_run_needs_an_extra(environment: Path, tmp_path: Path) -> None:
    shutil.copytree(SAMPLE / "api", tmp_path / "api")
    ended = run([str(environment), "-m", "api", "run"], {"PYTHONPATH": ""}, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "Error: No module named 'watchfiles'. `run` needs the extra 'run': `make run`\n"


FLASK = """
from authlib.integrations.flask_oauth2 import ResourceProtector, current_token
from flask import Flask

from api import greeting
from resource_server import Auth0JWTBearerTokenValidator
from security import AUDIENCE, DOMAIN

protector = ResourceProtector()
protector.register_token_validator(Auth0JWTBearerTokenValidator(DOMAIN, AUDIENCE))
app = Flask(__name__)
app.get("/")(protector("read:messages")(lambda: greeting + current_token["sub"]))
token = open("token").read()
print(app.test_client().get("/", headers={"Authorization": f"Bearer {token}"}).text, app.test_client().get("/").status)

import sys
print([name for name in ("connexion", "uvicorn") if name in sys.modules])
"""


def test_wheel_serves_a_flask_app_that_has_folders_of_those_names(
    environment: Path, tenant: Tenant, tmp_path: Path
) -> None:
    for name, text in {
        "api": "greeting = 'Hello '\n",
        "security": f"DOMAIN, AUDIENCE = {tenant.url!r}, {AUDIENCE!r}\n",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    (tmp_path / "app.py").write_text(FLASK)
    (tmp_path / "token").write_text(tenant.token())
    ended = run([str(environment), "app.py"], {"PYTHONPATH": ""}, cwd=tmp_path)
    assert (ended.stdout, ended.stderr) == ("Hello auth0|ada 401 UNAUTHORIZED\n[]\n", "")
