"""Node programs that nobody here wrote: the peers in `tests/peers`, to test against, and the linters."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from resource_server.testing import linting
from tests.processes import ENGINE, running

PEERS = Path(__file__).parent / "peers"
LINTERS = linting.LINTERS


def missing_node(folder: Path) -> str | None:
    """What to install when Node, or what a folder's package.json names, is missing."""
    if shutil.which("node") and (folder / "node_modules").is_dir():
        return None
    return f"this needs Node programs: install Node 20 and run `npm ci --prefix {folder.relative_to(ENGINE)}`"


def require_node(folder: Path) -> None:
    """Without a folder's Node programs the test is skipped; in CI it fails."""
    if missing := missing_node(folder):
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)


@contextmanager
def node(program: str, *arguments: str) -> Iterator[Any]:
    """Run a peer; yields what it says of itself."""
    require_node(PEERS)
    with running([str(shutil.which("node")), str(PEERS / program), *arguments], cwd=PEERS) as process:
        yield json.loads(process.wait_for(r"(?m)^(\{.*\})$")[1])
