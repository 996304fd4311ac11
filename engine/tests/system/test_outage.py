"""An issuer that rotates and fails while the API is under load: no valid request is lost, and few are the fetches."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from resource_server.serving.background import in_background
from resource_server.settings import Settings
from resource_server.tokens import Auth0JWTBearerTokenValidator
from tests.outages import Api, Clock
from tests.sample import create_app
from tests.serving import wait_until
from tests.tenant import AUDIENCE, KEYS, METADATA, Answer, Tenant, rsa_key


@pytest.fixture
def api() -> Iterator[Api]:
    with Tenant().running() as tenant, served(tenant) as api:
        yield api


@contextmanager
def served(tenant: Tenant) -> Iterator[Api]:
    clock = Clock()
    validator = Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE, monotonic=clock)
    settings = Settings(issuers=(tenant.url,), audience=AUDIENCE)
    with in_background(create_app(settings, validator=validator)) as url:
        yield Api(url, tenant, clock)


def answer(status: int, headers: dict[str, str], body: bytes) -> Callable[[str], Answer]:
    return lambda _: (status, headers, body)


def slow(_: str) -> Answer:
    time.sleep(1)
    return 500, {}, b""


MISBEHAVIOURS = {
    "down": answer(503, {}, b""),
    "slow": slow,
    "HTML": answer(200, {"Content-Type": "text/html"}, b"<html>maintenance</html>"),
    "redirect": answer(302, {"Location": "https://login.example.com/"}, b""),
    "truncated": answer(200, {"Content-Length": "10000"}, b'{"keys":['),
    "wrong issuer": answer(200, {}, b'{"issuer":"https://evil.example.com/","jwks_uri":"https://evil.example.com/"}'),
    "no JSON": answer(200, {}, b'{"keys":'),
}


@pytest.mark.parametrize("misbehave", MISBEHAVIOURS.values(), ids=MISBEHAVIOURS.keys())
def test_ten_minutes_of_outage_lose_no_valid_request(api: Api, misbehave: Callable[[str], Answer]) -> None:
    token = api.tenant.token()
    assert api.status(token) == 200
    before = api.tenant.fetches.total()
    api.clock.ahead += 599
    api.tenant.misbehave = misbehave
    with api.load(lambda: token) as load:
        api.clock.pass_by(600)
    assert load.statuses.keys() == {200}
    assert load.statuses[200] > 10  # many more, but on a busy machine
    # One attempt in ten seconds at the most, of one or two documents.
    assert 2 <= api.tenant.fetches.total() - before <= 2 * 65


def test_end_of_an_outage_brings_the_new_keys_and_loses_no_valid_request(api: Api) -> None:
    token = api.tenant.token()
    assert api.status(token) == 200
    api.tenant.misbehave = MISBEHAVIOURS["down"]
    with api.load(lambda: token) as load:
        api.clock.pass_by(700)
        api.tenant.rotate("new")
        assert api.status(api.tenant.token()) == 503  # whether the new key is the issuer's can't be known now
        api.tenant.misbehave = None
        api.clock.pass_by(20)
        wait_until(lambda: api.status(api.tenant.token()) == 200)
    assert load.statuses.keys() == {200}


def test_rotations_lose_no_valid_request(api: Api) -> None:
    with api.load(api.tenant.token) as load:
        for number in range(20):
            time.sleep(0.1)
            api.tenant.rotate(f"rotated{number}")
            api.clock.pass_by(60)
    assert load.statuses.keys() == {200}
    assert load.statuses[200] > 10  # many more, but on a busy machine
    assert api.tenant.key_fetches <= 20 * 3


class Gate:
    """Lets the tenant's answers through when it is opened; a test's end opens it in any case."""

    def __init__(self, tenant: Tenant) -> None:
        self._answers = {path: tenant.document(path) for path in (KEYS, METADATA)}
        self._open = threading.Event()
        self.reached = threading.Event()
        self.tenant = tenant
        tenant.misbehave = self._answer

    def _answer(self, path: str) -> Answer:
        self.reached.set()
        self._open.wait(4)
        return self._answers[path]

    def open(self) -> None:
        self._open.set()


def test_unknown_kids_under_load_neither_delay_nor_lose_valid_requests(api: Api) -> None:
    token, unknown = api.tenant.token(), api.tenant.token(key=rsa_key("unknown"))
    assert api.status(token) == 200
    before = api.tenant.key_fetches
    gate = Gate(api.tenant)
    with api.load(lambda: token, threads=2) as load, api.load(lambda: unknown, threads=4) as flood:
        assert gate.reached.wait(10)
        served = load.statuses[200]
        wait_until(lambda: load.statuses[200] > served + 200)  # while the unknown ones wait for a fetch
        assert not flood.statuses
        gate.open()
        wait_until(lambda: flood.statuses[401] > 200)
    assert load.statuses.keys() == {200}
    assert flood.statuses.keys() == {401}
    assert api.tenant.key_fetches - before == 3


def test_keys_withdrawn_are_refused_after_the_refresh_under_load(api: Api) -> None:
    withdrawn = api.tenant.token()
    assert api.status(withdrawn) == 200
    api.tenant.rotate("new", withdraw=True)
    with api.load(api.tenant.token) as load:
        api.clock.pass_by(600)
        wait_until(lambda: api.status(withdrawn) == 401)
    assert load.statuses.keys() == {200}


def test_several_issuers_are_told_apart_and_fail_apart() -> None:
    with Tenant().running() as one, Tenant().running() as other:
        settings = Settings(issuers=(one.url, other.url), audience=AUDIENCE)
        with in_background(create_app(settings)) as url:
            api = Api(url, one, Clock())
            assert [api.status(tenant.token()) for tenant in (one, other)] == [200, 200]
            # The key of one issuer doesn't speak for the other, though both publish the same kid.
            assert api.status(one.token(key=other.key)) == 401
            assert api.status(one.token(iss=other.url)) == 401
            other.misbehave = MISBEHAVIOURS["down"]
            assert api.status(other.token(key=rsa_key("unknown"))) == 503
            assert api.status(one.token(key=rsa_key("unknown"))) == 401
            assert [api.status(tenant.token()) for tenant in (one, other)] == [200, 200]


def test_issuer_that_is_not_configured_is_never_asked() -> None:
    with Tenant().running() as one, Tenant().running() as stranger:
        with in_background(create_app(Settings(issuers=(one.url,), audience=AUDIENCE))) as url:
            assert Api(url, one, Clock()).status(stranger.token()) == 401
        assert stranger.fetches.total() == 0


@pytest.fixture
def gate() -> Iterator[Gate]:
    """That of an issuer which nobody has asked yet: the keys are fetched as soon as the API starts."""
    with Tenant().running() as tenant:
        yield Gate(tenant)


def test_slow_issuer_at_start_delays_nobody_who_needs_no_token(gate: Gate) -> None:
    with served(gate.tenant) as api, api.load(api.tenant.token, threads=4) as load:
        assert gate.reached.wait(10)
        for _ in range(20):
            assert httpx.get(f"{api.url}/api/public", trust_env=False).status_code == 200
        assert not load.statuses
        gate.open()
        wait_until(lambda: load.statuses[200] > 10)
    assert load.statuses.keys() == {200}
    assert api.tenant.key_fetches == 1
