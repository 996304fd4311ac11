"""The recipe for limits, carried out: with clients and users of a real issuer, addresses, forged tokens and Redis."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from resource_server.testing.contract import rule_complaints
from tests.processes import Running, api, run, running
from tests.recipes import carried_out
from tests.redis_server import redis_server
from tests.serving import free_port, wait_until
from tests.tenant import AUDIENCE, Tenant

FEW = {"CLIENT_LIMIT": "5/minute", "USER_LIMIT": "3/minute", "ADDRESS_LIMIT": "3/minute"}
MANY = dict.fromkeys(FEW, "1000000/minute")
NAMES = (f"name-{number}" for number in count())


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return carried_out("limits", tmp_path_factory.mktemp("recipe") / "house")


@contextmanager
def served(
    house: Path, tenant: Tenant, other: Tenant | None = None, workers: int = 1, **settings: str
) -> Iterator[tuple[httpx.Client, Running]]:
    port = free_port()
    domains = ",".join(each.url for each in (tenant, other) if each)
    environ = {"AUTH0_DOMAIN": domains, "AUTH0_AUDIENCE": AUDIENCE, **FEW, **settings}
    with running(api("serve", "--port", str(port), "--workers", str(workers)), environ, house) as process:
        process.wait_for(f"Started worker-{workers}", seconds=60)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=15) as client:
            yield client, process


@pytest.fixture(scope="module")
def other() -> Iterator[Tenant]:
    """A second issuer that is trusted."""
    with Tenant().running() as tenant:
        yield tenant


@pytest.fixture(scope="module")
def client(house: Path, tenant: Tenant, other: Tenant) -> Iterator[httpx.Client]:
    """Of the API behind a proxy, which here is the client."""
    with served(house, tenant, other, TRUSTED_PROXIES="127.0.0.1") as (client, _):
        yield client


def statuses(
    client: httpx.Client, requests: int, token: str = "", path: str = "/api/private", **fields: str
) -> list[int]:
    headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **fields}
    return [client.get(path, headers=headers).status_code for _ in range(requests)]


def test_answer_says_when_to_try_again_as_a_problem(client: httpx.Client, tenant: Tenant) -> None:
    token = tenant.token(sub="ada", azp=next(NAMES))
    assert statuses(client, 3, token) == [200] * 3
    refused = client.get("/api/private-scoped", headers={"Authorization": f"Bearer {token}"})
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json() == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "No more than 3 per 1 minute are answered. Try again later.",
        "code": "too_many_requests",
    }


def test_user_does_not_use_up_what_the_others_of_the_client_have(client: httpx.Client, tenant: Tenant) -> None:
    app = next(NAMES)
    assert statuses(client, 20, tenant.token(sub="ada", azp=app)) == [200] * 3 + [429] * 17
    assert statuses(client, 3, tenant.token(sub="ben", azp=app)) == [200] * 2 + [429]  # five for all
    assert statuses(client, 1, tenant.token(sub="eve", azp=app)) == [429]
    assert statuses(client, 1, tenant.token(sub="ada", azp=next(NAMES))) == [200]


@pytest.mark.parametrize("claim", ["azp", "client_id"])
@pytest.mark.parametrize("sub", ["{}", "{}@clients"])
def test_program_counts_as_its_client(client: httpx.Client, tenant: Tenant, claim: str, sub: str) -> None:
    name = next(NAMES)
    claims: dict[str, Any] = {"azp": None, claim: name, "sub": sub.format(name)}
    token = tenant.token(**claims)
    assert statuses(client, 6, token) == [200] * 5 + [429]


def test_token_without_a_client_counts_for_its_user(client: httpx.Client, tenant: Tenant) -> None:
    assert statuses(client, 4, tenant.token(sub=next(NAMES), azp=None)) == [200] * 3 + [429]


def test_new_tokens_do_not_help(client: httpx.Client, tenant: Tenant) -> None:
    app = next(NAMES)
    assert [statuses(client, 1, tenant.token(sub="ada", azp=app, jti=f"{n}"))[0] for n in range(4)] == [200] * 3 + [429]


def test_another_issuers_client_of_the_name_is_another(client: httpx.Client, tenant: Tenant, other: Tenant) -> None:
    name = next(NAMES)
    assert statuses(client, 6, other.token(azp=name, sub=name))[-1] == 429
    assert statuses(client, 5, tenant.token(azp=name, sub=name)) == [200] * 5


def test_what_nobody_has_verified_counts_for_no_client(client: httpx.Client, tenant: Tenant) -> None:
    name = next(NAMES)
    forged = Tenant()
    forged.url = tenant.url
    tokens = [forged.token(azp=name, sub=name), tenant.token(azp=name, sub=name, exp=1), "x", ".".join("abc")]
    for token in tokens:
        assert statuses(client, 10, token) == [401] * 10
        address = {"X-Forwarded-For": f"192.0.2.{tokens.index(token)}"}
        assert statuses(client, 4, token, "/api/public", **address) == [200] * 3 + [429]
    assert statuses(client, 3, tenant.token(azp=name, sub=name, scope=""), "/api/private-scoped") == [403] * 3
    assert statuses(client, 5, tenant.token(azp=name, sub=name)) == [200] * 5


def test_address_is_what_the_trusted_proxy_has_added(client: httpx.Client) -> None:
    for number in range(4):
        answer = statuses(client, 1, path="/api/public", **{"X-Forwarded-For": f"10.0.0.{number}, 203.0.113.7"})
        assert answer == [200 if number < 3 else 429]
    assert statuses(client, 1, path="/api/public", **{"X-Forwarded-For": "203.0.113.8"}) == [200]


@pytest.mark.parametrize(
    ("addresses", "last"),
    [
        ([f"2001:db8::{number}" for number in range(1, 5)], 429),
        ([f"2001:db8:{number}::1" for number in range(5, 9)], 200),
        (["::ffff:203.0.113.20", "203.0.113.20", "203.0.113.20", "::ffff:203.0.113.20"], 429),
        ([f"203.0.113.30:{number}" for number in range(1, 5)], 429),
    ],
    ids=["one network", "several networks", "mapped", "with ports"],
)
def test_address_is_one_callers(client: httpx.Client, addresses: list[str], last: int) -> None:
    found = [statuses(client, 1, path="/api/public", **{"X-Forwarded-For": each})[0] for each in addresses]
    assert found == [200, 200, 200, last]


def test_without_a_trusted_proxy_what_a_client_writes_is_nothing(house: Path, tenant: Tenant) -> None:
    written = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP", "True-Client-IP", "X-Client-IP")
    with served(house, tenant) as (client, _):
        found = [
            statuses(client, 1, path="/api/public", **dict.fromkeys(written, f"for=10.0.0.{number}"))[0]
            for number in range(5)
        ]
    assert found == [200] * 3 + [429] * 2


def test_after_the_seconds_it_is_answered_again(house: Path, tenant: Tenant) -> None:
    with served(house, tenant, ADDRESS_LIMIT="2/3 seconds") as (client, _):
        assert statuses(client, 3, path="/api/public") == [200, 200, 429]
        time.sleep(int(client.get("/api/public").headers["retry-after"]))
        assert statuses(client, 3, path="/api/public") == [200, 200, 429]


def test_workers_count_together_in_redis_and_each_for_itself_while_it_is_out(
    house: Path, tenant: Tenant, tmp_path: Path
) -> None:
    redis = redis_server(tmp_path)
    with served(house, tenant, workers=2, LIMITS_REDIS_URL=redis.url) as (client, process):

        def fresh(requests: int) -> list[int]:
            token = tenant.token(sub=next(NAMES), azp=None)
            url = f"{client.base_url}/api/private"
            return [
                httpx.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=15).status_code
                for _ in range(requests)  # each by a connection of its own, so by any worker
            ]

        with redis.running():
            wait_until(lambda: fresh(12).count(200) == 3, seconds=30)  # it was out at the start
            with redis.paused():
                begun = time.monotonic()
                answers = fresh(12)
                assert set(answers) == {200, 429}
                assert 3 <= answers.count(200) <= 6
                assert time.monotonic() - begun < 8
            wait_until(lambda: fresh(12).count(200) == 3, seconds=30)
        answers = fresh(12)
        assert set(answers) == {200, 429}
        assert 3 <= answers.count(200) <= 6
        assert "Each worker counts for itself" in process.output


def test_contract_tests_pass(house: Path) -> None:
    passed = run(api("contract", "--examples", "2"), {"PORT": "0", **MANY}, cwd=house, seconds=120)
    assert passed.returncode == 0, passed.stdout


def test_recipe_is_written_as_a_house_is(house: Path) -> None:
    for command in (["ruff", "check", "api"], ["ruff", "format", "--check", "api"], ["mypy", "api"]):
        told = run([sys.executable, "-m", *command], cwd=house)
        assert told.returncode == 0, told.stdout + told.stderr
    assert rule_complaints(house / "openapi.yaml") == []
