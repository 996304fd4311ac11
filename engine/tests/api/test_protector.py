"""The protector of routes in a Flask app that is there already, held against what an API of the engine answers."""

import asyncio
import gc
import json
import weakref
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, jsonify, request
from flask.testing import FlaskClient
from flask.views import MethodView, View
from flask_restful import Api, Resource, marshal_with
from flask_restful.fields import String
from flask_smorest import Api as Smorest
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import Schema, fields
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

from resource_server import (
    AccessDenied,
    Auth0JWTBearerTokenValidator,
    DPoP,
    Nonces,
    SecurityError,
    SQLiteReplayCache,
    require_scopes,
)
from resource_server.developing.contract_tests.forging import ABSENT
from resource_server.flask import ResourceProtector, current_token
from resource_server.tokens.errors import InvalidToken
from resource_server.tokens.wsgi import raw_path
from tests.proofs import Prover
from tests.serving import raw_request
from tests.tenant import AUDIENCE, Tenant, rsa_key

URL = "https://api.example.com"
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def validator(tenant: Tenant) -> Auth0JWTBearerTokenValidator:
    return Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE)


@pytest.fixture
def require_auth(validator: Auth0JWTBearerTokenValidator) -> ResourceProtector:
    return ResourceProtector(validator)


@pytest.fixture
def app() -> Flask:
    return Flask(__name__)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def who(**_: Any) -> dict[str, Any]:
    return {"sub": current_token["sub"] if current_token else None}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def refused(response: TestResponse, status: int, code: str) -> bool:
    """Whether it is a problem document with this status and code."""
    assert (response.status_code, response.mimetype, response.headers["Cache-Control"]) == (status, PROBLEM, "no-store")
    assert (response.json or {})["code"] == code
    return True


# What is refused is answered as by an API of the engine.


def presentations(tenant: Tenant) -> dict[str, list[tuple[str, str]]]:
    def sent(*values: str) -> list[tuple[str, str]]:
        return [("Authorization", value) for value in values]

    return {
        "nothing": [],
        "empty": sent(""),
        "basic": sent("Basic YWRhOng="),
        "DPoP": sent(f"DPoP {tenant.token()}"),
        "no token": sent("Bearer"),
        "two words": sent("Bearer a b"),
        "two fields": sent(f"Bearer {tenant.token()}", f"Bearer {tenant.token()}"),
        "no space": sent(f"Bearer\t{tenant.token()}"),
        "opaque": sent("Bearer abc"),
        "not ASCII": sent("Bearer é"),
        "expired": sent(f"Bearer {tenant.token(exp=1)}"),
        "not yet valid": sent(f"Bearer {tenant.token(nbf=4_000_000_000)}"),
        "another audience": sent(f"Bearer {tenant.token(aud='https://other.example.com')}"),
        "another issuer": sent(f"Bearer {tenant.token(iss='https://other.example.com/')}"),
        "another key": sent(f"Bearer {tenant.token(key=rsa_key('current'))}"),
        "unknown key": sent(f"Bearer {tenant.token(key=rsa_key('unknown'))}"),
        "bound": sent(f"Bearer {tenant.token(cnf={'jkt': 'x'})}"),
        "no scope": sent(f"Bearer {tenant.token(scope=ABSENT)}"),
        "another scope": sent(f"Bearer {tenant.token(scope='openid')}"),
        "good": sent(f"Bearer {tenant.token()}"),
        "lower case": sent(f"bearer {tenant.token()}"),
    }


NAMES = list(presentations(Tenant()))


@pytest.mark.parametrize("name", NAMES)
def test_answer_is_that_of_an_api_of_the_engine(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, *, tenant: Tenant, url: str, name: str
) -> None:
    app.get("/api/private-scoped")(require_auth("read:messages")(who))
    headers = presentations(tenant)[name]
    theirs = raw_request(
        url, b"/api/private-scoped", [(key.encode(), value.encode("latin-1")) for key, value in headers]
    )
    ours = client.get("/api/private-scoped", headers=headers)
    assert ours.status_code == theirs.status
    if theirs.status != 200:
        expected = json.loads(theirs.body)
        # In development the engine's says where refusals are explained, and its metadata.
        expected["detail"] = ours.get_json()["detail"] if "doctor" in expected["detail"] else expected["detail"]
        assert ours.get_json() == expected
        for field in ("WWW-Authenticate", "Content-Type", "Retry-After"):
            assert ours.headers.get(field) == theirs.headers.get(field)
        assert ours.headers["Cache-Control"] == "no-store"
        assert theirs.headers.get("Cache-Control") == ("no-store" if headers else None)


def test_token_in_the_query_too_makes_the_request_invalid(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, tenant: Tenant
) -> None:
    app.get("/")(require_auth(who))
    assert refused(client.get("/?access_token=x", headers=bearer(tenant.token())), 400, "invalid_request")


