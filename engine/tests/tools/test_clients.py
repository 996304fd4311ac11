"""The programs of docs/clients and the generated clients, built and run against the running API."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.clients import CLIENTS, DOCS, NODE, Part, require, shell, unparsed
from tests.processes import api, run, running
from tests.serving import free_port, get

README = DOCS / "README.md"
HEADER = (
    "| language | program | SDK generated | SDK built | SDK called | with |\n| --- | --- | --- | --- | --- | --- |\n"
)

STATUSES = (200, 401, 403)

pytestmark = pytest.mark.timeout(300)  # compilers take their time


@dataclass(frozen=True)
class Served:
    """The running API, and a token for each status that it can answer with."""

    url: str
    token_url: str
    tokens: dict[int, str]

    def ask(self, status: int) -> httpx.Response:
        """What the API answers to that token."""
        answer = get(f"{self.url}/api/private-scoped", self.tokens[status])
        assert answer.status_code == status
        return answer

    def call(self, command: str, folder: Path, token: str | None = None, **environ: str) -> str:
        """What a program prints that calls it."""
        before = f"export ACCESS_TOKEN={token}" if token else "unset ACCESS_TOKEN"
        done = shell(f"{before}\n{command}", folder, API_URL=self.url, **environ)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


Table = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    port = str(free_port())
    with running(api("run"), {"PORT": port}) as process:
        process.wait_for("curl")
        scoped, unscoped = (run(api("token", *args), {"PORT": port}).stdout.strip() for args in ((), ("--scope", "")))
        issuer = process.wait_for(r"Issuer +(\S+)")[1]
        yield Served(f"http://127.0.0.1:{port}", f"{issuer}oauth/token", {200: scoped, 401: "none", 403: unscoped})


@pytest.fixture(scope="module")
def table() -> Table:
    """What has been run, by language and column."""
    return {name: {} for name in CLIENTS}


def build(part: Part, folder: Path, **environ: str) -> None:
    if part.build:
        built = shell(part.build, folder, **environ)
        assert built.returncode == 0, built.stdout + built.stderr


@pytest.mark.parametrize("name", [name for name, client in CLIENTS.items() if client.program])
def test_program_prints_status_and_body(name: str, served: Served, table: Table, tmp_path: Path) -> None:
    client, part = CLIENTS[name], CLIENTS[name].program
    assert part
    require(client)
    build(part, tmp_path)
    for status in STATUSES:
        printed = served.call(str(part.run), tmp_path, served.tokens[status])
        assert str(status) in printed.split()[:2]  # curl's is after the version of HTTP
        assert printed.strip().endswith(served.ask(status).text.strip())
    table[name]["program"] = f"[200, 401, 403]({part.file})"


@pytest.mark.parametrize("name", [name for name, client in CLIENTS.items() if client.sdk])
def test_sdk_sends_the_token_and_has_an_error_of_its_own(
    name: str, served: Served, table: Table, tmp_path: Path
) -> None:
    client, part = CLIENTS[name], CLIENTS[name].sdk
    assert part
    assert part.language
    folder, sdk = tmp_path / "work", tmp_path / "sdk"
    folder.mkdir()
    generated = run(api("sdk", part.language, "--output", str(sdk)))
    assert generated.returncode == 0, generated.stderr
    assert documented(sdk), "it doesn't say what a 403 means"
    table[name]["generated"] = f"`{part.language}`"
    if part.parsed:
        assert unparsed(sdk) == []
        table[name] |= {"built": "parsed only", "called": "no"}
        return
    require(client)
    build(part, folder, SDK=str(sdk))
    command = str(part.run)
    message = served.ask(200).json()["message"]
    assert served.call(command, folder, served.tokens[200], SDK=str(sdk)) == f"{message}\n"
    assert served.call(command, folder, SDK=str(sdk)) == "401 missing_credentials\n"
    assert served.call(command, folder, served.tokens[403], SDK=str(sdk)) == "403 insufficient_scope\n"
    table[name] |= {"built": "yes", "called": f"[200, 401, 403](sdk/{part.file})"}


def documented(sdk: Path) -> bool:
    """Whether the client says what the operation's errors mean."""
    texts = [path.read_text(errors="replace") for path in sdk.rglob("*") if path.is_file() and path.suffix != ".yaml"]
    return any("Error 403: The access token is valid but lacks a scope" in text for text in texts)


def test_commands_of_the_readme_do_what_it_says(home: Path, served: Served, tmp_path: Path) -> None:
    call, generate = re.findall(r"(?m)^\$ (.*)", README.read_text())
    port = str(httpx.URL(served.url).port)
    assert shell(call, home, PORT=port, API_URL=served.url).stdout.startswith("HTTP/1.1 200 ")
    command = generate.replace(".venv/bin/python", "$PYTHON").replace("/tmp", str(tmp_path))  # noqa: S108  # not ours
    assert "of a client for go in" in shell(command, home).stdout


@pytest.mark.parametrize(("renew_before", "tokens"), [("60", 1), ("86400", 3)])
def test_python_example_renews_its_token_before_it_expires(
    renew_before: str, tokens: int, served: Served, tmp_path: Path
) -> None:
    part = CLIENTS["Python"].sdk
    assert part
    assert run(api("sdk", "python", "--output", str(tmp_path / "sdk"))).returncode == 0
    build(part, tmp_path, SDK=str(tmp_path / "sdk"))
    environ = {"API_URL": served.url, "TOKEN_URL": served.token_url, "RENEW_BEFORE": renew_before}
    done = shell("PYTHONPATH=. $PYTHON $DOCS/sdk/renew.py", tmp_path, **environ)
    assert done.stderr == "New access token, good for 86400 seconds\n" * tokens
    assert done.stdout == f"{served.ask(200).json()['message']}\n" * 3


def rows(table: Table) -> str:
    """The table as it stands in the README."""
    columns = ("program", "generated", "built", "called", "with")
    lines = [" | ".join((name, *(row.get(column, "-") for column in columns))) for name, row in table.items()]
    return HEADER + "".join(f"| {line} |\n" for line in lines)


def test_table_of_the_readme_is_what_was_run(table: Table) -> None:
    """The versions are those of the machine that wrote it."""
    expected = {"program": "program", "sdk": "called"}
    for name, client in CLIENTS.items():
        if any(getattr(client, part) and column not in table[name] for part, column in expected.items()):
            pytest.skip(f"{name} hasn't been run")
        table[name]["with"] = client.versions()
    text = README.read_text()
    shown = re.search(r"(?m)(^\|.*\n)+", text)
    assert shown
    if os.environ.get("CLIENTS_TABLE") == "write":
        README.write_text(text.replace(shown[0], rows(table)))
        return
    version = re.compile(r"\d+\.\d+")
    assert version.sub("*", shown[0]) == version.sub("*", rows(table)), "if this is meant, run `make clients`"


def test_lock_file_names_no_registry() -> None:
    lock = json.loads((NODE / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
