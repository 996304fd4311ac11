"""Every defect that credentials can have, and how credentials with just this one are made.

Each is otherwise good, so that nothing else can be the reason for its refusal. Some need no one's key; those that only
an issuer can sign come from a `TokenSource`.
"""

import json
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from api.contract_tests.answers import ACCEPTED, INVALID_REQUEST, INVALID_TOKEN, MISSING, Expected
from api.contract_tests.forging import key_like, mac, segment, sign, unsigned
from api.contract_tests.results import NotRun
from api.contract_tests.sources import TokenSource, read_token
from security.keys import KeyIndex, PublicKey, verify_signature

_HOUR = 3_600  # seconds
_THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"  # RFC 9449, section 6.1
_SECRET_LENGTH = 16  # characters, below which a word may stand in an answer by chance


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request presents: header fields, and what stands in its query."""

    fields: tuple[str, ...] = ()
    query: str | None = None

    @property
    def secrets(self) -> list[str]:
        """What no answer may repeat: the last segments of its tokens, and what is opaque."""
        words = [word for value in (*self.fields, self.query or "") for word in value.split()[1:] or [value]]
        return [last for word in words if len(last := word.rpartition(".")[2]) >= _SECRET_LENGTH]


@dataclass(frozen=True)
class Trust:
    """What the API that is tested trusts.

    Args:
        issuer: The issuer, exact to the character.
        audience: The API's identifier.
        keys: Fetches the issuer's public keys.
        source: Gives tokens that the issuer has signed.
    """

    issuer: str
    audience: str
    keys: Callable[[], KeyIndex]
    source: TokenSource

    @cached_property
    def published(self) -> KeyIndex:
        """The issuer's public keys."""
        return self.keys()

    def has_signed(self, token: str) -> bool:
        """Whether a key that the issuer publishes has signed a token. Checks nothing else."""
        jwt = read_token(token)
        alg = str(jwt.header.get("alg"))
        key = self.published.get((jwt.header.get("kid"), alg))
        return key is not None and verify_signature(alg, key, jwt.signing_input, jwt.signature)


class Material:
    """What credentials for one operation are made from.

    Args:
        trust: What the API trusts.
        scopes: What a token for the operation must grant.
    """

    def __init__(self, trust: Trust, scopes: Sequence[str]) -> None:
        self.trust = trust
        self.scopes = scopes

    def signed(self, *, without: Collection[str] = (), **changes: Any) -> str:
        """A token that the issuer has signed, good but for the changed claims.

        Args:
            without: Scopes that it must not grant.
            changes: Claims in place of good ones.

        Raises:
            NotRun: There is none to be had.
        """
        token = self.trust.source.token(self.scopes, without=without, **changes)
        if not self.trust.has_signed(token):
            raise NotRun("the issuer doesn't publish the key that signed the token any more")
        return token

    @cached_property
    def good(self) -> str:
        """A token without any defect. Raises `NotRun`."""
        return self.signed()

    @cached_property
    def _plausible(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Header and claims of a good token, or what they would look like."""
        try:
            jwt = read_token(self.good)
        except NotRun:
            now = int(time.time())
            times = {"iat": now, "exp": now + _HOUR}
            claims = {"iss": self.trust.issuer, "sub": "auth0|ada", "aud": self.trust.audience, **times}
            (kid, alg), _ = self._published
            return {"alg": alg, "typ": "JWT", "kid": kid}, {**claims, "scope": " ".join(self.scopes)}
        return jwt.header, jwt.claims

    @property
    def public_key(self) -> PublicKey:
        """One of the issuer's public keys."""
        return self._published[1]

    @property
    def _published(self) -> tuple[tuple[str | None, str], PublicKey]:
        for (kid, alg), key in self.trust.published.items():
            if kid is not None:
                return (kid, alg), key
        raise NotRun("the issuer's public keys can't be fetched")

    @property
    def header(self) -> dict[str, Any]:
        """A good token's header."""
        return dict(self._plausible[0])

    @property
    def claims(self) -> dict[str, Any]:
        """A good token's claims."""
        return dict(self._plausible[1])


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


def claim(name: str, **changes: Callable[[], Any]) -> Defect:
    """A token that the issuer has really signed, with a claim that must be refused."""
    made = lambda material: material.signed(**{claim: value() for claim, value in changes.items()})  # noqa: E731
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
