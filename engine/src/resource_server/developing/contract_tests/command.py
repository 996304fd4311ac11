"""`python -m api contract`: a run, its progress and its report."""

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import click
import httpx
from hypothesis.configuration import set_hypothesis_home_dir
from rich.console import Console
from rich.markup import escape
from rich.status import Status

from resource_server.contract.loading import read_contract
from resource_server.contract.spec import (
    Contract,
    ContractError,
    declared_scopes,
    inlined,
    scheme_kind,
    security_schemes,
)
from resource_server.developing.contract_tests.conformance import not_tested
from resource_server.developing.contract_tests.matrix import rows
from resource_server.developing.contract_tests.metadata import checked, resource_metadata, takes_proofs
from resource_server.developing.contract_tests.operations import Requirements, requirements
from resource_server.developing.contract_tests.report import print_report, write_json, write_junit
from resource_server.developing.contract_tests.results import NotRun, Progress, Result, exit_code
from resource_server.developing.contract_tests.running import Options, Run
from resource_server.developing.contract_tests.schema import fixed
from resource_server.developing.contract_tests.sources import read_token
from resource_server.developing.contract_tests.target import Target, served_here, trust
from resource_server.developing.contract_tests.trust import Trust
from resource_server.networks import is_local
from resource_server.serving.making import ApplicationError
from resource_server.settings import Settings, bypass_proxies, development_issuer_url, environ, foreign_variables

_INTERRUPTED = 130  # as shells have it


def test(
    factory: str,
    settings: Settings,
    url: str | None,
    *,
    needed: Collection[str],
    exclude: Collection[str],
    read_only: bool,
    keep: Path | None,
    wait: float,
    examples: int,
    seed: int,
    credentials: Collection[str],
    max_time: float | None,
    junit: TextIO | None,
    json_file: TextIO | None,
) -> int:
    """Test the API at a URL, or one served here; returns the exit code. The arguments after these are the options.

    Raises:
        click.ClickException: It can't be tested; the message says what to do.
    """
    console, errors = Console(), Console(stderr=True)
    results: list[Result] = []
    try:
        contract = fixed(inlined(read_contract(settings.specification)))
        tested, left_out = _parted(requirements(contract), exclude, read_only=read_only)
        _check_names(needed, tested)
        given = _given(contract, credentials)
        if url is None:
            _tell_of_writes(errors, tested)
        until = time.monotonic() + (max_time or math.inf)
        results += (not_tested(operation, why, required=False) for operation, why in left_out.items())
        with _server(factory, settings, url) as target, errors.status("") as status, _no_traces():
            at, served, beside = target
            results += (not_tested(route, f"beside the contract. {beside[route]}", required=False) for route in beside)
            progress = _progress(errors, status)
            options = Options(needed=needed, examples=examples, seed=seed, read_only=read_only, progress=progress)
            options = replace(options, credentials=given, until=until)
            kept = _kept(keep) if keep else ()
            trusted = trust(served, environ(), kept=kept, wait=wait, progress=progress)
            metadata = resource_metadata(at)
            results += checked(metadata, at, trusted.issuer, declared_scopes(contract))
            proofs = takes_proofs(metadata, at)
            test_run = Run(contract=contract, url=at, trust=trusted, tested=tested, options=options, proofs=proofs)
            code = _collect(results, test_run.results())
    except (ApplicationError, ContractError) as error:
        raise click.ClickException(str(error)) from error
    print_report(console, results)
    if junit:
        write_junit(junit, results)
    if json_file:
        write_json(json_file, at, results)
    if keep and not trusted.signs:
        _keep(keep, trusted, kept)
    return code


def _collect(results: list[Result], found: Iterator[Result]) -> int:
    """Add what is found, until the end or an interruption; returns the exit code."""
    try:
        results.extend(found)
    except KeyboardInterrupt:
        return _INTERRUPTED
    return exit_code(results)


