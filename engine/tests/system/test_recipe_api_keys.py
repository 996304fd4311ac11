"""The recipe for API keys, carried out: made and withdrawn by its command, and presented in every wrong way."""

import hashlib
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from resource_server.testing.contract import rule_complaints
from tests.processes import Running, api, run, running
from tests.recipes import carried_out
from tests.serving import free_port, wait_until
from tests.tenant import AUDIENCE, Tenant

PATH = "/api/private-scoped"
Keys = Callable[..., str]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = carried_out("api-keys", tmp_path_factory.mktemp("recipe") / "house")
    handlers = made / "api" / "handlers.py"
    text = re.sub(
        r"(?s)def private_scoped.*",
        'def private_scoped(user: str) -> dict[str, str]:\n    return {"message": user}\n',
        handlers.read_text(),
    )
    handlers.write_text(text)
    return made


@pytest.fixture(scope="module")
def keys(house: Path) -> Keys:
    """The recipe's command."""

    def call(*arguments: str) -> str:
        told = run(
            [sys.executable, "-m", "security.keys", *arguments], {"DATABASE": str(house / "keys.sqlite3")}, house
        )
        assert told.returncode == 0, told.stderr
        return told.stdout.strip()

    return call


@pytest.fixture(scope="module")
def process(house: Path, tenant: Tenant) -> Iterator[tuple[Running, httpx.Client]]:
    port = free_port()
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "DATABASE": str(house / "keys.sqlite3")}
    with running(api("serve", "--port", str(port)), environ, house) as process:
        process.wait_for("Started worker-1")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield process, client


@pytest.fixture(scope="module")
def client(process: tuple[Running, httpx.Client]) -> httpx.Client:
    return process[1]


@pytest.fixture(scope="module")
def key(keys: Keys) -> str:
    return keys("new", "billing", "read:messages write:messages")


def test_key_is_as_good_as_a_token_and_its_client_has_a_name_of_its_own(
    client: httpx.Client, key: str, tenant: Tenant
) -> None:
    answer = client.get(PATH, headers={"X-API-Key": key})
    assert (answer.status_code, answer.json()) == (200, {"message": "key:billing"})
    assert answer.headers["cache-control"] == "no-store"
    with_token = client.get(PATH, headers={"Authorization": f"Bearer {tenant.token()}"})
    assert with_token.json() == {"message": "auth0|ada"}


@pytest.mark.parametrize(
    "change",
    {
        "truncated": lambda key: key[:-1],
        "longer": lambda key: key + "A",
        "changed": lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
        "of another name": lambda key: "msgs_" + "0" * 12 + key[17:],
        "without its secret": lambda key: key[:18],
        "without its prefix": lambda key: key.removeprefix("msgs_"),
        "in capitals": lambda key: key.upper(),
        "empty": lambda _: "",
        "very long": lambda key: key + "A" * 30_000,
        "twice": lambda key: f"{key},{key}",
        "its hash": lambda key: hashlib.sha256(key.encode()).hexdigest(),
        "SQL": lambda key: key[:17] + "' OR '1'='1",
        "no ASCII": lambda key: key[:-1] + "ä",
    }.items(),
    ids=lambda each: each[0],
)
def test_wrong_key_is_401(client: httpx.Client, key: str, change: tuple[str, Callable[[str], str]]) -> None:
    refused = client.get(PATH, headers=[(b"X-API-Key", change[1](key).encode())])
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    assert "www-authenticate" in refused.headers


def test_key_without_the_scope_is_403(client: httpx.Client, keys: Keys) -> None:
    refused = client.get(PATH, headers={"X-API-Key": keys("new", "printing", "read:messages-not")})
    assert (refused.status_code, refused.json()["code"]) == (403, "key_lacks_scope")


def test_key_is_good_for_operations_that_name_its_scheme_only(client: httpx.Client, key: str) -> None:
    assert client.get("/api/private", headers={"X-API-Key": key}).status_code == 401


def test_beside_a_key_a_good_token_counts_and_a_bad_one_stays_bad(
    client: httpx.Client, key: str, tenant: Tenant
) -> None:
    token, expired = tenant.token(), tenant.token(exp=1)
    both = client.get(PATH, headers={"X-API-Key": key, "Authorization": f"Bearer {token}"})
    assert both.json() == {"message": "auth0|ada"}
    for authorization, status in ((f"Bearer {expired}", 401), ("Basic YTpi", 401), ("Bearer", 400)):
        assert client.get(PATH, headers={"X-API-Key": key, "Authorization": authorization}).status_code == status
    without_scope = {"X-API-Key": key, "Authorization": f"Bearer {tenant.token(scope='')}"}
    assert client.get(PATH, headers=without_scope).status_code == 403


@pytest.mark.parametrize("second", ["", "msgs_0"])
def test_two_keys_are_none(client: httpx.Client, key: str, second: str) -> None:
    for fields in ([key, second], [second, key], [key, key]):
        assert client.get(PATH, headers=[("X-API-Key", each) for each in fields]).status_code == 401


@pytest.mark.parametrize("name", ["X-API-Key", "x-api-key", "api_key", "key", "access_token"])
def test_key_in_the_query_is_none_and_not_logged(process: tuple[Running, httpx.Client], key: str, name: str) -> None:
    running, client = process
    refused = client.get(PATH, params={name: key})
    assert refused.status_code == 401
    wait_until(lambda: refused.headers["x-request-id"] in running.output)
    assert key not in running.output
    assert client.get(PATH, headers={"Cookie": f"{name}={key}"}).status_code == 401


def test_client_has_two_keys_while_it_changes_them(client: httpx.Client, keys: Keys) -> None:
    first, second = keys("new", "audit", "read:messages"), keys("new", "audit", "read:messages")

    def answers() -> list[int]:
        return [client.get(PATH, headers={"X-API-Key": each}).status_code for each in (first, second)]

    assert answers() == [200, 200]
    keys("revoke", first.split("_")[1])
    assert answers() == [401, 200]


def test_key_ends(client: httpx.Client, keys: Keys) -> None:
    assert client.get(PATH, headers={"X-API-Key": keys("new", "old", "read:messages", "-1")}).status_code == 401


def test_database_has_no_key(house: Path, key: str) -> None:
    secret = key.split("_", 2)[2]
    assert secret.encode() not in (house / "keys.sqlite3").read_bytes()
    with closing(sqlite3.connect(house / "keys.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM keys").fetchone() != (0,)


def test_contract_tests_pass_with_a_key(house: Path, key: str) -> None:
    environ = {"PORT": "0", "DATABASE": str(house / "keys.sqlite3")}
    passed = run(api("contract", "--examples", "2", "--credential", f"key={key}"), environ, house, seconds=110)
    assert passed.returncode == 0, passed.stdout


def test_recipe_is_written_as_a_house_is(house: Path) -> None:
    for command in (["ruff", "check", "security"], ["ruff", "format", "--check", "security"], ["mypy", "security"]):
        told = run([sys.executable, "-m", *command], cwd=house)
        assert told.returncode == 0, told.stdout + told.stderr
    assert rule_complaints(house / "openapi.yaml") == []
