"""Access tokens, keys, claims, proofs, challenges. This room knows neither an application nor its operations."""

from resource_server.tokens.certificates import MutualTLS
from resource_server.tokens.claims import AccessToken
from resource_server.tokens.credentials import CREDENTIALS, Credentials, credentials_of
from resource_server.tokens.dpop import DPoP
from resource_server.tokens.errors import AccessDenied, IssuerUnavailable, SecurityError
from resource_server.tokens.issuers import IssuerResolver
from resource_server.tokens.nonces import Nonces
from resource_server.tokens.replays import SQLiteReplayCache
from resource_server.tokens.validator import Auth0JWTBearerTokenValidator, require_scopes

__all__ = [
    "CREDENTIALS",
    "VALIDATOR",
    "AccessDenied",
    "AccessToken",
    "Auth0JWTBearerTokenValidator",
    "Credentials",
    "DPoP",
    "IssuerResolver",
    "IssuerUnavailable",
    "MutualTLS",
    "Nonces",
    "SQLiteReplayCache",
    "SecurityError",
    "credentials_of",
    "require_scopes",
]

VALIDATOR = "resource_server.validator"
"""Where a request's ASGI scope holds the validator of its application."""
