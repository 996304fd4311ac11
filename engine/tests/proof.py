"""`make proof`: what takes hours. With `--sample` a small part of each, always the same."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.processes import ENGINE, SAMPLE, TESTS, api

PYTHON = sys.executable
CASES = ["tests/unit/test_uris.py", "tests/api/test_any_bytes.py", "tests/api/test_any_spec.py"]
NOTES = TESTS / "notes"


class Step(NamedTuple):
    """A part of the proof: its command, the arguments for all of it and for the sample, and its variables."""

    what: str
    command: Sequence[str]
    everything: Sequence[str]
    sample: Sequence[str]
    variables: Mapping[str, str] = {}


STEPS = (
    Step("mutants", [PYTHON, "-m", "tests.mutants"], [], ["headers"]),
    Step("a soak", [PYTHON, "-m", "benchmarks.soak"], ["--minutes", "10"], ["--minutes", "8", "--tempo", "6"]),
    Step("many cases", ["env"], ["CASES=10000"], ["CASES=1000"]),
    Step("a survey of a contract", api("contract", "--spec", str(NOTES / "openapi.yaml")), ["--examples", "10000"],
         ["--examples", "200"], {"PYTHONPATH": str(NOTES)}),
)  # fmt: skip


def main(*, sample: bool) -> int:
    """Take each step; returns the exit code."""
    failed = []
    for step in STEPS:
        command = [*step.command, *(step.sample if sample else step.everything)]
        if step.command == ["env"]:
            command += [PYTHON, "-m", "pytest", "-q", "--timeout", "0", *CASES]
        sys.stdout.write(f"{step.what} …\n")
        sys.stdout.flush()
        begun = time.monotonic()
        where = SAMPLE if step.variables else ENGINE
        code = subprocess.run(command, cwd=where, env=os.environ | dict(step.variables), check=False).returncode  # noqa: S603
        failed += [step.what] if code else []
        sys.stdout.write(f"{step.what}: {'failed' if code else 'passed'} in {time.monotonic() - begun:.0f} seconds\n")
    sys.stdout.write(f"failed: {', '.join(failed)}\n" if failed else "all passed\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sample="--sample" in sys.argv))
