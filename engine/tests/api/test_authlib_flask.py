"""The validator in Authlib's `ResourceProtector`: the example for Auth0's guide."""

import runpy
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from resource_server.developing.contract_tests.forging import ABSENT
from tests.processes import DOCS
from tests.tenant import AUDIENCE, Tenant, rsa_key

EXAMPLE = DOCS / "examples" / "authlib_flask.py"


@pytest.fixture
def client(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    monkeypatch.setenv("AUTH0_DOMAIN", tenant.url)
    monkeypatch.setenv("AUTH0_AUDIENCE", AUDIENCE)
    app = runpy.run_path(str(EXAMPLE))["app"]
    assert isinstance(app, Flask)
    with app.test_client() as client:
        yield client


def test_valid_token_reaches_the_protected_routes(client: FlaskClient, tenant: Tenant) -> None:
    headers = {"Authorization": f"Bearer {tenant.token()}"}
    assert client.get("/api/public").json == {"message": "Hello from a public endpoint!"}
    assert client.get("/api/private", headers=headers).json == {"message": "Hello auth0|ada!"}
    assert client.get("/api/private-scoped", headers=headers).json == {
        "message": "Hello auth0|ada, who may read messages!"
    }


@pytest.mark.parametrize(
    ("scope", "status"), [("read:messages", 200), ("openid read:messages", 200), ("openid", 403), (ABSENT, 403)]
)
def test_scope_is_required(client: FlaskClient, tenant: Tenant, scope: object, status: int) -> None:
    response = client.get("/api/private-scoped", headers={"Authorization": f"Bearer {tenant.token(scope=scope)}"})
    assert response.status_code == status
    if status == 403:
        assert response.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="read:messages"'
        assert response.mimetype == "application/problem+json"
        assert response.json["code"] == "insufficient_scope"  # type: ignore[index]  # it has been seen to be JSON


def test_bad_token_is_refused_with_the_same_answer_as_by_the_api(client: FlaskClient, tenant: Tenant) -> None:
    token = tenant.token(key=rsa_key("current"))
    response = client.get("/api/private", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == (
        'Bearer error="invalid_token", error_description="The signature of the access token is invalid."'
    )
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("authorization", "status"), [(None, 401), ("Basic x", 401), ("Bearer a b", 400), ("Bearer a,Bearer b", 400)]
)
def test_presentation_is_checked(client: FlaskClient, authorization: str | None, status: int) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    assert client.get("/api/private", headers=headers).status_code == status
