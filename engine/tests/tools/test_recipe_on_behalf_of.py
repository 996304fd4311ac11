"""docs/recipes/on-behalf-of.md, carried out with two houses and oidc-provider between them."""

import base64
import json
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest

from resource_server.tokens.jwt import SignedJWT
from tests.houses import house as make_house
from tests.nodepeers import node
from tests.processes import Running, api, run, running
from tests.recipes import carried_out
from tests.relays import Relay, Request, relay
from tests.serving import free_port
from tests.system.test_oidc_provider import machine_token, user_token
from tests.tenant import AUDIENCE

ARCHIVE = "https://archive.example.com"
SECRET = "machine-secret"
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with node("tenant.mjs", "--scope", "read:messages read:archive", "--exchange", AUDIENCE) as peer:
        yield peer["issuer"]


@pytest.fixture(scope="module")
def token(issuer: str) -> str:
    return user_token(issuer, "ada")


@contextmanager
def served(house: Path, issuer: str, **settings: str) -> Iterator[tuple[str, Running]]:
    port = free_port()
    environ = {"AUTH0_DOMAIN": issuer, "AUTH0_AUDIENCE": AUDIENCE, "PORT": str(port), **settings}
    with running(api("serve", "--workers", "1"), environ, house) as process:
        process.wait_for("Started worker-1", seconds=60)
        yield f"http://127.0.0.1:{port}", process


@pytest.fixture(scope="module")
def archive(issuer: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The other API: the sample, with another audience, path and scope."""
    house = make_house(tmp_path_factory.mktemp("archive") / "house")
    contract = house / "openapi.yaml"
    text = contract.read_text().replace("/api/private-scoped:", "/messages:").replace("read:messages", "read:archive")
    contract.write_text(text)
    with served(house, issuer, AUTH0_AUDIENCE=ARCHIVE) as (url, _):
        yield url


@dataclass
class World:
    """The recipe's API, and what stands between it and the others."""

    url: str
    process: Running
    issuer: Relay
    archive: Relay

    def get(self, token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(f"{self.url}/api/archived", headers=headers, trust_env=False, timeout=20)


@contextmanager
def world(house: Path, issuer: str, archive: str, password: str = SECRET) -> Iterator[World]:
    with ExitStack() as stack:
        exchange, calls = stack.enter_context(relay(issuer)), stack.enter_context(relay(archive))
        settings = {
            "TOKEN_URL": f"{exchange.url}/oauth/token",
            "CLIENT_ID": "exchange-1",
            "CLIENT_SECRET": password,
            "ARCHIVE_URL": calls.url,
            "ARCHIVE_AUDIENCE": ARCHIVE,
        }
        url, process = stack.enter_context(served(house, issuer, **settings))
        yield World(url, process, exchange, calls)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return carried_out("on-behalf-of", tmp_path_factory.mktemp("recipe") / "house")


@pytest.fixture(scope="module")
def here(house: Path, issuer: str, archive: str) -> Iterator[World]:
    with world(house, issuer, archive) as found:
        yield found


@pytest.fixture(autouse=True)
def fresh(here: World) -> None:
    for each in (here.issuer, here.archive):
        each.answer = None
        each.requests.clear()


def presented(calls: Relay) -> list[str]:
    return [each.headers["authorization"].removeprefix("Bearer ") for each in calls.requests]


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json().get("code"))


def test_another_api_is_called_with_a_token_of_its_own_for_the_same_user(here: World, token: str) -> None:
    assert here.get(token).status_code == 200
    (asked,), (shown,) = here.issuer.requests, presented(here.archive)
    form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
    assert form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": ARCHIVE,
        "scope": "read:archive",
    }
    assert base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")) == b"exchange-1:machine-secret"
    claims = SignedJWT.parse(shown).claims
    assert shown != token
    assert {name: claims[name] for name in ("sub", "aud", "scope", "act")} == {
        "sub": "auth0|ada",
        "aud": ARCHIVE,
        "scope": "read:archive",
        "act": {"sub": "exchange-1"},
    }


def test_token_is_kept_for_its_caller_and_for_nobody_else(here: World, issuer: str) -> None:
    bea, cleo = user_token(issuer, "bea"), user_token(issuer, "cleo")
    for token in (bea, cleo, bea, cleo):
        assert here.get(token).status_code == 200
    assert len(here.issuer.requests) == 2
    subjects = [SignedJWT.parse(each).claims["sub"] for each in presented(here.archive)]
    assert subjects == ["auth0|bea", "auth0|cleo"] * 2


@pytest.mark.parametrize("lasting", [{"expires_in": 31}, {"expires_in": 29}, {}])
def test_token_is_kept_until_it_expires(here: World, issuer: str, lasting: dict[str, int]) -> None:
    here.issuer.answer = lambda _: (200, json.dumps({"access_token": "t", "token_type": "Bearer", **lasting}).encode())
    here.archive.answer = lambda _: (200, b'{"message": ""}')
    token = user_token(issuer, "dan")
    for _ in range(2):
        assert here.get(token).status_code == 200
    expected = 1 if lasting.get("expires_in") == 31 else 2
    assert len(here.issuer.requests) == expected
    time.sleep(1.1)
    here.get(token)
    assert len(here.issuer.requests) == expected + 1


