"""Metrics: right across workers, on a port of their own, and none unless they are asked for."""

import re
import signal
import socket

import httpx

from tests.processes import api, running
from tests.serving import free_port, wait_until
from tests.tenant import AUDIENCE, Tenant


def values(text: str, name: str) -> dict[str, float]:
    """The values of a metric, by their labels."""
    return {labels: float(value) for labels, value in re.findall(rf"(?m)^{name}\{{(.*)\}} (\S+)$", text)}


def test_metrics_add_up_over_all_workers() -> None:
    port, metrics_port = free_port(), free_port()
    with Tenant().running() as tenant:
        environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "METRICS_PORT": str(metrics_port)}
        with running(api("serve", "--port", str(port), "--workers", "2"), environ) as process:
            process.wait_for("Started worker-2")
            url, metrics = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}/metrics"
            tokens = tenant.token(), tenant.token(aud="other")
            good, bad = ({"Authorization": f"Bearer {token}"} for token in tokens)
            for _ in range(20):  # each over a connection of its own, so both workers get some
                assert httpx.get(url + "/api/private", headers=good, trust_env=False).status_code == 200
                assert httpx.get(url + "/api/private", headers=bad, trust_env=False).status_code == 401
                httpx.request("DELETE", url + "/nowhere", trust_env=False)
            text = httpx.get(metrics, trust_env=False).text
            private = 'method="GET",operation="api.handlers.private"'
            assert values(text, "api_requests_total") == {
                f'{private},status="200"': 20,
                f'{private},status="401"': 20,
                'method="",operation="",status="404"': 20,
            }
            assert values(text, "api_refusals_total")['cause="audience",code="invalid_token"'] == 20
            assert values(text, "api_request_seconds_count")['operation="api.handlers.private"'] == 40
            assert values(text, "api_key_fetches_total") == {f'issuer="{tenant.url}",outcome="success"': 2}
            assert len(values(text, "api_keys_fetched_timestamp_seconds")) == 1
            assert httpx.get(url + "/metrics", trust_env=False).status_code == 404
            assert process.end(signal.SIGTERM) == 0


def test_age_of_the_keys_is_not_that_of_a_worker_that_has_ended() -> None:
    metrics_port = free_port()
    with Tenant().running() as tenant:
        environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "METRICS_PORT": str(metrics_port)}
        with running(api("serve", "--port", "0"), environ) as process:
            process.wait_for("Started worker-1")
            idle = socket.create_connection(("127.0.0.1", metrics_port))  # keeps nobody from asking
            name, metrics = "api_keys_fetched_timestamp_seconds", f"http://127.0.0.1:{metrics_port}/metrics"
            wait_until(lambda: values(httpx.get(metrics, trust_env=False).text, name))
            (before,) = values(httpx.get(metrics, trust_env=False).text, name).values()
            process.process.send_signal(signal.SIGHUP)
            process.wait_for("replaces it")
            wait_until(lambda: values(httpx.get(metrics, trust_env=False).text, name))
            (after,) = values(httpx.get(metrics, trust_env=False).text, name).values()
            assert after > before
            idle.close()
