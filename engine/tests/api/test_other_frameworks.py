"""The snippets of the guide for other Flask apps, for FastAPI and for Django, as they stand but for the tenant."""

import re
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings as django_settings
from django.test import RequestFactory
from flask import Flask

from resource_server.testing import Client
from tests.processes import DOCS
from tests.proofs import Prover
from tests.tenant import AUDIENCE, Tenant

GUIDE = (DOCS / "tokens.md").read_text()
CASES = [
    (None, 401, None),
    ("Basic YWRhOng=", 401, None),
    ("Bearer abc", 401, "invalid_token"),
    ("no scope", 403, "insufficient_scope"),
    ("good", 200, None),
]


def snippet(after: str, number: int = 0) -> str:
    """A snippet of Python in the guide, after some words."""
    found: list[str] = re.findall(r"(?ms)^```python\n(.*?)^```$", GUIDE.partition(after)[2])
    return found[number]


def run(code: str, tenant: Tenant, **names: Any) -> dict[str, Any]:
    exec(code.replace('"tenant.eu.auth0.com"', repr(tenant.url)), names)  # noqa: S102  # the guide's own
    return names


def authorization(tenant: Tenant, kind: str | None) -> dict[str, str]:
    made = {"good": f"Bearer {tenant.token()}", "no scope": f"Bearer {tenant.token(scope='')}"}
    return {} if kind is None else {"Authorization": made.get(kind, kind)}


@pytest.mark.parametrize(("kind", "status", "code"), CASES)
def test_flask_is_as_the_guide_says(tenant: Tenant, kind: str | None, status: int, code: str | None) -> None:
    app = Flask(__name__)
    run(snippet("## In another Flask app"), tenant, app=app)
    response = app.test_client().get("/api/private-scoped", headers=authorization(tenant, kind))
    assert response.status_code == status
    assert status == 200 or response.get_json()["code"] == (code or "missing_credentials")


def test_bound_tokens_are_taken_as_the_guide_says(tenant: Tenant, tmp_path: Path) -> None:
    app, prover = Flask(__name__), Prover()
    first, second = (snippet("## In another Flask app", number) for number in (0, 1))
    names = run(first, tenant, app=Flask(__name__))
    names = run(second.replace("/var/lib/messages", str(tmp_path)), tenant, **names)
    app.get("/")(names["require_auth"](lambda: {"message": "Hello"}))
    headers = prover.headers(f"{AUDIENCE}/", tenant.token(cnf=prover.cnf))
    assert [app.test_client().get("/", headers=headers).status_code for _ in range(2)] == [200, 401]


@pytest.mark.parametrize(("kind", "status", "code"), CASES)
def test_fastapi_is_as_the_guide_says(tenant: Tenant, kind: str | None, status: int, code: str | None) -> None:
    names = run(snippet("both raise `SecurityError`, which knows its answer. FastAPI:"), tenant)
    with Client(names["app"]) as client:
        response = client.get("/api/private-scoped", headers=authorization(tenant, kind))
    assert response.status_code == status
    assert (
        response.json() == {"message": "Hello auth0|ada!"} if status == 200 else "www-authenticate" in response.headers
    )
    assert code is None or (response.json()["code"], response.headers["content-type"]) == (
        code,
        "application/problem+json",
    )


@pytest.mark.parametrize(("kind", "status", "code"), CASES)
def test_django_is_as_the_guide_says(tenant: Tenant, kind: str | None, status: int, code: str | None) -> None:
    if not django_settings.configured:
        django_settings.configure()
        django.setup()
    view = run(snippet("Django, where a decorator does it:"), tenant)["private_scoped"]
    response = view(RequestFactory(headers=authorization(tenant, kind)).get("/api/private-scoped"))
    assert response.status_code == status
    assert ("WWW-Authenticate" in response.headers) is (status != 200)
    assert code is None or f'"code": "{code}"' in response.content.decode()
    assert code is None or response.headers["Content-Type"] == "application/problem+json"
