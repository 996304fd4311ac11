"""What docs/proof.md shows: `python -m benchmarks.proof` runs all of it, which takes hours, or the parts it is told.

The output of each command is kept in docs/figures.json, with the commit that it is of; docs/proof.md is made from that.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import click

from benchmarks.throughput import machine
from tests.processes import DOCS, ENGINE

FIGURES, PAGE = DOCS / "figures.json", DOCS / "proof.md"
_HEAD = """# Proof

`python -m benchmarks.proof` in `engine/` writes this page, all of it or the parts that it is told; nothing is written
by hand. The machine is small and shared: compare what stands in one table, and nothing else.
"""


class Part(NamedTuple):
    """A part of the page: what it shows, and the command, which is run in `engine/`."""

    title: str
    text: str
    command: str


PARTS: Mapping[str, Part] = {
    "one-worker": Part(
        "Beside its peers, one worker",
        "Each with its default settings; the peers write no log, and this API is there with its log and without. The "
        "server has one CPU, the load another. Also the time from the start to the first answer, and memory after the "
        "loads. *limit* looks at no token: it is what a framework could do at most.",
        "python -m benchmarks.throughput --rounds 2",
    ),
    "two-workers": Part(
        "Beside its peers, two workers",
        "The load shares the two CPUs with the server.",
        "python -m benchmarks.throughput --workers 2 --rounds 1",
    ),
    "bound-tokens": Part(
        "Bound tokens and their proofs",
        "A DPoP proof costs a signature of its own and a look at which have been used, in a file or in Redis.",
        "python -m benchmarks.dpop",
    ),
    "overload": Part(
        "Three times as many requests as can be served",
        "What is too much is refused at once with 503, and what is served is served in time.",
        "python -m benchmarks.overload",
    ),
    "soak": Part(
        "Half an hour of rotations, an outage, a killed worker and a rolling restart",
        "Keys rotate every minute. Clients send again what a closed connection has not answered.",
        "python -m benchmarks.soak --minutes 30 --share 0.4",
    ),
    "nginx": Part(
        "The same behind nginx",
        "Ten minutes of 20 seconds.",
        "python -m benchmarks.soak --minutes 10 --tempo 20 --nginx",
    ),
    "resilience": Part(
        "Rotations, outages, unknown keys and attacks, one by one",
        "What each costs, and whom.",
        "python -m benchmarks.resilience",
    ),
    "replays": Part(
        "A proof is used once, whichever worker or server it comes to",
        "Workers with one file, servers with one Redis; and what a Redis that fails, evicts or forgets costs.",
        "python -m pytest -q --no-header tests/system/test_dpop_memory.py tests/system/test_redis_replays.py",
    ),
    "coverage": Part(
        "Branches that the quick tests take",
        "Of `tokens` and `serving`, by the tests that `make test` runs; what only processes of their own reach, like "
        "`serving/server.py`, is counted as not reached.",
        "python -m tests.covered",
    ),
    "mutants": Part(
        "Mutants of `tokens`",
        "Each changes one expression. Those that no test notices must have a reason in `tests/mutants.yaml`.",
        "python -m tests.mutants",
    ),
}


def run(part: Part) -> dict[str, Any]:
    """Run a part; its output, and what it is of."""
    command = [sys.executable, *shlex.split(part.command)[1:]]
    before = machine()["load_average"][0]
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    ended = subprocess.run(command, cwd=ENGINE, env=environ, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    changed = " with changes" if _git("status", "--porcelain", "src") else ""
    return {
        "commit": _git("rev-parse", "--short", "HEAD") + changed,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "exit_code": ended.returncode,
        "load_average": before,
        "output": ended.stdout.strip(),
    }


def _git(*arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], cwd=ENGINE, text=True).strip()  # noqa: S603, S607


_SECTION = """
## {title}

{text}

```console
$ {command}
```

```text
{output}
```

Of {commit}, {date}; load average before: {load_average}; exit code {exit_code}.
"""


def page(figures: Mapping[str, Any]) -> str:
    """The page, in Markdown."""
    known = {name: part for name, part in PARTS.items() if name in figures}
    sections = "".join(_SECTION.format(**part._asdict(), **figures[name]) for name, part in known.items())
    others = [f"`{part.command}`" for name, part in PARTS.items() if name not in figures]
    return _HEAD + sections + (f"\n## Not run yet\n\n{', '.join(others)}\n" if others else "")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(PARTS)))
def main(names: Sequence[str]) -> None:
    """Run the parts, all or some, and write the page."""
    for name in names or PARTS:
        click.echo(f"{PARTS[name].title}: {PARTS[name].command} …", err=True)
        figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
        figures[name] = run(PARTS[name])
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
        PAGE.write_text(page(figures))


if __name__ == "__main__":
    main()
