"""Commands that call the API as they stand."""

import shlex
from collections.abc import Mapping


def curl(url: str, headers: Mapping[str, str], method: str = "GET") -> str:
    """A call of an operation, for a shell."""
    asked = {"GET": [], "HEAD": ["--head"]}.get(method, ["-X", method])
    fields = [f'-H "{name}: {value}"' for name, value in headers.items()]
    return " ".join(["curl", *asked, *fields, shlex.quote(url)])
