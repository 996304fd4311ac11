"""Changes to the application, made to its text, which contract tests must catch; the check that does stands beside."""

from dataclasses import dataclass

Edit = tuple[str, str, str]
"""A file, what stands there once, and what stands there instead."""


@dataclass(frozen=True)
class Mutant:
    """A change to the application, the operation and check that catch it, and whether the shop is served."""

    what: str
    caught_by: str
    edits: tuple[Edit, ...]
    shop: bool = False


def mutant(what: str, caught_by: str, *edit: str, also: tuple[Edit, ...] = (), shop: bool = False) -> Mutant:
    file, old, new = edit
    return Mutant(what, caught_by, ((file, old, new), *also), shop)


PRIVATE, SCOPED = "GET /api/private", "GET /api/private-scoped"
SPEC, HANDLERS, COMBINING, PROBLEMS = "openapi.yaml", "api/handlers.py", "api/requirements.py", "api/problems.py"
CREDENTIALS, CLAIMS, ERRORS, VALIDATOR = "engine/src/resource_server/tokens/credentials.py", "engine/src/resource_server/tokens/claims.py", "engine/src/resource_server/tokens/errors.py", "engine/src/resource_server/tokens/validator.py"
DPOP, URIS = "engine/src/resource_server/tokens/dpop.py", "engine/src/resource_server/tokens/uris.py"

SCOPE = '- oauth2: ["read:messages"]'
LAST_HANDLER = '"to see this."\n    }\n'
ANYBODY = '''

async def anybody(token: str) -> dict[str, str]:
    return {"sub": token, "scope": "read:messages"}
'''
ALGORITHM = "        check_header(jwt.header, self.algorithms)\n"
SIGNATURE = "        if not verify_signature(alg, key, jwt.signing_input, jwt.signature):\n"
ACCEPT = '            return AccessToken(jwt.claims, granted_scopes(jwt.claims, "scope"))\n'
HS256 = '''        if jwt.header.get("alg") == "HS256":
            import hmac
            key = next(iter(self._keys.values())).key(jwt.header.get("kid"), "RS256", pending)
            if hmac.digest(key.as_pem(private=False), jwt.signing_input, "sha256") == jwt.signature:
                return AccessToken(jwt.claims, granted_scopes(jwt.claims, "scope"))
'''
EMBEDDED = '''        if "jwk" in jwt.header:
            from joserfc.jwk import RSAKey
            key = RSAKey.import_key(jwt.header["jwk"])
'''
IN_QUERY = '''    if not authorization and query_string.startswith(b"access_token="):
        return Credentials("Bearer", query_string[13:].decode())
'''
CHALLENGE = '        return {"error": self.error, "error_description": self.description}\n'

SERVED_CONTRACT = [
    mutant("security removed from an operation", f"{PRIVATE}: no credentials", SPEC, "      operationId: api.handlers.private\n", "      operationId: api.handlers.private\n      security: []\n"),
    mutant("default security removed", f"{PRIVATE}: no credentials", SPEC, "security:\n  - oauth2: []\n\npaths", "paths"),
    mutant("scope removed from an operation", f"{SCOPED}: without read:messages", SPEC, SCOPE, "- oauth2: []"),
    mutant("another scope asked for", f"{SCOPED}: a good token", SPEC, SCOPE, '- oauth2: ["write:messages"]', also=((SPEC, '"read:messages": Read', '"write:messages": Write'),)),
    mutant("credentials made optional", f"{SCOPED}: no credentials", SPEC, SCOPE, f"{SCOPE}\n        - {{}}"),
    mutant("a validator that accepts anything", f"{PRIVATE}: opaque", SPEC, "security.token_info", "api.handlers.anybody", also=((HANDLERS, LAST_HANDLER, LAST_HANDLER + ANYBODY),)),
    mutant("an operation that isn't served", f"{PRIVATE}: a good token", SPEC, "  /api/private:\n", "  /api/elsewhere:\n"),
]

