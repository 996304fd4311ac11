"""`make proof`: what takes hours. With `--sample` a small part of each, always the same."""

import subprocess
import sys
import time
from collections.abc import Sequence

from tests.processes import ENGINE, SAMPLE, TESTS, api

Command = Sequence[str]

PYTHON = sys.executable
NOTES = TESTS / "notes"
QUICK = ("tests/unit/test_uris.py", "tests/api/test_any_bytes.py", "tests/api/test_any_spec.py")
CASES = (*QUICK, "tests/unit/test_keycache_histories.py", "tests/api/test_oracle.py", "tests/system/test_oracle.py")


def mutants(*modules: str) -> Command:
    return PYTHON, "-m", "tests.mutants", *modules


def soak(*options: str) -> Command:
    return PYTHON, "-m", "benchmarks.soak", *options


def cases(number: int, *files: str) -> Command:
    return "env", f"CASES={number}", PYTHON, "-m", "pytest", "-q", "--timeout", "0", *files


def survey(examples: int) -> Command:
    contract = api("contract", "--spec", str(NOTES / "openapi.yaml"), "--examples", str(examples))
    return "env", f"--chdir={SAMPLE}", f"PYTHONPATH={NOTES}", *contract


def public(every: int) -> Command:
    return "env", f"PYTHONPATH={SAMPLE}", PYTHON, "-m", "tests.survey", "--every", str(every)


def clients(every: int) -> Command:
    return "env", f"PYTHONPATH={SAMPLE}", PYTHON, "-m", "tests.public_clients", "--every", str(every)


STEPS: dict[str, tuple[Command, Command | None]] = {
    "mutants": (mutants(), mutants("uris")),
    "a soak": (soak("--minutes", "10"), soak("--minutes", "8", "--tempo", "6")),
    "many cases": (cases(10_000, *CASES), cases(500, *QUICK)),
    "a survey of a contract": (survey(10_000), survey(50)),
    "public contracts": (public(1), public(40)),
    "clients of public contracts": (clients(1), None),
    "other Pythons": ((str(TESTS / "pythons.sh"), "3.13", "3.14"), None),
}
"""What is run of each part, and of its sample, where it has one."""


def main(*, sample: bool) -> int:
    """Take each step; returns the exit code."""
    failed = []
    for what, commands in STEPS.items():
        command = commands[sample]
        if command is None:
            continue
        sys.stdout.write(f"{what} …\n")
        sys.stdout.flush()
        begun = time.monotonic()
        code = subprocess.run(command, cwd=ENGINE, check=False).returncode  # noqa: S603
        failed += [what] if code else []
        sys.stdout.write(f"{what}: {'failed' if code else 'passed'} in {time.monotonic() - begun:.0f} seconds\n")
    sys.stdout.write(f"failed: {', '.join(failed)}\n" if failed else "all passed\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sample="--sample" in sys.argv))
