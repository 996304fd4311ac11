"""The example of a Flask app of one's own, and what its first lines say of running and testing it."""

import re
import runpy
import sys
from typing import Any

import httpx
import pytest

from tests.processes import DOCS, ENGINE, running
from tests.serving import free_port, listens, wait_until
from tests.tenant import AUDIENCE, Tenant

EXAMPLE = DOCS / "examples" / "plain_flask.py"


@pytest.fixture
def example(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of the example."""
    monkeypatch.setenv("AUTH0_DOMAIN", tenant.url)
    monkeypatch.setenv("AUTH0_AUDIENCE", AUDIENCE)
    return runpy.run_path(str(EXAMPLE))


@pytest.mark.parametrize(
    ("path", "scope", "status"),
    [
        ("/api/public", None, 200),
        ("/api/private", None, 401),
        ("/api/private", "", 200),
        ("/api/private-scoped", "", 403),
        ("/api/private-scoped", "read:messages", 200),
        ("/api/admin/messages", None, 401),
        ("/api/admin/messages", "read:messages", 403),
        ("/api/admin/messages", "admin:all", 200),
        ("/api/admin/messages", "admin:messages", 200),
    ],
)
def test_each_route_needs_what_it_says(
    example: dict[str, Any], tenant: Tenant, path: str, scope: str | None, status: int
) -> None:
    headers = {} if scope is None else {"Authorization": f"Bearer {tenant.token(scope=scope)}"}
    response = example["app"].test_client().get(path, headers=headers)
    assert response.status_code == status
    assert response.mimetype == ("application/json" if status == 200 else "application/problem+json")


def test_tests_of_the_example_need_no_issuer(example: dict[str, Any]) -> None:
    text = example["__doc__"].partition("with any claims:\n")[2]
    exec(re.sub(r"(?m)^    ", "", text), example)  # noqa: S102  # the example's own
    example["test_scope_is_needed"]()


def test_command_of_the_example_serves_it(tenant: Tenant) -> None:
    _, _, command = EXAMPLE.read_text().partition("python -m ")
    port = str(free_port())
    arguments = command.partition("\n")[0].replace("engine/docs", "docs").replace("3020", port).split()
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE}
    with running([sys.executable, "-m", *arguments], environ, ENGINE):
        wait_until(lambda: listens(int(port)))
        headers = {"Authorization": f"Bearer {tenant.token()}"}
        response = httpx.get(f"http://127.0.0.1:{port}/api/private", headers=headers, trust_env=False)
    assert response.json() == {"message": "Hello auth0|ada!"}
