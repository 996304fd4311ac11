"""Where extensions of Flask belong, as the guide to databases says: each is the real one."""

import json
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from connexion.context import context
from flask_caching import Cache
from flask_limiter import Limiter
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.transport import Transport

from resource_server.serving import FlaskApp
from resource_server.settings import Settings
from tests.sample import create_app
from tests.tenant import AUDIENCE, Tenant

CALLS: list[str] = []


def greet(user: str) -> dict[str, str]:
    return {"for": CACHED(user)}


def fails(user: str) -> dict[str, str]:
    raise LookupError(user)


def CACHED(user: str) -> str:  # noqa: N802  # a test replaces it
    return user


@pytest.fixture
def app(tenant: Tenant, tmp_path: Path) -> FlaskApp:
    answer = {"responses": {"200": {"description": "It.", "content": {"application/json": {}}}}}
    scheme = {"type": "http", "scheme": "bearer", "x-bearerInfoFunc": "security.token_info"}
    contract = {
        "openapi": "3.1.0",
        "info": {"title": "T", "version": "1"},
        "security": [{"t": []}],
        "paths": {f"/{name}": {"get": {"operationId": f"{__name__}.{name}", **answer}} for name in ("greet", "fails")},
        "components": {"securitySchemes": {"t": scheme}},
    }
    (tmp_path / "openapi.json").write_text(json.dumps(contract))
    settings = Settings(issuers=(tenant.url,), audience=AUDIENCE)
    return create_app(settings, specification=tmp_path / "openapi.json")


def bearer(tenant: Tenant, user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {tenant.token(sub=user)}"}


def test_limiter_counts_by_user_and_sees_what_is_authorized_only(app: FlaskApp, tenant: Tenant) -> None:
    Limiter(lambda: context["user"], app=app.app, default_limits=["2 per hour"], storage_uri="memory://")
    client = app.test_client()
    assert [client.get("/greet").status_code for _ in range(5)] == [401] * 5
    assert [client.get("/greet", headers=bearer(tenant, "ada")).status_code for _ in range(3)] == [200, 200, 429]
    refused = client.get("/greet", headers=bearer(tenant, "ada"))
    assert refused.headers["content-type"] == "application/problem+json"
    assert client.get("/greet", headers=bearer(tenant, "ben")).status_code == 200


def test_cache_keeps_what_a_function_gives_each_user(
    app: FlaskApp, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(app.app, config={"CACHE_TYPE": "SimpleCache"})
    calls: list[str] = []

    @cache.memoize()
    def slow(user: str) -> str:
        calls.append(user)
        return user

    monkeypatch.setattr(f"{__name__}.CACHED", slow)
    client = app.test_client()
    for user in ("ada", "ben", "ada", "ben"):
        assert client.get("/greet", headers=bearer(tenant, user)).json() == {"for": user}
    assert calls == ["ada", "ben"]


class Kept(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.told += [item.payload.json for item in envelope.items if item.type == "event"]


def test_sentry_is_told_what_handlers_raise_and_no_refusal(app: FlaskApp, tenant: Tenant) -> None:
    kept = Kept()
    options = {"transport": kept, "integrations": [FlaskIntegration()], "default_integrations": False}
    sentry_sdk.init(dsn="https://key@sentry.example.com/1", **options)  # type: ignore[arg-type]
    try:
        client = app.test_client(raise_server_exceptions=False)
        assert client.get("/fails").status_code == 401
        assert client.get("/fails", headers=bearer(tenant, "ada")).status_code == 500
        assert client.get("/greet", headers=bearer(tenant, "ada")).status_code == 200
    finally:
        sentry_sdk.init()
    assert [each["exception"]["values"][-1]["type"] for each in kept.told] == ["LookupError"]
