"""Every defect that credentials can have, and how credentials with just this one are made.

Each is otherwise good, so that nothing else can be the reason for its refusal. Some need no one's key; those that only
an issuer can sign come from a `TokenSource`.
"""

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from resource_server.developing.contract_tests.answers import (
    ACCEPTED,
    INVALID_REQUEST,
    INVALID_TOKEN,
    MISSING,
    Expected,
)
from resource_server.developing.contract_tests.forging import key_like, mac, segment, sign, unsigned
from resource_server.developing.contract_tests.material import Credentials, Material
from resource_server.developing.contract_tests.sources import read_token

_HOUR = 3_600  # seconds
_THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"  # RFC 9449, section 6.1


@dataclass(frozen=True, slots=True)
class Defect:
    """One way in which credentials can be bad, or none.

    Args:
        name: What it is called in reports and options.
        expected: What must be answered.
        make: Makes the credentials; raises `NotRun`.
        by_issuer: Whether only the issuer could make them.
    """

    name: str
    expected: Expected
    make: Callable[[Material], Credentials]
    by_issuer: bool = False


def field(*values: str, query: str | None = None) -> Credentials:
    """Credentials in `Authorization`, one field for each value."""
    return Credentials(values, query)


def token(name: str, make: Callable[[Material], str], *, by_issuer: bool = False) -> Defect:
    """A token that is well presented and must be refused."""
    return Defect(name, INVALID_TOKEN, lambda material: field(f"Bearer {make(material)}"), by_issuer=by_issuer)


def claim(name: str, /, **changes: Callable[[], Any]) -> Defect:
    """A token that the issuer has really signed, with a claim that must be refused."""
    made = lambda material: material.signed({claim: value() for claim, value in changes.items()})  # noqa: E731
    return token(name, made, by_issuer=True)


def _foreign(material: Material, **header: Any) -> str:
    """The good token's claims, signed by a key that isn't the issuer's."""
    members = material.header
    key = key_like(members["alg"])
    if header.pop("embedded", False):
        header["jwk"] = key.as_dict(private=False)
    return sign({**members, **header}, material.claims, key, members["alg"])


def _public_pem(material: Material) -> bytes:
    return material.public_key.as_pem(private=False)


def _public_jwk(material: Material) -> bytes:
    return json.dumps(material.public_key.as_dict(private=False)).encode()


def _altered(material: Material) -> str:
    """The good token with another subject under its signature."""
    head, _, signature = material.good.split(".")
    return f"{head}.{segment({**read_token(material.good).claims, 'sub': 'auth0|eve'})}.{signature}"


NONE = Defect("no credentials", MISSING, lambda _: Credentials())
GOOD = Defect("a good token", ACCEPTED, lambda material: field(f"Bearer {material.good}"))
EXPIRED = claim("expired", exp=lambda: int(time.time()) - _HOUR)

DEFECTS = (
    NONE,
    GOOD,
    Defect("a good token after 'bearer'", ACCEPTED, lambda m: field(f"bearer {m.good}")),
    Defect("another scheme", MISSING, lambda _: field("Basic YWRhOmFkYQ==")),
    Defect("a good token, another scheme", MISSING, lambda m: field(f"Token {m.good}")),
    Defect("a good token in the query", MISSING, lambda m: Credentials((), m.good)),
    Defect("no token after the scheme", INVALID_REQUEST, lambda _: field("Bearer")),
    Defect("two words after the scheme", INVALID_REQUEST, lambda m: field(f"Bearer {m.good} {m.good}")),
    Defect("two header fields", INVALID_REQUEST, lambda m: field(f"Bearer {m.good}", f"Bearer {m.good}")),
    Defect("a token in the query, too", INVALID_REQUEST, lambda m: field(f"Bearer {m.good}", query=m.good)),
    token("opaque", lambda _: secrets.token_urlsafe(24)),
    token("malformed", lambda _: "not.a.token"),
    token("unsigned, alg none", lambda m: unsigned({**m.header, "alg": "none"}, m.claims)),
    token("unsigned, alg nOnE", lambda m: unsigned({**m.header, "alg": "nOnE"}, m.claims)),
    token("signature left away", lambda m: unsigned(m.header, m.claims)),
    token("HS256 with the public PEM", lambda m: mac({**m.header, "alg": "HS256"}, m.claims, _public_pem(m))),
    token("HS256 with an empty secret", lambda m: mac({**m.header, "alg": "HS256"}, m.claims, b"")),
    token("HS256 with the public JWK", lambda m: mac({**m.header, "alg": "HS256"}, m.claims, _public_jwk(m))),
    token("signed with a foreign key", _foreign),
    token("signed with an unknown key", lambda m: _foreign(m, kid=secrets.token_urlsafe(8))),
    token("signed with a key it brings", lambda m: _foreign(m, embedded=True)),
    token("altered after signing", _altered),
    EXPIRED,
    claim("not yet valid", nbf=lambda: int(time.time()) + _HOUR),
    claim("of another issuer", iss=lambda: "https://another-issuer.example.com/"),
    claim("for another audience", aud=lambda: "https://another-api.example.com"),
    claim("bound to a key", cnf=lambda: {"jkt": _THUMBPRINT}),
    claim("bound to a certificate", cnf=lambda: {"x5t#S256": _THUMBPRINT}),
)
"""What is tried at each protected operation; the scopes that it requires come on top."""