def _parted(
    required: Mapping[str, Requirements], exclude: Collection[str], *, read_only: bool
) -> tuple[dict[str, Requirements], dict[str, str]]:
    """The operations to test, and those left out, with the reason."""
    if unknown := [operation for operation in exclude if operation not in required]:
        raise click.UsageError(f"--exclude: the contract has no {unknown[0]!r}. It has {', '.join(required)}.")
    left_out = {operation: "left out by --read-only" for operation in required if not operation.startswith("GET ")}
    left_out = (left_out if read_only else {}) | dict.fromkeys(exclude, "left out by --exclude")
    return {operation: each for operation, each in required.items() if operation not in left_out}, left_out


def _tell_of_writes(errors: Console, tested: Collection[str]) -> None:
    """Say which variables from `.env` operations have that may write; the environment's are given for the run."""
    methods = dict.fromkeys(operation.partition(" ")[0] for operation in tested if not operation.startswith("GET "))
    if methods and (variables := foreign_variables()):
        said = f"Requests are real: {', '.join(methods)} may write where .env says, by {', '.join(variables)}. "
        said += f"Name another place, like `{variables[0]}=… make contract`, or leave them out by --read-only."
        errors.print(said, soft_wrap=True, markup=False, highlight=False)


def _given(contract: Contract, credentials: Collection[str]) -> dict[str, str]:
    """The credentials that are given, by their security schemes."""
    known = {name for name, scheme in security_schemes(contract).items() if scheme_kind(scheme) in ("apiKey", "basic")}
    given = dict(each.partition("=")[::2] for each in credentials)
    if unknown := [name for name in given if name not in known]:
        there = f"There are {', '.join(sorted(known))}." if known else "It has none."
        raise click.UsageError(
            f"--credential: {unknown[0]!r} is no scheme of API keys or Basic in the contract. {there}"
        )
    return given


def _check_names(needed: Collection[str], tested: Mapping[str, Requirements]) -> None:
    known = dict.fromkeys(row.defect.name for row in rows(tested, proofs=True))
    if unknown := [name for name in needed if name not in known]:
        raise click.UsageError(f"--require: no row is called {unknown[0]!r}. There are {', '.join(map(repr, known))}.")


@contextlib.contextmanager
def _server(factory: str, settings: Settings, url: str | None) -> Iterator[Target]:
    """What is to be tested; its settings have the issuer that it trusts."""
    if url is None:
        bypass_proxies("127.0.0.1")
        with served_here(factory, settings) as target:
            yield target
        return
    host, port = _address(url)
    if is_local(url):
        bypass_proxies(host)
    if settings.development_issuer:
        if not is_local(url):
            raise click.UsageError(
                "AUTH0_DOMAIN is not set. Set it, and AUTH0_AUDIENCE, to what the API at --url trusts."
            )
        settings = replace(settings, issuers=(development_issuer_url(host, port + 1),))
    try:
        httpx.get(url, trust_env=not is_local(url))
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise click.ClickException(f"{url} doesn't answer: {type(error).__name__}: {error}. Is it running?") from error
    yield Target(url, settings)


def _address(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        host, port = None, 0
    if not host or parts.scheme not in ("http", "https") or "@" in parts.netloc or parts.query or parts.fragment:
        raise click.UsageError(f"--url: {url!r} is no URL like https://api.example.com")
    return host, port


@contextlib.contextmanager
def _no_traces() -> Iterator[None]:
    """Leave nothing in the current directory."""
    with tempfile.TemporaryDirectory() as folder:
        set_hypothesis_home_dir(folder)
        yield


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


def _kept(path: Path) -> Sequence[str]:
    """The tokens of earlier runs. Also creates the file, so that one that can't be written is known at the start."""
    try:
        with open(_private(path, os.O_RDWR), encoding="ascii", errors="replace") as file:
            return file.read().split()
    except OSError as error:
        raise click.UsageError(f"--keep: {path} can't be used: {error.strerror}") from error


def _private(path: Path, flags: int) -> int:
    """Open a file that nobody else may read, and that is no link to another."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def _keep(path: Path, trusted: Trust, kept: Sequence[str]) -> None:
    """Keep a good token for a later run, unless one is kept whose key is still published."""
    for token in kept:
        with contextlib.suppress(NotRun):
            if trusted.has_signed(read_token(token)):
                return
    with contextlib.suppress(NotRun):
        token = trusted.token(())
        with open(_private(path, os.O_WRONLY | os.O_TRUNC), "w", encoding="ascii") as file:
            file.write(f"{token}\n")