TOKEN_CHECKS = [
    mutant("expiry ignored", f"{PRIVATE}: expired", CLAIMS, "    (_not_expired, Refusal.EXPIRED),\n", ""),
    mutant("audience ignored", f"{PRIVATE}: for another audience", CLAIMS, "    (_audience, Refusal.AUDIENCE),\n", ""),
    mutant("not-before ignored", f"{PRIVATE}: not yet valid", CLAIMS, "    (_begun, Refusal.NOT_YET_VALID),\n", ""),
    mutant("confirmation ignored", f"{PRIVATE}: bound to a key", VALIDATOR, 'if "cnf" in access_token:', "if False:"),
    mutant("one kind of confirmation ignored", f"{PRIVATE}: bound to a certificate", VALIDATOR, 'if "cnf" in access_token:', 'if "jkt" in access_token.get("cnf", {}):'),
    mutant("issuer ignored", f"{PRIVATE}: of another issuer", VALIDATOR, "if not isinstance(issuer, str) or issuer not in self._keys:", "if not issuer:", also=((VALIDATOR, "self._keys[issuer].key", "next(iter(self._keys.values())).key"),)),
    mutant("signature ignored", f"{PRIVATE}: altered after signing", VALIDATOR, SIGNATURE, "        if False:\n"),
    mutant("missing signature accepted", f"{PRIVATE}: signature left away", VALIDATOR, SIGNATURE, SIGNATURE.replace("if not", "if jwt.signature and not")),
    mutant("alg none accepted", f"{PRIVATE}: unsigned, alg none", VALIDATOR, ALGORITHM, '        if jwt.header.get("alg") == "none":\n' + ACCEPT + ALGORITHM),
    mutant("alg none refused in its usual spelling only", f"{PRIVATE}: unsigned, alg nOnE", VALIDATOR, ALGORITHM, '        if jwt.header.get("alg") != "none" and jwt.header["alg"].lower() == "none":\n' + ACCEPT + ALGORITHM),
    mutant("HS256 accepted, with the public key", f"{PRIVATE}: HS256 with the public PEM", VALIDATOR, ALGORITHM, HS256 + ALGORITHM),
    mutant("a key in the token's header trusted", f"{PRIVATE}: signed with a key it brings", VALIDATOR, SIGNATURE, EMBEDDED + SIGNATURE),
    mutant("every token refused", f"{PRIVATE}: a good token", CLAIMS, '    aud = claims.get("aud", [])\n', "    aud: list[str] = []\n"),
]

REQUIREMENTS = [
    mutant("scopes not required", f"{SCOPED}: without read:messages", COMBINING, "            require_scopes(claims, required_scopes)\n", ""),
    mutant("any one of the scopes suffices", "POST /items: without write:items", VALIDATOR, "if not token.scopes.issuperset(required):", "if required and token.scopes.isdisjoint(required):", shop=True),
    mutant("refusals swallowed", f"{PRIVATE}: expired", COMBINING, "                raise min(refusals, key=_precedence)\n", "                _expose(request, {})\n                return\n"),
    mutant("missing credentials let through", f"{PRIVATE}: no credentials", COMBINING, "            if not optional:\n", "            if False:\n"),
]

PRESENTATION = [
    mutant("another scheme accepted", f"{PRIVATE}: a good token, another scheme", CREDENTIALS, '{"bearer": "Bearer", ', '{"bearer": "Bearer", "token": "Bearer", ', also=((CREDENTIALS, "credentials[len(scheme) :].lstrip", "credentials[len(named[0]) :].lstrip"), (CREDENTIALS, "credentials[len(scheme) : len(scheme) + 1]", "credentials[len(named[0]) : len(named[0]) + 1]"))),
    mutant("the scheme's letters matter", f"{PRIVATE}: a good token after 'bearer'", CREDENTIALS, "named[0].lower()", '{"Bearer": "bearer", "DPoP": "dpop"}.get(named[0], "")'),
    mutant("a token in the query accepted", f"{PRIVATE}: a good token in the query", CREDENTIALS, "    if len(authorization) > 1:", IN_QUERY + "    if len(authorization) > 1:"),
    mutant("a token in the query overlooked", f"{PRIVATE}: a token in the query, too", CREDENTIALS, ' or _names_a_token(query_string):', ":"),
    mutant("two header fields accepted", f"{PRIVATE}: two header fields", CREDENTIALS, "if len(authorization) > 1:", "if False:"),
]

REFUSALS = [
    mutant("403 for 401", f"{PRIVATE}: expired", ERRORS, 'acceptable; `refusal` says why."""\n\n    status_code = HTTPStatus.UNAUTHORIZED', 'acceptable."""\n\n    status_code = HTTPStatus.FORBIDDEN'),
    mutant("401 for 403", f"{SCOPED}: without read:messages", ERRORS, "HTTPStatus.FORBIDDEN", "HTTPStatus.UNAUTHORIZED"),
    mutant("401 for 400", f"{PRIVATE}: no token after the scheme", ERRORS, "HTTPStatus.BAD_REQUEST", "HTTPStatus.UNAUTHORIZED"),
    mutant("no challenge", f"{PRIVATE}: expired", ERRORS, 'return {"WWW-Authenticate": challenge} if challenge else {}', "return {}"),
    mutant("no error in the challenge", f"{PRIVATE}: expired", ERRORS, CHALLENGE, "        return {}\n"),
    mutant("an error without credentials", f"{PRIVATE}: no credentials", ERRORS, "            self.protection.challenge(scheme, realm=self.protection.realm)\n            if", '            self.protection.challenge(scheme, error="invalid_token")\n            if'),
    mutant("the wrong scope in the challenge", f"{SCOPED}: without read:messages", ERRORS, '"scope": self.required}', '"scope": "openid"}'),
    mutant("the token's own scopes echoed", f"{SCOPED}: without read:messages", VALIDATOR, 'InsufficientScope(" ".join(required))', 'InsufficientScope(token.get("scope", ""))'),
    mutant("the token echoed", f"{PRIVATE}: expired", PROBLEMS, "_response(error.problem, error.headers)", '_response(error.problem | {"detail": _.headers.get("authorization", "")}, error.headers)'),
    mutant("another problem code", f"{PRIVATE}: expired", ERRORS, '"code": self.error,', '"code": "unauthorized",'),
]

