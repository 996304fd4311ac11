"""docs/recipes/fine-grained.md, carried out with OpenFGA's client, and a server that answers its checks."""

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.processes import api, run, running
from tests.recipes import carried_out
from tests.relays import Answer, Relay, Request, relay
from tests.serving import free_port
from tests.tenant import AUDIENCE, Tenant

STORE, MODEL = "01HVMMBCMGZNT3SED4Z17ECXCA", "01HVMMBD123456789ABCDEFGHJ"
pytestmark = pytest.mark.timeout(120)

KNOWN = {
    ("user:auth0|ada", "owner", "message:1"),
    ("user:auth0|ada", "reader", "message:1"),
    ("user:auth0|ben", "reader", "message:1"),
    ("user:auth0|ben", "reader", "message:3"),  # which has been deleted
    ("user:*", "reader", "message:2"),
    ("group:staff#member", "reader", "message:2"),
}


def checked(request: Request) -> Answer:
    """What OpenFGA answers to `POST /stores/{store}/check`."""
    assert request.path == f"/stores/{STORE}/check"
    assert request.headers["authorization"] == "Bearer fga-secret"
    body = json.loads(request.body)
    assert body["authorization_model_id"] == MODEL
    key = body["tuple_key"]
    return 200, json.dumps({"allowed": (key["user"], key["relation"], key["object"]) in KNOWN}).encode()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return carried_out("fine-grained", tmp_path_factory.mktemp("recipe") / "house")


@contextmanager
def served(house: Path, tenant: Tenant, fga_url: str) -> Iterator[str]:
    port = free_port()
    fga = {"FGA_API_URL": fga_url, "FGA_STORE_ID": STORE, "FGA_MODEL_ID": MODEL, "FGA_API_TOKEN": "fga-secret"}
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "PORT": str(port), **fga}
    with running(api("serve", "--workers", "1"), environ, house) as process:
        process.wait_for("Started worker-1", seconds=60)
        yield f"http://127.0.0.1:{port}/api/messages"
        assert "fga-secret" not in process.output


@pytest.fixture(scope="module")
def checker() -> Iterator[Relay]:
    with relay() as found:
        yield found


@pytest.fixture(scope="module")
def messages(house: Path, tenant: Tenant, checker: Relay) -> Iterator[str]:
    with served(house, tenant, checker.url) as url:
        yield url


@pytest.fixture(autouse=True)
def fresh(checker: Relay) -> None:
    checker.answer = checked
    checker.requests.clear()


def ask(tenant: Tenant, url: str, user: str, method: str = "GET", scope: str = "read:messages") -> httpx.Response:
    headers = {"Authorization": f"Bearer {tenant.token(sub=user, scope=scope)}"}
    return httpx.request(method, url, headers=headers, trust_env=False, timeout=20)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json().get("code"))


def test_who_may_read_reads(tenant: Tenant, messages: str) -> None:
    for user in ("auth0|ada", "auth0|ben"):
        assert ask(tenant, f"{messages}/1", user).json() == {"message": "Ada's"}


def test_what_may_not_be_seen_is_as_if_it_were_not_there(tenant: Tenant, messages: str) -> None:
    others = ask(tenant, f"{messages}/2", "auth0|ben")
    answers = [
        ask(tenant, f"{messages}/9", "auth0|ben"),  # there is none
        ask(tenant, f"{messages}/3", "auth0|ben"),  # there was one
        ask(tenant, f"{messages}/1", "auth0|cleo"),
        ask(tenant, f"{messages}/1", "auth0|cleo", "DELETE"),
        ask(tenant, f"{messages}/9", "auth0|ben", "DELETE"),
    ]
    assert code(others) == (404, "not_found")
    assert [(each.status_code, each.text) for each in answers] == [(404, others.text)] * 5


def test_reader_may_not_delete(tenant: Tenant, messages: str) -> None:
    assert code(ask(tenant, f"{messages}/1", "auth0|ben", "DELETE")) == (403, "not_permitted")
    assert ask(tenant, f"{messages}/1", "auth0|ben").status_code == 200


