"""The memory of used proofs, behind the API in production."""

import os
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from resource_server.settings import Settings
from tests.processes import api, api_after, run
from tests.proofs import Prover
from tests.redis_server import RedisServer
from tests.replaying import PATH, PUBLIC_URL, replay, requests, served
from tests.serving import wait_until
from tests.tenant import AUDIENCE, Tenant

SETTINGS = {"AUTH0_DOMAIN": "tenant.example.com", "AUTH0_AUDIENCE": AUDIENCE, "PUBLIC_URL": PUBLIC_URL}


def get(url: str, tenant: Tenant) -> httpx.Response:
    """Ask with a new proof."""
    prover = Prover()
    token = tenant.token(cnf=prover.cnf)
    return httpx.get(url + PATH, headers=prover.headers(PUBLIC_URL + PATH, token), trust_env=False, timeout=10)


def database(folder: Path) -> Path:
    return folder / f"resource-server-{os.getuid()}" / "used-proofs-0.sqlite3"


def test_of_four_workers_with_one_file_one_accepts_a_proof(tenant: Tenant, tmp_path: Path) -> None:
    with served(tenant, tmp_path, workers=4) as url:
        assert replay([url], requests(tenant, 50), times=8) == [Counter({200: 1, 401: 7})] * 50


def test_of_two_servers_with_one_redis_one_accepts_a_proof(tenant: Tenant, tmp_path: Path, redis: RedisServer) -> None:
    with (
        served(tenant, tmp_path, REDIS_URL=redis.url) as first,
        served(tenant, tmp_path, REDIS_URL=redis.url) as second,
    ):
        assert replay([first, second], requests(tenant, 50), times=8) == [Counter({200: 1, 401: 7})] * 50


def test_server_that_is_started_anew_knows_what_was_used(tenant: Tenant, tmp_path: Path) -> None:
    made = requests(tenant, 5)
    with served(tenant, tmp_path) as url:
        assert replay([url], made, times=1) == [Counter({200: 1})] * 5
    with served(tenant, tmp_path) as url:
        assert replay([url], made, times=1) == [Counter({401: 1})] * 5


def test_unusable_file_is_answered_with_503_which_bearer_tokens_do_not_get(tenant: Tenant, tmp_path: Path) -> None:
    with served(tenant, tmp_path) as url:
        assert get(url, tenant).status_code == 200
        file = database(tmp_path)
        file.unlink()
        file.write_text("no database")
        answer = get(url, tenant)
        assert (answer.status_code, answer.json()["code"]) == (503, "replays_unavailable")
        assert answer.headers["Retry-After"] == "1"
        assert "WWW-Authenticate" not in answer.headers
        bearer = {"Authorization": f"Bearer {tenant.token()}"}
        assert httpx.get(url + PATH, headers=bearer, trust_env=False).status_code == 200


def test_redis_that_is_down_or_hangs_is_answered_with_503_within_about_a_second(
    tenant: Tenant, tmp_path: Path, stopped_redis: RedisServer
) -> None:
    with served(tenant, tmp_path, REDIS_URL=stopped_redis.url) as url:
        assert get(url, tenant).json()["code"] == "replays_unavailable"
        with stopped_redis.running():
            wait_until(lambda: get(url, tenant).status_code == 200)
            with stopped_redis.paused():
                for _ in range(3):
                    answer = get(url, tenant)
                    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
                    assert answer.elapsed.total_seconds() < 2
            wait_until(lambda: get(url, tenant).status_code == 200)


@pytest.mark.parametrize("problem", ["a file", "open to others", "a link"])
def test_folder_that_is_no_good_is_named_at_the_start(tmp_path: Path, problem: str) -> None:
    folder = database(tmp_path).parent
    if problem == "a file":
        folder.touch()
    elif problem == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    ended = run(api("serve", "--port", "0"), SETTINGS | {"TMPDIR": str(tmp_path)})
    assert ended.returncode == 1
    assert f"DPoP remembers used proofs in {folder}" in ended.stderr
    assert "REDIS_URL, or turn DPoP off with DPOP=disabled." in ended.stderr
    assert "Traceback" not in ended.stderr


def test_file_that_is_no_good_is_named_at_the_start(tmp_path: Path) -> None:
    file = database(tmp_path)
    file.parent.mkdir(mode=0o700)
    file.write_text("no database")
    ended = run(api("serve", "--port", "0"), SETTINGS | {"TMPDIR": str(tmp_path)})
    assert ended.returncode == 1
    assert f"{file}, but that is no good: file is not a database. Delete it, set TMPDIR" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_a_folder_for_temporary_files_it_says_so() -> None:
    none = api_after("import tempfile; tempfile._candidate_tempdir_list = lambda: []", "serve", "--port", "0")
    ended = run(none, SETTINGS)
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
    assert "Mount a writable /tmp" in ended.stderr


@pytest.mark.parametrize("url", ["nonsense", "http://x", "redis://:secret/word@x", "redis://x?secret=word"])
def test_unusable_redis_url_is_refused_at_the_start_and_not_repeated(url: str) -> None:
    ended = run(api("serve", "--port", "0"), SETTINGS | {"REDIS_URL": url})
    assert ended.returncode == 1
    assert "REDIS_URL is unusable. Set it to a URL like redis://" in ended.stderr
    assert not [word for word in ("secret", "Traceback") if word in ended.stderr]


def test_without_the_redis_package_it_says_what_to_install() -> None:
    blocked = api_after("sys.modules['redis'] = None", "serve", "--port", "0")
    ended = run(blocked, SETTINGS | {"REDIS_URL": "redis://x"})
    assert ended.returncode == 1
    assert "Install the extra 'redis'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_redis_is_not_imported_unless_it_is_asked_for() -> None:
    look = "import sys, api.app; print([name for name in sys.modules if 'redis' in name])"
    assert run([sys.executable, "-c", look]).stdout == "[]\n"


def test_secret_of_any_bytes_makes_nonces() -> None:
    from resource_server.validating import make_dpop

    given = Settings(issuers=("https://x/",), audience=AUDIENCE, public_url=PUBLIC_URL, dpop_nonce_secret="\udcff" * 32)
    dpop = make_dpop(given)
    assert dpop
    assert dpop.nonces
    assert dpop.nonces.accepts(dpop.nonces.current())
