"""What the development issuer grants tokens for: client credentials and authorization codes. Binds them to a key."""

from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, grants
from authlib.oauth2.rfc7636 import CodeChallenge

from resource_server.developing.clients import (
    AuthorizationCode,
    Client,
    InvalidTarget,
    User,
    requested_audience,
    requested_claims,
)
from resource_server.tokens.errors import InvalidProof


class InvalidDPoPProof(OAuth2Error):  # type: ignore[misc]  # Authlib is not typed
    """The proof on a request for a token is not acceptable (RFC 9449, section 5)."""

    error = "invalid_dpop_proof"


class _TokenGrant:
    """What the grants have in common; stands before Authlib's among their bases."""

    server: Any
    request: Any
    thumbprint: str | None = None
    """Of the key which the token is to be bound to."""

    def validate_token_request(self) -> None:
        # First: a code is good for one try, and shouldn't be lost for a proof.
        self.thumbprint = self._proven_key()
        super().validate_token_request()  # type: ignore[misc]

    def _proven_key(self) -> str | None:
        field: str | None = self.request.headers.get("DPoP")
        if field is None:
            return None
        try:
            # WSGI has joined several fields with commas, which no JWT has.
            proof = self.server.dpop.check_without_token(
                tuple(field.split(",")), self.request.method, self.server.token_endpoint
            )
            self.server.dpop.use(proof)
        except InvalidProof as error:
            raise InvalidDPoPProof(error.description) from error
        thumbprint: str = proof.thumbprint
        return thumbprint


class ClientCredentials(_TokenGrant, grants.ClientCredentialsGrant):  # type: ignore[misc]
    """Tokens for machines (RFC 6749, section 4.4)."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_post", "client_secret_basic")

    def generate_token(self, scope: str | None = None, **_: Any) -> dict[str, Any]:
        audience, claims = requested_audience(self.request), requested_claims(self.request)
        issued: dict[str, Any] = self.server.issue(
            self.client, audience, scope or "", thumbprint=self.thumbprint, claims=claims
        )
        return issued


class S256(CodeChallenge):  # type: ignore[misc]
    """PKCE (RFC 7636), without the method that protects less."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)


def names_one_audience(grant: Any) -> None:
    """Extends a grant: its authorization request asks for one API at most."""
    grant.register_hook(
        "after_validate_authorization_request_payload", lambda grant, _: requested_audience(grant.request)
    )


def has_a_challenge(grant: Any) -> None:
    """Extends a grant: its authorization request has a challenge of S256 (RFC 7636, section 4.4.1)."""

    def check(grant: Any, _: object) -> None:
        asked = grant.request.payload.data
        if not asked.get("code_challenge") or asked.get("code_challenge_method") != "S256":
            raise InvalidRequestError("code_challenge is missing, or its code_challenge_method isn't S256.")

    grant.register_hook("after_validate_authorization_request_payload", check)


class AuthorizationCodes(_TokenGrant, grants.AuthorizationCodeGrant):  # type: ignore[misc]
    """Tokens for users in a browser (RFC 6749, section 4.1)."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)

    def save_authorization_code(self, code: str, request: Any) -> None:
        codes = self.server.codes
        for old in [old for old, issued in codes.items() if issued.has_expired()]:
            del codes[old]
        codes[code] = AuthorizationCode.from_request(request)

    def query_authorization_code(self, code: str, client: Client) -> AuthorizationCode | None:
        found: AuthorizationCode | None = self.server.codes.pop(code, None)  # good for one try
        return found if found and found.usable_by(client) else None

    def delete_authorization_code(self, authorization_code: AuthorizationCode) -> None:
        """It has been deleted when it was found."""

    def validate_token_request(self) -> None:
        super().validate_token_request()
        code: AuthorizationCode = self.request.authorization_code
        if code.dpop_jkt not in (None, self.thumbprint):
            raise InvalidGrantError("The code is for another key (dpop_jkt) than that of the DPoP proof.")
        if requested_audience(self.request) not in (None, code.audience):
            raise InvalidTarget("The code was asked for with another audience or resource.")

    def authenticate_user(self, authorization_code: AuthorizationCode) -> User:
        return authorization_code.user

    def generate_token(self, user: User, scope: str | None = None, **_: Any) -> dict[str, Any]:
        code: AuthorizationCode = self.request.authorization_code
        issued: dict[str, Any] = self.server.issue(
            self.client, code.audience, scope or "", user=user, thumbprint=self.thumbprint, claims=code.login
        )
        return issued
