"""Mutation testing of `security/`: `make mutants`.

Every mutant is killed by a test or stands in `mutants.yaml` with the reason why it may live. Prints those that do
neither, and reasons that no mutant needs any more; exits with 1 if there are any.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

REASONS = Path(__file__).with_suffix(".yaml")
MUTMUT = [sys.executable, "-m", "mutmut"]


def output(*arguments: str) -> str:
    return subprocess.run([*MUTMUT, *arguments], capture_output=True, text=True, check=True).stdout  # noqa: S603


def survivors() -> Iterator[tuple[str, str]]:
    """Each surviving mutant's name, and the lines that it changes."""
    for name in re.findall(r"(?m)^\s*(\S+): survived$", output("results")):
        changed = re.findall(r"(?m)^[-+](?!--|\+\+).*", output("show", name))
        yield name, "\n".join(line[0] + " " + line[1:].strip() for line in changed)


def main() -> int:
    subprocess.run([*MUTMUT, "run"], check=True)  # noqa: S603
    reasons = {mutant for group in yaml.safe_load(REASONS.read_text()) for mutant in group["mutants"]}
    found = dict(survivors())
    unexplained = {name: change for name, change in found.items() if change not in reasons}
    for name, change in unexplained.items():
        sys.stdout.write(f"{name} survived without a reason:\n{change}\n\n")
    for change in reasons - set(found.values()):
        sys.stdout.write(f"No mutant survived that would need this reason any more:\n{change}\n\n")
    sys.stdout.write(f"{len(found)} mutants survived, {len(unexplained)} of them without a reason\n")
    return bool(unexplained or reasons - set(found.values()))


if __name__ == "__main__":
    sys.exit(main())
