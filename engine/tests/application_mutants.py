"""Changes to what the application does, which contract tests must catch; the check that does stands beside."""

import hmac
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from api import handlers
from resource_server.contract.spec import Contract
from resource_server.serving import authorization, flaskapp, problems, requirements
from resource_server.serving.exchange import Answer, Exchange
from resource_server.tokens import AccessToken, checks, claims, dpop, errors, keys, rules, validator
from resource_server.tokens.credentials import Credentials, presented
from resource_server.tokens.jwt import SignedJWT, header_of

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Mutant:
    """What is changed, the operation and check that catch it, the change, and whether the shop is served.

    The change is of the contract that is served, or of the engine or the handlers.
    """

    what: str
    caught_by: str
    change: Callable[[Patch], object] = lambda _: None
    contract: Callable[[Contract], object] = lambda _: None
    shop: bool = False


PRIVATE, SCOPED = "GET /api/private", "GET /api/private-scoped"
VALIDATOR = validator.Auth0JWTBearerTokenValidator


async def anybody(token: str) -> dict[str, str]:
    return {"sub": token, "scope": "read:messages"}


def private(contract: Contract) -> dict[str, Any]:
    operation: dict[str, Any] = contract["paths"]["/api/private"]["get"]
    return operation


def scoped(contract: Contract, *security: dict[str, list[str]]) -> None:
    contract["paths"]["/api/private-scoped"]["get"]["security"] = list(security)


def scheme(contract: Contract) -> dict[str, Any]:
    declared: dict[str, Any] = contract["components"]["securitySchemes"]["oauth2"]
    return declared


def ask_for_another_scope(contract: Contract) -> None:
    scoped(contract, {"oauth2": ["write:messages"]})
    for flow in scheme(contract)["flows"].values():
        flow["scopes"] = {"write:messages": "Write messages"}


SERVED_CONTRACT = [
    Mutant("security removed from an operation", f"{PRIVATE}: no credentials", contract=lambda c: private(c).update(security=[])),
    Mutant("default security removed", f"{PRIVATE}: no credentials", contract=lambda c: c.pop("security")),
    Mutant("scope removed from an operation", f"{SCOPED}: without read:messages", contract=lambda c: scoped(c, {"oauth2": []})),
    Mutant("another scope asked for", f"{SCOPED}: a good token", contract=ask_for_another_scope),
    Mutant("credentials made optional", f"{SCOPED}: no credentials", contract=lambda c: scoped(c, {"oauth2": ["read:messages"]}, {})),
    Mutant("a validator that accepts anything", f"{PRIVATE}: opaque", contract=lambda c: scheme(c).update({"x-tokenInfoFunc": f"{__name__}.anybody"})),
    Mutant("an operation that isn't served", f"{PRIVATE}: a good token", contract=lambda c: c["paths"].update({"/api/elsewhere": c["paths"].pop("/api/private")})),
]


def without(refusal: errors.Refusal) -> Callable[[Patch], None]:
    """A claim isn't checked."""
    return lambda patch: patch.setattr(claims, "CHECKS", [row for row in claims.CHECKS if row.refusal is not refusal])


def accept(holds: Callable[[SignedJWT, Any, Any], bool]) -> Callable[[Patch], None]:
    """Some tokens are accepted as they stand. Whether one is, is asked with the validator, and what it waits for."""
    check = VALIDATOR._check_token

    def check_token(self: Any, token: str, pending: Any, host: str) -> AccessToken:
        jwt = SignedJWT.parse(token)
        if holds(jwt, self, pending):
            return AccessToken(jwt.claims, claims.granted_scopes(jwt.claims, "scope"))
        return check(self, token, pending, host)

    return lambda patch: patch.setattr(VALIDATOR, "_check_token", check_token)


def unconfirmed(forget: Callable[[Mapping[str, Any]], bool]) -> Callable[[Patch], None]:
    """Some tokens are taken for ones that are bound to nothing."""
    check = VALIDATOR._check_token

    def check_token(self: Any, token: str, pending: Any, host: str) -> AccessToken:
        found = check(self, token, pending, host)
        if forget(found.get("cnf", {})):
            found.pop("cnf", None)
        return found

    return lambda patch: patch.setattr(VALIDATOR, "_check_token", check_token)


