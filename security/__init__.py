"""Who may call: the validator of access tokens, and the function that the contract names for it."""

from functools import cache
from typing import Any

from resource_server import (
    VALIDATOR,
    AccessToken,
    Auth0JWTBearerTokenValidator,
    Settings,
    credentials_of,
    validator_options,
)

__all__ = ["Auth0JWTBearerTokenValidator", "make_validator", "token_info"]


def make_validator(settings: Settings) -> Auth0JWTBearerTokenValidator:
    """The validator of an application: signature by the issuers' keys, expiry, audience, issuer."""
    return Auth0JWTBearerTokenValidator(settings.issuers, settings.audience, **validator_options(settings))


async def token_info(token: str, *, request: Any) -> AccessToken:
    """The claims of an access token: what `x-tokenInfoFunc` in the contract names, called for every request.

    Args:
        token: The access token, as presented.
        request: Connexion's request, whose scope holds the application's validator, and how the token was presented.

    Raises:
        SecurityError: The token is refused. For rules of your own raise `AccessDenied` of `resource_server`.
    """
    validator = request.scope.get(VALIDATOR) or validator_of_environment()
    return await validator.validate(credentials_of(token, request.scope))


@cache
def validator_of_environment() -> Auth0JWTBearerTokenValidator:
    """For an application that `make_app` hasn't made, like a plain `connexion.FlaskApp`."""
    return make_validator(Settings.load())
