"""What has been found, for people and for programs."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from typing import Any

import click

from resource_server.doctor.findings import Finding, Verdict, plain, printable, shown
from resource_server.doctor.walk import Walk


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
