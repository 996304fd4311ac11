"""A rule beyond the contract, as docs/tokens.md has it: in `make token`, in contract tests, in the doctor's report."""

import re
from pathlib import Path

import httpx
import pytest

from tests.houses import house as make_house
from tests.processes import DOCS, api, run, running
from tests.serving import free_port

CLAIMS = {"DEVELOPMENT_CLAIMS": '{"org_id": "org_1"}'}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A house whose `token_info` is the guide's."""
    house = make_house(tmp_path_factory.mktemp("rules") / "house")
    shown, *_ = re.findall(r"(?s)```python\n(.*?)```", (DOCS / "tokens.md").read_text())
    imports, denial, function = re.fullmatch(r"(?s)(.*?)\n\n\n(class .*?)\n\n\n(async def .*)", shown).groups()  # type: ignore[union-attr]
    path = house / "security" / "__init__.py"
    text = path.read_text().replace('__all__ = ["Auth0', f'{imports}\n\n{denial}\n\n__all__ = ["Auth0')
    path.write_text(re.sub(r"(?s)async def token_info.*?(?=\n\n\n)", function.rstrip(), text))
    return house


def test_tokens_of_the_development_issuer_have_the_claims_that_the_rule_asks_for(house: Path) -> None:
    port = str(free_port())
    for variables, status in ((CLAIMS, 200), ({}, 403)):
        environ = {"PORT": port, **variables}
        with running(api("run"), environ, cwd=house) as process:
            process.wait_for("Swagger UI")
            token = run(api("token"), environ, cwd=house).stdout.strip()
            url = f"http://127.0.0.1:{port}/api/private-scoped"
            answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
            assert answer.status_code == status
    assert answer.json()["code"] == "other_organization"


def test_contract_tests_pass_with_the_claims_and_fail_without(house: Path) -> None:
    few = api("contract", "--examples", "2")
    passed = run(few, {"PORT": "0", **CLAIMS}, cwd=house)
    assert passed.returncode == 0, passed.stdout
    assert run(few, {"PORT": "0"}, cwd=house).returncode == 1


def test_doctor_says_what_the_rule_says(house: Path) -> None:
    port = str(free_port())
    with running(api("run"), {"PORT": port}, cwd=house) as process:
        process.wait_for("Swagger UI")
        token = run(api("token"), {"PORT": port}, cwd=house).stdout.strip()
        examined = run(api("doctor", token), {"PORT": port}, cwd=house)
    assert "security.token_info refuses it: The access token is for another organization." in examined.stdout


def test_setting_that_is_no_object_is_refused(house: Path) -> None:
    ended = run(api("run"), {"DEVELOPMENT_CLAIMS": "[]"}, cwd=house)
    assert ended.returncode == 2
    assert "DEVELOPMENT_CLAIMS is '[]'. Set it to a JSON object" in ended.stderr