def test_outage_of_the_issuer_is_told_with_a_time(app: Flask, client: FlaskClient) -> None:
    nowhere = Auth0JWTBearerTokenValidator("http://127.0.0.1:9/", AUDIENCE)
    token = Tenant()
    token.url = "http://127.0.0.1:9/"
    app.get("/")(ResourceProtector(nowhere)(who))
    response = client.get("/", headers=bearer(token.token()))
    assert refused(response, 503, "issuer_unavailable")
    assert (response.headers["Retry-After"], "WWW-Authenticate" in response.headers) == ("1", False)


# What a route needs


@pytest.mark.parametrize(
    ("needed", "scope", "status"),
    [
        (None, "", 200),
        ("read:a", "read:a", 200),
        ("read:a", "read:b", 403),
        ("read:a", "read:ab", 403),
        ("read:a read:b", "read:b other read:a", 200),
        ("read:a read:b", "read:a", 403),
        (["read:a", "read:b"], "read:b", 200),
        (["read:a", "read:b"], "read:c", 403),
        (["read:a read:b", "admin"], "read:a", 403),
        (["read:a read:b", "admin"], "read:a read:b", 200),
        (["read:a read:b", "admin"], "admin", 200),
        (("read:a",), "read:a", 200),
    ],
)
def test_text_needs_all_its_scopes_and_a_list_one_of_its_members(
    app: Flask,
    client: FlaskClient,
    require_auth: ResourceProtector,
    *,
    tenant: Tenant,
    needed: str | list[str] | None,
    scope: str,
    status: int,
) -> None:
    app.get("/")(require_auth(needed)(who))
    response = client.get("/", headers=bearer(tenant.token(scope=scope)))
    assert response.status_code == status
    if status == 403:
        first = [needed] if isinstance(needed, str) else list(needed or ())
        assert response.headers["WWW-Authenticate"] == f'Bearer error="insufficient_scope", scope="{first[0]}"'


@pytest.mark.parametrize("way", ["bare", "called", "none"])
def test_without_scopes_any_valid_token_will_do(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, tenant: Tenant, way: str
) -> None:
    protected = {"bare": require_auth(who), "called": require_auth()(who), "none": require_auth(None)(who)}[way]
    app.get("/")(protected)
    assert client.get("/", headers=bearer(tenant.token(scope=ABSENT))).json == {"sub": "auth0|ada"}
    assert refused(client.get("/"), 401, "missing_credentials")
    assert (protected.__name__, protected.__doc__) == (who.__name__, who.__doc__)


@pytest.mark.parametrize("needed", ["", " ", [], [""], ["a", ""], 'a"b', "é", [1], ()])
def test_scopes_that_say_nothing_are_refused_at_the_start(require_auth: ResourceProtector, needed: Any) -> None:
    with pytest.raises(ValueError, match=r"scope|challenge"):
        require_auth(needed)
    with pytest.raises(ValueError, match=r"scope|challenge"):
        require_auth.protect(Blueprint("b", __name__), needed)


@pytest.mark.parametrize(
    ("headers", "status", "sub"),
    [
        ({}, 200, None),
        ({"Authorization": "Basic YWRhOng="}, 200, None),
        ({"Authorization": "Bearer"}, 400, None),
        ({"Authorization": "Bearer abc"}, 401, None),
        ("read:messages", 200, "auth0|ada"),
        ("openid", 403, None),
    ],
)
def test_optional_lets_nobody_through_with_a_bad_token(
    app: Flask,
    client: FlaskClient,
    require_auth: ResourceProtector,
    *,
    tenant: Tenant,
    headers: Any,
    status: int,
    sub: str | None,
) -> None:
    app.get("/")(require_auth("read:messages", optional=True)(who))
    headers = bearer(tenant.token(scope=headers)) if isinstance(headers, str) else headers
    response = client.get("/", headers=headers)
    assert response.status_code == status
    assert (response.json or {}).get("sub") == sub


def test_token_of_nobody_is_empty(app: Flask, client: FlaskClient, require_auth: ResourceProtector) -> None:
    app.get("/")(require_auth(optional=True)(lambda: {"sub": current_token.get("sub"), "claims": dict(current_token)}))
    assert client.get("/").json == {"sub": None, "claims": {}}


def answering() -> Callable[[], dict[str, Any]]:
    """A view of its own."""

    def view() -> dict[str, Any]:
        return {}

    return view


def test_route_that_is_made_before_it_is_protected_answers_nobody(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector
) -> None:
    other = Flask("other")
    left_open = []  # their names keep them, as those of a module do
    for each in (app, other):
        require_auth.init_app(each)
        each.add_url_rule("/public", "public", answering())
        view = answering()
        each.add_url_rule("/open", "open", view)
        left_open.append(require_auth(view))
    for asking in (client, other.test_client()):
        assert [asking.get(path).status_code for path in ("/public", "/open", "/open")] == [200, 500, 500]
    assert len(left_open) == 2


