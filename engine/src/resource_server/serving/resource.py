"""The API as a protected resource: what its challenges say, and where a client learns how to get a token (RFC 9728)."""

import json
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from resource_server.contract.spec import Contract, base_path, declared_scopes
from resource_server.serving.authorization import ProtectedResource
from resource_server.serving.edge import own_path
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


class Metadata:
    """Answers `/.well-known/oauth-protected-resource`, and below it the path of a resource that has one.

    Args:
        app: The application.
        resource: What the metadata is of. Without a URL there is none.
        contract: What it offers. Its own paths come first.
        swagger_ui: Whether that is described by Swagger UI.
    """

    def __init__(self, app: ASGIApp, resource: ProtectedResource, contract: Contract, *, swagger_ui: bool) -> None:
        self._app = app
        self._paths: set[str] = set()
        if resource.url:
            own = {base_path(contract) + path for path in contract["paths"]}
            self._paths = {WELL_KNOWN, WELL_KNOWN + urlsplit(resource.url).path} - own
            self._text = json.dumps(resource_metadata(resource, contract, swagger_ui=swagger_ui))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or own_path(scope) not in self._paths:
            await self._app(scope, receive, send)
            return
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        await Response(self._text, 200, _HEADERS, media_type="application/json")(scope, receive, send)


_ALGORITHMS = tuple(sorted(PROOF_ALGORITHMS))
_HEADERS = {"Cache-Control": "public, max-age=3600", "Access-Control-Allow-Origin": "*"}
"""It is for everybody, pages of any origin included, and no secret."""
