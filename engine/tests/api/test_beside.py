"""Routes of Flask's beside the contract: they need what it requires by default, unless they are named public."""

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import flask
import pytest
from connexion.context import context

from resource_server.developing.contract_tests.target import served_here
from resource_server.doctor.configuration import configuration_findings
from resource_server.serving import FlaskApp
from resource_server.settings import Settings
from tests.processes import SAMPLE
from tests.sample import create_app
from tests.tenant import Tenant


def pages() -> flask.Blueprint:
    """What people have beside a contract."""
    blueprint = flask.Blueprint("pages", __name__, url_prefix="/pages")
    inner = flask.Blueprint("inner", __name__, url_prefix="/inner")
    blueprint.add_url_rule("/", "index", lambda: "index")
    blueprint.add_url_rule("/<name>", "page", lambda name: {"name": name}, methods=["GET", "POST"])
    blueprint.add_url_rule("/who", "who", who)
    blueprint.add_url_rule("/later", "later", later)
    inner.add_url_rule("/", "index", lambda: "inner")
    blueprint.register_blueprint(inner)
    return blueprint


def who() -> dict[str, Any]:
    return {"user": context["user"], "claims": context["token_info"]["sub"]}


async def later() -> dict[str, Any]:
    return who()


def app_of(settings: Settings, *public: str, **changes: Any) -> FlaskApp:
    app = create_app(replace(settings, **changes))
    app.app.register_blueprint(pages())
    app.make_public(*public)
    return app


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/pages/"),
        ("HEAD", "/pages/"),
        ("GET", "/pages/ada"),
        ("POST", "/pages/ada"),
        ("GET", "/pages/inner/"),
        ("GET", "/pages"),  # Flask would redirect it
    ],
)
def test_route_beside_the_contract_needs_a_token(settings: Settings, tenant: Tenant, method: str, path: str) -> None:
    app = app_of(settings)
    seen: list[str] = []
    app.app.before_request(lambda: seen.append(flask.request.path))
    client = app.test_client()
    refused = client.request(method, path)
    assert (refused.status_code, refused.headers["www-authenticate"].split()[0]) == (401, "Bearer")
    refused = client.request(method, path, headers=bearer(tenant.token(exp=1)))
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert client.request(method, path, headers={"Authorization": "Bearer"}).status_code == 400
    assert seen == []
    assert client.request(method, path, headers=bearer(tenant.token(scope=""))).status_code == 200
    assert seen == ["/pages", "/pages/"] if path == "/pages" else [path]


@pytest.mark.parametrize("path", ["/pages/who", "/pages/later"])
def test_its_view_knows_who_calls(settings: Settings, tenant: Tenant, path: str) -> None:
    answered = app_of(settings).test_client().get(path, headers=bearer(tenant.token(sub="auth0|ada")))
    assert answered.json() == {"user": "auth0|ada", "claims": "auth0|ada"}


def test_what_is_named_public_is_open_to_everybody_and_nothing_else(settings: Settings) -> None:
    client = app_of(settings, "pages.index").test_client()
    assert (client.get("/pages/").text, client.get("/pages").text) == ("index", "index")
    assert [client.get(path).status_code for path in ("/pages/ada", "/pages/inner/")] == [401, 401]
    client = app_of(settings, "pages.inner").test_client()
    assert [client.get(path).status_code for path in ("/pages/", "/pages/inner/")] == [401, 200]
    client = app_of(settings, "pages").test_client()
    assert [client.get(path).status_code for path in ("/pages/", "/pages/ada", "/pages/inner/")] == [200] * 3
    assert client.get("/api/private").status_code == 401


@pytest.mark.parametrize("name", ["page", "pages.", "pages.none", "api.handlers.private", "_api.api_handlers_private"])
def test_name_of_nothing_is_refused(settings: Settings, name: str) -> None:
    with pytest.raises(ValueError, match=r"no endpoint beside the contract and no blueprint is called .*pages\.inner"):
        app_of(settings, name).complete()


def test_contract_has_its_paths_for_itself(
    settings: Settings, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(settings)
    app.add_url_rule("/api/private", "mine", lambda: "mine", methods=["GET", "POST"])
    app.make_public("mine")
    client = app.test_client()
    with caplog.at_level(logging.INFO):
        assert client.get("/api/private").status_code == 401
    assert "GET, POST /api/private (mine) is never called: the contract has its path" in caplog.text
    assert client.post("/api/private").status_code == 405
    assert client.get("/api/private", headers=bearer(tenant.token())).text != "mine"


def test_start_says_who_may_call_what(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        app_of(settings, "pages.index").complete()
    assert "Beside the contract: GET /pages/ (pages.index). Everybody may call it." in caplog.messages
    assert (
        "Beside the contract: GET, POST /pages/<name> (pages.page). Needs what the contract's `security` says."
        in caplog.messages
    )


def test_page_of_ones_own_takes_the_place_of_ours(settings: Settings) -> None:
    app = create_app(settings)
    app.add_url_rule("/", "home", lambda: "home")
    app.add_url_rule("/livez", "alive", lambda: "mine")
    app.make_public("home", "alive")
    client = app.test_client()
    assert [client.get(path).text for path in ("/", "/livez")] == ["home", "mine"]
    assert client.get("/readyz").text != "mine"


def test_preflight_of_a_browser_needs_no_token(settings: Settings) -> None:
    app = app_of(settings)
    app.app.after_request(lambda response: response.headers.add("X-Hook", "yes") or response)
    asked = app.test_client().options("/pages/ada", headers={"Origin": "https://a.example.com"})
    assert (asked.status_code, asked.headers["x-hook"]) == (200, "yes")
    app = create_app(settings)
    app.add_url_rule("/own", "own", lambda: "own", methods=["OPTIONS"], provide_automatic_options=False)
    assert app.test_client().options("/own").status_code == 401


def test_same_limits_hold(settings: Settings, tenant: Tenant) -> None:
    client = app_of(settings, max_body=10).test_client()
    answered = client.post("/pages/ada", headers=bearer(tenant.token()), content=b"x" * 11)
    assert answered.status_code == 413


def test_without_security_in_the_contract_everybody_may_call_it(settings: Settings, tmp_path: Any) -> None:
    specification = tmp_path / "openapi.yaml"
    specification.write_text('{"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": {}}')
    client = app_of(settings, specification=specification).test_client()
    assert client.get("/pages/").text == "index"


def test_templates_lie_beside_the_application(settings: Settings) -> None:
    app = create_app(settings)
    assert (Path(app.app.root_path), app.app.logger.name) == (SAMPLE / "api", "api.app")


def with_pages(settings: Settings) -> FlaskApp:
    return app_of(settings, "pages.index")


INDEX, PAGE = "GET /pages/ (pages.index)", "GET, POST /pages/<name> (pages.page)"
EVERYBODY, SECURITY = "Everybody may call it.", "Needs what the contract's `security` says."


def test_doctor_names_them(tenant: Tenant) -> None:
    settings = Settings(issuers=(tenant.url,), audience="https://api.example.com")
    found = configuration_findings(f"{__name__}:with_pages", settings, time.time())
    said = {finding.found: finding.meaning for finding in found if finding.check == "beside it"}
    assert said[INDEX] == EVERYBODY
    assert said[PAGE] == SECURITY


def test_contract_tests_name_them(settings: Settings) -> None:
    with served_here(f"{__name__}:with_pages", settings) as target:
        assert (target.beside[INDEX], target.beside[PAGE]) == (EVERYBODY, SECURITY)
