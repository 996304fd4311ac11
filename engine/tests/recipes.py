"""Recipes, carried out as they stand: each block of a page that says where it belongs is put there."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.houses import house
from tests.processes import DOCS


def carried_out(name: str, folder: Path) -> Path:
    """Make a house in which the recipe of that name has been followed."""
    made = house(folder)
    page = (DOCS / "recipes" / f"{name}.md").read_text()
    for path, text in re.findall(r"(?s)```python\n# (\S+\.py)\n(.*?)```", page):
        (made / path).write_text(text)
    contract = made / "openapi.yaml"
    document = yaml.safe_load(contract.read_text())
    for text in re.findall(r"(?s)```yaml\n# openapi\.yaml\n(.*?)```", page):
        _merge(document, yaml.safe_load(text))
    contract.write_text(yaml.safe_dump(document, sort_keys=False))
    return made


def _merge(document: dict[str, Any], shown: dict[str, Any]) -> None:
    for name, value in shown.items():
        if isinstance(value, dict) and isinstance(document.get(name), dict):
            _merge(document[name], value)
        else:
            document[name] = value
