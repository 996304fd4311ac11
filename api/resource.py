"""The API as a protected resource, as its challenges and its metadata say (RFC 9728)."""

from api.authorization import ProtectedResource
from api.settings import Settings
from security import Auth0JWTBearerTokenValidator
from security.dpop import PROOF_ALGORITHMS
from security.errors import Protection


def protected_resource(settings: Settings, validator: Auth0JWTBearerTokenValidator) -> ProtectedResource:
    """What all operations of an application have in common."""
    if validator.dpop and settings.base_url:
        schemes = ("DPoP",) if validator.dpop.required else ("Bearer", "DPoP")
    else:
        schemes = ("Bearer",)
    protection = Protection(validator.realm, schemes, tuple(sorted(PROOF_ALGORITHMS)))
    return ProtectedResource(validator, protection, settings.base_url)
