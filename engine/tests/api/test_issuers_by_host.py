"""Issuers by host, as an API is served and as the guide has it: two customers, each with an issuer over real HTTP."""

import asyncio
import importlib
import logging
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import flask
import httpx
import pytest
from click.testing import CliRunner

from resource_server import (
    Auth0JWTBearerTokenValidator,
    Credentials,
    DPoP,
    IssuerResolver,
    Settings,
    SettingsError,
    SQLiteReplayCache,
)
from resource_server.command import cli
from resource_server.flask import ResourceProtector, current_token
from resource_server.serving import make_app
from resource_server.serving.background import in_background
from resource_server.tokens import credentials_of
from tests.api.test_other_frameworks import snippet
from tests.proofs import Prover
from tests.sample import FACTORY, SPECIFICATION, create_app
from tests.tenant import AUDIENCE, KEYS, Tenant

PRIVATE = "/api/private"


@pytest.fixture(scope="module")
def acme() -> Iterator[Tenant]:
    with Tenant().running() as tenant:
        yield tenant


@pytest.fixture(scope="module")
def globex() -> Iterator[Tenant]:
    with Tenant().running() as tenant:
        yield tenant


@pytest.fixture
def database(acme: Tenant, globex: Tenant) -> dict[str, list[str]]:
    return {"acme.test": [acme.url], "globex.test": [globex.url]}


def settings(*domains: str, **others: Any) -> Settings:
    return Settings(issuers=domains, audience=AUDIENCE, **others)


def served(database: Any, *domains: str, **others: Any) -> Any:
    given = settings(*domains, **others)
    validator = Auth0JWTBearerTokenValidator(domains, AUDIENCE, resolver=IssuerResolver(database.get))
    return in_background(create_app(given, validator=validator))


def status(url: str, token: str, host: str, **fields: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}", "Host": host, **fields}
    response = httpx.get(url + PRIVATE, headers=headers, trust_env=False)
    return response.status_code, response.headers.get("www-authenticate", "")


def test_token_of_another_customer_is_refused_also_when_it_is_remembered(
    database: dict[str, list[str]], acme: Tenant, globex: Tenant
) -> None:
    with served(database) as url:
        for _ in range(3):
            for tenant, own, other in ((acme, "acme.test", "globex.test"), (globex, "GLOBEX.test:80", "acme.test")):
                token = tenant.token()
                assert status(url, token, own)[0] == 200
                code, challenge = status(url, token, other)
                assert code == 401
                assert "issued by another authorization server" in challenge
                assert status(url, token, "unknown.test")[0] == 401
        assert httpx.get(f"{url}/readyz", trust_env=False).status_code == 200


@pytest.mark.parametrize(("trusted", "expected"), [(False, 401), (True, 200)])
def test_forwarded_host_counts_only_if_a_trusted_proxy_says_it(
    database: dict[str, list[str]], acme: Tenant, *, trusted: bool, expected: int
) -> None:
    proxies = (ip_network("127.0.0.0/8"),) if trusted else ()
    with served(database, trusted_proxies=proxies) as url:
        token = acme.token()
        for name in ("X-Forwarded-Host", "x-forwarded-host"):
            assert status(url, token, "globex.test", **{name: "acme.test"})[0] == expected
        assert status(url, token, "acme.test", **{"X-Forwarded-Host": "acme.test, globex.test"})[0] == (
            401 if trusted else 200
        )
        for ignored in ("Forwarded", "X-Host", "X-Original-Host", "X-Forwarded-Server", "X-HTTP-Host-Override"):
            assert status(url, token, "globex.test", **{ignored: "host=acme.test"})[0] == 401