def test_function_may_be_open_at_one_route_and_protected_at_another(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector
) -> None:
    @wraps(who)
    def decorated() -> dict[str, Any]:
        return inner()

    require_auth.init_app(app)
    inner = require_auth(who)
    twice = require_auth("admin")(inner)
    decorated.__wrapped__ = inner
    for path, view in (("/open", who), ("/inner", inner), ("/twice", twice), ("/decorated", decorated)):
        app.add_url_rule(path, path[1:], view)
    assert [client.get(f"/{path}").status_code for path in ("open", "inner", "twice", "decorated")] == [
        200,
        401,
        401,
        401,
    ]


def test_what_is_protected_for_one_request_is_not_kept(require_auth: ResourceProtector) -> None:
    made = weakref.ref(require_auth(answering()))
    gc.collect()
    assert made() is None


def test_nobodys_token_is_nobody_elses(app: Flask, client: FlaskClient, require_auth: ResourceProtector) -> None:
    def write() -> dict[str, Any]:
        before = dict(current_token)
        current_token["who"] = "ada"
        return before

    app.get("/")(require_auth(optional=True)(write))
    assert [client.get("/").json for _ in range(2)] == [{}, {}]


@pytest.mark.parametrize(
    ("claims", "asked", "challenge"),
    [
        ({"acr": "mfa"}, {"acr_values": "mfa hardware"}, None),
        ({"acr": "password"}, {"acr_values": "mfa hardware"}, 'acr_values="mfa hardware"'),
        ({}, {"acr_values": "mfa"}, 'acr_values="mfa"'),
        ({"auth_time": 1}, {"max_age": 300}, 'max_age="300"'),
        ({}, {"max_age": 300}, 'max_age="300"'),
        ({"auth_time": 1}, {"acr_values": "mfa", "max_age": 0}, 'acr_values="mfa", max_age="0"'),
        ({}, {}, None),
    ],
)
def test_step_up_asks_for_a_better_login(
    app: Flask,
    client: FlaskClient,
    require_auth: ResourceProtector,
    *,
    tenant: Tenant,
    claims: dict[str, Any],
    asked: dict[str, Any],
    challenge: str | None,
) -> None:
    app.get("/")(require_auth("read:messages", **asked)(who))
    response = client.get("/", headers=bearer(tenant.token(**claims)))
    if challenge is None:
        assert response.status_code == 200
    else:
        assert refused(response, 401, "insufficient_user_authentication")
        assert response.headers["WWW-Authenticate"].endswith(challenge)


@pytest.mark.parametrize(
    ("path", "claims", "status"),
    [
        ("/orgs/org_1/7", {"org_id": "org_1", "number": 7, "app": {"roles": ["admin"]}}, 200),
        ("/orgs/org_1/007", {"org_id": "org_1", "number": 7, "app": {"roles": ["admin"]}}, 200),  # the view gets 7
        ("/orgs/org_2/7", {"org_id": "org_1", "number": 7, "app": {"roles": ["admin"]}}, 403),
        ("/orgs/org_1/8", {"org_id": "org_1", "number": 7, "app": {"roles": ["admin"]}}, 403),
        ("/orgs/org_1/7", {"org_id": "org_1", "number": 7, "app": {"roles": "admin"}}, 403),
        ("/orgs/org_1/1", {"org_id": "org_1", "number": True, "app": {"roles": ["admin"]}}, 403),
        ("/orgs/org_1/7", {}, 403),
    ],
)
def test_claims_are_held_to_rules(  # noqa: PLR0917  # fixtures
    app: Flask,
    client: FlaskClient,
    require_auth: ResourceProtector,
    tenant: Tenant,
    path: str,
    claims: dict[str, Any],
    status: int,
) -> None:
    rules = {
        "org_id": {"equalsPathParameter": "org_id"},
        "number": {"equalsPathParameter": "number"},
        "app.roles": {"contains": "admin"},
    }
    app.get("/orgs/<org_id>/<int:number>")(require_auth("read:messages", claims=rules)(lambda **_: {}))
    response = client.get(path, headers=bearer(tenant.token(**claims)))
    assert response.status_code == status
    if status == 403:
        assert refused(response, 403, "insufficient_claims")


def test_claims_of_a_parameter_that_the_route_lacks_let_nobody_in(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, tenant: Tenant
) -> None:
    @require_auth(claims={"org_id": {"equalsPathParameter": "org"}})
    def view(org: str | None) -> dict[str, Any]:  # noqa: ARG001
        return {}

    app.add_url_rule("/", "all", view, defaults={"org": None})
    for org_id in (None, "None", "", "org"):
        assert client.get("/", headers=bearer(tenant.token(org_id=org_id))).status_code == 403


