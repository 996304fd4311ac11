"""`python -m api contract`: a run, its progress and its report."""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import click
import httpx
from rich.console import Console
from rich.markup import escape
from rich.status import Status

from api.contract import Contract, ContractError
from api.contract_tests.material import Trust
from api.contract_tests.matrix import rows
from api.contract_tests.operations import requirements
from api.contract_tests.report import print_report, write_json, write_junit
from api.contract_tests.results import NotRun, Progress, exit_code
from api.contract_tests.running import Options, run
from api.contract_tests.target import served_here, trust
from api.development.clients import is_local
from api.loading import read_contract
from api.settings import Settings, development_issuer_url, environ


def test(
    settings: Settings,
    url: str | None,
    *,
    needed: Collection[str],
    read_only: bool,
    keep: Path | None,
    wait: float,
    examples: int,
    seed: int,
    junit: Path | None,
    json_file: Path | None,
) -> int:
    """Test the API at a URL, or one served here; returns the exit code.

    Raises:
        click.ClickException: It can't be tested; the message says what to do.
    """
    console, errors = Console(), Console(stderr=True)
    try:
        contract = read_contract(settings.specification)
        _check_names(needed, contract)
        with _server(settings, url) as (at, served), errors.status("") as status:
            options = Options(
                needed=needed,
                examples=examples,
                seed=seed,
                read_only=read_only,
                progress=_progress(errors, status),
            )
            kept = _kept(keep)
            trusted = trust(served, environ(), kept=kept, wait=wait)
            results = list(run(contract, at, trusted, options))
            if keep and not trusted.signs:
                _keep(keep, trusted, kept)
    except ContractError as error:
        raise click.ClickException(str(error)) from error
    print_report(console, results)
    if junit:
        write_junit(junit, results)
    if json_file:
        write_json(json_file, at, results)
    return exit_code(results)


def _check_names(needed: Collection[str], contract: Contract) -> None:
    known = dict.fromkeys(row.defect.name for row in rows(requirements(contract)) if row.defect.by_issuer)
    if unknown := [name for name in needed if name not in known]:
        raise click.UsageError(f"--require: no row is called {unknown[0]!r}. There are {', '.join(map(repr, known))}.")


@contextlib.contextmanager
def _server(settings: Settings, url: str | None) -> Iterator[tuple[str, Settings]]:
    """The server's URL, and the settings with the issuer that it trusts."""
    if url is None:
        with served_here(settings) as served:
            yield served
        return
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.UsageError(f"--url: {url!r} is no URL like https://api.example.com")
    if settings.development_issuer:
        if not is_local(url):
            raise click.UsageError(
                "AUTH0_DOMAIN is not set. Set it, and AUTH0_AUDIENCE, to what the API at --url trusts."
            )
        issuer = development_issuer_url(parts.hostname, (parts.port or 80) + 1)
        settings = replace(settings, issuers=(issuer,))
    try:
        httpx.get(url, trust_env=not is_local(url))
    except httpx.HTTPError as error:
        raise click.ClickException(f"{url} doesn't answer: {type(error).__name__}: {error}. Is it running?") from error
    yield url, settings


def _progress(console: Console, status: Status) -> Progress:
    """Shows what is being tested: in a line that changes on a terminal, elsewhere in a line each."""
    last = ""

    def tell(what: str) -> None:
        nonlocal last
        status.update(escape(what))
        if what != last and not console.is_terminal:
            console.print(what, soft_wrap=True, markup=False, highlight=False)
        last = what

    return tell


def _kept(path: Path | None) -> Sequence[str]:
    return path.read_text(encoding="ascii").split() if path and path.exists() else ()


def _keep(path: Path, trusted: Trust, kept: Sequence[str]) -> None:
    """Keep a good token for a later run, unless one is kept whose key is still published."""
    with contextlib.suppress(NotRun):
        if not any(map(trusted.has_signed, kept)):
            path.touch(mode=0o600)
            path.write_text(trusted.source.token(()) + "\n", encoding="ascii")
