"""Health: the process lives, the keys are held; never behind a token, never in the way of the contract."""

import time

import httpx
import pytest
import yaml

from resource_server.serving.background import in_background
from resource_server.settings import Settings
from resource_server.tokens import Auth0JWTBearerTokenValidator
from tests.outages import Clock
from tests.sample import SPECIFICATION, create_app
from tests.serving import wait_until
from tests.tenant import AUDIENCE, Tenant


def get(url: str, path: str) -> httpx.Response:
    return httpx.get(url + path, trust_env=False)


def test_ready_once_the_keys_are_held_before_any_token_has_come() -> None:
    with Tenant().running() as tenant, in_background(create_app(settings(tenant))) as url:
        assert get(url, "/healthz").json() == {"status": "alive"}
        wait_until(lambda: get(url, "/readyz").status_code == 200)
        fetches = tenant.key_fetches
        assert get(url, "/readyz").json() == {"status": "ready"}
        assert tenant.key_fetches == fetches


def test_unready_while_the_issuer_fails_and_says_which() -> None:
    with Tenant().running() as tenant, Tenant().running() as failing:
        failing.misbehave = lambda _: (503, {}, b"")
        both = Settings(issuers=(tenant.url, failing.url), audience=AUDIENCE)
        with in_background(create_app(both)) as url:
            wait_until(lambda: get(url, "/readyz").json() == {"status": f"No keys are held of {failing.url}."})
            assert get(url, "/readyz").status_code == 503
            assert get(url, "/healthz").status_code == 200
            failing.misbehave = None
            wait_until(lambda: get(url, "/readyz").status_code == 200)


def test_outage_makes_nobody_unready_who_holds_keys() -> None:
    with Tenant().running() as tenant:
        clock = Clock()
        validator = Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE, monotonic=clock, max_stale=3_600)
        with in_background(create_app(settings(tenant), validator=validator)) as url:
            wait_until(lambda: get(url, "/readyz").status_code == 200)
            tenant.misbehave = lambda _: (503, {}, b"")
            for ahead, status in ((1_000, 200), (3_500, 200), (3_700, 503)):
                clock.ahead = ahead
                wait_until(lambda status=status: get(url, "/readyz").status_code == status)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_asking_costs_nothing_but_an_answer(path: str) -> None:
    with Tenant().running() as tenant:
        tenant.misbehave = lambda _: (503, {}, b"")
        with in_background(create_app(settings(tenant))) as url, httpx.Client(base_url=url, trust_env=False) as client:
            time.sleep(0.2)
            for _ in range(200):
                client.get(path)
            assert tenant.fetches.total() <= 4  # one a second, then fewer


def test_paths_of_the_contract_are_its_own(tmp_path: object) -> None:
    contract = yaml.safe_load(SPECIFICATION.read_text())
    contract["paths"]["/healthz"] = contract["paths"].pop("/api/public")
    path = SPECIFICATION.__class__(str(tmp_path)) / "openapi.yaml"
    path.write_text(yaml.safe_dump(contract))
    with Tenant().running() as tenant, in_background(create_app(settings(tenant), specification=path)) as url:
        assert "Hello" in get(url, "/healthz").text
        wait_until(lambda: get(url, "/readyz").status_code == 200)


def settings(tenant: Tenant) -> Settings:
    return Settings(issuers=(tenant.url,), audience=AUDIENCE)