def test_caller_whose_token_is_not_good_reaches_nobody(here: World, issuer: str, token: str) -> None:
    assert code(here.get(machine_token(issuer, "machine-unscoped", audience=AUDIENCE))) == (403, "insufficient_scope")
    assert code(here.get(machine_token(issuer, audience=ARCHIVE))) == (401, "invalid_token")
    assert code(here.get(f"{token[:-8]}{token[:8]}")) == (401, "invalid_token")
    assert here.issuer.requests == here.archive.requests == []


def test_other_api_refuses_the_callers_own_token(archive: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{archive}/messages", headers=headers, trust_env=False).json()["code"] == "invalid_token"


def test_refusal_of_the_issuer_tells_nothing(here: World, issuer: str) -> None:
    token = user_token(issuer, "eve")
    answer = here.get(token)
    assert (code(answer), here.archive.requests) == ((403, "not_on_behalf"), [])
    assert answer.json()["detail"] == "This API may not do this on behalf of whom the access token is for."
    here.process.wait_for(f"No token for {ARCHIVE}: access_denied")
    for secret in (token, "machine-secret", "not on behalf of ey"):
        assert secret not in answer.text + here.process.output


BEARER = {"access_token": "t", "token_type": "Bearer"}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": "invalid_target"}, 403),
        (400, {"error": "invalid_request"}, 403),
        (401, {"error": "invalid_client", "error_description": "secret"}, 502),
        (400, {"error": "unauthorized_client"}, 502),
        (400, {"error": "unsupported_grant_type"}, 502),
        (200, {}, 502),
        (200, [], 502),
        (200, None, 502),
        (200, {**BEARER, "access_token": ""}, 502),
        (200, {**BEARER, "token_type": "DPoP"}, 502),
        (200, {**BEARER, "token_type": None}, 502),
        (200, {**BEARER, "access_token": "the caller's"}, 502),
        (200, {**BEARER, "expires_in": "soon"}, 502),
        (302, {}, 502),
        (429, None, 503),
        (500, {"error": "server_error"}, 503),
        (503, None, 503),
    ],
)
def test_answers_of_the_issuer_that_are_no_token(
    here: World, issuer: str, status: int, body: object, expected: int
) -> None:
    token = user_token(issuer, secrets.token_hex(4))  # nothing is kept for
    text = json.dumps(body).replace("the caller's", token) if body is not None else "<html>secret"
    here.issuer.answer = lambda _: (status, text.encode())
    answer = here.get(token)
    assert answer.status_code == expected, answer.text
    assert here.archive.requests == []
    assert "secret" not in answer.text
    assert ("Retry-After" in answer.headers) == (expected == 503)


def test_wrong_secret_is_our_fault(house: Path, issuer: str, archive: str, token: str) -> None:
    with world(house, issuer, archive, password="another-secret") as wrong:
        answer = wrong.get(token)
        assert code(answer) == (502, "bad_gateway")
        assert "another-secret" not in answer.text + wrong.process.output


def dripping(_: Request) -> tuple[int, Iterator[bytes]]:
    def drops() -> Iterator[bytes]:
        for _ in range(80):
            time.sleep(0.1)
            yield b" "

    return 200, drops()


@pytest.mark.parametrize("slow", ["issuer", "archive"])
def test_who_is_slow_holds_nobody_for_long(here: World, issuer: str, slow: str) -> None:
    (here.issuer if slow == "issuer" else here.archive).answer = dripping
    begun = time.monotonic()
    assert code(here.get(user_token(issuer, f"fay-{slow}"))) == (503, "service_unavailable")
    assert 4.5 < time.monotonic() - begun < 7.5


@pytest.mark.parametrize(
    ("status", "expected"), [(401, 502), (403, 403), (404, 502), (302, 502), (500, 502), (200, 502)]
)
def test_failures_of_the_other_api(here: World, token: str, status: int, expected: int) -> None:
    here.archive.answer = lambda _: (status, b"<html>secret")
    answer = here.get(token)
    assert answer.status_code == expected
    assert "secret" not in answer.text


def test_issuer_and_archive_that_are_down(house: Path, issuer: str, token: str) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/"
    settings = {"CLIENT_ID": "exchange-1", "CLIENT_SECRET": SECRET, "ARCHIVE_AUDIENCE": ARCHIVE}
    for token_url, archive_url in ((f"{issuer}oauth/token", nowhere), (f"{nowhere}oauth/token", "")):
        with served(house, issuer, TOKEN_URL=token_url, ARCHIVE_URL=archive_url, **settings) as (url, _):
            headers = {"Authorization": f"Bearer {token}"}
            answer = httpx.get(f"{url}/api/archived", headers=headers, trust_env=False, timeout=20)
            assert code(answer) == (503, "service_unavailable")
            assert answer.headers["retry-after"] == "5"
            assert re.fullmatch(r"The authorization server can't .*|Another API .*", answer.json()["detail"])


def test_linters_of_the_house_pass_the_page(house: Path) -> None:
    files = ["api", "security"]
    for command in (["check", *files], ["format", "--check", *files]):
        ended = run([sys.executable, "-m", "ruff", *command], cwd=house)
        assert ended.returncode == 0, ended.stdout
