"""One issuer and one served API for all tests that don't need their own."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.houses import house
from tests.processes import ENGINE, SAMPLE, run
from tests.redis_server import RedisServer, redis_server
from tests.sample import create_app
from tests.tenant import AUDIENCE, Tenant

_STARTED_IN = Path.cwd()


def pytest_configure() -> None:
    """Be where the sample's command line is started, and its contract found."""
    os.chdir(SAMPLE)
    set_hypothesis_home_dir(ENGINE / ".hypothesis")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as shells start what is to run in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    os.chdir(_STARTED_IN)


@pytest.fixture(scope="session")
def tenant() -> Iterator[Tenant]:
    """The issuer that `api` trusts. It stays as it is: tests that rotate or fail take their own."""
    with Tenant().running() as tenant:
        yield tenant


@pytest.fixture(scope="session")
def settings(tenant: Tenant) -> Settings:
    return Settings(issuers=(tenant.url,), audience=AUDIENCE, development=True, port=0)  # which says not where


@pytest.fixture(scope="session")
def url(settings: Settings) -> Iterator[str]:
    """Where the API is served, over a real socket."""
    with in_background(create_app(settings)) as url:
        yield url


@pytest.fixture(scope="session")
def api(url: str) -> Iterator[httpx.Client]:
    """A client of the served API."""
    with httpx.Client(base_url=url, trust_env=False) as client:
        yield client


@pytest.fixture
def stopped_redis(tmp_path: Path) -> RedisServer:
    return redis_server(tmp_path)


@pytest.fixture
def redis(stopped_redis: RedisServer) -> Iterator[RedisServer]:
    with stopped_redis.running():
        yield stopped_redis


@pytest.fixture
def wrk() -> None:
    """Without wrk the test is skipped; in CI it fails."""
    if not shutil.which("wrk"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("this needs the Debian package wrk")


@pytest.fixture(scope="session")
def engine_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the packages that the engine pins."""
    folder = tmp_path_factory.mktemp("packages")
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes"]
    ended = run([*pip, "-r", str(ENGINE / "requirements-extras.txt"), "-d", str(folder)], seconds=300)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A house of the sample with this environment, for `make` and whoever reads its README."""
    return house(tmp_path_factory.mktemp("home") / "house", installed=True)