def test_failing_function_is_answered_with_503_and_when_to_come_again(acme: Tenant) -> None:
    class Away(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            raise OSError("the database is away")

    with served(Away()) as url:
        headers = {"Authorization": f"Bearer {acme.token()}", "Host": "acme.test"}
        response = httpx.get(url + PRIVATE, headers=headers, trust_env=False)
    assert response.status_code == 503
    assert response.json()["code"] == "issuer_unavailable"
    assert response.headers["retry-after"] == "1"
    assert "www-authenticate" not in response.headers
    assert "database" not in response.text


def test_an_internal_address_in_iss_is_never_asked(database: dict[str, list[str]], acme: Tenant) -> None:
    with Tenant().running() as internal, served(database) as url:
        forged = internal.token()
        assert status(url, forged, "acme.test")[0] == 401
        assert status(url, acme.token(iss=f"{acme.url}../../{internal.url}"), "acme.test")[0] == 401
        assert not internal.fetches


def test_bound_tokens_are_taken_at_the_host_of_their_issuer(
    database: dict[str, list[str]], acme: Tenant, tmp_path: Path
) -> None:
    public, prover = "https://api.example.com", Prover()
    given = settings(public_url=public, dpop="allowed")
    validator = Auth0JWTBearerTokenValidator(
        (), AUDIENCE, resolver=IssuerResolver(database.get), dpop=DPoP(SQLiteReplayCache(tmp_path / "used.sqlite3"))
    )
    with in_background(create_app(given, validator=validator)) as url:
        for host, expected in (("acme.test", 200), ("globex.test", 401)):
            fields = prover.headers(public + PRIVATE, acme.token(cnf=prover.cnf))
            assert httpx.get(url + PRIVATE, headers={**fields, "Host": host}, trust_env=False).status_code == expected


def test_metadata_and_swagger_ui_know_the_issuers_that_are_fixed(database: dict[str, list[str]], acme: Tenant) -> None:
    def asked(url: str) -> tuple[Any, str, str]:
        with httpx.Client(base_url=url, headers={"Host": "acme.test"}, trust_env=False) as client:
            metadata = client.get("/.well-known/oauth-protected-resource").json()
            flows = client.get("/openapi.json").json()["components"]["securitySchemes"]
            policy = client.get("/ui/").headers["content-security-policy"]
        return metadata.get("authorization_servers"), str(flows), policy

    with served(database, public_url="https://api.example.com") as url:
        servers, flows, policy = asked(url)
    assert servers is None
    assert acme.url not in flows
    assert "connect-src 'self';" in policy
    with served(database, acme.url, public_url="https://api.example.com") as url:
        servers, flows, policy = asked(url)
    assert servers == [acme.url]
    assert f"{acme.url}oauth/token" in flows


def test_start_says_who_names_the_issuers(
    database: dict[str, list[str]], acme: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    def issuers_for(host: str) -> list[str] | None:
        return database.get(host)

    caplog.set_level(logging.INFO)
    also = f"issuers_for says; at every host those of {acme.url}"
    for domains, expected in (((), "issuers_for says"), ((acme.url,), also)):
        caplog.clear()
        validator = Auth0JWTBearerTokenValidator(domains, AUDIENCE, resolver=IssuerResolver(issuers_for))
        make_app(settings(*domains, specification=SPECIFICATION), validator)
        assert any(each.endswith(expected) for each in caplog.messages)


def test_no_issuer_at_all_is_told_at_the_start() -> None:
    environ = {"AUTH0_DOMAIN": "none", "AUTH0_AUDIENCE": AUDIENCE}
    given = Settings.from_environ(environ)
    assert given.issuers == ()
    assert Settings.from_environ(environ, development=True).development_issuer is False
    with pytest.raises(ValueError, match=r"^No issuer: name at least one domain, or give a resolver$"):
        create_app(given)
    with pytest.raises(SettingsError, match="AUTH0_DOMAIN is not set"):
        Settings.from_environ({"AUTH0_AUDIENCE": AUDIENCE})
    with pytest.raises(SettingsError, match="JWKS_URL says not which issuer is meant"):
        Settings.from_environ({**environ, "JWKS_URL": "https://a.example.com/"})


@pytest.mark.parametrize("arguments", [["doctor", "a.b.c"], ["contract"]])
def test_commands_that_need_one_issuer_say_so(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH0_DOMAIN", "none")
    monkeypatch.setenv("AUTH0_AUDIENCE", AUDIENCE)
    result = CliRunner().invoke(cli, arguments, obj=FACTORY)
    assert result.exit_code == 2
    assert "Set AUTH0_DOMAIN to the one that is meant" in result.output


@pytest.fixture
def guide(
    acme: Tenant, globex: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Settings], Auth0JWTBearerTokenValidator]]:
    """The guide's `make_validator`, with its database: `acme.test` and `globex.test`."""
    file = tmp_path / "issuers.sqlite3"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE issuers (host TEXT, issuer TEXT)")
        rows = [("acme.test", acme.url), ("globex.test", globex.url)]
        connection.executemany("INSERT INTO issuers VALUES (?, ?)", rows)
    monkeypatch.setenv("DATABASE", str(file))
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "security"}
    security = importlib.import_module("security")
    (tmp_path / "issuers.py").write_text(snippet("## Issuers from a database"))
    with monkeypatch.context() as patch:
        patch.setattr(security, "__path__", [*security.__path__, str(tmp_path)])
        names = dict(vars(security))
        exec(snippet("## Issuers from a database", 1), names)  # noqa: S102  # the guide's own
        yield names["make_validator"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "security"]:
        del sys.modules[name]
    sys.modules.update(before)


