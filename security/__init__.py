"""What the contract names: the function that validates access tokens."""

from typing import Any

from resource_server.tokens import CREDENTIALS, VALIDATOR, AccessToken, Auth0JWTBearerTokenValidator, Credentials

__all__ = ["Auth0JWTBearerTokenValidator", "token_info"]


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
