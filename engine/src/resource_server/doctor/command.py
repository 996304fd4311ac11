"""`python -m api doctor`: what is asked for, put together, and shown to people and programs."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from resource_server.contract.loading import read_contract
from resource_server.contract.spec import ContractError
from resource_server.doctor.calling import NothingToCallError, call, difference
from resource_server.doctor.configuration import configuration_findings, settings_finding
from resource_server.doctor.findings import Finding, Verdict, not_checked, plain, printable, shown
from resource_server.doctor.kinds import presented_as
from resource_server.doctor.operations import operations_for
from resource_server.doctor.walk import Walk, recognized, walk
from resource_server.settings import NO_ISSUER_HERE, Settings, SettingsError


@dataclass
class Report:
    """All that is to be said.

    Args:
        findings: What has come of each check.
        operations: What comes of calling each operation; empty if that isn't known.
        walk: The token, if one was given.
    """

    findings: list[Finding] = field(default_factory=list)
    operations: list[Finding] = field(default_factory=list)
    walk: Walk | None = None

    @property
    def good(self) -> bool:
        """Whether nothing has failed; an operation that the token may not call is no failure of it."""
        return not any(finding.failed for finding in self.findings)

    @property
    def advice(self) -> str:
        """What to do first."""
        failed = next((finding for finding in self.findings if finding.failed), None)
        if self.walk and self.walk.failed and failed and failed.meaning == self.walk.failed.meaning:
            return self.walk.advice
        warnings = [finding for finding in self.findings if finding.verdict is Verdict.WARNING]
        others = [finding for finding in warnings if finding.check == "kind"]
        others += [finding for finding in self.operations if finding.failed and finding.advice]
        others += warnings
        first = failed or next(iter(others), None)
        return first.advice if first else ""


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
    try:  # without an issuer as `run` does
        settings = Settings.from_environ(environ, development=not environ.get("AUTH0_DOMAIN"))
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
        report.operations = list(operations_for(walked.access_token, read_contract(specification), settings))
    except ContractError as error:
        report.operations = [not_checked("contract", str(error))]
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


def as_json(report: Report) -> str:
    """The report for programs, in ASCII."""
    walk, token = report.walk, None
    if walk:
        parts = {"header": walk.jwt.header, "claims": walk.jwt.claims} if walk.jwt else {}
        token = {"kind": walk.kind.name, "scheme": walk.presented.scheme, **plain(parts)}
    document: dict[str, Any] = {
        "good": report.good,
        "advice": report.advice,
        "token": token,
        "findings": [asdict(finding) for finding in report.findings],
        "operations": [asdict(finding) for finding in report.operations],
    }
    return json.dumps(document, indent=2).replace("\x7f", "\\u007f")


def show(report: Report) -> None:
    """Print the report for people; with `rich`, if that is installed and this is a terminal, wrapped to its width."""
    text = as_text(report)
    if not sys.stdout.isatty() or find_spec("rich") is None:
        click.echo(text)
        return
    from rich.console import Console
    from rich.text import Text

    Console(highlight=False).print(Text.from_ansi(text))


def as_text(report: Report) -> str:
    """The report for people, with colours, which `click.echo` leaves out where there is no terminal."""
    lines: list[str] = []
    if report.walk:
        lines += _token(report.walk)
    lines += _section("", [finding for finding in report.findings if finding.verdict is not Verdict.NOT_CHECKED])
    lines += _not_checked(report.findings)
    lines += _section("Operations", report.operations)
    ending = printable(report.advice) or ("Nothing is wrong." if report.good else "")
    return "\n".join([*lines, "", click.style(ending, bold=True)])


def _token(walk: Walk) -> Iterator[str]:
    yield f"This is {walk.kind.description}, sent as {walk.presented.scheme}."
    if walk.jwt:
        yield f"Header  {shown(walk.jwt.header)}"
        yield f"Claims  {shown(walk.jwt.claims, 4_000)}"
    yield ""


_MARKS = {
    Verdict.PASSED: ("ok", "green"),
    Verdict.WARNING: ("warning", "yellow"),
    Verdict.FAILED: ("FAILED", "red"),
    Verdict.NOT_CHECKED: ("-", None),
}
_OPERATION_MARKS = {**_MARKS, Verdict.PASSED: ("yes", "green"), Verdict.FAILED: ("no", "red")}


def _section(title: str, findings: Sequence[Finding]) -> Iterator[str]:
    if not findings:
        return
    if title:
        yield f"\n{title}"
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        mark, colour = (_OPERATION_MARKS if title else _MARKS)[finding.verdict]
        said = (_values(finding, every=bool(title)), printable(finding.meaning), printable(finding.advice))
        first, *rest = [text for text in said if text] or [""]
        yield f"{click.style(f'{mark:8}', fg=colour)}{printable(finding.check):{width}}  {first}".rstrip()
        yield from (f"{'':8}{'':{width}}  {text}" for text in rest)


def _values(finding: Finding, *, every: bool) -> str:
    """What there is; and what is expected, where that is of interest."""
    found, expected = printable(finding.found), printable(finding.expected)
    if not expected or (finding.verdict is Verdict.PASSED and finding.check not in _COMPARED and not every):
        return found
    return f"{found}; expected: {expected}" if found else expected


_COMPARED = ("issuer", "audience", "expiry", "start", "age")
"""Checks that show what they compare even when they pass."""


def _not_checked(findings: Sequence[Finding]) -> Iterator[str]:
    """Those that say something get lines of their own; the others share one."""
    unchecked = [finding for finding in findings if finding.verdict is Verdict.NOT_CHECKED]
    yield from _section("", [finding for finding in unchecked if finding.meaning or finding.found])
    silent = ", ".join(finding.check for finding in unchecked if not finding.meaning and not finding.found)
    if silent:
        yield f"{'':8}not checked: {silent}"
