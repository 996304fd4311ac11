"""docs/proof.md is what the commands have said."""

import json
from importlib.util import find_spec

import pytest

from benchmarks.proof import FIGURES, PAGE, PARTS, Part, page


def test_page_is_made_from_the_figures() -> None:
    assert PAGE.read_text() == page(json.loads(FIGURES.read_text()))


def test_no_part_is_shown_that_has_gone() -> None:
    assert json.loads(FIGURES.read_text()).keys() <= PARTS.keys()


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_command_is_one_that_there_is(part: Part) -> None:
    python, option, module = part.command.split()[:3]
    assert (python, option) == ("python", "-m")
    assert find_spec(module)
