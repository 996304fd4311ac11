"""The resource server: tokens, keys, challenges. It knows neither the application nor its operations."""

from typing import Any

from security.claims import AccessToken
from security.credentials import CREDENTIALS, Credentials
from security.validator import Auth0JWTBearerTokenValidator, require_scopes

__all__ = ["CREDENTIALS", "VALIDATOR", "AccessToken", "Auth0JWTBearerTokenValidator", "require_scopes", "token_info"]

VALIDATOR = "security.validator"
"""Where a request's ASGI scope holds the validator of its application."""


async def token_info(token: str, *, request: Any) -> AccessToken:
    """The claims of an access token: what `x-tokenInfoFunc` in the contract names.

    Stateless: it delegates to the validator of the application that serves the request, which finds there, too, how the
    token was presented, and the proof of a bound one.

    Args:
        token: The access token, as presented.
        request: The Connexion request, whose scope holds the validator.

    Raises:
        SecurityError: The token is refused.
    """
    validator: Auth0JWTBearerTokenValidator = request.scope[VALIDATOR]
    credentials: Credentials | None = request.scope.get(CREDENTIALS)
    return await validator.validate(credentials if credentials and credentials.token == token else token)
