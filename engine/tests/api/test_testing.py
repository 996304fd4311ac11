"""The pytest plugin: tokens for any claims, and everything but the source of keys as in production."""

import re
import sys
from pathlib import Path
from shutil import copytree

from tests.processes import DOCS, SAMPLE, run

TESTS = """
import time
from datetime import timedelta

import pytest
import time_machine
from freezegun import freeze_time

from resource_server.developing.contract_tests.proving import Forger


def status(client, token, path="/api/private", scheme="Bearer", **headers):
    return client.get(path, headers={"Authorization": f"{scheme} {token}", **headers}).status_code


def test_handler(client, access_token):
    token = access_token(sub="auth0|ada", scope="read:messages")
    answer = client.get("/api/private-scoped", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["message"].startswith("Hello from a private endpoint!")


@pytest.mark.parametrize("claims", [
    {"aud": "https://another"}, {"iss": "https://another/"}, {"exp": 1}, {"sub": None}, {"nbf": time.time() + 60},
])
def test_claims_are_checked(client, access_token, claims):
    assert status(client, access_token(**claims)) == 401


def test_signature_is_checked(client, access_token):
    good = access_token()
    head, payload, signature = good.split(".")
    assert status(client, f"{head}.{payload}.{signature[::-1]}") == 401
    assert status(client, good) == 200


def test_scope_is_checked(client, access_token):
    assert status(client, access_token(scope="openid"), "/api/private-scoped") == 403


def test_proof_is_checked(client, access_token):
    prover = Forger()
    token = access_token(cnf={"jkt": prover.key.thumbprint()})
    proof = prover.proof("GET", "http://testserver/api/private", token)
    assert status(client, token) == 401
    assert status(client, token, scheme="DPoP") == 401
    assert status(client, token, scheme="DPoP", DPoP=proof) == 200
    assert status(client, token, scheme="DPoP", DPoP=proof) == 401


def test_further_claims_arrive(client, access_token, app):
    token = access_token(org_id="org_1")
    assert status(client, token) == 200


@pytest.mark.parametrize("later", [freeze_time, time_machine.travel])
def test_clock_can_be_moved(client, access_token, later):
    token = access_token()
    assert status(client, token) == 200
    with later(time_of(hours=2)):
        assert status(client, token) == 401
        assert status(client, access_token()) == 200
    with later(time_of(hours=-2)):
        assert status(client, access_token()) == 200
    assert status(client, token) == 200


def time_of(**difference):
    from datetime import datetime, timezone

    return datetime.now(timezone.utc) + timedelta(**difference)


def test_contract_is_kept(client):
    assert client.get("/api/public", headers={"Accept": "*/*"}).json()["message"]
    assert client.get("/nowhere").json()["code"] == "not_found"
"""


RULE = (SAMPLE / "security" / "__init__.py").read_text().replace(
    "    return await validator.validate(credentials_of(token, request.scope))",
    "    found = await validator.validate(credentials_of(token, request.scope))\n"
    "    assert found['org_id'] == 'org_1'\n    return found",
)  # fmt: skip


def house(folder: Path, tests: str) -> Path:
    for name in ("api", "security"):
        copytree(SAMPLE / name, folder / name)
    (folder / "openapi.yaml").write_text((SAMPLE / "openapi.yaml").read_text())
    (folder / "conftest.py").write_text('pytest_plugins = ["resource_server.testing"]\n')
    (folder / "test_it.py").write_text(tests)
    return folder


def test_tokens_and_clients_need_no_issuer_and_no_server(tmp_path: Path) -> None:
    where = house(tmp_path, TESTS)
    (where / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    ended = run([sys.executable, "-m", "pytest", "-q"], {"AUTH0_DOMAIN": "elsewhere"}, cwd=where)
    assert ended.returncode == 0, ended.stdout
    assert "13 passed" in ended.stdout


def test_application_is_the_one_that_is_named(tmp_path: Path) -> None:
    test = "def test_it(client):\n    assert client.get('/api/public').json() == {'message': 'mine'}\n"
    where = house(tmp_path, test)
    (where / "mine.py").write_text(
        "from api.app import create_app as sample\n"
        "def create_app(settings):\n"
        "    app = sample(settings)\n"
        "    app.app.before_request(lambda: {'message': 'mine'})\n"
        "    return app\n"
    )
    (where / "pytest.ini").write_text("[pytest]\napplication = mine:create_app\npythonpath = .\n")
    ended = run([sys.executable, "-m", "pytest", "-q"], cwd=where)
    assert ended.returncode == 0, ended.stdout


def test_examples_of_the_guide_pass(tmp_path: Path) -> None:
    shown = re.findall(r"(?s)```python\n(.*?)```", (DOCS / "testing.md").read_text())
    examples = [example for example in shown if "def test_" in example]
    conftest = "\n".join(example for example in shown if example not in examples)
    imports = "from datetime import UTC, datetime, timedelta\nfrom freezegun import freeze_time\n"
    imports += "from resource_server.testing import AccessTokens, Client\n"
    where = house(tmp_path, imports + "\n".join(examples))
    (where / "conftest.py").write_text(
        f"import dataclasses\nimport pytest\nfrom resource_server import Settings\n{conftest}"
    )
    (where / "security" / "__init__.py").write_text(RULE)
    ended = run([sys.executable, "-m", "pytest", "-q"], cwd=where)
    assert ended.returncode == 0, ended.stdout
    assert f"{len(examples)} passed" in ended.stdout
