"""A contract that exists already, with what it must say to be served here."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from resource_server.contract.files import as_yaml, of_yaml
from resource_server.contract.loading import read_contract
from resource_server.contract.spec import TOKEN_KINDS, Contract, follow, operations, scheme_kind, security_schemes

_FUNCTIONS = {
    **dict.fromkeys(TOKEN_KINDS, ("x-tokenInfoFunc", "security.token_info")),
    "bearer": ("x-bearerInfoFunc", "security.token_info"),
    "apiKey": ("x-apikeyInfoFunc", "{keys}.{name}"),
    "basic": ("x-basicInfoFunc", "{keys}.{name}"),
}
"""By the kind of a security scheme, the member that names the function which validates its credentials."""


class Member(NamedTuple):
    """What is added to a contract: to the document itself, or to one of its security schemes."""

    scheme: str | None
    name: str
    value: str


def adopted(source: Path) -> str:
    """The text of a contract, in YAML, that names its functions; what it names already, and its comments, stay.

    Args:
        source: The contract, in YAML or JSON, of one file or several.

    Raises:
        ContractError: It can't be read.
    """
    contract = read_contract(source)
    added = list(missing(contract))
    text = source.read_text(encoding="utf-8-sig")
    if source.suffix != ".json":
        longer = _inserted(text, added)
        if longer is not None and of_yaml(longer) == with_members(contract, added):  # of several files it isn't
            return longer
    return as_yaml(with_members(contract, added))


def missing(contract: Contract, handlers: str = "api.handlers", keys: str = "security.keys") -> Iterator[Member]:
    """What a contract must say, and doesn't.

    Args:
        contract: The contract.
        handlers: The module of the functions, if operationIds don't say it.
        keys: The module of those that validate API keys and passwords.
    """
    named = [operation.get("operationId", "") for _, _, operation, _ in operations(contract)]
    if _CONTROLLER not in contract and not all(name.startswith(_OWN) for name in named):
        yield Member(None, _CONTROLLER, handlers)
    for name, scheme in security_schemes(contract).items():
        member, function = _FUNCTIONS.get(scheme_kind(scheme), ("", ""))
        if member and member not in scheme:
            plain = re.sub(r"\W", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).lower()
            yield Member(name, member, function.format(keys=keys, name=f"_{plain}" if plain[:1].isdigit() else plain))


_CONTROLLER, _OWN = "x-openapi-router-controller", "api."


def with_members(contract: Contract, added: Iterable[Member]) -> Contract:
    """A contract with what has been missing."""
    changed: Contract = json.loads(json.dumps(contract))
    for scheme, name, value in added:
        place = changed if scheme is None else follow(changed, changed["components"]["securitySchemes"][scheme])
        place[name] = value
    return changed


def _inserted(text: str, added: list[Member]) -> str | None:
    """A text of YAML with the members; nothing, if a place for one isn't found."""
    root = yaml.compose(text, yaml.SafeLoader)
    for scheme, name, value in sorted(added, key=lambda each: each.scheme or "", reverse=True):
        place = root if scheme is None else _below(root, "components", "securitySchemes", scheme)
        if not isinstance(place, yaml.MappingNode) or not place.value:
            return None
        written = f"{name}: {value}"
        at = place.value[1 if scheme is None and len(place.value) > 1 else 0][0].start_mark
        between = ", " if place.flow_style else "\n" + " " * at.column
        text = text[: at.index] + written + between + text[at.index :]
        root = yaml.compose(text, yaml.SafeLoader)
    return text


def _below(node: Any, *names: str) -> Any:
    for name in names:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        node = next((value for key, value in pairs if key.value == name), None)
    return node