@pytest.mark.parametrize("claims", [{}, {"plan": "pro"}, {"plan": {"equal": "pro"}}, {"plan": {"oneOf": []}}])
def test_claims_that_say_nothing_are_refused_at_the_start(require_auth: ResourceProtector, claims: Any) -> None:
    with pytest.raises(ValueError, match=r"equals|must be|takes a list"):
        require_auth(claims=claims)
    with pytest.raises(ValueError, match=r"equals|must be|takes a list"):
        require_auth.protect(Blueprint("b", __name__), claims=claims)


# Views of every kind


def test_async_view_is_awaited_and_knows_its_token(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, tenant: Tenant
) -> None:
    @app.get("/")
    @require_auth("read:messages")
    async def view() -> dict[str, Any]:
        await asyncio.sleep(0)
        return who()

    assert client.get("/", headers=bearer(tenant.token())).json == {"sub": "auth0|ada"}
    assert refused(client.get("/"), 401, "missing_credentials")


def test_views_made_of_classes_are_protected_by_their_decorators(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, tenant: Tenant
) -> None:
    class Page(View):
        decorators = [require_auth("read:messages")]  # noqa: RUF012  # as Flask's documentation has it

        def dispatch_request(self) -> dict[str, Any]:
            return who()

    class Item(MethodView):
        @require_auth
        def get(self, number: int) -> dict[str, Any]:
            return {"number": number, **who()}

        @require_auth("write:items")
        async def put(self, number: int) -> dict[str, Any]:
            return {"number": number}

    app.add_url_rule("/page", view_func=Page.as_view("page"))
    app.add_url_rule("/items/<int:number>", view_func=Item.as_view("item"))
    good = bearer(tenant.token())
    assert client.get("/page", headers=good).json == {"sub": "auth0|ada"}
    assert client.get("/items/3", headers=good).json == {"number": 3, "sub": "auth0|ada"}
    assert refused(client.put("/items/3", headers=good), 403, "insufficient_scope")
    assert client.put("/items/3", headers=bearer(tenant.token(scope="write:items"))).json == {"number": 3}
    for answer in (client.get("/page"), client.get("/items/3"), client.put("/items/3")):
        assert refused(answer, 401, "missing_credentials")


def test_class_as_a_whole_is_refused_at_the_start(require_auth: ResourceProtector) -> None:
    class Item(MethodView):
        pass

    for protect in (require_auth, require_auth("read:a"), require_auth(None)):
        with pytest.raises(TypeError, match="decorators"):
            protect(Item)


@pytest.mark.parametrize("propagate", [True, False])
def test_resources_of_flask_restful_are_protected_by_their_method_decorators(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, tenant: Tenant, *, propagate: bool
) -> None:
    class Denial(StrEnum):
        CLOSED = "It is closed."

    class Item(Resource):  # type: ignore[misc]  # it ships no types
        method_decorators = [marshal_with({"sub": String}), require_auth("read:messages")]  # noqa: RUF012

        def get(self) -> dict[str, Any]:
            return who()

        def put(self) -> None:
            raise AccessDenied(Denial.CLOSED)

    app.config["PROPAGATE_EXCEPTIONS"] = propagate
    Api(app).add_resource(Item, "/items")
    assert client.get("/items", headers=bearer(tenant.token())).json == {"sub": "auth0|ada"}
    assert refused(client.get("/items"), 401, "missing_credentials")
    assert refused(client.get("/items", headers=bearer(tenant.token(scope=""))), 403, "insufficient_scope")
    assert refused(client.put("/items", headers=bearer(tenant.token())), 403, "closed")


@pytest.mark.parametrize("outside", [True, False])
def test_blueprints_of_flask_smorest_are_protected(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, tenant: Tenant, *, outside: bool
) -> None:
    class Who(Schema):
        sub = fields.String()

    app.config.update(API_TITLE="Items", API_VERSION="1", OPENAPI_VERSION="3.0.3")
    api, blueprint = Smorest(app), SmorestBlueprint("items", __name__)
    protect, answer = require_auth("read:messages"), blueprint.response(200, Who)
    view = protect(answer(who)) if outside else answer(protect(who))
    blueprint.route("/items")(view)
    api.register_blueprint(blueprint)
    assert client.get("/items", headers=bearer(tenant.token())).json == {"sub": "auth0|ada"}
    assert refused(client.get("/items"), 401, "missing_credentials")
    assert refused(client.get("/items", headers=bearer("abc")), 401, "invalid_token")


# Whole blueprints and apps


