"""The API as a protected resource: what its challenges say, and where a client learns how to get a token (RFC 9728)."""

import json
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import Scope

from resource_server.contract.spec import Contract, base_path, declared_scopes
from resource_server.serving.authorization import ProtectedResource
from resource_server.serving.exchange import Page
from resource_server.settings import Settings
from resource_server.tokens import Auth0JWTBearerTokenValidator
from resource_server.tokens.dpop import PROOF_ALGORITHMS
from resource_server.tokens.errors import Protection

WELL_KNOWN = "/.well-known/oauth-protected-resource"


def protected_resource(settings: Settings, validator: Auth0JWTBearerTokenValidator) -> ProtectedResource:
    """What all operations of an application have in common."""
    url = settings.base_url
    schemes: tuple[str, ...] = ("Bearer",)
    if validator.dpop and url:
        schemes = ("DPoP",) if validator.dpop.required else ("Bearer", "DPoP")
    metadata = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}{WELL_KNOWN}{urlsplit(url).path}" if url else None
    return ProtectedResource(validator, Protection(validator.realm, schemes, _ALGORITHMS, metadata), url)


def resource_metadata(resource: ProtectedResource, contract: Contract, *, swagger_ui: bool) -> dict[str, Any]:
    """The metadata (RFC 9728, section 2)."""
    schemes, scopes = resource.protection.schemes, declared_scopes(contract)
    proofs = {
        "dpop_signing_alg_values_supported": list(_ALGORITHMS),
        "dpop_bound_access_tokens_required": "Bearer" not in schemes,
    }
    return {
        "resource": resource.url,
        "resource_name": contract["info"]["title"],
        "authorization_servers": list(resource.validator.issuers),
        **({"scopes_supported": scopes} if scopes else {}),
        "bearer_methods_supported": ["header"] if "Bearer" in schemes else [],
        **(proofs if "DPoP" in schemes else {}),
        **({"resource_documentation": f"{resource.url}{base_path(contract)}/ui/"} if swagger_ui else {}),
    }


def metadata_pages(resource: ProtectedResource, contract: Contract, *, swagger_ui: bool) -> dict[str, Page]:
    """`/.well-known/oauth-protected-resource`, and below it the path of a resource that has one.

    Args:
        resource: What the metadata is of. Without a URL there is none.
        contract: What it offers.
        swagger_ui: Whether that is described by Swagger UI.
    """
    if not resource.url:
        return {}
    text = json.dumps(resource_metadata(resource, contract, swagger_ui=swagger_ui))

    async def page(_: Scope) -> Response:
        return Response(text, 200, _HEADERS, media_type="application/json")

    return dict.fromkeys((WELL_KNOWN, WELL_KNOWN + urlsplit(resource.url).path), page)


_ALGORITHMS = tuple(sorted(PROOF_ALGORITHMS))
_HEADERS = {"Cache-Control": "public, max-age=3600", "Access-Control-Allow-Origin": "*"}
"""It is for everybody, pages of any origin included, and no secret."""
