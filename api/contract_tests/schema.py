"""The contract as Schemathesis takes it, and good requests made from it."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.strategies import SearchStrategy
from schemathesis import Case
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Err
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from api.contract import Contract, ContractError, base_path, operations, scheme_kind


def load(
    contract: Contract,
    url: str,
    *,
    token: str | None = None,
    examples: int = 50,
    seed: int = 0,
    read_only: bool = False,
) -> OpenApiSchema:
    """The contract as Schemathesis takes it.

    Args:
        contract: The contract.
        url: Where it is served, without the path of its first server.
        token: What its requests present, but for those that show that credentials matter; without one, none has any.
        examples: How many it tries at most for each operation.
        seed: What they are made from.
        read_only: Whether methods that the contract doesn't declare are tried only if they are safe.
    """
    settings = {
        "base-url": url.rstrip("/") + base_path(contract),
        "seed": seed,
        "generation": {
            "deterministic": True,
            "database": "none",
            "max-examples": examples,
            "with-security-parameters": token is not None,
        },
        "cache": {"enabled": False},
        **({"phases": {"coverage": {"unexpected-methods": _SAFE}}} if read_only else {}),
        **({"headers": {"Authorization": f"Bearer {token}"}} if token else {}),
    }
    return schemathesis.openapi.from_dict(_bearer_view(contract), config=schemathesis.Config.from_dict(settings))


_SAFE = ["GET", "OPTIONS", "TRACE"]  # RFC 9110, section 9.2.1


def _bearer_view(contract: Contract) -> Contract:
    """The contract with its OAuth2 schemes as plain bearer schemes, whose enforcement Schemathesis does check."""
    view = copy.deepcopy(contract)
    schemes = view.get("components", {}).get("securitySchemes", {})
    changed = {name for name, scheme in schemes.items() if scheme_kind(scheme) in ("oauth2", "openIdConnect")}
    for name in changed:
        schemes[name] = {"type": "http", "scheme": "bearer"}
    for holder in (view, *(operation for _, _, operation, _ in operations(view))):
        for alternative in holder.get("security", ()):
            alternative.update((name, []) for name in changed.intersection(alternative))
    return view


@dataclass(frozen=True)
class Request:
    """A good request to an operation, but for its credentials.

    Args:
        case: What Schemathesis holds answers against.
        method: The HTTP method.
        url: The URL, with its query.
        headers: The header fields that the contract asks for.
        body: The body.
        has_input: Whether something had to be made up for it.
    """

    case: Case[Any]
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: str | bytes | None
    has_input: bool

    def undeclared(self, response: httpx.Response) -> Iterator[Failure]:
        """How an answer differs from those that the contract declares: in status, media type, header fields, schema."""
        try:
            self.case.validate_response(response, checks=_AS_DECLARED)
        except FailureGroup as group:
            yield from group.exceptions


_AS_DECLARED = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def good_requests(contract: Contract, schema: OpenApiSchema) -> Iterator[tuple[str, Request]]:
    """One request for each operation, by its method and path; from its examples where there are any."""
    for result in schema.get_all_operations():
        if isinstance(result, Err):
            raise ContractError(f"Schemathesis can't read an operation: {result.err()}")
        operation = result.ok()
        item = contract["paths"][operation.path]
        declared = (item, item[operation.method])
        has_input = any(part.get("parameters") or part.get("requestBody") for part in declared)
        yield operation.label, _good_request(operation, has_input=has_input)


def _good_request(operation: Any, *, has_input: bool) -> Request:
    strategies = [*operation.get_strategies_from_examples(), operation.as_strategy()] if has_input else []
    case = _simplest(strategies[0]) if strategies else operation.Case()
    parts = case.as_transport_kwargs()
    prepared = requests.Request(**{name: parts[name] for name in _PARTS if name in parts}).prepare()
    headers = [(name, _text(value)) for name, value in prepared.headers.items() if name.lower() not in _SET_BY_CLIENT]
    body: Any = prepared.body  # text or bytes, as files are read already
    return Request(case, str(prepared.method), str(prepared.url), tuple(headers), body, has_input)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


_SET_BY_CLIENT = ("authorization", "content-length", "user-agent", "connection", "x-schemathesis-testcaseid")
_PARTS = ("method", "url", "headers", "params", "cookies", "json", "data", "files")


def _simplest(strategy: SearchStrategy[Case[Any]]) -> Case[Any]:
    """The first case that hypothesis comes up with, which is the simplest."""
    settings = hypothesis.settings(
        database=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    return hypothesis.find(strategy, lambda _: True, settings=settings)