@pytest.fixture
def blueprint() -> Blueprint:
    blueprint, inner = Blueprint("items", __name__, url_prefix="/items"), Blueprint("inner", __name__)
    blueprint.route("/", methods=["GET", "POST"])(who)
    inner.get("/inner")(who)
    blueprint.register_blueprint(inner)
    return blueprint


def test_blueprint_is_protected_with_those_inside_it_and_nothing_else(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, tenant: Tenant, blueprint: Blueprint
) -> None:
    require_auth.protect(blueprint, "read:messages")
    app.register_blueprint(blueprint)
    app.get("/open")(who)
    for path in ("/items/", "/items/inner"):
        assert refused(client.get(path), 401, "missing_credentials")
        assert refused(client.get(path, headers=bearer(tenant.token(scope=""))), 403, "insufficient_scope")
        assert client.get(path, headers=bearer(tenant.token())).json == {"sub": "auth0|ada"}
    assert client.get("/open", headers=bearer(tenant.token())).json == {"sub": None}


def test_preflight_of_a_protected_blueprint_is_answered(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, blueprint: Blueprint
) -> None:
    require_auth.protect(blueprint)
    own = Blueprint("own", __name__)
    own.route("/own", methods=["OPTIONS"])(who)
    require_auth.protect(own)
    app.register_blueprint(blueprint)
    app.register_blueprint(own)
    response = client.options("/items/", headers={"Origin": URL, "Access-Control-Request-Method": "POST"})
    assert (response.status_code, "POST" in response.headers["Allow"]) == (200, True)
    assert refused(client.options("/own"), 401, "missing_credentials")


def test_app_is_protected_but_for_its_metadata(
    app: Flask, client: FlaskClient, validator: Auth0JWTBearerTokenValidator, tenant: Tenant
) -> None:
    require_auth = ResourceProtector(validator, URL)
    require_auth.init_app(app)
    require_auth.protect(app)
    app.get("/")(who)
    assert refused(client.get("/"), 401, "missing_credentials")
    assert refused(client.get("/static/x"), 401, "missing_credentials")
    assert client.get("/", headers=bearer(tenant.token())).status_code == 200
    assert client.get("/.well-known/oauth-protected-resource").status_code == 200
    assert (client.get("/nowhere").status_code, client.post("/").status_code) == (404, 405)


def test_route_may_need_more_than_its_blueprint(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, tenant: Tenant
) -> None:
    blueprint = Blueprint("items", __name__)
    blueprint.get("/")(require_auth("admin")(who))
    require_auth.protect(blueprint)
    app.register_blueprint(blueprint)
    assert refused(client.get("/", headers=bearer(tenant.token())), 403, "insufficient_scope")
    assert client.get("/", headers=bearer(tenant.token(scope="admin"))).json == {"sub": "auth0|ada"}


def test_blueprint_that_is_registered_already_is_refused(
    app: Flask, require_auth: ResourceProtector, blueprint: Blueprint
) -> None:
    app.register_blueprint(blueprint)
    with pytest.raises(AssertionError, match="already been registered"):
        require_auth.protect(blueprint)


def test_step_up_of_a_blueprint_is_told(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, tenant: Tenant, blueprint: Blueprint
) -> None:
    require_auth.protect(blueprint, acr_values="mfa", optional=True)
    app.register_blueprint(blueprint)
    assert client.get("/items/").json == {"sub": None}
    assert refused(client.get("/items/", headers=bearer(tenant.token())), 401, "insufficient_user_authentication")


# Errors


class Denial(StrEnum):
    """Why an app refuses valid tokens."""

    OTHER_ORGANIZATION = "The access token is for another organization."


def deny() -> dict[str, Any]:
    raise AccessDenied(Denial.OTHER_ORGANIZATION)


@pytest.mark.parametrize("way", ["protected", "init_app", "protect"])
def test_rule_of_ones_own_is_answered_as_a_problem(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, tenant: Tenant, way: str
) -> None:
    blueprint = Blueprint("rules", __name__)
    blueprint.get("/")(require_auth(deny) if way == "protected" else deny)
    if way == "init_app":
        require_auth.init_app(app)
    if way == "protect":
        require_auth.protect(blueprint)
    app.register_blueprint(blueprint)
    response = client.get("/", headers=bearer(tenant.token()))
    assert refused(response, 403, "other_organization")
    assert (response.json or {})["detail"] == Denial.OTHER_ORGANIZATION
    assert "WWW-Authenticate" not in response.headers


def test_rule_of_a_subclass_is_kept(app: Flask, client: FlaskClient, tenant: Tenant) -> None:
    class Strict(Auth0JWTBearerTokenValidator):
        def validate_token(self, token: Any, scopes: Any, request: Any) -> None:
            super().validate_token(token, scopes, request)
            if token.get("org_id") != "org_1":
                raise AccessDenied(Denial.OTHER_ORGANIZATION)

    app.get("/")(ResourceProtector(Strict(tenant.url, AUDIENCE))(who))
    assert refused(client.get("/", headers=bearer(tenant.token())), 403, "other_organization")
    assert client.get("/", headers=bearer(tenant.token(org_id="org_1"))).status_code == 200


