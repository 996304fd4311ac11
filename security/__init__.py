"""The resource server: tokens, keys, challenges. It knows neither the application nor its operations."""

from typing import Any

from security.claims import AccessToken
from security.validator import Auth0JWTBearerTokenValidator, require_scopes

__all__ = ["VALIDATOR", "AccessToken", "Auth0JWTBearerTokenValidator", "require_scopes", "token_info"]

VALIDATOR = "security.validator"
"""Where a request's ASGI scope holds the validator of its application."""


async def token_info(token: str, *, request: Any) -> AccessToken:
    """The claims of an access token: what `x-tokenInfoFunc` in the contract names.

    Stateless: it delegates to the validator of the application that serves the request.

    Args:
        token: The access token, as presented.
        request: The Connexion request, whose scope holds the validator.

    Raises:
        SecurityError: The token is refused.
    """
    validator: Auth0JWTBearerTokenValidator = request.scope[VALIDATOR]
    return await validator.validate(token)
