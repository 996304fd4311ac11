"""The attacks against Auth0's Express sample: where it answers otherwise than we do, a list says who is right."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.attacks import CASES, Request
from tests.nodepeers import node
from tests.processes import TESTS
from tests.serving import raw_request
from tests.tenant import AUDIENCE, Tenant

LIST = TESTS / "express_differences.yaml"
GROUPS: list[dict[str, Any]] = yaml.safe_load(LIST.read_text())

Answers = tuple[str, str]
"""Ours and Express's to the same case."""

LISTED: dict[str, Answers] = {
    name: (group["ours"], group["express"]) for group in GROUPS for name in group["cases"].splitlines()
}


@pytest.fixture(scope="module")
def express(tenant: Tenant) -> Iterator[str]:
    with node("express.mjs", "--issuer", tenant.url, "--audience", AUDIENCE) as peer:
        yield peer["url"]


@pytest.fixture(scope="module")
def answers(url: str, express: str, tenant: Tenant) -> dict[str, Answers]:
    """What both answer to every case."""
    return {case.name: (answer(url, case.make(tenant)), answer(express, case.make(tenant))) for case in CASES}


def answer(url: str, request: Request) -> str:
    """The status and the error code of the challenge, `-` without one."""
    try:
        response = raw_request(url, request.target, request.headers, request.method)
    except (OSError, ValueError, IndexError):  # no connection, or what came back isn't HTTP
        return "no answer"
    error = re.search(r'\berror="([^"]*)"', response.headers.get("www-authenticate", ""))
    return f"{response.status} {error[1] if error else '-'}"


def lines(found: Mapping[str, Answers | None]) -> str:
    """One line a case, for a failure's message."""
    return "\n".join(
        f"  {name}: " + (f"we answer {both[0]}, Express {both[1]}" if both else "there is no such case")
        for name, both in found.items()
    )


def test_every_difference_from_express_is_listed(answers: dict[str, Answers]) -> None:
    unlisted = {name: both for name, both in answers.items() if both[0] != both[1] and LISTED.get(name) != both}
    assert not unlisted, f"{LIST.name} doesn't list these differences:\n{lines(unlisted)}"


def test_every_listed_difference_from_express_exists(answers: dict[str, Answers]) -> None:
    gone = {name: answers.get(name) for name, listed in LISTED.items() if answers.get(name) != listed}
    assert not gone, f"{LIST.name} lists differences that don't exist, or other ones:\n{lines(gone)}"


def test_every_group_of_differences_gives_a_reason_and_no_case_is_in_two() -> None:
    for group in GROUPS:
        assert group.keys() == {"reason", "ours", "express", "cases"}
        assert group["reason"].endswith(".")
        assert group["ours"] != group["express"]
    names = Counter(name for group in GROUPS for name in group["cases"].splitlines())
    assert [name for name, times in names.items() if times > 1] == []
