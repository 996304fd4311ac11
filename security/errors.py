"""What a resource server answers when it refuses a request (RFC 6750, section 3; RFC 9110, section 11.6.1).

One family of errors. Each is an Authlib `OAuth2Error`, so Authlib's `ResourceProtector` renders it without help, and
each knows its problem document (RFC 9457). Descriptions come from the catalogue below: never a library's message,
never a piece of the token.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Any, ClassVar

from authlib.oauth2 import OAuth2Error

QUOTABLE = re.compile(r"[ !#-\[\]-~]+")
"""What may stand in a challenge's quoted values (RFC 6750, section 3)."""


class Refusal(StrEnum):
    """Why an access token is refused. The name is for programs and logs, the value is the `error_description`."""

    OVERSIZED = "The access token is longer than this API accepts."
    OPAQUE = "The access token is opaque, not a JWT. Ask for the API's audience when requesting the token."
    ENCRYPTED = "The access token is encrypted (JWE). Have the authorization server issue a signed JWT for this API."
    MALFORMED = "The access token is not a well-formed JWT."
    ALGORITHM = "The access token is signed with an algorithm that this API does not accept."
    CRITICAL = "The access token uses a JWT extension (crit or b64) that this API does not support."
    TYPE = "The JWT is not an access token. Send the access token, not an ID token or another kind of JWT."
    ISSUER = "The access token was issued by another authorization server than this API trusts."
    UNKNOWN_KEY = "The access token is signed with a key that the authorization server does not publish."
    SIGNATURE = "The signature of the access token is invalid."
    CLAIMS = "The access token lacks a required claim or has one of the wrong type."
    AUDIENCE = "The access token was issued for another audience. Ask for this API's audience when requesting it."
    EXPIRED = "The access token has expired. Request a new one."
    NOT_YET_VALID = "The access token is not valid yet. Check the clocks of the authorization server and of this API."
    TOO_OLD = "The access token was issued too long ago. Request a new one."
    NOT_ACCEPTED = "The access token is not accepted by this API."
    SENDER_CONSTRAINED = "The access token is bound to a key or certificate, so it is not accepted as a Bearer token."


class SecurityError(OAuth2Error):  # type: ignore[misc]  # Authlib is not typed
    """The request is refused. Subclasses say with which status, challenge and problem code."""

    status_code: int
    error: ClassVar[str]
    """The stable code: the OAuth error code where there is one."""
    description: str

    @property
    def challenge(self) -> str | None:
        """The value of `WWW-Authenticate`, if the answer carries one."""
        return f'Bearer error="{self.error}"'

    @property
    def headers(self) -> dict[str, str]:
        """The header fields that the answer must carry."""
        return {"WWW-Authenticate": self.challenge} if self.challenge else {}

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document (RFC 9457), with the stable `code` as an extension member."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status_code).phrase,
            "status": self.status_code,
            "detail": self.description,
            "code": self.error,
        }

    def get_headers(self) -> list[tuple[str, str]]:
        """For Authlib: all header fields of the answer, content type included."""
        return [("Content-Type", "application/problem+json"), ("Cache-Control", "no-store"), *self.headers.items()]

    def get_body(self) -> list[tuple[str, Any]]:
        """For Authlib: the members of the body."""
        return list(self.problem.items())


class MissingCredentials(SecurityError):
    """No credentials, or a scheme this API doesn't speak: a challenge without an error code (RFC 6750, section 3.1).

    Args:
        realm: The protection space (RFC 9110, section 11.5).
        schemes: The authentication schemes that the operation speaks.
    """

    status_code = HTTPStatus.UNAUTHORIZED
    error = "missing_credentials"
    description = "This operation needs an access token: send it as 'Authorization: Bearer <token>'."

    def __init__(self, realm: str, schemes: Sequence[str] = ("Bearer",)) -> None:
        super().__init__(description=None if "Bearer" in schemes else "This operation needs credentials.")
        self.realm = realm
        self.schemes = schemes

    @property
    def challenge(self) -> str:
        return ", ".join(f'{scheme} realm="{self.realm}"' for scheme in self.schemes)


class InvalidRequest(SecurityError):
    """The credentials are not presented as RFC 6750, section 2 says."""

    status_code = HTTPStatus.BAD_REQUEST
    error = "invalid_request"
    description = "Send exactly one access token, in one header field: 'Authorization: Bearer <token>'."


class InvalidToken(SecurityError):
    """The access token is not acceptable; `refusal` says why."""

    status_code = HTTPStatus.UNAUTHORIZED
    error = "invalid_token"

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(description=refusal.value)
        self.refusal = refusal

    @property
    def challenge(self) -> str:
        return f'Bearer error="{self.error}", error_description="{self.description}"'


class InsufficientScope(SecurityError):
    """The access token is valid but lacks a scope. The challenge names those required, never those it has."""

    status_code = HTTPStatus.FORBIDDEN
    error = "insufficient_scope"

    def __init__(self, required: str) -> None:
        super().__init__(description=f"The access token lacks a scope that this operation requires: {required}")
        self.required = required

    @property
    def challenge(self) -> str:
        return f'Bearer error="{self.error}", scope="{self.required}"'


class IssuerUnavailable(SecurityError):
    """The issuer can't be reached and no usable key is held. No challenge: the client's token may be fine."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    error = "issuer_unavailable"
    description = "The access token can't be checked: the authorization server can't be reached. Try again shortly."
    challenge = None

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}
