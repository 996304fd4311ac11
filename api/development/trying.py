"""Commands that call the API as they stand."""

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from api.contract import Contract, operations


class Try(NamedTuple):
    """An operation to try: its path in the contract, and whether it needs a token."""

    path: str
    protected: bool


def operation_to_try(contract: Contract) -> Try | None:
    """An operation that needs no input and no user, a protected one if there is one."""
    without_input = [
        (bool(security), path)
        for method, path, operation, security in operations(contract)
        if method == "GET"
        and "{" not in path
        and not any(map(_is_required, operation.get("parameters", [])))
        and operation.keys().isdisjoint(("x-acr-values", "x-max-age"))
    ]
    if not without_input:
        return None
    protected, path = max(without_input)
    return Try(path, protected)


def curl(url: str, headers: Mapping[str, str], method: str = "GET") -> str:
    """A call of an operation, for a shell."""
    asked = {"GET": [], "HEAD": ["--head"]}.get(method, ["-X", method])
    fields = [f'-H "{name}: {value}"' for name, value in headers.items()]
    return " ".join(["curl", *asked, *fields, shlex.quote(url)])


def _is_required(parameter: Mapping[str, Any]) -> bool:
    return "$ref" in parameter or bool(parameter.get("required"))
