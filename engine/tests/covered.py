"""Which branches of `tokens` and `serving` the quick tests take: `python -m tests.covered`."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.processes import ENGINE

_ROOMS = ("tokens", "serving")
_TESTS = ("tests/unit", "tests/api")


def main() -> int:
    """Run the tests, and print the table; returns the exit code of the tests."""
    with TemporaryDirectory() as folder:
        data = f"--data-file={Path(folder) / 'coverage'}"
        sources = ",".join(str(ENGINE / "src" / "resource_server" / room) for room in _ROOMS)
        coverage = [sys.executable, "-m", "coverage"]
        tests = ["-m", "pytest", "-q", "--timeout", "0", *_TESTS]
        run = [*coverage, "run", data, "--branch", f"--source={sources}", *tests]
        ended = subprocess.run(run, cwd=ENGINE, stdout=sys.stderr, check=False)  # noqa: S603
        report = [*coverage, "report", data, "--skip-covered", "--show-missing"]
        subprocess.run(report, cwd=ENGINE, check=True)  # noqa: S603
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
