"""How a text would be sent: as which header field, and whether that is one (RFC 6750, section 2.1)."""

import re
from typing import NamedTuple

from resource_server.doctor.findings import Finding, Verdict
from resource_server.tokens.credentials import presented
from resource_server.tokens.errors import InvalidRequest

_FIELD = re.compile(r"(?:Authorization:\s*)?(Bearer|DPoP)(?::\s*|\s+|$)(.*)", re.IGNORECASE | re.DOTALL)
_SCHEMES = {"bearer": "Bearer", "dpop": "DPoP"}


class Presented(NamedTuple):
    """What follows the scheme, the scheme, and what is to be said of both."""

    token: str
    scheme: str = "Bearer"
    findings: tuple[Finding, ...] = ()


def presented_as(text: str) -> Presented:
    """The header field that a text is, or that it would be sent in; by itself a token is sent as `Bearer`."""
    field = _FIELD.fullmatch(text)
    scheme, token = (_SCHEMES[field[1].lower()], field[2]) if field else ("Bearer", text)
    try:
        credentials = presented([f"{scheme} {token}"], schemes=(scheme,))
    except InvalidRequest as error:
        advice = f"After {scheme} there must be one token, and nothing else: look at what the client sends."
        return Presented(token, scheme, (_finding(Verdict.FAILED, "", error.description, advice),))
    token = credentials.token if credentials else token
    if not field or scheme == "DPoP":  # which has to be said
        return Presented(token, scheme)
    advice = "Give a client that adds Bearer itself the token alone."
    found = _finding(Verdict.WARNING, "it begins with Bearer", "That is all of the header field.", advice)
    return Presented(token, scheme, (found,))


def _finding(verdict: Verdict, found: str, meaning: str, advice: str) -> Finding:
    return Finding("header field", verdict, found, "Authorization: Bearer <token>", meaning, advice)
