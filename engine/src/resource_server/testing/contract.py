"""What the tests of a contract ask."""

from pathlib import Path

import pytest

from resource_server.contract import spec
from resource_server.contract.loading import read_contract
from resource_server.settings import environ
from resource_server.testing import breaking, linting, rules


def rule_complaints(specification: Path) -> list[str]:
    """What the rules for contracts have to say against one; they are in `resource_server.testing.rules`."""
    return rules.complaints(read_contract(specification))


def lint_complaints(specification: Path) -> list[str]:
    """What Redocly's and Spectral's linters have to say against a contract. Skips without them; in CI it fails."""
    _need_linters()
    return linting.lint_complaints(read_contract(specification))


def breaking_changes(specification: Path, released: Path) -> str | None:
    """What a contract breaks of its last release without a new major version. Skips without linters or release."""
    if not released.exists():
        pytest.skip(breaking.NOTHING_RELEASED)
    _need_linters()
    return breaking.objection(breaking.read_released(released), read_contract(specification))


def public_operations(specification: Path) -> list[str]:
    """The operations that everybody may call, like `GET /api/public`."""
    return spec.public_operations(read_contract(specification))


def _need_linters() -> None:
    if missing := linting.missing_linters():
        (pytest.fail if environ().get("CI") else pytest.skip)(missing)
