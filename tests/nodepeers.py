"""The Node programs in `tests/peers`: software that nobody here wrote, to test against."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.processes import running

PEERS = Path(__file__).parent / "peers"
INSTALL = "install Node 20 and run `npm ci --prefix tests/peers`"


@contextmanager
def node(program: str, *arguments: str) -> Iterator[Any]:
    """Run a peer; yields what it says of itself. Without Node the test is skipped, in CI it fails."""
    binary = shutil.which("node")
    if binary is None or not (PEERS / "node_modules").is_dir():
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing(f"this test needs a Node peer: {INSTALL}")
    with running([str(binary), str(PEERS / program), *arguments], cwd=PEERS) as process:
        yield json.loads(process.wait_for(r"(?m)^(\{.*\})$")[1])
