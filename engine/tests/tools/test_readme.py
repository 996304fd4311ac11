"""The README's commands, run as they stand but for the port and the tenant."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from resource_server.developing.sdk.languages import languages
from tests.processes import SAMPLE, run, running
from tests.serving import free_port, get, wait_until
from tests.tenant import AUDIENCE, Tenant

README = (SAMPLE / "README.md").read_text()
COMMANDS = [line.removeprefix("$ ") for line in re.findall(r"(?m)^\$ .*", README)]


def test_every_command_is_one_that_is_run_here_or_by_ci() -> None:
    known = (
        "make run ",
        "make test ",
        "make contract",
        'sh -c "$(make -s token DPOP=1)"',
        "make sdk ",
        "curl -i ",
        "AUTH0_DOMAIN=",
        "CONTRACT_TOKEN=",
        ".venv/bin/python -m api serve ",
        ".venv/bin/python -m api doctor",
        "make -s token | .venv/bin/python -m api doctor -",
    )
    assert [command for command in COMMANDS if not command.startswith(known)] == []


def test_make_run_and_the_calls_do_what_the_readme_says(home: Path) -> None:
    port = str(free_port())
    with running(["make", "run"], {"PORT": port}, cwd=home) as process:
        process.wait_for("curl", seconds=120)
        answers = [
            run(["bash", "-c", command.replace(":3010", f":{port}")], {"PORT": port}, cwd=home).stdout
            for command in COMMANDS
            if command.startswith("curl")
        ]
        bound = next(command for command in COMMANDS if "DPOP=1" in command)
        assert "Hello from a private endpoint!" in run(["bash", "-c", bound], {"PORT": port}, cwd=home).stdout
    statuses = [answer.split(" ")[1] for answer in answers]
    assert statuses == ["200", "401", "200", "403"]
    assert 'www-authenticate: Bearer realm="https://api.example.com"' in answers[1]
    assert 'scope="read:messages"' in answers[3]


def test_make_sdk_generates_a_client(home: Path) -> None:
    listed, generated = (
        run(["bash", "-c", command], cwd=home) for command in COMMANDS if command.startswith("make sdk")
    )
    assert listed.stdout.split() == list(languages())
    assert generated.returncode == 0, generated.stderr
    assert (home / "sdk" / "python" / "messages_client" / "__init__.py").exists()


def test_printed_lines_are_those_of_the_readme(home: Path) -> None:
    port = free_port()
    with running(["make", "run"], {"PORT": str(port)}, cwd=home) as process:
        process.wait_for("curl .*\n", seconds=120)
        expected = re.search(r"(?s)```\n(Swagger UI.*?)```", README)
        assert expected
        shown = re.sub(r"Bearer [^\"]+", "Bearer eyJ0eXAi…", process.output)
        shown = shown.replace(str(port + 1), "3011").replace(str(port), "3010")
        assert expected[1] in shown


@pytest.mark.parametrize(
    "command", [command for command in COMMANDS if "AUTH0_DOMAIN" in command or "serve" in command]
)
def test_commands_with_a_tenant_serve_its_tokens(home: Path, tenant: Tenant, command: str) -> None:
    port = str(free_port())
    settings = {"PORT": port, "AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE}
    words = shlex.split(command.replace(".venv/bin/python", sys.executable))
    words = [word for word in words if not word.startswith("AUTH0_")]
    with running(words, settings, cwd=home) as process:
        process.wait_for("Swagger UI|Started worker-1", seconds=120)
        wait_until(lambda: get(f"http://127.0.0.1:{port}/api/private", tenant.token()).status_code == 200)


def test_contract_tests_run_as_the_readme_says(home: Path, tenant: Tenant, url: str, tmp_path: Path) -> None:
    here, elsewhere = (command for command in COMMANDS if "contract" in command)
    assert run(shlex.split(here), cwd=home).returncode == 0
    words = shlex.split(
        elsewhere.replace(".venv/bin/python", sys.executable).replace("https://staging.example.com", url)
    )
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "CONTRACT_TOKEN": tenant.token()}
    assert words.pop(0) == "CONTRACT_TOKEN=eyJ…"
    words[words.index("results.xml")] = str(tmp_path / "results.xml")
    assert run(words, environ).returncode == 0
    assert (tmp_path / "results.xml").exists()


def test_doctor_examines_what_the_readme_gives_it(home: Path, tenant: Tenant, url: str) -> None:
    here, piped, elsewhere = (command for command in COMMANDS if "api doctor" in command)
    port = str(free_port())
    with running(["make", "run"], {"PORT": port}, cwd=home) as process:
        process.wait_for("curl", seconds=120)
        for command in (here, piped):
            assert run(["bash", "-c", command], {"PORT": port}, cwd=home).returncode == 0
    words = shlex.split(
        elsewhere.replace(".venv/bin/python", sys.executable).replace("https://staging.example.com", url)
    )
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE}
    assert words.pop() == "eyJ…"
    assert run([*words, tenant.token()], environ).returncode == 0
