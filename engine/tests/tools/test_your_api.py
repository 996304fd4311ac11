"""docs/your-api.md, carried out as it stands in a house, to its end."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.houses import house as make_house
from tests.processes import DOCS, run, running
from tests.serving import free_port
from tests.tenant import AUDIENCE, Tenant

GUIDE = (DOCS / "your-api.md").read_text()
BEARER = re.compile(r"\$\(make -s token SCOPE=(\S+)\)")


@dataclass(frozen=True)
class Block:
    """A block of the guide, in a language, and the text between it and the one before."""

    text: str
    language: str
    content: str

    @property
    def file(self) -> str:
        """The file that the text names for it, last of all."""
        (name,) = re.findall(r"`([\w/]+\.(?:py|yaml))`", self.text)[-1:]
        return str(name)


BLOCKS = [Block(*match) for match in re.findall(r"(?s)(.*?)\n```(\w+)\n(.*?)```\n", GUIDE)]
COMMANDS = [command for block in BLOCKS for command in re.findall(r"(?m)^\$ (.*)", block.content)]


def carried_out(block: Block, contract: str) -> str:
    """The contract after a step: members that are replaced, or that are added below another."""
    indent = re.match(" *", block.content)[0]  # type: ignore[index]  # it always matches
    if added := re.search(r"add to `(\w+)`", block.text):
        parent = f"\n{indent[2:]}{added[1]}:\n"
        assert contract.count(parent) == 1, parent
        return contract.replace(parent, parent + block.content)
    for member, name in re.findall(rf"(?m)^({indent}(\w+):.*\n(?:{indent} .*\n)*)", block.content):
        named = re.findall(r"`(\w+)`", block.text.rpartition("replace")[2])
        places = [re.search(rf"(?m)^{indent}{old}:.*\n(?:\n*{indent} .*\n)*", contract) for old in (name, *named)]
        place = next(filter(None, places))
        contract = contract[: place.start()] + member + contract[place.end() :]
    return contract


def follow(house: Path) -> Path:
    """Carry out every step of the guide that changes a file of a house."""
    for block in BLOCKS:
        path = house / block.file if block.language in ("yaml", "python") else None
        if block.language == "yaml" and path:
            path.write_text(carried_out(block, path.read_text()))
        elif path and path.exists():  # a function that takes the place of one
            imports, definition = re.findall(r"(?s)\A((?:from .*?\n)*)\n*(def .*)", block.content)[0]
            text, (name,) = path.read_text(), re.findall(r"def (\w+)", definition)
            text = text.replace("\nfrom security ", f"\n{imports}from security ")
            path.write_text(re.sub(rf"(?s)def {name}\(.*?(?=\n\n\n|\Z)", definition.rstrip(), text).rstrip() + "\n")
        elif path:
            path.write_text(block.content)
    for command in COMMANDS:
        if command.startswith(("rm ", "sed ")):
            ended = run(["bash", "-c", command], cwd=house)
            assert ended.returncode == 0, ended.stderr
    return house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A house in which the guide has been followed."""
    return follow(make_house(tmp_path_factory.mktemp("your-api") / "house", installed=True))


def test_steps_change_nothing_of_the_engine() -> None:
    assert [block.file for block in BLOCKS if block.language in ("yaml", "python") and "engine" in block.file] == []
    assert [command for command in COMMANDS if command.startswith("rm ") and "engine" in command] == []


