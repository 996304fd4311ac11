"""The guide to databases, carried out as it stands, with PostgreSQL, two workers, and one that is killed."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.postgres import Postgres, postgres
from tests.processes import DOCS, Running, api, run, running
from tests.serving import free_port, wait_until
from tests.tenant import AUDIENCE, Tenant

GUIDE = (DOCS / "database.md").read_text()
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("postgres") / "server").running() as server:
        yield server


@pytest.fixture(scope="module")
def house(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A house in which the guide has been followed."""
    folder = tmp_path_factory.mktemp("guide") / "messages"
    environ = {"DATABASE_URL": database.url}
    for language, content in re.findall(r"(?s)```(\w+)\n(.*?)```", GUIDE):
        if language == "python":
            name, _, text = content.removeprefix("# ").partition("\n")
            (folder / name).write_text(text)
            continue
        for command in re.findall(r"(?m)^\$ (.*)$", content):
            if " new " in command:
                spec = str(DOCS / "examples" / "messages.yaml")
                made = run([sys.executable, "-m", "resource_server", "new", str(folder), "--spec", spec])
                (folder / ".venv").symlink_to(Path(sys.prefix))
            elif "alembic" in command:
                made = run(["bash", "-c", command], environ, folder)
            else:
                continue
            assert made.returncode == 0, made.stderr
    return folder


@contextmanager
def served(house: Path, database: Postgres, tenant: Tenant) -> Iterator[tuple[httpx.Client, Running]]:
    port = free_port()
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "PORT": str(port), "DATABASE_URL": database.url}
    with running(api("serve", "--workers", "2"), environ, house) as process:
        process.wait_for("Started worker-2", seconds=60)
        with client_of(f"http://127.0.0.1:{port}", tenant, "auth0|ada") as client:
            yield client, process


def client_of(url: str, tenant: Tenant, user: str) -> httpx.Client:
    token = tenant.token(sub=user, scope="write:messages")
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30)


def rows(database: Postgres, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database.url.replace("+psycopg", "")) as connection:
        return connection.execute(query.encode()).fetchall()


def test_each_reads_and_writes_their_own(house: Path, database: Postgres, tenant: Tenant) -> None:
    with served(house, database, tenant) as (ada, _), client_of(str(ada.base_url), tenant, "auth0|ben") as ben:
        made = [ada.post("/messages", json={"name": f"m{number}", "text": "a b c"}) for number in range(5)]
        assert {each.status_code for each in made} == {201}
        first = made[0].headers["location"]
        assert ada.get(first).json()["name"] == "m0"
        for refused, status in (
            (ada.post("/messages", json={"name": "m0", "text": ""}), 409),
            (ben.post("/messages", json={"name": "m0", "text": ""}), 201),
            (ben.get(first), 404),
            (ada.get("/messages/999999"), 404),
            (ada.post("/messages", json={"name": "x"}), 400),
            (ada.post("/messages", json={"name": "x", "text": "\0"}), 400),
            (httpx.get(f"{ada.base_url}/messages"), 401),
        ):
            assert refused.status_code == status
        page = ada.get("/messages?limit=2").json()
        assert [each["name"] for each in page] == ["m0", "m1"]
        assert [each["name"] for each in ada.get(f"/messages?after={page[-1]['id']}").json()] == ["m2", "m3", "m4"]
        wait_until(lambda: ada.get(first).json()["words"] == 3)

        content = os.urandom(700_000)
        assert ada.get(f"{first}/attachment").status_code == 404
        assert ada.put(f"{first}/attachment", files={"file": ("a", content)}).status_code == 204
        assert ada.put(f"{first}/attachment", files={"file": ("a", b"x" * 900_001)}).status_code == 400
        assert ben.get(f"{first}/attachment").status_code == 404
        with ada.stream("GET", f"{first}/attachment") as answer:
            assert next(answer.iter_raw(1_000)) == content[:1_000]
        assert ada.get(f"{first}/attachment").content == content
        connections = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        wait_until(lambda: rows(database, connections) == [(0,)])


def test_worker_that_is_killed_loses_nothing_that_was_acknowledged(
    house: Path, database: Postgres, tenant: Tenant
) -> None:
    with served(house, database, tenant) as (ada, process):
        workers = [int(pid) for pid in re.findall(r"worker-\d, process (\d+)", process.output)]

        def add(number: int) -> str | None:
            if number == 30:
                os.kill(workers[0], signal.SIGKILL)
            try:
                name = f"killed {number}"
                answer = httpx.post(
                    f"{ada.base_url}/messages",
                    json={"name": name, "text": "a b"},
                    headers={"Authorization": ada.headers["authorization"]},
                    trust_env=False,
                    timeout=30,
                )
            except httpx.HTTPError:
                return None
            return name if answer.status_code == 201 else None

        with ThreadPoolExecutor(8) as pool:
            acknowledged = {name for name in pool.map(add, range(100)) if name}
        kept = {str(name) for (name,) in rows(database, "SELECT name FROM messages WHERE name LIKE 'killed %'")}
        assert len(acknowledged) > 50
        assert acknowledged <= kept
        wait_until(lambda: rows(database, "SELECT count(*) FROM jobs") == [(0,)], seconds=20)


def test_database_that_is_back_is_used_again(house: Path, tenant: Tenant, tmp_path: Path) -> None:
    database = postgres(tmp_path / "server")
    upgrade = ["bash", "-c", "PYTHONPATH=.:engine/src .venv/bin/alembic upgrade head"]
    with database.running():
        assert run(upgrade, {"DATABASE_URL": database.url}, house).returncode == 0
    with ExitStack() as stack:
        with database.running():
            ada, _ = stack.enter_context(served(house, database, tenant))
            assert ada.get("/messages").status_code == 200
        assert ada.get("/messages").status_code == 500
        with database.running():
            wait_until(lambda: ada.get("/messages").status_code == 200, seconds=20)
