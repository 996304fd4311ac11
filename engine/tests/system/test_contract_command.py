"""`python -m api contract`: what it tests, with which tokens, what it prints, and its exit codes."""

import json
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from resource_server.developing.contract_tests.forging import ABSENT
from resource_server.developing.contract_tests.results import Result, Verdict, exit_code
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.nodepeers import node
from tests.processes import SAMPLE, TESTS, api, run, running
from tests.sample import SPECIFICATION, create_app
from tests.serving import free_port
from tests.tenant import AUDIENCE, Tenant

NOTES = TESTS / "notes"
BY_ISSUER = [
    "bound to a certificate",
    "bound to a key",
    "expired",
    "for another audience",
    "not yet valid",
    "of another issuer",
    "without read:messages",
]
"""The rows that need a token with a defect that only the issuer can sign."""


class Run:
    """A run that has ended: exit code, output, and the results by operation and check."""

    def __init__(self, folder: Path, *arguments: str, **environ: str) -> None:
        self.json, self.junit = folder / "results.json", folder / "results.xml"
        written = ["--json", str(self.json), "--junit", str(self.junit), "--examples", "5"]
        ended = run(api("contract", *written, *arguments), environ)
        self.code, self.output, self.errors = ended.returncode, ended.stdout, ended.stderr
        self.report: dict[str, Any] = json.loads(self.json.read_text() or "{}")
        self.results = {f"{each['operation']}: {each['check']}": each for each in self.report.get("results", ())}

    def not_run(self, operation: str = "GET /api/private-scoped") -> dict[str, str]:
        """Why rows of an operation weren't run, by check."""
        return {
            each["check"]: "; ".join(each["details"])
            for each in self.results.values()
            if each["verdict"] == "not run" and each["operation"] == operation
        }


@pytest.fixture
def trusting(tenant: Tenant) -> dict[str, str]:
    """The environment of somebody who tests the API that trusts the tenant, without any token."""
    return {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE}


def test_api_served_here_passes_with_nothing_left_out(tmp_path: Path) -> None:
    found = Run(tmp_path)
    assert (found.code, found.report["counts"]["failed"], found.report["counts"]["not run"]) == (0, 0, 0)
    assert re.search(r"(?m)^expired +401 invalid_token +2 *$", found.output)
    assert re.search(r"(?m)^GET /api/private +conforms +15 *$", found.output)
    assert found.output.rstrip().endswith("passed, 0 failed, 0 not run")
    assert "authorization: GET /api/private-scoped" in found.errors.splitlines()
    assert "Traceback" not in found.errors


def test_results_are_written_for_programs_too(tmp_path: Path) -> None:
    found = Run(tmp_path)
    suites = {suite.get("name"): suite for suite in ET.parse(found.junit).getroot()}  # noqa: S314  # written here
    cases = [case for suite in suites.values() for case in suite]
    assert suites.keys() == {"conformance", "authorization"}
    assert len(cases) == len(found.report["results"]) == sum(found.report["counts"].values())
    assert {(case.get("classname"), case.get("name")) for case in cases} >= {
        ("GET /api/private", "expired"),
        ("GET /api/private-scoped", "without read:messages"),
        ("GET /api/public", "response_schema_conformance"),
    }
    assert found.results["GET /api/private: expired"] == {
        "part": "authorization",
        "operation": "GET /api/private",
        "check": "expired",
        "expected": "401 invalid_token",
        "verdict": "passed",
        "details": [],
        "required": True,
    }


def test_api_of_make_run_is_tested_with_tokens_of_its_issuer(tmp_path: Path) -> None:
    port = free_port()
    with running(api("run"), {"PORT": str(port)}) as process:
        process.wait_for("curl")
        found = Run(tmp_path, "--url", f"http://127.0.0.1:{port}")
    assert (found.code, found.report["counts"]["not run"]) == (0, 0)


def test_without_any_token_the_run_is_incomplete(tmp_path: Path, url: str, trusting: dict[str, str]) -> None:
    found = Run(tmp_path, "--url", url, **trusting)
    assert found.code == 3
    assert found.results["GET /api/private: HS256 with the public PEM"]["verdict"] == "passed"
    assert found.results["GET /api/private: signed with a foreign key"]["verdict"] == "passed"
    assert found.not_run()["a good token"].startswith("no token: set CONTRACT_TOKEN, or CONTRACT_CLIENT_ID and ")
    assert found.not_run()["all checks"].startswith("no token: set CONTRACT_TOKEN, or ")
    assert found.results["GET /api/public: response_schema_conformance"]["verdict"] == "passed"


