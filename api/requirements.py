"""Security requirements, verified: which credentials a request presents, and how they combine.

Connexion calls the functions that `x-tokenInfoFunc` and its like name. What is replaced here, through its
`security_map`: how a token is refused, and how requirements combine. In Connexion an empty requirement (`{}`) makes any
invalid token anonymous.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from connexion.lifecycle import ConnexionRequest
from connexion.security import NO_VALUE, AbstractSecurityHandler, SecurityHandlerFactory
from starlette.exceptions import HTTPException
from starlette.types import Scope

import security
from api.admission import TURN
from api.records import note
from api.threads import THREAD, NeedsEventLoop
from resource_server.tokens import CREDENTIALS, VALIDATOR, AccessToken, Auth0JWTBearerTokenValidator, require_scopes
from resource_server.tokens.claims import granted_scopes
from resource_server.tokens.errors import InvalidToken, Refusal, SecurityError

Verify = Callable[[ConnexionRequest], Any]
"""Returns what handlers receive as `token_info`, or `NO_VALUE` without credentials; raises when they are bad."""


class TokenHandler(AbstractSecurityHandler):  # type: ignore[misc]  # Connexion's classes are not typed
    """Handles the schemes whose credentials are an access token: `oauth2`, and `http` with `bearer`.

    A token that is presented with a proof is for `security.token_info` only, which checks that.

    Args:
        member: The member of the scheme that names the function which validates the token.
    """

    environ_key = ""  # the contract alone says who validates

    def __init__(self, member: str) -> None:
        self.security_definition_key = member

    def get_fn(self, security_scheme: dict[str, Any], required_scopes: list[str]) -> Verify:
        """The function that verifies a request against one requirement."""
        token_info = self._resolve_func(security_scheme)
        checks_proofs = token_info is security.token_info
        if checks_proofs:
            token_info = _token_info_at_once
        wanted = {name for name in ("request", "required_scopes") if self._accepts_kwarg(token_info, name)}

        async def verify(request: ConnexionRequest) -> Any:
            presented = request.scope[CREDENTIALS]
            if presented is None or (presented.scheme != "Bearer" and not checks_proofs):
                return NO_VALUE
            if not checks_proofs and TURN in request.scope:
                request.scope[TURN].end()  # it may wait for something
            offered = {"request": request, "required_scopes": required_scopes}
            claims = token_info(presented.token, **{name: offered[name] for name in wanted})
            if not isinstance(claims, AccessToken):
                claims = _access_token(await _result(claims, request))
            require_scopes(claims, required_scopes)
            return claims

        return verify


def _access_token(claims: dict[str, Any] | None) -> AccessToken:
    """What somebody's own function has returned, as ours returns it."""
    if claims is None:
        raise InvalidToken(Refusal.NOT_ACCEPTED)
    if isinstance(claims, AccessToken):
        return claims
    return AccessToken(claims, granted_scopes(claims, "scope", "scp", "scopes"))


def _token_info_at_once(_: str, request: ConnexionRequest) -> AccessToken | Awaitable[AccessToken]:
    """What `security.token_info` does, without a coroutine when there is nothing to wait for."""
    scope = request.scope
    validator: Auth0JWTBearerTokenValidator = scope[VALIDATOR]
    return validator.validate_soon(scope[CREDENTIALS], before_blocking=scope[TURN].end if TURN in scope else None)


SECURITY_MAP = {
    "oauth2": partial(TokenHandler, "x-tokenInfoFunc"),
    "bearer": partial(TokenHandler, "x-bearerInfoFunc"),
}
"""For Connexion's `security_map`."""


class Requirements(SecurityHandlerFactory):  # type: ignore[misc]
    """Combines security requirements: of the alternatives any one suffices, within one all schemes are needed."""

    def verify_security(self, auth_funcs: Sequence[Verify]) -> Callable[[ConnexionRequest], Awaitable[None]]:
        """The function that verifies a request against the alternatives, in order."""
        # verify_none stands for the empty requirement, whose turn comes when nothing was presented.
        optional = self.verify_none in auth_funcs
        requirements = [_awaited(verify) for verify in auth_funcs if verify is not self.verify_none]

        async def verify(request: ConnexionRequest) -> None:
            refusals: list[SecurityError | HTTPException] = []
            for requirement in requirements:
                try:
                    token_info = await requirement(request)
                except (SecurityError, HTTPException) as refusal:
                    refusals.append(refusal)
                    continue
                if token_info is not NO_VALUE:
                    _note(request.scope, token_info)
                    _expose(request, token_info)
                    return
            if refusals:
                raise min(refusals, key=_precedence)
            if not optional:
                raise NothingPresented
            _expose(request, {})

        return verify

    def verify_multiple_schemes(self, schemes: Mapping[str, Verify]) -> Verify:
        """The function that verifies a request against all schemes; each is asked, so none hides bad credentials."""
        verifications = {name: _awaited(scheme) for name, scheme in schemes.items()}

        async def verify(request: ConnexionRequest) -> Any:
            token_infos = {name: await verification(request) for name, verification in verifications.items()}
            return NO_VALUE if NO_VALUE in token_infos.values() else token_infos

        return verify


class NothingPresented(Exception):
    """No credentials that the operation speaks, and it needs some."""


def _awaited(verify: Verify) -> Callable[[ConnexionRequest], Awaitable[Any]]:
    """Ours are coroutine functions; Connexion's return the result or something to wait for."""
    if inspect.iscoroutinefunction(verify):
        return verify

    async def verify_and_wait(request: ConnexionRequest) -> Any:
        return await _result(verify(request), request)

    return verify_and_wait


async def _result(value: Any, request: ConnexionRequest) -> Any:
    while inspect.isawaitable(value):
        if THREAD in request.scope:
            if inspect.iscoroutine(value):
                value.close()
            raise NeedsEventLoop
        value = await value
    return value


def _expose(request: ConnexionRequest, token_info: dict[str, Any]) -> None:
    """Have Connexion pass these to the handler."""
    request.context.update(user=token_info.get("sub", token_info.get("uid")), token_info=token_info)


def _note(scope: Scope, token_info: dict[str, Any]) -> None:
    """Say for the record who calls; with several schemes, whom the first that knows names."""
    claims = token_info
    if not isinstance(claims, AccessToken):
        infos = [token_info, *(info for info in token_info.values() if isinstance(info, dict))]
        claims = next((info for info in infos if "sub" in info), {})
    note(scope, subject=claims.get("sub"), client_id=claims.get("client_id", claims.get("azp")))


def _precedence(refusal: SecurityError | HTTPException) -> int:
    """Which refusal to answer with when no requirement is met: the one that came closest, lowest first."""
    status = refusal.status_code
    return (403, 503, 401, 400, status).index(status)
