"""A protected resource: what its challenges say, and where a client learns how to get a token (RFC 9728)."""

from typing import Any, NamedTuple
from urllib.parse import urlsplit

from resource_server.tokens.dpop import PROOF_ALGORITHMS
from resource_server.tokens.errors import Protection
from resource_server.tokens.validator import Auth0JWTBearerTokenValidator

WELL_KNOWN = "/.well-known/oauth-protected-resource"

METADATA_HEADERS = {"Cache-Control": "public, max-age=3600", "Access-Control-Allow-Origin": "*"}
"""The metadata is for everybody, pages of any origin included, and no secret."""

_ALGORITHMS = tuple(sorted(PROOF_ALGORITHMS))


class ProtectedResource(NamedTuple):
    """What all operations of an application have in common.

    Args:
        validator: Validates their tokens.
        protection: What their challenges say.
        url: Where the server is reached from outside, which proofs are compared with.
    """

    validator: Auth0JWTBearerTokenValidator
    protection: Protection
    url: str | None = None

    @property
    def metadata_paths(self) -> tuple[str, ...]:
        """Where its metadata is: at the root, and below that the path of a resource that has one."""
        return tuple(dict.fromkeys((WELL_KNOWN, WELL_KNOWN + urlsplit(self.url).path))) if self.url else ()

    def metadata(self, **members: Any) -> dict[str, Any]:
        """Its metadata (RFC 9728, section 2), with further members; those that are empty are left out."""
        schemes = self.protection.schemes
        proofs = {
            "dpop_signing_alg_values_supported": list(_ALGORITHMS),
            "dpop_bound_access_tokens_required": "Bearer" not in schemes,
        }
        return {
            "resource": self.url,
            **({"authorization_servers": list(self.validator.issuers)} if self.validator.issuers else {}),
            "bearer_methods_supported": ["header"] if "Bearer" in schemes else [],
            **(proofs if "DPoP" in schemes else {}),
            **({"tls_client_certificate_bound_access_tokens": True} if self.validator.mtls else {}),
            **{name: value for name, value in members.items() if value},
        }


def protected_resource(validator: Auth0JWTBearerTokenValidator, url: str | None) -> ProtectedResource:
    """What all operations of an application have in common.

    Args:
        validator: Validates their tokens.
        url: Where the server is reached from outside; without it no proofs are taken, and there is no metadata.
    """
    schemes: tuple[str, ...] = ("Bearer",)
    if validator.dpop and url:
        schemes = ("DPoP",) if validator.dpop.required else ("Bearer", "DPoP")
    metadata = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}{WELL_KNOWN}{urlsplit(url).path}" if url else None
    return ProtectedResource(validator, Protection(validator.realm, schemes, _ALGORITHMS, metadata), url)