def test_scope_that_a_view_requires_is_challenged(
    app: Flask, client: FlaskClient, validator: Auth0JWTBearerTokenValidator, tenant: Tenant
) -> None:
    require_auth = ResourceProtector(validator, URL)

    @app.get("/")
    @require_auth
    def view() -> dict[str, Any]:
        require_scopes(current_token, ["admin"])
        return who()

    challenge = client.get("/", headers=bearer(tenant.token())).headers["WWW-Authenticate"]
    assert challenge == (
        'Bearer error="insufficient_scope", scope="admin", '
        f'resource_metadata="{URL}/.well-known/oauth-protected-resource"'
    )


@pytest.mark.parametrize("kind", [SecurityError, InvalidToken])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("where", ["app", "blueprint"])
@pytest.mark.parametrize("way", ["view", "protect"])
def test_handler_of_ones_own_answers_instead(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, *, kind: Any, when: str, where: str, way: str
) -> None:
    blueprint = Blueprint("items", __name__)

    async def handle(error: SecurityError) -> tuple[dict[str, str], int, dict[str, str]]:
        return {"own": error.error}, error.status_code, error.headers

    (app if where == "app" else blueprint).register_error_handler(kind, handle) if when == "before" else None
    require_auth.init_app(app)
    if way == "view":
        blueprint.get("/")(require_auth(who))
    else:
        blueprint.get("/")(who)
        require_auth.protect(blueprint)
    (app if where == "app" else blueprint).register_error_handler(kind, handle) if when == "after" else None
    app.register_blueprint(blueprint)
    response = client.get("/", headers=bearer("abc"))
    assert (response.status_code, response.json) == (401, {"own": "invalid_token"})
    assert response.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
    missing = client.get("/")
    assert (
        missing.json == {"own": "missing_credentials"}
        if kind is SecurityError
        else refused(missing, 401, "missing_credentials")
    )


@pytest.mark.parametrize("kind", [Exception, HTTPException, 401])
def test_handler_for_everything_does_not_answer_refusals(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, kind: Any
) -> None:
    app.get("/")(require_auth(who))
    app.register_error_handler(kind, lambda _: ("mine", 500))
    assert refused(client.get("/"), 401, "missing_credentials")


def test_error_of_a_view_is_flasks_as_before(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, tenant: Tenant
) -> None:
    @app.get("/")
    @require_auth
    def view() -> dict[str, Any]:
        raise ZeroDivisionError

    app.config["PROPAGATE_EXCEPTIONS"] = False
    assert client.get("/", headers=bearer(tenant.token())).status_code == 500


def test_refusal_passes_what_runs_after_requests(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector
) -> None:
    @app.after_request
    def add(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    app.get("/")(require_auth(who))
    assert client.get("/").headers["Access-Control-Allow-Origin"] == "*"


def test_decorator_around_the_view_is_not_given_a_refusal(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector
) -> None:
    protected = require_auth(who)
    app.get("/", endpoint="view")(lambda: jsonify(dict(protected())))
    assert refused(client.get("/"), 401, "missing_credentials")


def test_refusal_is_logged_without_the_token(
    app: Flask,
    client: FlaskClient,
    require_auth: ResourceProtector,
    tenant: Tenant,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "resource_server.flask")
    app.get("/")(require_auth(who))
    client.get("/", headers=bearer(tenant.token(exp=1)))
    client.get("/")
    assert caplog.messages == ["Refused: invalid_token (expired)", "Refused: missing_credentials"]


# The token of a request


def test_token_is_the_requests_and_no_others(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, tenant: Tenant
) -> None:
    app.get("/private")(require_auth(who))
    app.get("/open", endpoint="open")(who)
    for sub in ("one", "two"):
        assert client.get("/private", headers=bearer(tenant.token(sub=sub))).json == {"sub": sub}
        assert client.get("/open", headers=bearer(tenant.token(sub=sub))).json == {"sub": None}


def test_token_is_a_dictionary_with_scopes_in_the_environment_of_the_request(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector, tenant: Tenant
) -> None:
    @app.get("/")
    @require_auth
    def view() -> dict[str, Any]:
        assert request.environ["resource_server.access_token"] == dict(current_token)
        return {"scopes": sorted(current_token.scopes), "azp": current_token.get("azp")}

    assert client.get("/", headers=bearer(tenant.token(scope="b a"))).json == {"scopes": ["a", "b"], "azp": "client"}


# Several apps, and one made by a factory


def test_validator_may_come_with_the_app(tenant: Tenant) -> None:
    require_auth = ResourceProtector()
    other = Tenant()
    clients = []
    for validator in (
        Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE),
        Auth0JWTBearerTokenValidator(other.url, "https://other.example.com"),
    ):
        app = Flask(__name__)
        require_auth.init_app(app, validator, URL)
        app.get("/")(require_auth(who))
        clients.append(app.test_client())
    assert [each.get("/", headers=bearer(tenant.token())).status_code for each in clients] == [200, 401]
    assert 'realm="https://other.example.com"' in clients[1].get("/").headers["WWW-Authenticate"]