def answers(session: Block, port: int, house: Path, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What the guide shows for the commands of a session in a shell, and what they print."""
    shown = re.findall(r"(?m)^\$ (.*)\n((?:[^$\n].*\n)*)", session.content)
    script = "".join(f"{command}\nprintf '\\0'\n" for command, _ in shown).replace(":3010", f":{port}")
    ended = run(["bash", "-c", f"set -e\n{script}"], {"PORT": str(port), **environ}, cwd=house)
    assert ended.returncode == 0, ended.stderr
    printed = ended.stdout.split("\0")[:-1]
    yield from ((expected.strip(), answer.strip()) for (_, expected), answer in zip(shown, printed, strict=True))


@pytest.mark.parametrize("issuer", ["of make run", "the tenant"])
def test_requests_get_the_answers_that_are_shown(house: Path, tenant: Tenant, issuer: str) -> None:
    (session,) = (block for block in BLOCKS if "curl" in block.content)
    assert "make run" in COMMANDS
    port = free_port()
    environ = {}
    if issuer == "the tenant":
        environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE}
        signed = BEARER.sub(lambda scope: tenant.token(scope=scope[1]), session.content)
        session = Block(session.text, session.language, signed)
    with running(["make", "run"], {"PORT": str(port), **environ}, cwd=house) as process:
        process.wait_for("Swagger UI", seconds=60)
        for expected, answer in answers(session, port, house, environ):
            assert answer == expected


def test_contract_tests_pass(house: Path) -> None:
    assert "make contract" in COMMANDS
    ended = run(["make", "contract"], cwd=house)
    assert (ended.returncode, ended.stderr.count("Traceback")) == (0, 0), ended.stdout
    assert ended.stdout.rstrip().endswith("0 failed, 0 not run")


def test_all_tests_pass(house: Path) -> None:
    assert "make test-mine" in COMMANDS
    passed = run(["make", "test-mine"], cwd=house)
    assert passed.returncode == 0, passed.stdout[-3_000:]
    assert "4 passed, 1 skipped" in passed.stdout  # nothing is released yet
    assert passed.stdout.count(" passed") == 1  # the engine's tests stay out of it
    # The engine's are about its own copy of the sample, here as anywhere.
    some = ["tests/unit/test_settings.py", "tests/api/test_outcomes.py", "tests/api/test_scaffold.py"]
    passed = run([str(house / ".venv" / "bin" / "python"), "-m", "pytest", *some], cwd=house / "engine", seconds=110)
    assert passed.returncode == 0, passed.stdout[-3_000:]


OF_ERRORS = """
from api import notes
from api.errors import NoSuchNote


def read(name, user):
    raise NoSuchNote(name)


notes.read = read


def test_it(client, access_token):
    token = access_token(scope="read:notes")
    answer = client.get("/api/notes/diary", headers={"Authorization": f"Bearer {token}"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "You have no note diary.",
        "code": "no_such_note",
    }
"""


def test_error_of_ones_own_is_answered_as_its_handler_says(house: Path) -> None:
    (house / "test_errors.py").write_text(OF_ERRORS)
    python = str(house / ".venv" / "bin" / "python")
    try:
        ended = run([python, "-m", "pytest", "-p", "resource_server.testing", "test_errors.py"], cwd=house)
    finally:
        (house / "test_errors.py").unlink()
    assert ended.returncode == 0, ended.stdout[-3_000:]


def test_style_and_types_are_kept(house: Path) -> None:
    assert "make lint" in COMMANDS
    ended = run(["make", "lint", "TESTS="], cwd=house)
    assert ended.returncode == 0, ended.stdout


def test_contract_is_recorded_as_released_and_a_client_generated(house: Path) -> None:
    for command in ("make release-spec", "make sdk LANG=python"):
        assert command in COMMANDS
        ended = run(["bash", "-c", command], cwd=house)
        assert ended.returncode == 0, ended.stderr
    assert "api.notes.write" in (house / "tests" / "released.yaml").read_text()
    assert (house / "sdk" / "python" / "notes_client" / "__init__.py").exists()


def test_every_command_is_one_that_is_run_here() -> None:
    known = (
        "rm ",
        "sed ",
        "make run",
        "make contract",
        "make test",
        "make lint",
        "make release-spec",
        "make sdk LANG=python",
    )
    session = ("NOTE=", "READER=", "WRITER=", "curl ")
    assert [command for command in COMMANDS if not command.startswith((*known, *session))] == []
