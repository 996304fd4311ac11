"""What a contract breaks of its last release, and `make release-spec`, which records a new one.

Breaking is what a program may fail of that was written, or generated, for the released contract. Redocly compares what
both contracts say; the security that operations inherit and the default server are written out for it. What it doesn't
look for is compared here: the first server, header fields that answers always have, and the flows that bring tokens.
"""

import copy
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from resource_server.contract.files import as_yaml, read_document
from resource_server.contract.loading import read_contract
from resource_server.contract.spec import Contract, inlined, operations
from resource_server.testing.linting import missing_linters, run_linter

NOTHING_RELEASED = "no contract has been released, so nothing can break: `make release-spec` records openapi.yaml"
HEADER = "# The contract as it was last released. `make release-spec` writes this file.\n"


def breaking_changes(released: Contract, current: Contract) -> list[str]:
    """Each change that callers of the released contract may fail of, and where it is."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("released.json", "current.json")]
        for path, contract in zip(paths, (released, current), strict=True):
            path.write_text(json.dumps(_written_out(contract)))
        changes = run_linter("redocly", "diff", "--format", "json", "--fail-on", "none", *map(str, paths))["changes"]
    found = [(change["path"], verdict) for change in changes for verdict in change["verdicts"]]
    breaking = [f"{place}: {verdict['message']}" for place, verdict in found if verdict["impact"] == "major"]
    return [*breaking, *_unseen(inlined(released), inlined(current))]


def _unseen(released: Contract, current: Contract) -> Iterator[str]:
    """What Redocly doesn't look for."""
    first = [contract.get("servers", [{"url": "/"}])[0]["url"] for contract in (released, current)]
    if first[0] != first[1]:
        yield f"#/servers/0/url: The first server was {first[0]}, and is {first[1]}."
    there = {(method, path) for method, path, *_ in operations(current)}
    for method, path, *what in sorted(set(_promises(released)) - set(_promises(current))):
        if (method, path) in there:  # one that isn't, Redocly has seen
            yield f"{method} {path}: {' '.join(what)} is promised no more."
    for scheme, flow in sorted(set(_flows(released)) - set(_flows(current))):
        yield f"#/components/securitySchemes/{scheme}: The flow {flow} is gone."


def _promises(contract: Contract) -> Iterator[tuple[str, ...]]:
    """The header fields that answers always have."""
    for method, path, operation, _ in operations(contract):
        for status, response in operation.get("responses", {}).items():
            for name, header in response.get("headers", {}).items():
                if header.get("required"):
                    yield method, path, status, name


def _flows(contract: Contract) -> Iterator[tuple[str, str]]:
    schemes = contract.get("components", {}).get("securitySchemes", {})
    return ((name, flow) for name, scheme in schemes.items() for flow in scheme.get("flows", {}))


def _written_out(contract: Contract) -> Contract:
    contract = copy.deepcopy(contract)
    for *_, operation, security in operations(contract):
        operation["security"] = security  # type: ignore[index]  # of the copy
    return {"servers": [{"url": "/"}], **contract, "security": []}


def objection(released: Contract, current: Contract) -> str | None:
    """Why a contract may not follow the released one, and what to do; nothing if it may."""
    before, now = released["info"]["version"], current["info"]["version"]
    changes = breaking_changes(released, current) if _major(now) <= _major(before) else []
    return _OBJECTION.format("\n".join(changes), before, _major(before) + 1) if changes else None


_OBJECTION = """\
The contract breaks what callers of version {1} rely on:
{0}
Undo this, or say that it is meant: raise info.version to {2}.0.0.
If {1} is not a release of your API, because its operations took the place of the samples, delete the file of the
released contract: until `make release-spec` records yours, nothing of it can break."""


def _major(version: str) -> int:
    digits = re.search(r"\d+", version)
    return int(digits[0]) if digits else 0


def record(current: Contract, path: Path) -> str | None:
    """Write down a contract as the released one; what stands against it if it can't be."""
    if path.exists():
        released = read_released(path)
        if refusal := objection(released, current):
            return refusal
        if current != released and current["info"]["version"] == released["info"]["version"]:
            return f"The contract has changed since version {released['info']['version']}: raise info.version."
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + as_yaml(current), encoding="utf-8")
    return None


def read_released(path: Path) -> Contract:
    """The released contract. Its functions needn't exist any more, so it isn't checked as one to serve."""
    return read_document(path)


def main(specification: Path, released: Path) -> int:
    """Record a contract as released; returns the exit code."""
    refusal = (released.exists() and missing_linters()) or record(read_contract(specification), released)
    sys.stdout.write(f"{refusal or f'Recorded as released: {released}'}\n")
    if not refusal and (missing := missing_linters()):
        sys.stderr.write(f"The test that compares the contract with this record is skipped: {missing}\n")
    return bool(refusal)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
