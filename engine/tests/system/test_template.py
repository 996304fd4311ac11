"""The house that this engine stands in, while that is the sample: its files are equal to the template's."""

import tomllib
from pathlib import Path

import pytest

from tests.processes import ENGINE, SAMPLE

HOUSE = ENGINE.parent


def files(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(SAMPLE)): (place / path.relative_to(SAMPLE)).read_bytes() for path in kept()}


def kept() -> list[Path]:
    hidden = (".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__", ".hypothesis", "sdk")
    return [path for path in SAMPLE.rglob("*") if path.is_file() and not set(hidden) & set(path.parts)]


def test_house_is_equal_to_the_template_while_it_is_the_sample() -> None:
    name = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]["name"]
    if name != "auth0-openapi-flask":
        pytest.skip("this house is somebody's")
    differing = [path for path, content in files(SAMPLE).items() if files(HOUSE)[path] != content]
    assert differing == [], "if this house is yours, give it a name of its own in pyproject.toml"
