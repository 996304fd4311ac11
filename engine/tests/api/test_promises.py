"""docs/promises.md: what was promised is still there, and is told where it says."""

import json
import logging
import re

import httpx
import pytest
from click.testing import CliRunner
from prometheus_client import REGISTRY, generate_latest

import resource_server.serving.metrics  # noqa: F401  # which registers them
from resource_server.command import cli
from resource_server.serving.background import in_background
from resource_server.serving.logs import REQUESTS, JsonLines
from resource_server.settings import Settings
from tests.processes import DOCS
from tests.promises import RECORD, documented, promises
from tests.sample import FACTORY, create_app
from tests.tenant import AUDIENCE, Tenant

RECORDED = set(RECORD.read_text().splitlines())


def test_nothing_that_was_promised_is_gone() -> None:
    assert sorted(RECORDED - set(promises())) == []


def test_what_is_new_is_promised_from_its_release_on() -> None:
    assert sorted(set(promises()) - RECORDED) == [], "record it: python -m tests.promises"


def test_promises_are_of_every_kind() -> None:
    kinds = {"name", "command", "setting", "extension", "problem", "field", "metric", "path", "make"}
    assert {line.partition(" ")[0] for line in RECORDED} == kinds
    assert "name resource_server.Auth0JWTBearerTokenValidator(audience), by position, needed" in RECORDED
    assert "name resource_server.AccessToken.scopes" in RECORDED
    assert "field of the log client_id" in RECORDED


def test_fields_of_the_log_are_those_that_are_documented(tenant: Tenant, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, REQUESTS)
    with in_background(create_app(Settings(issuers=(tenant.url,), audience=AUDIENCE))) as url:
        for token in (tenant.token(), tenant.token(aud="other")):
            httpx.get(f"{url}/api/private", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    written = {name for record in caplog.records for name in json.loads(JsonLines().format(record))}
    elsewhere = {"others", "trace_id"}  # in test_logs.py and system/test_tracing.py
    assert written | elsewhere == set(documented("field of a line"))


def test_metrics_are_those_that_are_documented() -> None:
    told = re.findall(r"(?m)^# TYPE (api_\w+)", generate_latest(REGISTRY).decode())
    assert {name for name in told if not name.endswith("_created")} == set(documented("metric"))


@pytest.mark.parametrize(
    ("code", "arguments", "environ"),
    [
        (0, ("doctor",), {}),
        (0, ("sdk", "--list"), {}),
        (1, ("doctor", "no-token"), {}),
        (2, ("serve",), {"TOKEN_PROFILE": "none"}),
        (1, ("token",), {}),  # there is no development issuer
        (2, ("serve", "--workers", "0"), {}),
        (2, ("serve",), {"AUTH0_AUDIENCE": ""}),
        (2, ("doctor", "--spec", "nowhere.yaml"), {}),
        (2, ("no-command",), {}),
    ],
)
def test_exit_codes_are_those_that_are_promised(
    code: int, arguments: tuple[str, ...], environ: dict[str, str], tenant: Tenant
) -> None:
    given = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, **environ}
    ended = CliRunner().invoke(cli, [*arguments], obj=FACTORY, env=given)
    assert ended.exit_code == code, ended.output
    assert f"\n| {code} |" in (DOCS / "promises.md").read_text()
