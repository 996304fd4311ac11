"""A walk through all that is checked of an access token."""

from dataclasses import dataclass, field

from resource_server.doctor.actual import Actual
from resource_server.doctor.checks import checks, refused
from resource_server.doctor.closer import Case
from resource_server.doctor.findings import Finding, Verdict
from resource_server.doctor.foreign import Kind
from resource_server.doctor.jwts import kind_of_jwt
from resource_server.doctor.kinds import kind_of
from resource_server.doctor.presenting import Presented, presented_as
from resource_server.settings import Settings
from resource_server.tokens.claims import AccessToken, granted_scopes
from resource_server.tokens.errors import InvalidToken
from resource_server.tokens.jwt import SignedJWT

_UNKNOWN = Kind("unknown", "text of a kind that isn't known")


@dataclass
class Walk:
    """What has been found out about a token.

    Args:
        presented: The text, and how it would be sent.
        kind: What kind of thing it is.
        jwt: The token, or the one that is in the text, if it could be taken apart.
        findings: What has come of each check, in order.
        access_token: What the API's operations would see; nothing if the token is refused.
    """

    presented: Presented
    kind: Kind = _UNKNOWN
    jwt: SignedJWT | None = None
    findings: list[Finding] = field(default_factory=list)
    access_token: AccessToken | None = None

    @property
    def failed(self) -> Finding | None:
        """The first check that has failed: what the API answers with."""
        return next((finding for finding in self.findings if finding.failed), None)

    @property
    def advice(self) -> str:
        """The one thing to do first; empty if nothing is wrong."""
        return (self.kind.advice or self.failed.advice) if self.failed else ""


def walk(text: str, settings: Settings, now: float) -> Walk:
    """Walk through every check. Fetches the issuer's public keys, and sends the token nowhere.

    Args:
        text: What somebody takes for an access token, by itself or with `Bearer` or `DPoP` before it.
        settings: What the API accepts.
        now: The time in seconds since the epoch.
    """
    walked = recognized(text)
    if walked.jwt:
        walked.findings += checks(Case(walked.jwt, settings, now), walked.presented.scheme)
        if not walked.failed:
            names = (*settings.scope_claims, *(("permissions",) if settings.permissions else ()))
            walked.access_token = AccessToken(walked.jwt.claims, granted_scopes(walked.jwt.claims, *names))
    return walked


def recognized(text: str) -> Walk:
    """The first part of a walk, for which no settings are needed: what kind of thing a text is."""
    walked = Walk(presented_as(text))
    token = walked.presented.token
    walked.findings += walked.presented.findings
    if not walked.failed:
        walked.findings.append(_form(token, walked))
    if walked.jwt:
        walked.kind = kind_of_jwt(walked.jwt)
    else:
        walked.kind = kind_of(token) or _UNKNOWN
        walked.jwt = _hidden(walked.kind)
    return walked


def _form(token: str, walked: Walk) -> Finding:
    found = Actual(f"{len(token)} characters, {token.count('.') + 1} parts", "3 parts of base64url")
    try:
        walked.jwt = SignedJWT.parse(token)
    except InvalidToken as error:
        return refused("form", error.refusal, found, None)
    return Finding("form", Verdict.PASSED, *found)


def _hidden(kind: Kind) -> SignedJWT | None:
    """The token that is in something else, so that it can be said whether that would do."""
    try:
        return SignedJWT.parse(kind.inner) if kind.inner else None
    except InvalidToken:
        return None
