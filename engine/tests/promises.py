"""What docs/promises.md promises to keep, one line each: `python -m tests.promises` writes it into promises.txt.

A line that goes away breaks somebody who has relied on it, so it waits for the next major version. New lines are
recorded with the release that has them.
"""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import resource_server
import resource_server.flask
import resource_server.serving
import resource_server.testing
import resource_server.testing.contract
from resource_server.command import cli
from resource_server.contract.checks import OWN
from resource_server.developing.new import cli as makers
from resource_server.serving.health import LIVE, READY
from resource_server.settings import Settings, rows
from tests.processes import DOCS, ENGINE

RECORD = Path(__file__).with_suffix(".txt")
MODULES = (resource_server, resource_server.flask, resource_server.serving, resource_server.testing)
CONTRACT_TESTS = ("breaking_changes", "lint_complaints", "public_operations", "rule_complaints")


def parameters(name: str, function: Any) -> Iterator[str]:
    """Each parameter of a function, and whether a caller must give it."""
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name != "self" and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            by = "by name" if parameter.kind is parameter.KEYWORD_ONLY else "by position"
            needed = "needed" if parameter.default is parameter.empty else "optional"
            yield f"{name}({parameter.name}), {by}, {needed}"


MEMBERS = {
    "AccessToken": {"scopes", "get_scope"},
    "Auth0JWTBearerTokenValidator": {"authenticate_token", "require_authentication", "unready", "validate_token"},
    "Credentials": {"host", "method", "scheme", "token", "url"},
    "FlaskApp": {"add_api", "add_error_handler", "add_url_rule", "make_public", "route", "test_client"},
    "IssuerUnavailable": {"headers", "status_code"},
    "ResourceProtector": {"__call__", "init_app", "protect"},
    "SecurityError": {"challenge", "headers", "problem", "status_code"},
    "Settings": {"from_environ", "load", *(field.name for field in dataclasses.fields(Settings))},
    "TestIssuer": {"token", "url"},
}
"""What may be called and read of the public classes; the rest is the engine's own."""

MADE_ELSEWHERE = ("Client", "FlaskApp")
"""Classes that a person gets: from a fixture, and from `make_app`."""


def names() -> Iterator[str]:
    """The public names of Python."""
    offered = [(module, name) for module in MODULES for name in module.__all__]
    offered += [(resource_server.testing.contract, name) for name in CONTRACT_TESTS]
    for module, name in offered:
        value, told = getattr(module, name), f"{module.__name__}.{name}"
        yield told
        made = (
            isinstance(value, type)
            and name not in MADE_ELSEWHERE
            and inspect.isfunction(inspect.getattr_static(value, "__init__"))
        )
        if made or inspect.isfunction(value):
            yield from parameters(told, value)
        for member in MEMBERS.get(name, ()):
            yield f"{told}.{member}"
            if inspect.isroutine(method := getattr(value, member, None)):
                yield from parameters(f"{told}.{member}", method)


def commands() -> Iterator[str]:
    """The commands, with their options and arguments."""
    for program, group in (("python -m api", cli), ("python -m resource_server", makers)):
        for name, command in group.commands.items():
            yield f"{program} {name}"
            for parameter in command.params:
                options = parameter.opts if isinstance(parameter, click.Option) else [str(parameter.name).upper()]
                yield from (f"{program} {name} {option}" for option in options)


def promises() -> Iterator[str]:
    """Every line."""
    yield from (f"name {name}" for name in names())
    yield from (f"command {command}" for command in commands())
    yield from (f"setting {row.variable}" for row in rows().values())
    yield from (f"extension {name}" for name in OWN)
    codes = re.findall(r"(?m)^### `(\w+)` \((\d{3})\)$", (DOCS / "troubleshooting.md").read_text())
    yield from (f"problem {status} {code}" for code, status in codes)
    yield from (f"field of the log {name}" for name in documented("field of a line"))
    yield from (f"metric {name}" for name in documented("metric"))
    yield from (f"path {path}" for path in (LIVE, READY))
    rules = (ENGINE / "rules.mk").read_text().partition("# The engine's own: ")[0]
    yield from (f"make {target}" for target in re.findall(r"(?m)^([a-z-]+):.* ## ", rules))


def documented(heading: str) -> list[str]:
    """The names in the first cells of a table in the guide to deployment."""
    table = (DOCS / "deploy.md").read_text().partition(f"| {heading} |")[2].partition("\n\n")[0]
    return [name for cell in re.findall(r"(?m)^\| (`.+?`) \|", table) for name in cell.strip("`").split("`, `")]


if __name__ == "__main__":
    RECORD.write_text("".join(f"{line}\n" for line in sorted(set(promises()))))
