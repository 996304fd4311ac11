"""Redocly's and Spectral's linters, with settings for a contract that is an authorization policy, too."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from resource_server.contract.files import as_yaml
from resource_server.contract.loading import read_contract
from resource_server.contract.spec import Contract
from resource_server.settings import environ

LINTERS = Path(__file__).with_name("linters")


def missing_linters() -> str | None:
    """What to install, if the linters are missing."""
    if shutil.which("node") and (LINTERS / "node_modules").is_dir():
        return None
    return f"this needs Node programs: install Node 20 and run `npm ci --prefix {os.path.relpath(LINTERS)}`"


def lint_complaints(contract: Contract) -> list[str]:
    """What the linters have to say against a contract: errors, warnings and hints."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "openapi.yaml"
        path.write_text(as_yaml(contract))
        found = [
            f"{problem['ruleId']} at {problem['location'][0]['pointer']}: {problem['message']}"
            for problem in run_linter("redocly", "lint", "--format", "json", str(path))["problems"]
        ]
        ruleset = str(LINTERS / ".spectral.yaml")
        problems = run_linter("spectral", "lint", "--quiet", "--format", "json", "--ruleset", ruleset, str(path))
    return found + [f"{each['code']} at #/{'/'.join(map(str, each['path']))}: {each['message']}" for each in problems]


def run_linter(program: str, command: str, *arguments: str) -> Any:
    """What a linter answers, in JSON."""
    settings = ["--config", "redocly.yaml"] if program == "redocly" else []
    answer = subprocess.run(  # noqa: S603  # the linters that are pinned here
        [str(LINTERS / "node_modules" / ".bin" / program), command, *settings, *arguments],
        cwd=LINTERS,
        env={**environ(), "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    if not answer.stdout.startswith(("{", "[")):
        raise RuntimeError(f"{program} failed: {answer.stderr}")
    return json.loads(answer.stdout)


def main(specification: Path) -> int:
    """Lint a contract; returns the exit code."""
    found = [missing] if (missing := missing_linters()) else lint_complaints(read_contract(specification))
    sys.stdout.write("".join(f"{complaint}\n" for complaint in found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
