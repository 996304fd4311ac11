"""The contract as Schemathesis takes it, and good requests made from it."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import httpx
import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import HypothesisException, Unsatisfiable
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

from resource_server.contract.spec import (
    Contract,
    ContractError,
    base_path,
    claim_rules,
    operations,
    parameters,
    scheme_kind,
    security_schemes,
)
from resource_server.tokens.rules import EQUALS_PATH_PARAMETER

TIMEOUT = 10
"""Seconds that an answer may take."""


def load(
    contract: Contract,
    url: str,
    *,
    token: str | None = None,
    credentials: Mapping[str, str] | None = None,
    examples: int = 50,
    seed: int = 0,
    filtered: bool = False,
    read_only: bool = False,
) -> OpenApiSchema:
    """The contract as Schemathesis takes it.

    Args:
        contract: The contract.
        url: Where it is served, without the path of its first server.
        token: What its requests present, but for those that show that credentials matter; without one, none has any.
        credentials: By the security scheme, an API key, or a name and password as `name:password`.
        examples: How many it tries at most for each operation.
        seed: What they are made from.
        filtered: Whether some operations are left out, which sequences of operations might need.
        read_only: Whether methods that the contract doesn't declare are tried only if they are safe.
    """
    settings = {
        "base-url": url.rstrip("/") + base_path(contract),
        "seed": seed,
        "generation": {
            "deterministic": True,
            "database": "none",
            "max-examples": examples,
            "with-security-parameters": token is not None or bool(credentials),
        },
        "checks": {"positive_data_acceptance": {"expected-statuses": _ACCEPTING}},
        "cache": {"enabled": False},
        "request-timeout": TIMEOUT,
        "phases": {
            "stateful": {"enabled": not filtered},
            **({"coverage": {"unexpected-methods": _SAFE}} if read_only else {}),
        },
        **({"headers": {"Authorization": f"Bearer {token}"}} if token else {}),
        **({"auth": {"openapi": _credentials(contract, credentials)}} if credentials else {}),
    }
    return schemathesis.openapi.from_dict(_bearer_view(contract), config=schemathesis.Config.from_dict(settings))


def fixed(contract: Contract) -> Contract:
    """A contract, without references, in which each path parameter that a claim must equal has one value."""
    names: dict[str, set[str]] = {}
    for method, path, operation, _ in operations(contract):
        rules = claim_rules(contract, operation)
        names[f"{method} {path}"] = {rule.value for rule in rules if rule.keyword == EQUALS_PATH_PARAMETER}
    if not any(names.values()):
        return contract
    view = copy.deepcopy(contract)
    for result in load(contract, "http://127.0.0.1").get_all_operations():
        operation = _readable(result)
        if names[operation.label]:
            item = view["paths"][operation.path]
            declared = item[operation.method]
            values = {  # Schemathesis has quoted texts
                name: unquote(value) if isinstance(value, str) else value
                for name, value in _case(operation).path_parameters.items()
            }
            declared["parameters"] = [
                {**each, "schema": {**each["schema"], "enum": [values[each["name"]]]}}
                if each["in"] == "path" and each["name"] in names[operation.label]
                else each
                for each in parameters(view, item, declared)
            ]
    return view


def _readable(result: Any) -> Any:
    """An operation that Schemathesis has read.

    Raises:
        ContractError: It can't.
    """
    if isinstance(result, Err):
        raise ContractError(f"Schemathesis can't read an operation: {result.err()}")
    return result.ok()


def _credentials(contract: Contract, given: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Credentials as Schemathesis takes them."""
    found = {}
    for name, value in given.items():
        username, _, password = value.partition(":")
        basic = scheme_kind(security_schemes(contract)[name]) == "basic"
        found[name] = {"username": username, "password": password} if basic else {"api_key": value}
    return found


# Schemathesis's own, and what a condition leads to that data don't meet. `status_code_conformance` wants each declared.
_ACCEPTING = ["2xx", "3xx", "401", "403", "404", "409", "410", "412", "428", "429", "5xx"]
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
        made_up: Whether input had to be made up for it, which may name something that isn't there.
        responses: What the contract declares for each status.
    """

    case: Case[Any]
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: str | bytes | None
    made_up: bool
    responses: Mapping[str, Any]

    def codes(self, status: int) -> set[str]:
        """The problem codes that the contract names for a status, as examples or in a list."""
        declared = self.responses.get(str(status), {})
        media_types = declared.get("content", {}).values()
        shown = [each.get("example") for each in media_types]
        shown += [each.get("value") for media_type in media_types for each in media_type.get("examples", {}).values()]
        listed = [each.get("schema", {}).get("properties", {}).get("code", {}).get("enum", ()) for each in media_types]
        return {example["code"] for example in shown if isinstance(example, dict) and "code" in example}.union(*listed)

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
    """One request for each operation, by its method and path; from its examples where there are any.

    Args:
        contract: The contract, without references.
        schema: The same, from `load`.

    Raises:
        ContractError: No request can be made up for an operation.
    """
    for result in schema.get_all_operations():
        operation = _readable(result)
        item = contract["paths"][operation.path]
        declared = item[operation.method]
        parameters = [*item.get("parameters", ()), *declared.get("parameters", ())]
        inputs = [each for each in parameters if each.get("required")]
        inputs += declared.get("requestBody", {}).get("content", {}).values()
        case = _case(operation) if inputs else operation.Case()
        yield operation.label, _request(case, declared, made_up=not all(map(_has_example, inputs)))


def _case(operation: Any) -> Case[Any]:
    strategies = [*operation.get_strategies_from_examples(), operation.as_strategy()]
    try:
        case = _simplest(strategies[0])
    except (HypothesisException, Unsatisfiable) as error:
        raise ContractError(f"No request can be made up for {operation.label}: {error}") from error
    for name in ("query", "headers", "cookies"):
        required = {parameter.name.lower() for parameter in getattr(operation, name) if parameter.is_required}
        given = getattr(case, name) or {}
        setattr(case, name, {key: value for key, value in given.items() if key.lower() in required})
    return case


def _has_example(declared: Mapping[str, Any]) -> bool:
    schema = declared.get("schema", {})
    return any("example" in each or "examples" in each for each in (declared, schema)) or "default" in schema


def _request(case: Case[Any], declared: Mapping[str, Any], *, made_up: bool) -> Request:
    parts = case.as_transport_kwargs()
    prepared = requests.Request(**{name: parts[name] for name in _PARTS if name in parts}).prepare()
    headers = [(name, _text(value)) for name, value in prepared.headers.items() if name.lower() not in _SET_BY_CLIENT]
    body: Any = prepared.body  # text or bytes, as files are read already
    responses = declared.get("responses", {})
    return Request(case, str(prepared.method), str(prepared.url), tuple(headers), body, made_up, responses)


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
