"""The benchmark runs, and doesn't time what answers wrongly. How fast anything is, is not tested."""

import dataclasses
import json
import os
import re
import sys
from pathlib import Path

import click
import pytest

from benchmarks.hot import RECORD, bare_flask, hot_functions
from benchmarks.loads import LOADS, Tokens, send, tokens
from benchmarks.servers import SERVERS, environ
from benchmarks.serving import check, serving
from tests.processes import ENGINE, run
from tests.tenant import AUDIENCE, Tenant

SPREAD = {"median", "min", "max"}


@pytest.fixture
def cpus() -> tuple[int, int]:
    """The server's CPU and the load's."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux can give the server and the load a CPU each")
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def test_hot_functions_are_those_recorded_and_do_what_is_timed() -> None:
    """How long they take is compared by `make hot`, on a machine that does nothing else."""
    bare_flask()()
    with hot_functions() as functions:
        assert functions.keys() == json.loads(RECORD.read_text()).keys()
        for function in functions.values():
            function()


@pytest.mark.usefixtures("wrk")
def test_a_run_finds_every_figure_and_only_good_answers(tmp_path: Path, cpus: tuple[int, int]) -> None:
    found, drawn = tmp_path / "results.json", tmp_path / "chart.svg"
    short = ["--rounds", "1", "--seconds", "1", "--warmup", "0", "--tokens", "20"]
    where = ["--server-cpu", str(cpus[0]), "--load-cpu", str(cpus[1]), "--json", str(found), "--chart", str(drawn)]
    only = ["--only", "ours", "--only", "bare-asgi"]
    ended = run([sys.executable, "-m", "benchmarks.throughput", *only, *short, *where], cwd=ENGINE)
    assert ended.returncode == 0, ended.stderr
    results = json.loads(found.read_text())
    assert set(results) == {"machine", "options", "servers"}
    assert list(results["servers"]) == ["ours", "bare-asgi"]
    for server in results["servers"].values():
        assert server["versions"]["python"]
        assert set(server["cold_start_seconds"]) == set(server["memory_mib"]) == SPREAD
        assert list(server["loads"]) == [load.name for load in LOADS]
        for load in server["loads"].values():
            assert load["requests"] > 0
            assert load["not_2xx"] == 0
            assert load["ratio_to_best_peer"] is None
            figures = ("requests_per_second", "p50_ms", "p99_ms", "cpu_us_per_request")
            assert {name: set(load[name]) for name in figures} == dict.fromkeys(figures, SPREAD)
        assert server["title"] in ended.stdout
        assert server["title"] in drawn.read_text()


@pytest.mark.usefixtures("wrk")
@pytest.mark.parametrize("status", [302, 401, 500])
def test_a_load_with_other_answers_than_2xx_fails(status: int, cpus: tuple[int, int]) -> None:
    with Tenant().running() as tenant, tokens(tenant, tenant.url, 1) as known:
        tenant.misbehave = lambda _: (status, {"Location": "/"}, b"")
        with pytest.raises(click.ClickException, match="were not 2xx"):
            send(LOADS[1], tenant.url, known, seconds=1, connections=1, cpu=cpus[1])


def test_a_server_that_lets_anybody_in_is_not_timed(cpus: tuple[int, int]) -> None:
    open_to_all = dataclasses.replace(SERVERS["bare-asgi"], kind="peer")
    known = Tokens(Path(), "good", "bad")
    with (
        serving(open_to_all, cpus[0], environ("http://127.0.0.1/", AUDIENCE)) as (served, _),
        pytest.raises(click.ClickException, match="with 200, not 401"),
    ):
        check(open_to_all, served.url, known.good, known.bad)


@pytest.mark.usefixtures("wrk", "stopped_redis")
def test_requests_with_proofs_are_timed_against_those_with_bearer_tokens() -> None:
    ended = run([sys.executable, "-m", "benchmarks.dpop", "--rounds", "1", "--seconds", "1"], cwd=ENGINE)
    assert ended.returncode == 0, ended.stderr
    found = re.findall(r"Proofs in (.+): [\d,]+ requests/s with .+, [\d,]+ with .+, ratio \d\.\d\d\n", ended.stdout)
    assert found == ["a file", "Redis"]
