"""What a resource server answers when it refuses a request (RFC 6750, section 3; RFC 9110, section 11.6.1).

With proofs also RFC 9449, section 7.1, and for stronger authentication RFC 9470, section 3.

One family of errors. Each is an Authlib `OAuth2Error`, so Authlib's `ResourceProtector` renders it without help, and
Starlette's `HTTPException`, so plain Connexion does, too; each knows its problem document (RFC 9457). Descriptions come
from the catalogue below: never a library's message, never a piece of the token.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Any, ClassVar, NamedTuple

from authlib.oauth2 import OAuth2Error
from starlette.exceptions import HTTPException

from resource_server.tokens.statuses import title

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
    NOT_BOUND = "The access token is bound to no key. Request one with a DPoP proof."
    OTHER_BINDING = (
        "The access token is bound to something else than the key of a DPoP proof, which this API can't check."
    )
    OTHER_KEY = "The access token is bound to another key than that of the DPoP proof."
    NO_CERTIFICATE = "The access token is bound to a client certificate. Send it over mutual TLS with that certificate."
    BAD_CERTIFICATE = (
        "The access token is bound to a client certificate, but the one that came to this API is malformed."
    )
    OTHER_CERTIFICATE = "The access token is bound to another client certificate than that of the TLS connection."
    NO_CERTIFICATE_BINDING = "The access token is bound to no client certificate. Request one over mutual TLS."


class Flaw(StrEnum):
    """Why a DPoP proof is refused. The name is for programs and logs, the value is the `error_description`."""

    MISSING = "The DPoP proof is missing. Send one, made for this request, in the header field DPoP."
    SEVERAL = "There are several DPoP proofs. Send exactly one header field DPoP."
    MALFORMED = "The DPoP proof is not a well-formed JWT."
    TYPE = "The JWT is not a DPoP proof. Its typ must be dpop+jwt."
    ALGORITHM = "The DPoP proof is signed with an algorithm that this API does not accept."
    KEY = "The DPoP proof lacks a public key (jwk) for its algorithm, or has a private one."
    SIGNATURE = "The signature of the DPoP proof is invalid."
    CLAIMS = "The DPoP proof lacks a required claim (jti, htm, htu, iat, ath) or has one of the wrong type."
    METHOD = "The DPoP proof is for another HTTP method (htm)."
    URI = "The DPoP proof is for another URI (htu). Make it for this API's public URL and the path, without the query."
    NONCE = "The DPoP proof needs the nonce from the header field DPoP-Nonce. Make a new one with it."
    TIME = "The DPoP proof was made too long ago, or in the future (iat). Check the clock, make one for each request."
    TOKEN = "The DPoP proof is for another access token (ath)."  # noqa: S105  # it is none
    REPLAYED = "The DPoP proof has been used before. Make a new one for each request, with a new jti."


class Protection(NamedTuple):
    """What challenges say of the protected resource.

    Args:
        realm: The protection space (RFC 9110, section 11.5).
        schemes: Of `Bearer` and `DPoP`, which are spoken.
        algorithms: What proofs may be signed with (RFC 9449, section 7.1).
        metadata: The URL of the resource's metadata (RFC 9728, section 5.1).
    """

    realm: str
    schemes: tuple[str, ...] = ("Bearer",)
    algorithms: tuple[str, ...] = ()
    metadata: str | None = None

    def challenge(self, scheme: str, **parameters: str) -> str:
        """One challenge."""
        if scheme == "DPoP":
            parameters["algs"] = " ".join(self.algorithms)
        if self.metadata:
            parameters["resource_metadata"] = self.metadata
        return f"{scheme} " + ", ".join(f'{name}="{value}"' for name, value in parameters.items())


class SecurityError(HTTPException, OAuth2Error):  # type: ignore[misc]  # Authlib is not typed
    """The request is refused. Subclasses say with which status, challenge and problem code."""

    status_code: int
    """The status of the answer."""
    error: ClassVar[str]
    """The stable code, which is the OAuth error code where there is one."""
    description: str
    """The sentence that says what is wrong, and what to do."""
    scheme = "Bearer"
    """By which the credentials were presented."""
    protection = Protection("")
    """Of what was asked for."""

    def __init__(self, description: str | None = None) -> None:
        OAuth2Error.__init__(self, description=description)

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the challenge."""
        return {"error": self.error}

    @property
    def challenge(self) -> str | None:
        """The value of `WWW-Authenticate`, if the answer carries one; with 401 it names each scheme that is spoken."""
        challenges = [self.protection.challenge(self.scheme, **self.parameters)]
        if self.status_code == HTTPStatus.UNAUTHORIZED:
            others = (scheme for scheme in self.protection.schemes if scheme != self.scheme)
            challenges += (self.protection.challenge(scheme, realm=self.protection.realm) for scheme in others)
        return ", ".join(challenges)

    @property
    def detail(self) -> str:  # type: ignore[override]  # as Starlette's has it
        """The description, for Starlette."""
        return self.description

    @property
    def headers(self) -> dict[str, str]:  # type: ignore[override]
        """The header fields that the answer must carry."""
        challenge = self.challenge
        return {"WWW-Authenticate": challenge} if challenge else {}

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document (RFC 9457), with the stable `code` as an extension member."""
        return {
            "type": "about:blank",
            "title": title(self.status_code),
            "status": self.status_code,
            "detail": self.description,
            "code": self.error,
        }

    def get_headers(self) -> list[tuple[str, str]]:
        """Return all header fields of the answer, content type included."""
        return [("Content-Type", "application/problem+json"), ("Cache-Control", "no-store"), *self.headers.items()]

    def get_body(self) -> list[tuple[str, Any]]:
        """Return the members of the problem document, for Authlib."""
        return list(self.problem.items())


class MissingCredentials(SecurityError):
    """No credentials, or a scheme this API doesn't speak: a challenge without an error code (RFC 6750, section 3.1).

    Args:
        protection: Of what was asked for.
        schemes: The authentication schemes that the operation speaks, of any kind; by default those of the protection.
    """

    status_code = HTTPStatus.UNAUTHORIZED
    error = "missing_credentials"
    description = "This operation needs an access token: send it as 'Authorization: Bearer <token>'."

    def __init__(self, protection: Protection, schemes: Sequence[str] = ()) -> None:
        self.schemes = schemes or protection.schemes
        super().__init__(None if "Bearer" in self.schemes else _ASKS.get(self.schemes[0], _ASKS[""]))
        self.protection = protection

    @property
    def challenge(self) -> str:
        return ", ".join(
            self.protection.challenge(scheme, realm=self.protection.realm)
            if scheme in self.protection.schemes
            else f'{scheme} realm="{self.protection.realm}"'
            for scheme in self.schemes
        )


_ASKS = {
    "DPoP": "This operation needs an access token that is bound to a key: send it as 'Authorization: DPoP <token>', "
    "with a proof in the header field DPoP.",
    "": "This operation needs credentials.",
}


class InvalidRequest(SecurityError):
    """The credentials are not presented as RFC 6750, section 2 says."""

    status_code = HTTPStatus.BAD_REQUEST
    error = "invalid_request"

    def __init__(self, scheme: str = "Bearer") -> None:
        super().__init__(_EXACTLY_ONE[scheme])
        self.scheme = scheme


_EXACTLY_ONE = {
    "Bearer": "Send exactly one access token, in one header field: 'Authorization: Bearer <token>'.",
    "DPoP": "Send exactly one access token, in one header field: 'Authorization: DPoP <token>'.",
}


class DescribedError(SecurityError):
    """One whose challenge says as much as its problem document."""

    @property
    def parameters(self) -> dict[str, str]:
        return {"error": self.error, "error_description": self.description}


class InvalidToken(DescribedError):
    """The access token is not acceptable; `refusal` says why."""

    status_code = HTTPStatus.UNAUTHORIZED
    error = "invalid_token"

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class InvalidProof(DescribedError):
    """The DPoP proof is not acceptable; `refusal` says why (RFC 9449, section 7.1)."""

    status_code = HTTPStatus.UNAUTHORIZED
    error = "invalid_dpop_proof"
    scheme = "DPoP"

    def __init__(self, refusal: Flaw) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class UseNonce(InvalidProof):
    """The DPoP proof lacks a nonce of this server, or has an old one; the answer has one (RFC 9449, section 9)."""

    error = "use_dpop_nonce"

    def __init__(self, nonce: str) -> None:
        super().__init__(Flaw.NONCE)
        self.nonce = nonce

    @property
    def headers(self) -> dict[str, str]:  # type: ignore[override]
        return {**super().headers, "DPoP-Nonce": self.nonce}


class InsufficientScope(SecurityError):
    """The access token is valid but lacks a scope. The challenge names those required, never those it has."""

    status_code = HTTPStatus.FORBIDDEN
    error = "insufficient_scope"

    def __init__(self, required: str) -> None:
        super().__init__(f"The access token lacks a scope that this operation requires: {required}")
        self.required = required

    @property
    def parameters(self) -> dict[str, str]:
        return {"error": self.error, "scope": self.required}


class InsufficientClaims(DescribedError):
    """The access token is valid, but claims of it aren't what the contract requires. Their values aren't told."""

    status_code = HTTPStatus.FORBIDDEN
    error = "insufficient_claims"

    def __init__(self, claims: Sequence[str]) -> None:
        said = ", ".join(claims)
        super().__init__(f"The access token lacks a claim that this operation requires, or has another value: {said}")
        self.claims = claims


class AccessDenied(SecurityError):
    """The access token is valid, but a rule of the API's own refuses it. No challenge: no other scope would help.

    Args:
        reason: From a catalogue of the API's: its name in small letters is the problem's `code`, its value the detail.
    """

    status_code = HTTPStatus.FORBIDDEN
    challenge = None

    def __init__(self, reason: StrEnum) -> None:
        super().__init__(reason.value)
        self.error = reason.name.lower()  # type: ignore[misc]  # the one that has no code of its own


class InsufficientAuthentication(DescribedError):
    """The user has authenticated too weakly or too long ago (RFC 9470, section 3)."""

    status_code = HTTPStatus.UNAUTHORIZED
    error = "insufficient_user_authentication"

    def __init__(self, acr_values: str | None, max_age: int | None) -> None:
        wanted = [f"with one of {acr_values}"] if acr_values else []
        wanted += [f"in the last {max_age} seconds"] if max_age is not None else []
        super().__init__(f"This operation needs a user who has logged in {' and '.join(wanted)}.")
        self.acr_values = acr_values
        self.max_age = max_age

    @property
    def parameters(self) -> dict[str, str]:
        asked = {"acr_values": self.acr_values, "max_age": self.max_age}
        given = {name: str(value) for name, value in asked.items() if value is not None}
        return {**super().parameters, **given}


class Unavailable(SecurityError):
    """It can't be known whether the credentials are good. No challenge: they may be fine."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    challenge = None

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__()
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:  # type: ignore[override]
        return {"Retry-After": str(self.retry_after)}


class IssuerUnavailable(Unavailable):
    """The issuer can't be reached and no usable key is held."""

    error = "issuer_unavailable"
    description = "The access token can't be checked: the authorization server can't be reached. Try again shortly."


class ReplaysUnavailable(Unavailable):
    """It can't be known whether a DPoP proof has been used."""

    error = "replays_unavailable"
    description = "The DPoP proof can't be checked: what has been used can't be looked up. Try again shortly."
