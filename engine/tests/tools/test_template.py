"""The house that this engine stands in, while that is the sample: its files are equal to the template's."""

import tomllib

import pytest

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
