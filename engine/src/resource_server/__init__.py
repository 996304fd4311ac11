"""A resource server of OAuth 2: an API whose contract, routes and authorization policy are one OpenAPI document.

These are the engine's public names, with `main` of `resource_server.command`, what `resource_server.flask`,
`resource_server.serving` and `resource_server.testing` have in their `__all__`, and what
`resource_server.testing.contract` asks of a contract.
Importing this imports neither Connexion nor Flask.
"""

import warnings

from resource_server.settings import Settings, SettingsError, environ
from resource_server.tokens import (
    CREDENTIALS,
    VALIDATOR,
    AccessDenied,
    AccessToken,
    Auth0JWTBearerTokenValidator,
    Credentials,
    DPoP,
    IssuerResolver,
    IssuerUnavailable,
    MutualTLS,
    Nonces,
    SecurityError,
    SQLiteReplayCache,
    credentials_of,
    require_scopes,
)
from resource_server.validating import validator_options

# Connexion imports Starlette's test client, which tells its users to replace httpx. There is nothing that ours can do.
warnings.filterwarnings("ignore", "Using `httpx` with `starlette.testclient`")

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
    "Settings",
    "SettingsError",
    "credentials_of",
    "environ",
    "require_scopes",
    "validator_options",
]
