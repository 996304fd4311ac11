"""Tokens that are bound to a key, with a client that nobody here wrote and every algorithm that it has."""

from tests.nodepeers import node
from tests.processes import api, running
from tests.serving import free_port


def test_every_algorithm_of_a_certified_client_is_taken() -> None:
    port = free_port()
    with running(api("run"), {"PORT": str(port)}) as process:
        process.wait_for("Try")
        url = f"http://127.0.0.1:{port}/api/private-scoped"
        with node("bound.mjs", f"http://127.0.0.1:{port + 1}/", "https://api.example.com", url) as found:
            known = {alg: said for alg, said in found.items() if "UnsupportedOperationError" not in said}
    assert set(known.values()) == {"dpop 200"}
    assert len(known) >= 8
