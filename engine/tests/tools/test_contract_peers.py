"""Contract tests against implementations that nobody here wrote: their real deviations are named, and no others."""

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from resource_server.developing.issuer import DevelopmentIssuer, serve_in_background
from tests.nodepeers import PEERS, node
from tests.processes import TESTS, api, run, running
from tests.tenant import AUDIENCE

LIST = TESTS / "contract_deviations.yaml"
DEVIATIONS: dict[str, list[dict[str, Any]]] = yaml.safe_load(LIST.read_text())


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        serve_in_background(listener, DevelopmentIssuer(url, lambda: ["read:messages"]))
        yield url


@contextmanager
def quickstart(*arguments: str) -> Iterator[dict[str, str]]:
    with running([sys.executable, str(PEERS / "quickstart.py"), *arguments]) as process:
        yield json.loads(process.wait_for(r"(?m)^(\{.*\})$")[1])


@contextmanager
def express(*arguments: str) -> Iterator[dict[str, str]]:
    with node("express.mjs", *arguments) as peer:
        yield peer


@pytest.mark.parametrize("peer", [quickstart, express])
def test_every_deviation_of_a_peer_is_named(tmp_path: Path, issuer: str, peer: Any) -> None:
    report = tmp_path / "report.json"
    with peer("--issuer", issuer, "--audience", AUDIENCE) as served:
        command = api("contract", "--url", served["url"], "--json", str(report))
        ended = run(command, {"AUTH0_DOMAIN": issuer, "AUTH0_AUDIENCE": AUDIENCE})
    results = json.loads(report.read_text())["results"]
    found = {(detail, each["check"]) for each in results if each["verdict"] == "failed" for detail in each["details"]}
    listed = {(each["deviation"], check) for each in DEVIATIONS[peer.__name__] for check in each["checks"]}
    assert found == listed
    assert ended.returncode == 1
    assert all(detail in ended.stdout for detail, _ in found)
    assert {each["verdict"] for each in results} == {"passed", "failed"}