def test_good_token_completes_the_run_but_for_what_only_the_issuer_can_sign(
    tmp_path: Path, url: str, tenant: Tenant, trusting: dict[str, str]
) -> None:
    token = tenant.token()
    found = Run(tmp_path, "--url", url, CONTRACT_TOKEN=token, **trusting)
    assert (found.code, sorted(found.not_run())) == (0, BY_ISSUER)
    assert found.not_run()["not yet valid"] == "only the issuer can sign another nbf"
    assert "GET /api/private: not yet valid; not required" in found.output
    shown = found.output + found.errors + found.json.read_text() + found.junit.read_text()
    assert token.rpartition(".")[2] not in shown


def test_expired_token_of_somebody_else_is_used(
    tmp_path: Path, url: str, tenant: Tenant, trusting: dict[str, str]
) -> None:
    tokens = {"CONTRACT_TOKEN": tenant.token(), "CONTRACT_EXPIRED_TOKEN": tenant.token(exp=int(time.time()) - 600)}
    found = Run(tmp_path, "--url", url, "--require", "expired", **tokens, **trusting)
    assert (found.code, found.results["GET /api/private: expired"]["verdict"]) == (0, "passed")


def test_token_of_a_key_that_is_withdrawn_says_nothing_about_expiry(
    tmp_path: Path, url: str, tenant: Tenant, trusting: dict[str, str]
) -> None:
    old = Tenant()
    expired = old.token(iss=tenant.url, exp=int(time.time()) - 600, kid="old")
    found = Run(tmp_path, "--url", url, CONTRACT_TOKEN=tenant.token(), CONTRACT_EXPIRED_TOKEN=expired, **trusting)
    assert found.not_run()["expired"].endswith("was signed by a key that the issuer doesn't publish, or not any more")


def test_required_row_that_cannot_be_run_makes_the_run_incomplete(
    tmp_path: Path, url: str, tenant: Tenant, trusting: dict[str, str]
) -> None:
    found = Run(tmp_path, "--url", url, "--require", "expired", CONTRACT_TOKEN=tenant.token(), **trusting)
    assert found.code == 3
    assert "GET /api/private: expired\n" in found.output


def test_token_is_kept_for_a_later_run_and_used_once_it_has_expired(
    tmp_path: Path, url: str, tenant: Tenant, trusting: dict[str, str]
) -> None:
    kept = tmp_path / "kept"
    arguments = ("--url", url, "--keep", str(kept))
    short = tenant.token(exp=int(time.time()) + 600)
    Run(tmp_path, *arguments, CONTRACT_TOKEN=short, **trusting)
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == (f"{short}\n", 0o600)
    kept.write_text(tenant.token(exp=int(time.time()) - 600))
    later = Run(tmp_path, *arguments, CONTRACT_TOKEN=tenant.token(), **trusting)
    assert later.results["GET /api/private: expired"]["verdict"] == "passed"


def test_kept_file_is_private_and_no_link_and_may_hold_anything(
    tmp_path: Path, url: str, tenant: Tenant, trusting: dict[str, str]
) -> None:
    kept = tmp_path / "kept"
    kept.write_text("é garbage a.b.c\n")
    kept.chmod(0o644)
    token = tenant.token()
    found = Run(tmp_path, "--url", url, "--keep", str(kept), CONTRACT_TOKEN=token, **trusting)
    assert (found.code, kept.read_text(), kept.stat().st_mode & 0o777) == (0, f"{token}\n", 0o600)
    (tmp_path / "link").symlink_to(kept)
    linked = Run(tmp_path, "--url", url, "--keep", str(tmp_path / "link"), CONTRACT_TOKEN=token, **trusting)
    assert linked.code == 2
    assert "link can't be used: Too many levels of symbolic links" in linked.errors


