"""Whom random contracts let in, served by processes of their own, against the oracle of `tests/api/test_oracle.py`."""

import inspect
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.test_oracle import CALLS, CASES, FIXED, contracts, key_info, password_info, presented, seen, sent
from tests.oracle import Presented, outcome
from tests.processes import SAMPLE, api, running
from tests.serving import free_port, wait_until
from tests.tenant import AUDIENCE, Tenant

MODULE = "of_random_contracts"


def random_operations(count: int) -> tuple[dict[str, Any], list[tuple[str, Presented]]]:
    """A contract with the operations of many, each with what its own contract requires of it; and calls of them."""
    together: dict[str, Any] = {"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": {}}
    calls: list[tuple[str, Presented]] = []

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), **FIXED)
    @given(contracts(), st.lists(presented, min_size=CALLS, max_size=CALLS))
    def collect(document: dict[str, Any], who: list[Presented]) -> None:
        paths = together["paths"]
        for path, item in document["paths"].items():
            operation = {"security": document.get("security", []), **item["get"]}
            operation["parameters"] = item.get("parameters", [])
            operation["operationId"] = f"{MODULE}.operation_{len(paths)}"
            paths[f"/{len(paths)}{path}"] = {"get": operation}
        names = list(paths)[-2:]
        calls.extend((names[number % 2], each) for number, each in enumerate(who))
        together["components"] = document["components"]

    collect()
    text = json.dumps(together).replace("tests.api.test_oracle.", f"{MODULE}.")
    document: dict[str, Any] = json.loads(text)
    return document, calls


@pytest.mark.parametrize("command", ["run", "serve"])
def test_process_lets_in_whom_the_oracle_does(tenant: Tenant, tmp_path: Path, command: str) -> None:
    document, calls = random_operations(max(CASES // CALLS // 2, 1))
    spec = tmp_path / "openapi.json"
    spec.write_text(json.dumps(document))
    functions = [f"def operation_{number}(z=None): return {{}}" for number in range(len(document["paths"]))]
    functions += [inspect.getsource(key_info), inspect.getsource(password_info)]
    (tmp_path / f"{MODULE}.py").write_text("\n".join(functions))
    port = free_port()
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "PORT": str(port), "PYTHONPATH": str(tmp_path)}
    with (
        running(api(command, "--spec", str(spec)), environ, SAMPLE) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        process.wait_for("Serving on|Swagger UI", seconds=60)
        wait_until(lambda: client.get("/readyz").status_code == 200, seconds=60)
        for path, who in calls:
            client.cookies.clear()
            answer = client.get(path.replace("{z}", "1"), **sent(who, tenant))
            assert seen(answer.status_code, answer.headers) == outcome(document, "get", path, who, {"z": "1"}), (
                path,
                who,
            )