def test_public_url_may_come_with_the_app(app: Flask, client: FlaskClient, require_auth: ResourceProtector) -> None:
    require_auth.init_app(app, public_url=URL)
    assert client.get("/.well-known/oauth-protected-resource").get_json()["resource"] == URL


def test_app_without_a_validator_lets_nobody_through(app: Flask, client: FlaskClient, tenant: Tenant) -> None:
    require_auth = ResourceProtector()
    app.get("/")(require_auth(who))
    with pytest.raises(RuntimeError, match="No validator"):
        require_auth.init_app(app)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    assert client.get("/", headers=bearer(tenant.token())).status_code == 500


# Metadata


@pytest.mark.parametrize("prefix", ["", "/shop"])
def test_metadata_says_who_issues_tokens_and_every_challenge_leads_there(
    app: Flask, client: FlaskClient, validator: Auth0JWTBearerTokenValidator, tenant: Tenant, prefix: str
) -> None:
    require_auth = ResourceProtector(validator, URL + prefix)
    require_auth.init_app(app)
    app.get("/")(require_auth(["read:b", "read:a read:c"])(who))
    challenge = client.get("/").headers["WWW-Authenticate"]
    where = f"/.well-known/oauth-protected-resource{prefix}"
    assert challenge == f'Bearer realm="{AUDIENCE}", resource_metadata="{URL}{where}"'
    response = client.get(where)
    assert (response.mimetype, response.headers["Access-Control-Allow-Origin"]) == ("application/json", "*")
    assert response.json == {
        "resource": URL + prefix,
        "authorization_servers": [tenant.url],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["read:a", "read:b", "read:c"],
    }


def test_without_a_public_url_there_is_no_metadata(
    app: Flask, client: FlaskClient, require_auth: ResourceProtector
) -> None:
    require_auth.init_app(app)
    assert client.get("/.well-known/oauth-protected-resource").status_code == 404


@pytest.mark.parametrize("url", ["", "api.example.com", f"{URL}/", f"{URL}?a=b", "HTTPS://api.example.com"])
def test_public_url_that_is_no_normal_one_is_refused(validator: Auth0JWTBearerTokenValidator, url: str) -> None:
    with pytest.raises(ValueError, match=r"https://api\.example\.com"):
        ResourceProtector(validator, url)


# Bound tokens


@pytest.fixture(scope="module")
def prover() -> Prover:
    return Prover()


def proving(tenant: Tenant, folder: Path, **options: Any) -> ResourceProtector:
    dpop = DPoP(SQLiteReplayCache(str(folder / "used.sqlite3")), **options)
    return ResourceProtector(Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE, dpop=dpop), URL)


@pytest.fixture
def dpop(app: Flask, tenant: Tenant, tmp_path: Path) -> FlaskClient:
    """A client of an app that takes proofs, on its blueprint and once more on its route."""
    require_auth = proving(tenant, tmp_path)
    blueprint = Blueprint("items", __name__)
    blueprint.get("/items/<path:name>")(require_auth("read:messages")(who))
    require_auth.protect(blueprint)
    app.register_blueprint(blueprint)
    return app.test_client()


@pytest.mark.parametrize(
    "path", ["/items/a", "/items/a%2Fb", "/items/%C3%A9", "/items/a:b", "/items/a%20b", "/items/~"]
)
def test_proof_names_the_path_as_it_is_sent(dpop: FlaskClient, tenant: Tenant, prover: Prover, path: str) -> None:
    headers = prover.headers(URL + path, tenant.token(cnf=prover.cnf))
    assert dpop.get(f"{path}?q=1", headers=headers).json == {"sub": "auth0|ada"}