def test_proxies_stand_between_no_machine_and_itself(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    found = Run(tmp_path, HTTP_PROXY=nowhere, HTTPS_PROXY=nowhere, ALL_PROXY=nowhere)
    assert found.code == 0, found.output


def test_interrupted_run_prints_what_it_has_found(url: str, tenant: Tenant, trusting: dict[str, str]) -> None:
    environ = {**trusting, "CONTRACT_TOKEN": tenant.token(exp=int(time.time()) + 600)}
    with running(api("contract", "--url", url, "--wait", "9999"), environ) as process:
        process.wait_for(r"waiting \d+ seconds for a token to expire")
        assert process.end(signal.SIGINT) == 130
        assert re.search(r"(?m)^not yet valid|^a good token +accepted +2", process.output)
        assert "Traceback" not in process.output


@pytest.mark.parametrize("phase", ["coverage", "fuzzing"])
def test_run_that_is_interrupted_early_has_not_passed(phase: str) -> None:
    with running(api("contract", "--spec", str(NOTES / "openapi.yaml")), {"PYTHONPATH": str(NOTES)}) as process:
        process.wait_for(f"conformance, {phase}: ")
        assert process.end(signal.SIGINT) == 130
        assert "authorization: " not in process.output


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with node("tenant.mjs") as peer:
        yield peer["issuer"]


@pytest.fixture(scope="module")
def deployment(provider: str) -> Iterator[str]:
    """An API for tokens that nobody here issued."""
    with in_background(create_app(Settings(issuers=(provider,), audience=AUDIENCE))) as url:
        yield url


def machine(provider: str, **more: str) -> dict[str, str]:
    return {
        "AUTH0_DOMAIN": provider,
        "AUTH0_AUDIENCE": AUDIENCE,
        "CONTRACT_CLIENT_ID": "machine",
        "CONTRACT_CLIENT_SECRET": "machine-secret",
        **more,
    }


def test_client_credentials_bring_good_tokens(tmp_path: Path, deployment: str, provider: str) -> None:
    found = Run(tmp_path, "--url", deployment, **machine(provider))
    assert (found.code, sorted(found.not_run())) == (0, BY_ISSUER)
    assert "grants read:messages, whatever is asked for" in found.not_run()["without read:messages"]


def test_client_credentials_bring_another_audience_and_a_missing_scope(
    tmp_path: Path, deployment: str, provider: str
) -> None:
    others = {
        "CONTRACT_OTHER_AUDIENCE": "https://other.example.com",
        "CONTRACT_OTHER_CLIENT_ID": "machine-unscoped",
        "CONTRACT_OTHER_CLIENT_SECRET": "machine-secret",
    }
    needed = ["--require", "for another audience", "--require", "without read:messages"]
    found = Run(tmp_path, "--url", deployment, *needed, **machine(provider, **others))
    assert found.code == 0
    assert found.results["GET /api/private: for another audience"]["verdict"] == "passed"
    assert found.results["GET /api/private-scoped: without read:messages"]["verdict"] == "passed"


def test_wrong_secret_is_told(tmp_path: Path, deployment: str, provider: str) -> None:
    found = Run(tmp_path, "--url", deployment, **machine(provider, CONTRACT_CLIENT_SECRET="wrong"))
    assert found.code == 3
    assert "gives no token: invalid_client: " in found.not_run()["a good token"]


def test_api_that_refuses_every_token_fails(tmp_path: Path, url: str, tenant: Tenant, trusting: dict[str, str]) -> None:
    found = Run(tmp_path, "--url", url, CONTRACT_TOKEN=tenant.token(sub=ABSENT), **trusting)
    assert found.code == 1
    assert found.results["GET /api/private: a good token"]["details"] == ["a good request is answered with 401"]
    assert "a good request is answered with 401" in found.output


WRITING = """
from pathlib import Path


def read() -> dict[str, str]:
    return {}


def write() -> dict[str, str]:
    Path("written").touch()
    return {}
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A folder with an API that writes."""
    shutil.copytree(SAMPLE / "api", tmp_path / "api")
    shutil.copytree(SAMPLE / "security", tmp_path / "security")
    (tmp_path / "writing.py").write_text(WRITING)
    contract = yaml.safe_load(SPECIFICATION.read_text())
    operation = contract["paths"]["/api/private"]["get"]
    operation["responses"]["200"] = {"description": "Done.", "content": {"application/json": {}}}
    paths = {"get": {**operation, "operationId": "writing.read"}, "post": {**operation, "operationId": "writing.write"}}
    contract["paths"] = {"/api/things": paths}
    (tmp_path / "openapi.yaml").write_text(yaml.safe_dump(contract))
    return tmp_path


def test_read_only_run_changes_nothing(house: Path) -> None:
    for arguments, written in ((["--read-only"], False), ([], True)):
        ended = run(api("contract", "--examples", "5", *arguments), {}, cwd=house)
        assert (ended.returncode, (house / "written").exists()) == (0, written), ended.stdout
        assert (
            "left out by --read-only\n    POST /api/things: all checks; not required" in ended.stdout
        ) is not written


def test_variables_of_env_that_writing_operations_get_are_told_before_the_first_request(house: Path) -> None:
    variables = "DATABASE_URL=sqlite:///kept.db\nLOG_REQUESTS=false\nCONTRACT_TOKEN=\nQUEUE_URL=amqp://q\n"
    (house / ".env").write_text(variables)
    said = "Requests are real: POST may write where .env says, by {}. Name another place, like `"
    command = api("contract", "--max-time", "1")
    first = run(command, {}, cwd=house).stderr
    assert first.startswith(said.format("DATABASE_URL, QUEUE_URL") + "DATABASE_URL=… make contract`")
    elsewhere = {"DATABASE_URL": "sqlite:///other.db"}
    assert run(command, elsewhere, cwd=house).stderr.startswith(said.format("QUEUE_URL"))
    assert ".env" not in run([*command, "--read-only"], {}, cwd=house).stderr


SHOP = TESTS / "shop"


def test_api_keys_and_passwords_can_be_given(tmp_path: Path) -> None:
    """Without them the operations that need nothing else aren't tested."""
    contract = yaml.safe_load((SHOP / "openapi.yaml").read_text())
    either = contract["paths"]["/either"]
    either["get"]["security"] = [{"key": []}]
    contract["paths"] = {"/either": either, "/basic": contract["paths"]["/basic"]}
    for item in contract["paths"].values():
        item["get"]["responses"]["401"] = {"description": "Who is it?", "content": {"application/problem+json": {}}}
    (tmp_path / "openapi.yaml").write_text(yaml.safe_dump(contract))
    names = {"GET /either": "key", "GET /basic": "basic"}
    spec = ("--spec", str(tmp_path / "openapi.yaml"))
    without = Run(tmp_path, *spec, PYTHONPATH=str(SHOP))
    assert without.code == 3
    for operation, name in names.items():
        needs = f"it needs credentials for {name}: give them with --credential"
        assert without.not_run(operation) == {"all checks": needs}
    given = ["--credential", "key=good", "--credential", "basic=ada:ada"]
    found = Run(tmp_path, *spec, *given, PYTHONPATH=str(SHOP))
    assert [found.not_run(operation) for operation in names] == [{}, {}]
    checks = found.results["GET /either: not_a_server_error"], found.results["GET /basic: not_a_server_error"]
    assert [each["verdict"] for each in checks] == ["passed", "passed"]
    assert "ada:ada" not in found.output + str(found.report)


def test_run_begins_nothing_more_when_its_time_is_up(tmp_path: Path) -> None:
    begun = time.monotonic()
    found = Run(tmp_path, "--examples", "1000", "--max-time", "1")
    assert time.monotonic() - begun < 30
    assert (found.code, found.report["counts"]["failed"]) == (3, 0)
    assert set(found.not_run("GET /api/private").values()) == {"the time of --max-time was up"}


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--credential", "oauth2=x"], 2, "--credential: 'oauth2' is no scheme of API keys or Basic in the contract."),
        (["--url", "https://api.example.com"], 2, "AUTH0_DOMAIN is not set. Set it, and AUTH0_AUDIENCE, to what"),
        (["--url", "api.example.com"], 2, "--url: 'api.example.com' is no URL like https://api.example.com"),
        (["--url", "http://127.0.0.1:9"], 1, "http://127.0.0.1:9 doesn't answer: ConnectError: "),
        (
            ["--require", "expird"],
            2,
            "--require: no row is called 'expird'. There are 'no credentials', 'a good token', ",
        ),
        (["--url", "http://127.0.0.1:99999"], 2, "--url: 'http://127.0.0.1:99999' is no URL like "),
        (["--url", "http://[::1"], 2, "--url: 'http://[::1' is no URL like "),
        (["--url", "http://ada:secret@127.0.0.1"], 2, "is no URL like "),
        (["--spec", "README.md"], 1, "README.md: it "),
        (["--exclude", "GET /api"], 2, "--exclude: the contract has no 'GET /api'. It has GET /api/public, GET "),
        (["--junit", "nowhere/results.xml"], 2, "'nowhere/results.xml': No such file or directory"),
        (["--keep", "nowhere/kept"], 2, "--keep: nowhere/kept can't be used: No such file or directory"),
    ],
)
def test_what_cannot_be_tested_is_told_in_a_sentence(arguments: list[str], code: int, sentence: str) -> None:
    ended = run(api("contract", *arguments))
    assert (ended.returncode, ended.stdout) == (code, "")
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_missing_extra_is_told(tmp_path: Path) -> None:
    (tmp_path / "schemathesis.py").write_text("raise ImportError(\"No module named 'schemathesis'\")")
    ended = run(api("contract"), {"PYTHONPATH": str(tmp_path)})
    assert ended.returncode == 1
    assert "No module named 'schemathesis'. Contract tests need the extra 'contract': `make test`" in ended.stderr


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([(Verdict.PASSED, True)], 0),
        ([(Verdict.PASSED, True), (Verdict.NOT_RUN, False)], 0),
        ([(Verdict.PASSED, True), (Verdict.NOT_RUN, True)], 3),
        ([(Verdict.FAILED, True), (Verdict.NOT_RUN, True)], 1),
        ([(Verdict.FAILED, False)], 1),
        ([(Verdict.NOT_RUN, False)], 3),
        ([], 3),
    ],
)
def test_exit_code_is_0_only_if_all_that_is_required_has_passed(
    verdicts: list[tuple[Verdict, bool]], code: int
) -> None:
    results = [Result("part", "operation", "check", "", verdict, (), required) for verdict, required in verdicts]
    assert exit_code(results) == code