@pytest.mark.parametrize("user", ["*", "auth0|ben#reader", "staff#member", "auth0|ada ", "auth0|ADA", "auth0%7Cada"])
def test_subject_that_is_written_like_somebody_else_is_nobody_else(
    tenant: Tenant, messages: str, checker: Relay, user: str
) -> None:
    for number in (1, 2):
        assert code(ask(tenant, f"{messages}/{number}", user)) == (404, "not_found")
    asked = [json.loads(each.body)["tuple_key"]["user"] for each in checker.requests]
    assert all(re.fullmatch(r"user:[\w.~%|-]+", each) for each in asked)


@pytest.mark.parametrize("number", ["*", "1%23owner", "1:2", "01", "-1", "1%2F..%2F2", "1%20"])
def test_number_that_is_written_otherwise_is_no_other_message(tenant: Tenant, messages: str, number: str) -> None:
    assert ask(tenant, f"{messages}/{number}", "auth0|ada").status_code in (400, 404)


def test_who_may_not_call_is_not_asked_about(tenant: Tenant, messages: str, checker: Relay) -> None:
    assert code(ask(tenant, f"{messages}/1", "auth0|ada", scope="")) == (403, "insufficient_scope")
    assert httpx.get(f"{messages}/1", trust_env=False).status_code == 401
    assert checker.requests == []


def test_what_is_withdrawn_is_withdrawn_at_once(tenant: Tenant, messages: str, checker: Relay) -> None:
    assert ask(tenant, f"{messages}/1", "auth0|ben").status_code == 200
    checker.answer = lambda _: (200, b'{"allowed": false}')
    assert ask(tenant, f"{messages}/1", "auth0|ben").status_code == 404


def slow(_: Request) -> Answer:
    time.sleep(4)
    return 200, b'{"allowed": true}'


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (lambda _: (500, b'{"allowed": true}'), 503),
        (lambda _: (503, b'{"allowed": true}'), 503),
        (lambda _: (429, b'{"allowed": true}'), 503),
        (lambda _: (401, b'{"allowed": true}'), 503),
        (lambda _: (400, b'{"code": "validation_error", "message": "secret"}'), 503),
        (lambda _: (404, b"{}"), 503),
        (lambda _: (302, b'{"allowed": true}'), 503),
        (slow, 503),
        (lambda _: (200, b"<html>"), 503),
        (lambda _: (200, b""), 503),
        (lambda _: (200, b"null"), 503),
        (lambda _: (201, b'{"allowed": true}'), 503),
        (lambda _: (200, b"{}"), 503),
        (lambda _: (200, b'{"allowed": null}'), 503),
        (lambda _: (200, b'{"allowed": 0}'), 404),
    ],
)
def test_checker_that_fails_allows_nothing(
    tenant: Tenant, messages: str, checker: Relay, answer: Callable[[Request], Answer], status: int
) -> None:
    checker.answer = answer
    begun = time.monotonic()
    answered = ask(tenant, f"{messages}/1", "auth0|ada")
    assert answered.status_code == status, answered.text
    assert "secret" not in answered.text
    assert ("retry-after" in answered.headers) == (status == 503)
    assert time.monotonic() - begun < 3.5


def test_checker_that_is_down_allows_nothing(house: Path, tenant: Tenant) -> None:
    with served(house, tenant, f"http://127.0.0.1:{free_port()}") as messages:
        for method in ("GET", "DELETE"):
            answer = ask(tenant, f"{messages}/1", "auth0|ada", method)
            assert code(answer) == (503, "service_unavailable")
            assert answer.headers["retry-after"] == "5"


def test_owner_deletes(tenant: Tenant, messages: str) -> None:
    assert ask(tenant, f"{messages}/1", "auth0|ada", "DELETE").status_code == 204
    assert code(ask(tenant, f"{messages}/1", "auth0|ada")) == (404, "not_found")


def test_tests_of_the_page_pass(house: Path) -> None:
    ended = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_messages.py"], cwd=house)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_linters_of_the_house_pass_the_page(house: Path) -> None:
    files = ["api", "security", "tests"]
    for command in (["check", *files], ["format", "--check", *files]):
        ended = run([sys.executable, "-m", "ruff", *command], cwd=house)
        assert ended.returncode == 0, ended.stdout
