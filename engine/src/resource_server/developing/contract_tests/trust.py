"""What the API that is tested trusts, and the tokens that its issuer has signed."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from resource_server.developing.contract_tests.operations import ANY_CALLER, Caller, Requirements
from resource_server.developing.contract_tests.results import NotRun
from resource_server.developing.contract_tests.sources import MARGIN, TokenSource, read_token
from resource_server.tokens.claims import granted_scopes
from resource_server.tokens.jwt import SignedJWT
from resource_server.tokens.keys import KeyIndex, verify_signature


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What the API that is tested trusts.

    Args:
        issuer: The issuer, exact to the character.
        audience: The API's identifier.
        keys: Fetches the issuer's public keys.
        sources: Where tokens come from, in order.
        signs: Whether the issuer signs whatever it is asked for, so that every row can be run.
        permissions: Whether the claim `permissions` grants scopes, too.
    """

    issuer: str
    audience: str
    keys: Callable[[], KeyIndex]
    sources: Sequence[TokenSource]
    signs: bool
    permissions: bool = False
    secrets: set[str] = field(default_factory=set)
    """Every token that was given out, which no report may show."""

    @cached_property
    def published(self) -> KeyIndex:
        """The issuer's public keys."""
        return self.keys()

    def token(
        self,
        scopes: Collection[str],
        changes: Mapping[str, Any] = MappingProxyType({}),
        *,
        without: Sequence[frozenset[str]] = (),
        caller: Caller = ANY_CALLER,
    ) -> str:
        """A token that the issuer has signed, and which is good but for the changed claims.

        Args:
            scopes: What it grants.
            changes: Claims in place of good ones.
            without: Sets of scopes of which it grants none completely.
            caller: What it says of who calls.

        Raises:
            NotRun: No source has one. A token with another defect, too, would be refused for the wrong reason.
        """
        reasons = []
        for source in self.sources:
            try:
                token = source.token(scopes, changes, caller)
                self.secrets.add(token)
                jwt = read_token(token)
                self._check(jwt, scopes, without, changes)
                _refuse(caller.defects(jwt.claims, changes))
            except NotRun as reason:
                reasons.append(str(reason))
            else:
                return token
        raise NotRun("; ".join(dict.fromkeys(reasons)))

    def granted(self, token: str) -> frozenset[str]:
        """The scopes that a token grants."""
        return self._granted(read_token(token))

    def opens(self, token: str, required: Requirements) -> bool:
        """Whether a token is enough for an operation."""
        granted, claims = self.granted(token), read_token(token).claims
        enough = any(granted >= alternative for alternative in required.alternatives)
        return enough and not any(required.caller.defects(claims, {}))

    def _granted(self, jwt: SignedJWT) -> frozenset[str]:
        return granted_scopes(jwt.claims, "scope", "scp", *(["permissions"] if self.permissions else []))

    def has_signed(self, jwt: SignedJWT) -> bool:
        """Whether a key that the issuer publishes has signed a token. Checks nothing else."""
        alg, kid = jwt.header.get("alg"), jwt.header.get("kid")
        if not isinstance(alg, str) or not isinstance(kid, str | None):
            return False
        key = self.published.get((kid, alg))
        return key is not None and verify_signature(alg, key, jwt.signing_input, jwt.signature)

    def _check(
        self, jwt: SignedJWT, scopes: Collection[str], without: Sequence[frozenset[str]], changes: Mapping[str, Any]
    ) -> None:
        _refuse((*self._claim_defects(jwt.claims, changes), *self._signature_defects(jwt)))
        if "scope" in changes or "aud" in changes:
            return
        if missing := set(scopes) - self._granted(jwt):
            raise NotRun(f"the token that there is doesn't grant {' '.join(sorted(missing))}")
        granted = granted_scopes(jwt.claims, "scope", "scp", "permissions")
        if any(granted >= alternative for alternative in without):
            raise NotRun(f"the token that there is grants {' '.join(sorted(granted))}, whatever is asked for")

    def _claim_defects(self, claims: Mapping[str, Any], changes: Mapping[str, Any]) -> Iterator[str]:
        """Which claims aren't good, or not as bad as they should be."""
        now, aud = time.time(), claims.get("aud", [])
        for_this_api = self.audience in ([aud] if isinstance(aud, str) else aud)
        if "iss" not in changes and claims.get("iss") != self.issuer:
            yield f"is from another issuer than {self.issuer}"
        if for_this_api is ("aud" in changes):
            yield f"is {'also' if for_this_api else 'not'} for the audience {self.audience}"
        exp, nbf = claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(exp, int | float):
            yield "has no expiry"
        elif "exp" in changes and exp + MARGIN > now:
            yield "hasn't expired"
        elif "exp" not in changes and exp <= now:
            yield "has expired"
        if "nbf" not in changes and not (isinstance(nbf, int | float) and nbf <= now):
            yield "isn't valid yet"
        if "cnf" not in changes and "cnf" in claims:
            yield "is bound to a key or certificate"

    def _signature_defects(self, jwt: SignedJWT) -> Iterator[str]:
        alg = jwt.header.get("alg")
        if not self.published:
            yield "can't be checked, because the issuer's public keys can't be fetched"
        elif alg not in {published for _, published in self.published}:
            yield f"is signed with {alg}, for which no key is published or which TOKEN_ALGORITHMS doesn't name"
        elif not self.has_signed(jwt):
            yield "was signed by a key that the issuer doesn't publish, or not any more"


def _refuse(defects: Iterable[str]) -> None:
    for defect in defects:
        raise NotRun(f"the token that there is {defect}")
