"""The function that `x-tokenInfoFunc` names is what runs, for each request, as it is written."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import connexion
import httpx
import pytest

import security
from resource_server import Settings
from resource_server.serving.background import in_background
from tests.functions.functions import contract
from tests.processes import TESTS
from tests.proofs import Prover
from tests.sample import create_app
from tests.serving import free_port, production
from tests.tenant import AUDIENCE, Tenant

Get = Callable[..., httpx.Response]


def in_the_event_loop(tenant: Tenant, specification: Path) -> AbstractContextManager[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = Settings(issuers=(tenant.url,), audience=AUDIENCE, port=port, public_url=url)
    return in_background(create_app(settings, specification=specification), port)


def in_threads(tenant: Tenant, specification: Path) -> AbstractContextManager[str]:
    """As `serve` runs it."""
    return production(tenant, specification, PUBLIC_URL="http://127.0.0.1")


@pytest.fixture(scope="module")
def specification(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A contract that names the functions, and they can be imported."""
    folder = tmp_path_factory.mktemp("functions")
    (folder / "functions.py").write_text((TESTS / "functions" / "functions.py").read_text())
    (folder / "openapi.yaml").write_text(json.dumps(contract()))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder / "openapi.yaml"


@pytest.fixture(scope="module", params=[in_the_event_loop, in_threads], ids=lambda served: served.__name__)
def get(request: pytest.FixtureRequest, tenant: Tenant, specification: Path) -> Iterator[Get]:
    """Calls the operation of a function."""
    with request.param(tenant, specification) as url:

        def get(path: str, token: str | None = None, **fields: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token or tenant.token()}"} | fields
            return httpx.get(f"{url}/{path}", headers=headers, trust_env=False)

        yield get


def test_rule_of_ones_own_refuses_beyond_the_contract(get: Get, tenant: Tenant) -> None:
    answer = get("one_organization")
    assert answer.status_code == 403
    assert "www-authenticate" not in answer.headers
    assert answer.json() == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "The access token is for another organization.",
        "code": "other_organization",
    }
    assert get("one_organization", tenant.token(org_id="org_1")).status_code == 200
    assert get("one_organization", tenant.token(org_id="org_1", aud="another")).status_code == 401
    assert get("one_organization/scoped", tenant.token(org_id="org_1", scope="")).status_code == 403


def test_coroutine_function_may_wait(get: Get, tenant: Tenant) -> None:
    for _ in range(3):
        assert get("waiting/scoped").status_code == 200
    assert get("waiting/scoped", tenant.token(scope="")).status_code == 403
    assert get("waiting", "opaque").status_code == 401


def test_coroutine_function_has_an_event_loop_from_its_first_line_on(get: Get) -> None:
    assert get("swallowing").status_code == 200


def test_plain_function_runs_in_a_thread(get: Get) -> None:
    assert get("plain/scoped", "ada").json()["sub"] == "ada"


def test_object_that_can_be_called_is_called(get: Get) -> None:
    assert get("an_object").json()["sub"] == "auth0|ada"


@pytest.mark.parametrize("function", ["waiting", "plain"])
def test_function_is_given_what_the_operation_requires(get: Get, function: str) -> None:
    assert get(function).json()["required"] == []
    assert get(f"{function}/scoped").json()["required"] == ["read:messages"]


def test_exception_in_the_first_line_is_seen(get: Get) -> None:
    assert get("failing").json()["code"] == "internal_server_error"


def test_proof_that_nobody_has_checked_opens_nothing(get: Get, tenant: Tenant) -> None:
    prover = Prover()
    token = tenant.token(cnf={"jkt": prover.key.thumbprint()})
    headers = prover.headers("http://127.0.0.1/careless", token)
    answer = get("careless", **headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


def test_function_works_in_a_plain_connexion_application(
    tenant: Tenant, specification: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTH0_DOMAIN", tenant.url)
    monkeypatch.setenv("AUTH0_AUDIENCE", AUDIENCE)
    security.validator_of_environment.cache_clear()
    app = connexion.FlaskApp("plain")
    app.add_api(specification)

    def status(path: str, token: str) -> tuple[int, str]:
        answer = client.get(path, headers={"Authorization": f"Bearer {token}"})
        return answer.status_code, answer.headers.get("www-authenticate", "").partition(",")[0]

    with app.test_client() as client:
        assert status("/an_object", tenant.token()) == (200, "")
        assert status("/an_object/scoped", tenant.token()) == (200, "")
        assert status("/an_object/scoped", tenant.token(scope=""))[0] == 403
        assert status("/an_object", tenant.token(aud="another")) == (401, 'Bearer error="invalid_token"')
        assert status("/one_organization", tenant.token()) == (403, "")
        assert client.get("/an_object").status_code == 401
