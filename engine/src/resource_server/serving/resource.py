"""The API's metadata as a protected resource, with what its contract says (RFC 9728)."""

import json
from typing import Any

from starlette.responses import Response
from starlette.types import Scope

from resource_server.contract.spec import Contract, base_path, declared_scopes
from resource_server.serving.exchange import Page
from resource_server.tokens.resource import METADATA_HEADERS, ProtectedResource


def resource_metadata(resource: ProtectedResource, contract: Contract, *, swagger_ui: bool) -> dict[str, Any]:
    """The metadata (RFC 9728, section 2)."""
    return resource.metadata(
        resource_name=contract["info"]["title"],
        scopes_supported=declared_scopes(contract),
        resource_documentation=f"{resource.url}{base_path(contract)}/ui/" if swagger_ui else None,
    )


def metadata_pages(resource: ProtectedResource, contract: Contract, *, swagger_ui: bool) -> dict[str, Page]:
    """The pages of the metadata, by their paths.

    Args:
        resource: What the metadata is of. Without a URL there is none.
        contract: What it offers.
        swagger_ui: Whether that is described by Swagger UI.
    """
    text = json.dumps(resource_metadata(resource, contract, swagger_ui=swagger_ui))

    async def page(_: Scope) -> Response:
        return Response(text, 200, METADATA_HEADERS, media_type="application/json")

    return dict.fromkeys(resource.metadata_paths, page)
