"""A contract as it is served: its schemas, compiled, and each of its operations with what belongs to it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from resource_server.contract.schemas import Schemas
from resource_server.contract.spec import (
    Contract,
    follow,
    handler_name,
    operations,
    parameters,
    path_item,
    scheme_kind,
    security_schemes,
)
from resource_server.contract.types import Types


class Declared(NamedTuple):
    """What the contract says of an operation, references followed.

    Args:
        method: In capitals.
        path: Its path template.
        operation: The operation object.
        parameters: Its own, and those of its path.
        body: Of its requests, if it is declared.
        responses: By status, like `200`, `2XX` or `default`.
        security: Its requirements.
        handler: The function that handles it, with its module; nothing, if the contract doesn't say.
    """

    method: str
    path: str
    operation: Mapping[str, Any]
    parameters: list[Mapping[str, Any]]
    body: Mapping[str, Any] | None
    responses: dict[str, Mapping[str, Any]]
    security: list[dict[str, list[str]]]
    handler: str | None

    @property
    def name(self) -> str:
        """As people call it."""
        return f"{self.method} {self.path}"


class Compiled:
    """A contract to be served.

    Args:
        contract: What has been read.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.schemas = Schemas(contract)
        self.types = Types(contract)
        self.schemes = security_schemes(contract)

    def operations(self) -> Iterator[Declared]:
        """Each operation."""
        for method, path, operation, security in operations(self.contract):
            item = path_item(self.contract, path)
            responses = operation.get("responses", {}).items()
            yield Declared(
                method,
                path,
                operation,
                parameters(self.contract, item, operation),
                follow(self.contract, operation.get("requestBody")),
                {status: follow(self.contract, each) for status, each in responses if not status.startswith("x-")},
                security,
                handler_name(self.contract, item, operation, method, path),
            )

    def credentials_in_query(self, security: list[dict[str, list[str]]]) -> list[str]:
        """The names in the query that are credentials."""
        schemes = [self.schemes[name] for requirement in security for name in requirement]
        return [scheme["name"] for scheme in schemes if scheme_kind(scheme) == "apiKey" and scheme["in"] == "query"]
