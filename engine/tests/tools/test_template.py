"""The house that this engine stands in, while that is the sample: its files are equal to the template's."""

import re
import tomllib

import pytest

from resource_server import settings
from resource_server.command import cli
from resource_server.contract.checks import OWN
from tests.processes import ENGINE, SAMPLE

HOUSE = ENGINE.parent


HIDDEN = {".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__", ".hypothesis", "sdk"}


def test_house_is_equal_to_the_template_while_it_is_the_sample() -> None:
    name = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]["name"]
    if name != "auth0-openapi-flask":
        pytest.skip("this house is somebody's")
    files = [path for path in SAMPLE.rglob("*") if path.is_file() and HIDDEN.isdisjoint(path.parts)]
    differing = [path for path in files if path.read_bytes() != (HOUSE / path.relative_to(SAMPLE)).read_bytes()]
    assert len(files) > 20
    assert differing == [], "if this house is yours, give it a name of its own in pyproject.toml"


def test_what_assistants_are_told_is_there() -> None:
    text = (SAMPLE / "AGENTS.md").read_text()
    rules = (ENGINE / "rules.mk").read_text()
    targets = set(re.findall(r"`make ([a-z-]+)", text))
    commands = set(re.findall(r"python -m api ([a-z]+)", text))
    variables = set(re.findall(r"`([A-Z]+_[A-Z_]+)", text))
    extensions = set(re.findall(r"`(x-[a-z-]+)`", text))
    assert {target for target in targets if f"\n{target}: " not in rules} == set()
    assert commands <= cli.commands.keys()
    assert variables <= {setting.variable for setting in settings.rows().values()}
    assert extensions <= set(OWN)
    assert all((targets, commands, variables, extensions))
