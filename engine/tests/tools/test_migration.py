"""docs/migration, carried out: what a page starts from, the house that its steps lead to, and what it says differs."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from resource_server.developing.contract_tests.forging import ABSENT
from tests.processes import DOCS, api, run, running
from tests.serving import free_port
from tests.tenant import AUDIENCE, Tenant

GUIDES = DOCS / "migration"


def blocks(name: str, language: str = "python") -> dict[str, str]:
    """A page's blocks, by the file that the first line of each names."""
    page = (GUIDES / f"{name}.md").read_text()
    return dict(re.findall(rf"(?s)```{language}\n# (\S+\.[a-z]+(?:, below)?)\n(.*?)```", page))


def module(text: str, name: str = "server") -> ModuleType:
    """A page's module, executed."""
    made = ModuleType(name)
    made.__file__ = f"{name}.py"
    exec(compile(text, made.__file__, "exec"), made.__dict__)  # noqa: S102  # the page's own code
    return made


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


SCOPED = "/api/private-scoped"


@pytest.fixture(scope="module")
def old_quickstart(tenant: Tenant) -> Any:
    """A client of the app that Auth0's first quickstart is, in essence."""
    text = blocks("auth0-quickstart")["old/server.py"].replace("https://", "http://")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTH0_DOMAIN", tenant.url.removeprefix("http://").rstrip("/"))
        patch.setenv("API_IDENTIFIER", AUDIENCE)
        return module(text).app.test_client()


def new_quickstart(tenant: Tenant, *names: str) -> Any:
    text = "".join(blocks("auth0-quickstart")[name] for name in ("new/server.py", *names))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTH0_DOMAIN", tenant.url)
        patch.setenv("API_IDENTIFIER", AUDIENCE)
        return module(text).app.test_client()


QUICKSTART: dict[str, tuple[Callable[[Tenant], dict[str, str]], int, int, str | None]] = {
    "good": (lambda tenant: bearer(tenant.token()), 200, 200, None),
    "none": (lambda _: {}, 401, 401, "missing_credentials"),
    "scheme alone": (lambda _: {"Authorization": "Bearer"}, 401, 400, "invalid_request"),
    "two words": (lambda _: bearer("a b"), 401, 400, "invalid_request"),
    "opaque": (lambda _: bearer("abc"), 401, 401, "invalid_token"),
    "expired": (lambda tenant: bearer(tenant.token(exp=1)), 401, 401, "invalid_token"),
    "another audience": (lambda tenant: bearer(tenant.token(aud="x")), 401, 401, "invalid_token"),
    "no scope": (lambda tenant: bearer(tenant.token(scope="")), 403, 403, "insufficient_scope"),
    "no kid": (lambda tenant: bearer(tenant.token({"kid": ABSENT})), 500, 200, None),
    "scope a list": (lambda tenant: bearer(tenant.token(scope=["read:messages"])), 500, 200, None),
    "no sub": (lambda tenant: bearer(tenant.token(sub=ABSENT)), 200, 401, "invalid_token"),
    "no exp": (lambda tenant: bearer(tenant.token(exp=ABSENT)), 200, 401, "invalid_token"),
    "another kind": (lambda tenant: bearer(tenant.token({"typ": "logout+jwt"})), 200, 401, "invalid_token"),
    "bound to a key": (lambda tenant: bearer(tenant.token(cnf={"jkt": "x" * 43})), 200, 401, "invalid_token"),
}


@pytest.mark.parametrize(("fields", "before", "now", "code"), QUICKSTART.values(), ids=QUICKSTART)
def test_quickstart_answers_as_its_page_says(
    old_quickstart: Any, tenant: Tenant, fields: Callable[[Tenant], dict[str, str]], before: int, now: int, code: str
) -> None:
    old = old_quickstart.get(SCOPED, headers=fields(tenant))
    new = new_quickstart(tenant).get(SCOPED, headers=fields(tenant))
    assert (old.status_code, new.status_code) == (before, now)
    assert "WWW-Authenticate" not in old.headers
    if code:
        assert new.json["code"] == code
        assert new.headers["WWW-Authenticate"].startswith("Bearer ")
    else:
        assert new.json["message"].startswith("Hello from a private endpoint! ")


def test_quickstart_can_keep_the_form_of_its_errors(old_quickstart: Any, tenant: Tenant) -> None:
    new = new_quickstart(tenant, "new/server.py, below")
    for headers in ({}, bearer("a b")):
        before, now = (client.get("/api/private", headers=headers).json for client in (old_quickstart, new))
        assert (before.keys(), before["code"]) == (now.keys(), now["code"])
    refused = new.get(SCOPED, headers=bearer(tenant.token(scope="")))
    assert (refused.status_code, refused.json["code"]) == (403, "insufficient_scope")
    assert 'scope="read:messages"' in refused.headers["WWW-Authenticate"]


def test_quickstart_without_its_issuer(old_quickstart: Any) -> None:
    with Tenant().running() as tenant:
        held, new = new_quickstart(tenant), new_quickstart(tenant)
        headers = bearer(tenant.token())
        assert held.get(SCOPED, headers=headers).status_code == 200
    assert held.get(SCOPED, headers=headers).status_code == 200
    answer = new.get(SCOPED, headers=headers)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)


def test_contract_of_the_sample_serves_the_quickstarts_routes(old_quickstart: Any, url: str, tenant: Tenant) -> None:
    for path in ("/api/public", "/api/private", SCOPED):
        headers = bearer(tenant.token())
        served = httpx.get(url + path, headers=headers, trust_env=False)
        assert served.json() == old_quickstart.get(path, headers=headers).json
