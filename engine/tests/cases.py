"""How many cases are made up for what must hold of any: a few hundred, or what CASES says, as `make proof` does."""

import os

from hypothesis import HealthCheck, settings

THOROUGH = settings(
    max_examples=int(os.environ.get("CASES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