FORMS = [
    mutant("problems as plain JSON", f"{PRIVATE}: answers to the matrix", PROBLEMS, 'mimetype="application/problem+json"', 'mimetype="application/json"'),
    mutant("a problem without its code", f"{PRIVATE}: response_schema_conformance", ERRORS, '            "code": self.error,\n', ""),
    mutant("an undeclared member in an answer", f"{PRIVATE}: response_schema_conformance", HANDLERS, "You need to be authenticated to see this.\"}", 'You need to be authenticated.", "debug": "x"}'),
    mutant("a handler that fails", f"{PRIVATE}: a good token", HANDLERS, '    """Greet whoever is authenticated."""\n', "    raise RuntimeError\n"),
]

PROOFS = [
    mutant("proofs used again", f"{PRIVATE}: a proof that has been used", VALIDATOR, "        self.dpop.use(proof)\n", ""),
    mutant("a proof's key not compared", f"{PRIVATE}: a proof with another key", DPOP, "if key.thumbprint != thumbprint:", "if False:"),
    mutant("a proof's signature ignored", f"{PRIVATE}: a proof signed with another key than its own", DPOP, "if not verify_signature(key.alg, key.key, jwt.signing_input, jwt.signature):", "if False:"),
    mutant("a proof's type ignored", f"{PRIVATE}: a proof of another type", DPOP, 'if header.get("typ") != "dpop+jwt":', "if False:"),
    mutant("a private key in a proof accepted", f"{PRIVATE}: a proof with the private key", DPOP, " or not _PRIVATE.isdisjoint(jwk):", ":", also=(("engine/src/resource_server/tokens/keys.py", "        if key.is_private:\n", "        if False:\n"),)),
    mutant("one of several proofs taken", f"{PRIVATE}: a bound token with two proofs", DPOP, "if len(proofs) != 1:", "if not proofs:"),
    mutant("a proof's token not compared", f"{PRIVATE}: a proof for another token", DPOP, 'if ath not in (None, claims.get("ath")):', "if False:"),
    mutant("a proof for no token accepted", f"{PRIVATE}: a proof for no token", DPOP, 'if ath is None else ("jti", "htm", "htu", "ath"))', 'if "ath" not in claims else ("jti", "htm", "htu", "ath"))', also=((DPOP, 'if ath not in (None, claims.get("ath")):', 'if "ath" in claims and ath not in (None, claims["ath"]):'),)),
    mutant("a proof's method not compared", f"{PRIVATE}: a proof for another method", DPOP, 'if claims["htm"] != credentials.method:', "if False:"),
    mutant("a proof's host only compared", f"{PRIVATE}: a proof for another path", URIS, "normalized(htu) == asked", 'str(normalized(htu)).split("/")[2] == asked.split("/")[2]'),
    mutant("a proof's path only compared", f"{PRIVATE}: a proof for another host", URIS, "normalized(htu) == asked", 'str(normalized(htu)).split("/")[3:] == asked.split("/")[3:]'),
    mutant("a proof's age ignored", f"{PRIVATE}: a proof that is too old", DPOP, "if not -_FUTURE <= self._clock() - claims", "if not -_FUTURE <= min(self._clock() - claims", also=((DPOP, '["iat"] <= _PAST:', '["iat"], 0) <= _PAST:'),)),
    mutant("a proof's future ignored", f"{PRIVATE}: a proof from the future", DPOP, "if not -_FUTURE <= self._clock() - claims", "if not -9_999 <= self._clock() - claims"),
    mutant("bound tokens refused", f"{PRIVATE}: a bound token with its proof", CLAIMS, 'cnf.keys() != {"jkt"}', 'cnf.keys() != {"kid"}'),
    mutant("an unbound token with a proof accepted", f"{PRIVATE}: a token that isn't bound, with a proof", VALIDATOR, "        thumbprint = bound_to(access_token)\n", "        thumbprint = bound_to(access_token)\n        if thumbprint is None:\n            return access_token, None\n"),
]

MUTANTS = [*PROOFS, *SERVED_CONTRACT, *TOKEN_CHECKS, *REQUIREMENTS, *PRESENTATION, *REFUSALS, *FORMS]
