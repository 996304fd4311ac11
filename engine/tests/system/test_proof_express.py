"""The attacks with proofs against Auth0's Express sample: where it answers otherwise than we do, a list says why."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.nodepeers import node
from tests.processes import TESTS
from tests.proof_attacks import CASES, Case, Client
from tests.sample import create_app
from tests.serving import free_port
from tests.system.test_express import Answers, answer, lines
from tests.tenant import AUDIENCE, Tenant

LIST = TESTS / "proof_differences.yaml"
GROUPS: list[dict[str, Any]] = yaml.safe_load(LIST.read_text())

LISTED: dict[str, Answers] = {
    name: (group["ours"], group["express"])
    for group in GROUPS
    for name in group["cases"].splitlines()
    if group["cases"] != "*"
}
OTHERS = {(group["ours"], group["express"]) for group in GROUPS if group["cases"] == "*"}
"""What may be answered to any case that isn't listed."""


@pytest.fixture(scope="module")
def express(tenant: Tenant) -> Iterator[str]:
    """The peer, which accepts proofs as it comes."""
    with node("express.mjs", "--issuer", tenant.url, "--audience", AUDIENCE) as peer:
        yield peer["url"]


@pytest.fixture(scope="module")
def answers(express: str, tenant: Tenant) -> dict[str, Answers]:
    """What both answer to every case."""
    port = free_port()
    given = Settings(issuers=(tenant.url,), audience=AUDIENCE, port=port, public_url=f"http://127.0.0.1:{port}")
    with in_background(create_app(given), port) as url:
        ours, theirs = Client(tenant, url), Client(tenant, express)
        return {case.name: (last_answer(ours, case), last_answer(theirs, case)) for case in CASES}


def last_answer(client: Client, case: Case) -> str:
    return [answer(client.url, request) for request in case.make(client)][-1]


def test_every_difference_in_proofs_is_listed(answers: dict[str, Answers]) -> None:
    differences = {name: both for name, both in answers.items() if both[0] != both[1]}
    unlisted = {name: both for name, both in differences.items() if both not in (LISTED.get(name), *OTHERS)}
    assert not unlisted, f"{LIST.name} doesn't list these differences:\n{lines(unlisted)}"


def test_every_listed_difference_in_proofs_exists(answers: dict[str, Answers]) -> None:
    gone = {name: answers.get(name) for name, listed in LISTED.items() if answers.get(name) != listed}
    assert not gone, f"{LIST.name} lists differences that don't exist, or other ones:\n{lines(gone)}"
    assert set(answers.values()) >= OTHERS


def test_every_group_gives_a_reason_and_no_case_is_in_two() -> None:
    for group in GROUPS:
        assert group.keys() == {"reason", "ours", "express", "cases"}
        assert group["reason"].endswith(".")
        assert group["ours"] != group["express"]
    names = Counter(name for group in GROUPS for name in group["cases"].splitlines())
    assert [name for name, times in names.items() if times > 1] == []