def test_example_of_the_guide_looks_issuers_up(
    guide: Callable[[Settings], Auth0JWTBearerTokenValidator], acme: Tenant, globex: Tenant
) -> None:
    given = settings()
    with in_background(create_app(given, validator=guide(given))) as url:
        assert status(url, acme.token(), "acme.test")[0] == 200
        assert status(url, globex.token(), "globex.test")[0] == 200
        assert status(url, globex.token(), "acme.test")[0] == 401
        assert status(url, acme.token(), "'; DROP TABLE issuers; --")[0] == 400
        assert status(url, acme.token(), "x' OR '1'='1"[:4] + ".test")[0] in (400, 401)
        assert status(url, acme.token(), "acme.test")[0] == 200


def test_existing_flask_app_takes_tokens_by_host(database: dict[str, list[str]], acme: Tenant, globex: Tenant) -> None:
    app = flask.Flask(__name__)
    validator = Auth0JWTBearerTokenValidator((), AUDIENCE, resolver=IssuerResolver(database.get))
    require_auth = ResourceProtector(validator)

    @app.get(PRIVATE)
    @require_auth
    def private() -> dict[str, str]:
        return {"issuer": current_token["iss"]}

    client = app.test_client()
    for tenant, host, expected in ((acme, "acme.test", 200), (globex, "acme.test", 401), (acme, "globex.test:80", 401)):
        headers = {"Authorization": f"Bearer {tenant.token()}", "Host": host, "X-Forwarded-Host": "acme.test"}
        assert client.get(PRIVATE, headers=headers).status_code == expected


def test_existing_flask_app_refuses_a_coroutine_function_at_the_start() -> None:
    async def issuers_for(_: str) -> list[str]:
        return []

    validator = Auth0JWTBearerTokenValidator((), AUDIENCE, resolver=IssuerResolver(issuers_for))
    with pytest.raises(ValueError, match=r"issuers_for is `async def`.*Write it as `def`"):
        ResourceProtector(validator)


def test_plain_scope_says_the_host(database: dict[str, list[str]], acme: Tenant) -> None:
    token = acme.token()
    one = {"headers": [(b"host", b"acme.test"), (b"accept", b"*/*")]}
    assert credentials_of(token, one) == Credentials("Bearer", token, host="acme.test")
    for headers in ([], [(b"host", b"acme.test"), (b"host", b"globex.test")]):
        assert credentials_of(token, {"headers": headers}).host == ""
    validator = Auth0JWTBearerTokenValidator((), AUDIENCE, resolver=IssuerResolver(database.get))
    assert asyncio.run(validator.validate(credentials_of(token, one)))["iss"] == acme.url


def test_keys_are_fetched_from_the_issuer_that_the_function_named() -> None:
    with Tenant().running() as own:
        validator = Auth0JWTBearerTokenValidator((), AUDIENCE, resolver=IssuerResolver(lambda _: own.url))
        validator.check(Credentials("Bearer", own.token(), host="any.test"))
        assert own.fetches[KEYS] == 1
