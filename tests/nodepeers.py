"""Node programs that nobody here wrote: the peers in `tests/peers`, to test against, and the linters."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ROOT, running

PEERS = Path(__file__).parent / "peers"


def require_node(folder: Path) -> str:
    """Where Node is. Without it, or without the packages of a folder, the test is skipped; in CI it fails."""
    binary = shutil.which("node")
    if binary is None or not (folder / "node_modules").is_dir():
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing(f"this test needs Node programs: install Node 20 and run `npm ci --prefix {folder.relative_to(ROOT)}`")
    return str(binary)


@contextmanager
def node(program: str, *arguments: str) -> Iterator[Any]:
    """Run a peer; yields what it says of itself."""
    binary = require_node(PEERS)
    with running([binary, str(PEERS / program), *arguments], cwd=PEERS) as process:
        yield json.loads(process.wait_for(r"(?m)^(\{.*\})$")[1])
