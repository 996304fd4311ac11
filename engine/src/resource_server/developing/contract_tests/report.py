"""What a run has found: a table for a person, JUnit's XML and JSON for programs."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import NamedTuple, TextIO
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from resource_server.developing.contract_tests.results import AUTHORIZATION, CONFORMANCE, Result, Verdict

_STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "bold red", Verdict.NOT_RUN: "yellow"}


class _Group(NamedTuple):
    """A line of a table: what its results have in common."""

    name: str
    expected: str


def print_report(console: Console, results: Sequence[Result]) -> None:
    """Print two tables, then what deviates, then what wasn't run and why."""
    authorization = [result for result in results if result.part == AUTHORIZATION]
    conformance = [result for result in results if result.part == CONFORMANCE]
    by_defect = [(_Group(result.check, result.expected), result) for result in authorization]
    console.print(_table("Authorization: credentials", "answer", by_defect))
    by_operation = [(_Group(result.operation, result.expected), result) for result in conformance]
    console.print(_table("Conformance: operation", "", by_operation))
    _print_details(console, "Deviations", [result for result in results if result.verdict is Verdict.FAILED])
    _print_details(console, "Not run", [result for result in results if result.verdict is Verdict.NOT_RUN])
    console.print(_sum(results))


def _table(title: str, expectation: str, grouped: Sequence[tuple[_Group, Result]]) -> Table:
    table = Table(title, expectation, box=None, pad_edge=False, highlight=False)
    for verdict in Verdict:
        table.add_column(str(verdict), no_wrap=True)
    counts = Counter((group, result.verdict) for group, result in grouped)
    for group in dict.fromkeys(group for group, _ in grouped):
        numbers = (_styled(counts[group, verdict], verdict) for verdict in Verdict)
        table.add_row(escape(group.name), escape(group.expected), *numbers)
    return table


def _styled(count: int, verdict: Verdict) -> str:
    return f"[{_STYLES[verdict]}]{count}[/]" if count else ""


def _print_details(console: Console, title: str, results: Sequence[Result]) -> None:
    if not results:
        return
    console.print(f"\n{title}", style="bold")
    alike: dict[tuple[tuple[str, ...], bool], dict[str, list[str]]] = {}
    for result in results:
        operations = alike.setdefault((result.details, result.required), {})
        operations.setdefault(result.operation, []).append(result.check)
    for (details, required), operations in alike.items():
        for detail in details:
            console.print(f"  {detail}", soft_wrap=True, markup=False, highlight=False)
        for operation, checks in operations.items():
            line = f"{operation}: {'; '.join(checks)}{'' if required else '; not required'}"
            console.print(f"    {line}", soft_wrap=True, markup=False, highlight=False, style="dim")


def _sum(results: Iterable[Result]) -> str:
    counts = Counter(result.verdict for result in results)
    return "\n" + ", ".join(f"{_styled(counts[verdict], verdict) or 0} {verdict}" for verdict in Verdict)


def write_json(file: TextIO, url: str, results: Iterable[Result]) -> None:
    """Write the results as JSON: the server's URL, the counts, and every result."""
    listed = [asdict(result) for result in results]
    counts = Counter(result["verdict"] for result in listed)
    report = {"url": url, "counts": {verdict: counts[verdict] for verdict in Verdict}, "results": listed}
    file.write(json.dumps(report, indent=2) + "\n")


def write_junit(file: TextIO, results: Iterable[Result]) -> None:
    """Write the results as JUnit's XML: a suite for each part, a case for each check of an operation."""
    root = ET.Element("testsuites", name="contract")
    parts: dict[str, list[Result]] = {}
    for result in results:
        parts.setdefault(result.part, []).append(result)
    for part, found in parts.items():
        counts = Counter(result.verdict for result in found)
        suite = ET.SubElement(root, "testsuite", name=part, tests=str(len(found)))
        suite.set("failures", str(counts[Verdict.FAILED]))
        suite.set("errors", str(sum(map(_is_left, found))))
        suite.set("skipped", str(counts[Verdict.NOT_RUN] - sum(map(_is_left, found))))
        for result in found:
            case = ET.SubElement(suite, "testcase", classname=result.operation, name=result.check)
            if result.verdict is not Verdict.PASSED:
                tag = "error" if _is_left(result) else "failure" if result.verdict is Verdict.FAILED else "skipped"
                ET.SubElement(case, tag, message="; ".join(result.details)).text = f"expected: {result.expected}"
    ET.indent(root)
    ET.ElementTree(root).write(file, encoding="unicode", xml_declaration=True)


def _is_left(result: Result) -> bool:
    """Whether it is required and wasn't run."""
    return result.required and result.verdict is Verdict.NOT_RUN