class AnyIssuer(dict[str, Any]):
    """The keys of one issuer, for tokens of all."""

    def __contains__(self, _: object) -> bool:
        return True

    def get(self, _: str, __: Any = None) -> Any:
        return next(iter(self.values()))


def trust_any_issuer(patch: Patch) -> None:
    make = VALIDATOR.__init__

    def make_with_any(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self._keys = AnyIssuer(self._keys)

    patch.setattr(VALIDATOR, "__init__", make_with_any)


def verifying(verify: Callable[..., bool], module: Any = validator) -> Callable[[Patch], None]:
    """Signatures are verified otherwise."""
    return lambda patch: patch.setattr(module, "verify_signature", verify)


def signed_with_public_key(jwt: SignedJWT, made: Any, pending: Any) -> bool:
    if jwt.header.get("alg") != "HS256":
        return False
    key = next(iter(made._keys.values())).key(jwt.header.get("kid"), "RS256", pending)
    return hmac.digest(key.as_pem(private=False), jwt.signing_input, "sha256") == jwt.signature


def signed_with_embedded_key(jwt: SignedJWT, _: Any, __: Any) -> bool:
    key = jwt.header.get("jwk")
    return key is not None and verify(jwt.header["alg"], RSAKey.import_key(key), jwt.signing_input, jwt.signature)


verify = keys.verify_signature

TOKEN_CHECKS = [
    Mutant("expiry ignored", f"{PRIVATE}: expired", without(errors.Refusal.EXPIRED)),
    Mutant("audience ignored", f"{PRIVATE}: for another audience", without(errors.Refusal.AUDIENCE)),
    Mutant("not-before ignored", f"{PRIVATE}: not yet valid", without(errors.Refusal.NOT_YET_VALID)),
    Mutant("confirmation ignored", f"{PRIVATE}: bound to a key", unconfirmed(lambda _: True)),
    Mutant("one kind of confirmation ignored", f"{PRIVATE}: bound to a certificate", unconfirmed(lambda cnf: "jkt" not in cnf)),
    Mutant("issuer ignored", f"{PRIVATE}: of another issuer", trust_any_issuer),
    Mutant("signature ignored", f"{PRIVATE}: altered after signing", verifying(lambda *_: True)),
    Mutant("missing signature accepted", f"{PRIVATE}: signature left away", verifying(lambda *signed: not signed[-1] or verify(*signed))),
    Mutant("alg none accepted", f"{PRIVATE}: unsigned, alg none", accept(lambda jwt, *_: jwt.header.get("alg") == "none")),
    Mutant("alg none refused in its usual spelling only", f"{PRIVATE}: unsigned, alg nOnE", accept(lambda jwt, *_: jwt.header.get("alg") != "none" and jwt.header["alg"].lower() == "none")),
    Mutant("HS256 accepted, with the public key", f"{PRIVATE}: HS256 with the public PEM", accept(signed_with_public_key)),
    Mutant("a key in the token's header trusted", f"{PRIVATE}: signed with a key it brings", accept(signed_with_embedded_key)),
    Mutant("every token refused", f"{PRIVATE}: a good token", lambda patch: patch.setattr(claims, "CHECKS", [checks.Check("", (), "", lambda *_: False, errors.Refusal.AUDIENCE)])),
]


def any_one_suffices(token: AccessToken, required: Sequence[str]) -> None:
    if required and token.scopes.isdisjoint(required):
        raise errors.InsufficientScope(" ".join(required))


def swallow(refusal: type[Exception]) -> Callable[[Patch], None]:
    """Refusals of a kind are forgotten."""
    verify_security = requirements.Requirements.verify_security

    def swallowing(self: Any, functions: Any) -> Any:
        verify = verify_security(self, functions)

        async def verify_and_forget(request: Any) -> None:
            try:
                await verify(request)
            except refusal:
                requirements._expose(request, {})

        return verify_and_forget

    return lambda patch: patch.setattr(requirements.Requirements, "verify_security", swallowing)


REQUIREMENTS = [
    Mutant("scopes not required", f"{SCOPED}: without read:messages", lambda patch: patch.setattr(requirements, "require_scopes", lambda *_: None)),
    Mutant("any one of the scopes suffices", "POST /items: without write:items", lambda patch: patch.setattr(requirements, "require_scopes", any_one_suffices), shop=True),
    Mutant("refusals swallowed", f"{PRIVATE}: expired", swallow(errors.SecurityError)),
    Mutant("missing credentials let through", f"{PRIVATE}: no credentials", swallow(requirements.NothingPresented)),
]

def keyword(name: str, holds: Callable[[Any, Any], bool]) -> Callable[[Patch], None]:
    """A keyword of `x-claims` compares otherwise."""
    return lambda patch: patch.setitem(rules.KEYWORDS, name, rules.KEYWORDS[name]._replace(holds=holds))


def of_root_only(contract: Contract, _: object = None) -> tuple[rules.ClaimRule, ...]:
    return tuple(rules.rules_of(contract["x-claims"])) if "x-claims" in contract else ()


CLAIMS_REQUIRED = [
    Mutant("claims not required", "", lambda patch: patch.setattr(authorization, "unmet", lambda *_: [])),
    Mutant("only the whole contract's claims required", "", lambda patch: patch.setattr(flaskapp, "claim_rules", of_root_only)),
    Mutant("claims required though nobody needs a token", "", lambda patch: patch.setattr(authorization, "needs_access_token", lambda *_: True)),
]

CLAIM_RULES = [
    Mutant("claims not required of a path", "", keyword("equalsPathParameter", lambda *_: True)),
    Mutant("true is 1", "", keyword("equals", lambda found, wanted: bool(found == wanted))),
    Mutant("one of by text", "", keyword("oneOf", lambda found, wanted: str(found) in map(str, wanted))),
    Mutant("a text contains", "", keyword("contains", lambda found, wanted: isinstance(found, list | str) and all(each in found for each in map(str, rules.values_of(wanted))))),
    Mutant("some of what a list must contain suffices", "", keyword("contains", lambda found, wanted: isinstance(found, list) and any(rules._is_one_of(each, found) for each in rules.values_of(wanted)))),
    Mutant("one value for a list with one of some", "", keyword("containsOneOf", rules._is_one_of)),
    Mutant("a path's number by its value", "", keyword("equalsPathParameter", lambda found, text: str(found) in (text, f"{text}.0"))),
    Mutant("claims within claims not found", "", lambda patch: patch.setattr(rules, "claim_at", dict.get)),
]
"""Of comparisons alone."""

Presented = Callable[[Sequence[str], bytes, Collection[str]], Credentials | None]


def presenting(find: Presented) -> Callable[[Patch], None]:
    """Tokens are found otherwise."""
    return lambda patch: patch.setattr(authorization, "presented", find)


PRESENTATION = [
    Mutant("another scheme accepted", f"{PRIVATE}: a good token, another scheme", presenting(lambda fields, *rest: presented([re.sub("(?i)^token ", "Bearer ", field) for field in fields], *rest))),
    Mutant("the scheme's letters matter", f"{PRIVATE}: a good token after 'bearer'", presenting(lambda fields, *rest: presented([field for field in fields if field.startswith(("Bearer", "DPoP"))], *rest))),
    Mutant("a token in the query accepted", f"{PRIVATE}: a good token in the query", presenting(lambda fields, query, schemes: Credentials("Bearer", query[13:].decode()) if not fields and query.startswith(b"access_token=") else presented(fields, query, schemes))),
    Mutant("a token in the query overlooked", f"{PRIVATE}: a token in the query, too", presenting(lambda fields, _, schemes: presented(fields, b"", schemes))),
    Mutant("two header fields accepted", f"{PRIVATE}: two header fields", presenting(lambda fields, *rest: presented(fields[:1], *rest))),
]


def status(error: type[errors.SecurityError], code: int) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(error, "status_code", code)


def having(error: type[errors.SecurityError], name: str, value: Callable[[Any], Any]) -> Callable[[Patch], None]:
    """A property of an error is another."""
    return lambda patch: patch.setattr(error, name, property(value))


def echo_scopes(token: AccessToken, required: Sequence[str]) -> None:
    if not token.scopes.issuperset(required):
        raise errors.InsufficientScope(token.get("scope", ""))


def echo_token(patch: Patch) -> None:
    answer = problems.Errors.answer

    async def echo(self: problems.Errors, exchange: Exchange, error: Any) -> Answer:
        answered = await answer(self, exchange, error)
        token = exchange.field(b"authorization") or b""
        body = answered.body.replace(error.description.encode(), token) if hasattr(error, "description") else answered.body
        return with_field(answered._replace(body=body), b"content-length", b"%d" % len(body))

    patch.setattr(problems.Errors, "answer", echo)


def with_field(answered: Answer, name: bytes, value: bytes) -> Answer:
    return answered._replace(fields=[*(field for field in answered.fields if field[0] != name), (name, value)])


def a_problem(**members: Any) -> Callable[[Any], dict[str, Any]]:
    """A problem document with other members; without those that are `None`."""
    problem = errors.SecurityError.problem.fget  # type: ignore[attr-defined]  # a property

    def changed(error: Any) -> dict[str, Any]:
        return {name: value for name, value in (problem(error) | members).items() if value is not None}

    return changed


def without_a_challenge(error: Any) -> dict[str, str]:
    return {"Retry-After": "1"} if error.status_code == 503 else {}


REFUSALS = [
    Mutant("403 for 401", f"{PRIVATE}: expired", status(errors.InvalidToken, 403)),
    Mutant("401 for 403", f"{SCOPED}: without read:messages", status(errors.InsufficientScope, 401)),
    Mutant("401 for 400", f"{PRIVATE}: no token after the scheme", status(errors.InvalidRequest, 401)),
    Mutant("no challenge", f"{PRIVATE}: expired", having(errors.SecurityError, "headers", without_a_challenge)),
    Mutant("no error in the challenge", f"{PRIVATE}: expired", having(errors.DescribedError, "parameters", lambda _: {})),
    Mutant("an error without credentials", f"{PRIVATE}: no credentials", having(errors.MissingCredentials, "challenge", lambda error: error.protection.challenge("Bearer", error="invalid_token"))),
    Mutant("the wrong scope in the challenge", f"{SCOPED}: without read:messages", having(errors.InsufficientScope, "parameters", lambda error: {"error": error.error, "scope": "openid"})),
    Mutant("the token's own scopes echoed", f"{SCOPED}: without read:messages", lambda patch: patch.setattr(requirements, "require_scopes", echo_scopes)),
    Mutant("the token echoed", f"{PRIVATE}: expired", echo_token),
    Mutant("another problem code", f"{PRIVATE}: expired", having(errors.SecurityError, "problem", a_problem(code="unauthorized"))),
]


def fail() -> None:
    raise RuntimeError


def plain_json(patch: Patch) -> None:
    answer = problems.answer
    patch.setattr(problems, "answer", lambda *args: with_field(answer(*args), b"content-type", b"application/json"))


FORMS = [
    Mutant("problems as plain JSON", f"{PRIVATE}: answers to the matrix", plain_json),
    Mutant("a problem without its code", f"{PRIVATE}: response_schema_conformance", having(errors.SecurityError, "problem", a_problem(code=None))),
    Mutant("an undeclared member in an answer", f"{PRIVATE}: response_schema_conformance", lambda patch: patch.setattr(handlers, "private", lambda: {"message": "Hello", "debug": "x"})),
    Mutant("a handler that fails", f"{PRIVATE}: a good token", lambda patch: patch.setattr(handlers, "private", fail)),
]


def own_key(patch: Patch) -> None:
    check = dpop.DPoP.check
    patch.setattr(dpop.DPoP, "check", lambda self, credentials, _: check(self, credentials, dpop.parsed_proof(credentials.proofs)[1].thumbprint))


def parsing(patch: Patch, name: str, parse: Callable[[Any], Any]) -> None:
    """A part of proofs' headers is read otherwise, and none is remembered."""
    patch.setattr(dpop, name, parse)
    patch.setattr(dpop, "_remembered_key", dpop._proof_key)


def any_type(patch: Patch) -> None:
    parsing(patch, "header_of", lambda segment: header_of(segment) | {"typ": "dpop+jwt"})


def private_keys(patch: Patch) -> None:
    public_key, secret = keys.public_key, dpop._PRIVATE
    parsing(patch, "public_key", lambda jwk: public_key({name: value for name, value in jwk.items() if name not in secret}))
    patch.setattr(dpop, "_PRIVATE", frozenset())


def first_of_several(patch: Patch) -> None:
    parsed = dpop.parsed_proof
    patch.setattr(dpop, "parsed_proof", lambda proofs: parsed(proofs[:1]))


Claims = dict[str, Any]


def comparing(change: Callable[[Claims, Credentials, str | None], tuple[Claims, Credentials, str | None]]) -> Callable[[Patch], None]:
    """A proof's claims are compared with something else."""
    check = dpop.DPoP._check_claims
    return lambda patch: patch.setattr(dpop.DPoP, "_check_claims", lambda self, *given: check(self, *change(*given)))


def naming(part: Callable[[list[str]], list[str]]) -> Callable[[Patch], None]:
    """Of URLs a part is compared."""
    return lambda patch: patch.setattr(dpop, "names", lambda htu, url: part(htu.split("/")) == part(url.split("/")))


def refuse_bound(given: claims.Claims, **_: bool) -> claims.Binding:
    if "cnf" in given:
        raise errors.InvalidToken(errors.Refusal.OTHER_BINDING)
    return claims.Binding()


def unbound_with_proof(patch: Patch) -> None:
    check = VALIDATOR._check

    def check_all(self: Any, credentials: Credentials, pending: Any) -> Any:
        found = self._check_token(credentials.token, pending)
        if credentials.scheme == "DPoP" and "cnf" not in found:
            credentials.used.add(b"as if there were one")
            return found, None
        return check(self, credentials, pending)

    patch.setattr(VALIDATOR, "_check", check_all)


def at(moment: Callable[[float, float], float]) -> Callable[[Patch], None]:
    """A proof was made at another moment, which depends on when it was and on the time."""

    def change(claims: Claims, credentials: Credentials, ath: str | None) -> tuple[Claims, Credentials, str | None]:
        return claims | {"iat": moment(claims["iat"], time.time())}, credentials, ath

    return comparing(change)


PROOFS = [
    Mutant("proofs used again", f"{PRIVATE}: a proof that has been used", lambda patch: patch.setattr(dpop.DPoP, "use", lambda *_: None)),
    Mutant("a proof's key not compared", f"{PRIVATE}: a proof with another key", own_key),
    Mutant("a proof's signature ignored", f"{PRIVATE}: a proof signed with another key than its own", verifying(lambda *_: True, dpop)),
    Mutant("a proof's type ignored", f"{PRIVATE}: a proof of another type", any_type),
    Mutant("a private key in a proof accepted", f"{PRIVATE}: a proof with the private key", private_keys),
    Mutant("one of several proofs taken", f"{PRIVATE}: a bound token with two proofs", first_of_several),
    Mutant("a proof's token not compared", f"{PRIVATE}: a proof for another token", comparing(lambda claims, credentials, ath: (claims, credentials, claims.get("ath", ath)))),
    Mutant("a proof for no token accepted", f"{PRIVATE}: a proof for no token", comparing(lambda claims, credentials, ath: (claims, credentials, ath if "ath" in claims else None))),
    Mutant("a proof's method not compared", f"{PRIVATE}: a proof for another method", comparing(lambda claims, credentials, ath: (claims, replace(credentials, method=claims["htm"]), ath))),
    Mutant("a proof's host only compared", f"{PRIVATE}: a proof for another path", naming(lambda parts: parts[2:3])),
    Mutant("a proof's path only compared", f"{PRIVATE}: a proof for another host", naming(lambda parts: parts[3:])),
    Mutant("a proof's age ignored", f"{PRIVATE}: a proof that is too old", at(max)),
    Mutant("a proof's future ignored", f"{PRIVATE}: a proof from the future", at(min)),
    Mutant("bound tokens refused", f"{PRIVATE}: a bound token with its proof", lambda patch: patch.setattr(validator, "bound_to", refuse_bound)),
    Mutant("an unbound token with a proof accepted", f"{PRIVATE}: a token that isn't bound, with a proof", unbound_with_proof),
]

MUTANTS = [*PROOFS, *SERVED_CONTRACT, *TOKEN_CHECKS, *REQUIREMENTS, *PRESENTATION, *REFUSALS, *FORMS]
