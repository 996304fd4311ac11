"""`python -m api doctor`: what is asked for, put together."""

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from resource_server.contract.loading import read_contract
from resource_server.contract.spec import Contract, ContractError
from resource_server.doctor.calling import NothingToCallError, call, difference
from resource_server.doctor.configuration import configuration_findings, read_settings, settings_finding
from resource_server.doctor.findings import Finding, Verdict
from resource_server.doctor.operations import operations_for
from resource_server.doctor.report import Report, as_json, show
from resource_server.doctor.texts import presented_as
from resource_server.doctor.walk import recognized, walk
from resource_server.settings import NO_ISSUER_HERE, Settings, SettingsError

_LONGEST = 1_000_000
"""Characters that are read of what should be a token."""


def examine(
    factory: str,
    token: str | None,
    *,
    environ: Mapping[str, str],
    now: float,
    url: str | None = None,
    spec: Path | None = None,
    proof: str | None = None,
) -> Report:
    """Examine the configuration, or a token, or what an API answers to it.

    Args:
        factory: The function that makes the API, like `api.app:create_app`.
        token: A token, or what somebody takes for one.
        environ: The environment variables.
        now: The time in seconds since the epoch.
        url: Where a running API is.
        spec: The contract, in place of the project's own.
        proof: The DPoP proof that stands beside the token.

    Raises:
        NothingToCallError: The token can't be sent to the URL, or it isn't known which issuer it should be of.
    """
    try:
        settings = read_settings(environ)
    except SettingsError as error:
        return Report([settings_finding(error)], walk=None if token is None else recognized(token))
    specification = spec or settings.specification
    if token is None:
        return Report(list(configuration_findings(factory, replace(settings, specification=specification), now)))
    if not settings.issuers:
        raise NothingToCallError(NO_ISSUER_HERE)
    report = report_on(token, settings, specification, now, proof)
    if url:
        answered = call(url, presented_as(token), read_contract(specification), proof)
        report.findings = [answered, *difference(answered, report.findings), *report.findings]
    return report


def report_on(text: str, settings: Settings, specification: Path, now: float, proof: str | None = None) -> Report:
    """Examine a token. The arguments are those of `walk`, and the contract."""
    walked = walk(text, settings, now, proof)
    report = Report(walked.findings, walk=walked)
    try:
        contract: Contract = read_contract(specification)
    except ContractError as error:
        report.operations = [Finding("contract", Verdict.NOT_CHECKED, str(error))]
        return report
    report.operations = list(operations_for(walked.access_token, contract, settings))
    return report


def _piped() -> str:
    """What stands on standard input, without the line break that ends it."""
    if sys.stdin is None:
        return ""
    return sys.stdin.buffer.read(_LONGEST).decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")


def doctor(
    factory: str,
    token: str | None,
    *,
    url: str | None,
    spec: Path | None,
    environ: Mapping[str, str],
    json_wanted: bool,
    proof: str | None = None,
) -> int:
    """Examine and report; returns the exit code: 0 if nothing has failed, otherwise 1.

    Raises:
        click.UsageError: What is asked for makes no sense.
    """
    if url and token is None:
        raise click.UsageError("--url needs a TOKEN; with - it is read from standard input.")
    text = _piped() if token == "-" else token  # noqa: S105  # it is none
    if proof and not (text and presented_as(text).scheme == "DPoP"):
        raise click.UsageError("--proof goes with a token that is sent as DPoP: write 'DPoP <token>'.")
    try:
        report = examine(factory, text, environ=environ, now=time.time(), url=url, spec=spec, proof=proof)
    except (NothingToCallError, ContractError) as error:
        raise click.UsageError(str(error)) from error
    click.echo(as_json(report)) if json_wanted else show(report)
    return 0 if report.good else 1
