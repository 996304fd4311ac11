"""What is made where: nothing of the application's in the parent process, all of it in each worker."""

import os
import signal
import time
from collections import Counter
from pathlib import Path
from shutil import copytree

import httpx
import pytest

from tests.processes import SAMPLE, Running, api, run, running
from tests.serving import listens, wait_until
from tests.tenant import AUDIENCE, Tenant

SETTINGS = {"AUTH0_DOMAIN": "tenant.example.com", "AUTH0_AUDIENCE": AUDIENCE}
APP = """
import asyncio, os, threading, time
from contextlib import asynccontextmanager
from pathlib import Path

from resource_server.serving import make_app
from security import make_validator

def note(what):
    with Path("noted").open("a") as file:
        file.write(f"{what} {os.getpid()}\\n")

note("imported")

@asynccontextmanager
async def lifespan(app):
    note("started")
    START
    yield
    note("stopped")

def create_app(settings):
    app = make_app(settings, make_validator(settings), lifespan=lifespan)
    thread = threading.Thread(target=threading.Event().wait, daemon=True)
    thread.start()
    app.app.add_url_rule("/alive", "alive", lambda: str(thread.is_alive()))
    app.make_public("alive")
    MAKE
    note("made")
    return app
"""


def place(folder: Path, *, make: str = "pass", start: str = "pass") -> Path:
    """A house whose application notes what happens in which process."""
    for name in ("api", "security"):
        copytree(SAMPLE / name, folder / name)
    (folder / "openapi.yaml").write_text((SAMPLE / "openapi.yaml").read_text())
    (folder / "api" / "app.py").write_text(APP.replace("MAKE", make).replace("START", start))
    return folder


def noted(folder: Path) -> dict[str, Counter[int]]:
    """The processes in which each thing has happened, and how often."""
    found: dict[str, Counter[int]] = {}
    file = folder / "noted"
    for line in file.read_text().splitlines() if file.exists() else ():
        what, pid = line.split()
        found.setdefault(what, Counter())[int(pid)] += 1
    return found


def served(process: Running, workers: int) -> str:
    port = int(process.wait_for(r"Serving on 127.0.0.1 port (\d+)")[1])
    for number in range(1, workers + 1):
        process.wait_for(f"Started worker-{number}")
    wait_until(lambda: listens(port))
    return f"http://127.0.0.1:{port}"


def test_each_worker_makes_starts_and_stops_its_own(tmp_path: Path, tenant: Tenant) -> None:
    folder = place(tmp_path)
    environ = {**SETTINGS, "AUTH0_DOMAIN": tenant.url}
    with running(api("serve", "--port", "0", "--workers", "2"), environ, cwd=folder) as process:
        url = served(process, 2)
        wait_until(lambda: len(noted(folder).get("started", ())) == 2)
        assert {httpx.get(f"{url}/alive", trust_env=False).text for _ in range(10)} == {"True"}
        assert process.end(signal.SIGTERM) == 0
    found = noted(folder)
    parent = process.process.pid
    assert parent not in found["imported"]
    assert len(found["made"]) == 2
    assert found["started"] == found["stopped"]
    assert set(found["started"]) == set(found["made"])
    assert set(found["started"].values()) == {1}


@pytest.mark.parametrize("workers", ["1", "3"])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        ("raise ValueError('no database')", "ValueError: no database (api/app.py, line "),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere' (api/app.py, line "),
        ("raise SystemExit('enough')", "SystemExit: enough (api/app.py, line "),
        ("os._exit(7)", "its process has ended with 7"),
    ],
)
def test_mistake_is_one_sentence_before_anything_is_served(tmp_path: Path, workers: str, make: str, said: str) -> None:
    ended = run(api("serve", "--port", "0", "--workers", workers), SETTINGS, cwd=place(tmp_path, make=make))
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"Error: api.app:create_app can't make the application: {said}")


def test_mistake_that_takes_long_to_be_found_ends_the_same(tmp_path: Path) -> None:
    folder = place(tmp_path, make="time.sleep(7); raise ValueError('no database')")
    ended = run(api("serve", "--port", "0"), SETTINGS, cwd=folder)
    assert (ended.returncode, ended.stdout, ended.stderr.count("no database")) == (1, "", 1)


MADE_BEFORE = "any(line.startswith('made') for line in Path('noted').read_text().splitlines())"


@pytest.mark.parametrize(
    "mistake",
    [
        {"start": "raise ValueError('no database')"},
        {"start": "await asyncio.sleep(7); raise ValueError('no database')"},
        {"make": f"if {MADE_BEFORE}: raise ValueError('no database')"},
        {"make": f"if {MADE_BEFORE}: time.sleep(7); raise ValueError('no database')"},
    ],
    ids=["starting", "starting slowly", "making", "making slowly"],
)
def test_worker_that_fails_before_it_serves_ends_the_server(tmp_path: Path, mistake: dict[str, str]) -> None:
    ended = run(api("serve", "--port", "0", "--workers", "2"), SETTINGS, cwd=place(tmp_path, **mistake))
    assert ended.returncode == 1
    assert "no database" in ended.stdout + ended.stderr
    assert "replaces it" not in ended.stdout


def test_worker_that_ends_while_it_serves_is_replaced(tmp_path: Path, tenant: Tenant) -> None:
    folder = place(tmp_path)
    with running(api("serve", "--port", "0"), {**SETTINGS, "AUTH0_DOMAIN": tenant.url}, cwd=folder) as process:
        url = served(process, 1)
        wait_until(lambda: "started" in noted(folder))
        (worker,) = noted(folder)["started"]
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: len(noted(folder)["started"]) == 2, seconds=20)
        wait_until(lambda: listens(int(url.rpartition(":")[2])))
        assert process.end(signal.SIGTERM) in (0, 1)


def test_development_server_says_the_same_and_ends(tmp_path: Path) -> None:
    ended = run(api("run"), {"PORT": "0"}, cwd=place(tmp_path, make="raise ValueError('no database')"))
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
    assert "ValueError: no database (api/app.py, line " in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_that_is_stopped_while_a_worker_begins_stops_at_once(
    tmp_path: Path, tenant: Tenant, number: signal.Signals
) -> None:
    folder = place(tmp_path, make="note('begun'); time.sleep(5)")
    with running(api("serve", "--port", "0"), {**SETTINGS, "AUTH0_DOMAIN": tenant.url}, cwd=folder) as process:
        wait_until(lambda: "begun" in noted(folder))
        begun = time.monotonic()
        process.process.send_signal(number)
        process.process.wait(20)
        assert time.monotonic() - begun < 3
        process.finish()
        wait_until(lambda: not process.left_behind(), seconds=2)  # the tracker of multiprocessing ends a moment later