def test_proof_is_used_once(dpop: FlaskClient, tenant: Tenant, prover: Prover) -> None:
    headers = prover.headers(f"{URL}/items/a", tenant.token(cnf=prover.cnf))
    assert [dpop.get("/items/a", headers=headers).status_code for _ in range(3)] == [200, 401, 401]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"method": "POST"}, "invalid_dpop_proof"),
        ({"url": f"{URL}/items/b"}, "invalid_dpop_proof"),
        ({"url": "http://localhost/items/a"}, "invalid_dpop_proof"),
        ({"ath": "x"}, "invalid_dpop_proof"),
        ({"iat": 1}, "invalid_dpop_proof"),
    ],
)
def test_other_proof_is_refused(
    dpop: FlaskClient, tenant: Tenant, prover: Prover, changed: dict[str, Any], code: str
) -> None:
    given = {"url": f"{URL}/items/a", "token": tenant.token(cnf=prover.cnf), **changed}
    response = dpop.get("/items/a", headers=prover.headers(**given))
    assert refused(response, 401, code)
    assert response.headers["WWW-Authenticate"].startswith(f'DPoP error="{code}"')


def test_proof_is_needed_and_only_one(dpop: FlaskClient, tenant: Tenant, prover: Prover) -> None:
    token = tenant.token(cnf=prover.cnf)
    assert refused(dpop.get("/items/a", headers={"Authorization": f"DPoP {token}"}), 401, "invalid_dpop_proof")
    assert refused(dpop.get("/items/a", headers=bearer(token)), 401, "invalid_token")
    headers = prover.headers(f"{URL}/items/a", token)
    several = [*headers.items(), ("DPoP", prover.headers(f"{URL}/items/a", token)["DPoP"])]
    response = dpop.get("/items/a", headers=several)
    assert "several" in (response.json or {})["detail"]
    assert dpop.get("/items/a", headers=bearer(tenant.token())).status_code == 200


def test_nonce_is_asked_for_and_the_newest_said_with_each_success(
    app: Flask, client: FlaskClient, tenant: Tenant, prover: Prover, tmp_path: Path
) -> None:
    app.get("/")(proving(tenant, tmp_path, nonces=Nonces(b"s" * 32))(who))
    token = tenant.token(cnf=prover.cnf)
    asked = client.get("/", headers=prover.headers(f"{URL}/", token))
    assert refused(asked, 401, "use_dpop_nonce")
    nonce = asked.headers["DPoP-Nonce"]
    answered = client.get("/", headers=prover.headers(f"{URL}/", token, nonce=nonce))
    assert (answered.status_code, answered.headers.getlist("DPoP-Nonce")) == (200, [nonce])
    assert "DPoP-Nonce" not in client.get("/", headers=bearer(tenant.token())).headers


def test_required_proofs_leave_bearer_no_scheme(
    app: Flask, client: FlaskClient, tenant: Tenant, prover: Prover, tmp_path: Path
) -> None:
    require_auth = proving(tenant, tmp_path, required=True)
    require_auth.init_app(app)
    app.get("/")(require_auth(who))
    response = client.get("/", headers=bearer(tenant.token()))
    assert refused(response, 401, "missing_credentials")
    assert response.headers["WWW-Authenticate"].startswith("DPoP realm=")
    assert client.get("/", headers=prover.headers(f"{URL}/", tenant.token(cnf=prover.cnf))).status_code == 200
    metadata = client.get("/.well-known/oauth-protected-resource").get_json()
    assert (metadata["bearer_methods_supported"], metadata["dpop_bound_access_tokens_required"]) == ([], True)


def test_proofs_need_a_url_to_name(tenant: Tenant, tmp_path: Path) -> None:
    dpop = DPoP(SQLiteReplayCache(tmp_path / "used.sqlite3"))
    with pytest.raises(ValueError, match="public_url"):
        ResourceProtector(Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE, dpop=dpop))


def test_mounted_app_is_named_with_where_it_is_mounted(
    app: Flask, tenant: Tenant, prover: Prover, tmp_path: Path
) -> None:
    app.get("/items")(proving(tenant, tmp_path)(who))
    client = Client(DispatcherMiddleware(Flask("outer"), {"/v1": app}))
    headers = prover.headers(f"{URL}/v1/items", tenant.token(cnf=prover.cnf))
    assert client.get("/v1/items", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"RAW_URI": "/a%2Fb?c=/d", "PATH_INFO": "/a/b"}, "/a%2Fb"),
        ({"REQUEST_URI": "/a%2fb", "PATH_INFO": "/a/b"}, "/a%2fb"),
        ({"REQUEST_URI": "//a", "PATH_INFO": "//a"}, "//a"),
        ({"RAW_URI": "http://elsewhere.example.com/a?b", "PATH_INFO": "/a"}, "/a"),
        ({"RAW_URI": "HTTPS://elsewhere.example.com", "PATH_INFO": ""}, ""),
        ({"RAW_URI": "", "PATH_INFO": "/a b"}, "/a%20b"),
        ({"SCRIPT_NAME": "/v1", "PATH_INFO": "/\xc3\xa9:~@"}, "/v1/%C3%A9:~@"),
        ({}, ""),
    ],
)
def test_raw_path_is_the_servers_or_escaped_anew(environ: dict[str, str], path: str) -> None:
    assert raw_path(environ) == path
