"""Rules of the contract's (`x-claims`) and beyond it, as docs/tokens.md has them: in each command that knows them."""

import re
from pathlib import Path

import httpx
import pytest
import yaml

from resource_server.tokens.jwt import SignedJWT
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


@pytest.fixture(scope="module")
def claiming(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A house whose contract has the guide's `x-claims`, for an organization's messages."""
    house = make_house(tmp_path_factory.mktemp("claims") / "house")
    shown, *_ = re.findall(r"(?s)```yaml\n(.*?)```", (DOCS / "tokens.md").read_text())
    contract = yaml.safe_load((house / "openapi.yaml").read_text())
    scoped = contract["paths"]["/api/private-scoped"]["get"]
    ((path, item),) = yaml.safe_load(shown).items()
    item["get"] = {
        **scoped,
        "responses": {**scoped["responses"], "404": {"description": "There is none."}},
        **item["get"],
    }
    contract["paths"][path] = item
    (house / "openapi.yaml").write_text(yaml.safe_dump(contract, sort_keys=False))
    handlers = house / "api" / "handlers.py"
    handlers.write_text(
        f'{handlers.read_text()}\n\ndef messages(org_id: str) -> dict[str, str]:\n    return {{"message": org_id}}\n'
    )
    return house


def test_token_of_the_development_issuer_has_the_claims_that_the_contract_requires(claiming: Path) -> None:
    port = str(free_port())
    with running(api("run"), {"PORT": port}, cwd=claiming) as process:
        process.wait_for("Swagger UI")
        token = run(api("token"), {"PORT": port}, cwd=claiming).stdout.strip()
        answers = [
            httpx.get(
                f"http://127.0.0.1:{port}/api/orgs/{org}/messages",
                headers={"Authorization": f"Bearer {token}"},
                trust_env=False,
            )
            for org in ("org_1", "org_2")
        ]
        examined = run(api("doctor", token), {"PORT": port}, cwd=claiming)
    assert [answer.status_code for answer in answers] == [200, 403]
    assert answers[1].json()["code"] == "insufficient_claims"
    assert answers[1].json()["detail"].startswith("The access token lacks a claim that this operation requires, or has")
    assert "Only where {org_id} is org_1." in examined.stdout


def test_who_a_token_of_the_development_issuer_is_of_does_not_depend_on_the_contract(tmp_path: Path) -> None:
    house = make_house(tmp_path / "house")
    contract = yaml.safe_load((house / "openapi.yaml").read_text())
    contract["paths"]["/api/private"]["get"]["x-claims"] = {"sub": {"equals": "auth0|eve"}, "plan": {"equals": "pro"}}
    (house / "openapi.yaml").write_text(yaml.safe_dump(contract, sort_keys=False))
    environ = {"PORT": str(free_port())}
    with running(api("run"), environ, cwd=house) as process:
        process.wait_for("Swagger UI")
        token = run(api("token"), environ, cwd=house).stdout.strip()
    claims = SignedJWT.parse(token).claims
    assert claims["plan"] == "pro"
    assert claims["sub"].endswith("@clients")


@pytest.mark.parametrize("command", [["doctor"], ["contract"], ["serve", "--port", "0"]], ids=" ".join)
def test_rules_that_mean_nothing_are_told_by_each_command(tmp_path: Path, command: list[str]) -> None:
    house = make_house(tmp_path / "house")
    contract = yaml.safe_load((house / "openapi.yaml").read_text())
    contract["paths"]["/api/private"]["get"]["x-claims"] = {"plan": {"equal": "pro"}}
    (house / "openapi.yaml").write_text(yaml.safe_dump(contract, sort_keys=False))
    tenant = {"AUTH0_DOMAIN": "http://127.0.0.1:9/", "AUTH0_AUDIENCE": "https://api.example.com"}
    ended = run(api(*command), tenant, cwd=house)
    assert ended.returncode in (1, 2)
    said = " ".join((ended.stdout + ended.stderr).split())
    assert "x-claims: 'plan': 'equal' means nothing: write equals" in said
    assert "Traceback" not in said


def test_contract_tests_pass_with_x_claims(claiming: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    passed = run(api("contract", "--examples", "5", "--json", str(report)), {"PORT": "0"}, cwd=claiming)
    assert passed.returncode == 0, passed.stdout
    assert '"another org_id"' in report.read_text()


def test_setting_that_is_no_object_is_refused(house: Path) -> None:
    ended = run(api("run"), {"DEVELOPMENT_CLAIMS": "[]"}, cwd=house)
    assert ended.returncode == 2
    assert "DEVELOPMENT_CLAIMS is '[]'. Set it to a JSON object" in ended.stderr
