"""Security requirements, verified: which credentials a request presents, and how they combine.

Connexion calls the functions that `x-tokenInfoFunc` and its like name. What is replaced here, through its
`security_map`: how a token is refused, and how requirements combine. In Connexion an empty requirement (`{}`) makes any
invalid token anonymous.
"""

import base64
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from connexion.exceptions import OAuthProblem, OAuthResponseProblem
from connexion.lifecycle import ConnexionRequest
from connexion.security import NO_VALUE, AbstractSecurityHandler, SecurityHandlerFactory
from connexion.utils import get_function_from_name
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import Scope

from resource_server.serving.exchange import note
from resource_server.serving.signatures import argument_names
from resource_server.tokens import CREDENTIALS, AccessToken, Credentials, require_scopes
from resource_server.tokens.claims import granted_scopes
from resource_server.tokens.errors import InvalidToken, Refusal, SecurityError

Verify = Callable[[ConnexionRequest], Any]
"""Returns what handlers receive as `token_info`, or `NO_VALUE` without credentials; raises when they are bad."""


class _Handler(AbstractSecurityHandler):  # type: ignore[misc]  # Connexion's classes are not typed
    """Handles a kind of scheme: what the contract names says whose credentials are, a plain function in a thread.

    Args:
        member: The member of the scheme that names the function which validates its credentials.
    """

    environ_key = ""  # the contract alone says who validates

    def __init__(self, member: str) -> None:
        self.security_definition_key = member

    def _validation(
        self, scheme: Mapping[str, Any], required_scopes: list[str]
    ) -> tuple[Callable[..., Awaitable[Any]], set[str]]:
        """What validates a request's credentials, and what else it takes by name."""
        function = get_function_from_name(scheme[self.security_definition_key])
        wanted = {name for name in ("request", "required_scopes") if takes(function, name)}
        call = function if _is_coroutine_function(function) else _in_thread(function)

        async def validate(request: ConnexionRequest, *credentials: str) -> Any:
            offered = {"request": request, "required_scopes": required_scopes}
            return await call(*credentials, **{name: offered[name] for name in wanted})

        return validate, wanted


class TokenHandler(_Handler):
    """Handles the schemes whose credentials are an access token: `oauth2`, and `http` with `bearer`.

    A token that is presented with a proof is only for a function that takes the `request`, where the proof is, and has
    it checked.
    """

    def get_fn(self, security_scheme: dict[str, Any], required_scopes: list[str]) -> Verify:
        """The function that verifies a request against one requirement."""
        validate, wanted = self._validation(security_scheme, required_scopes)

        async def verify(request: ConnexionRequest) -> Any:
            presented: Credentials | None = request.scope[CREDENTIALS]
            if presented is None or (presented.scheme != "Bearer" and "request" not in wanted):
                return NO_VALUE
            claims = await validate(request, presented.token)
            if presented.scheme != "Bearer" and not presented.used:
                raise InvalidToken(Refusal.NOT_ACCEPTED)  # nobody has checked the proof
            access_token = _access_token(claims)
            require_scopes(access_token, required_scopes)
            return access_token

        return verify


class OwnHandler(_Handler):
    """Handles the schemes whose credentials are no access tokens.

    Args:
        member: The member of the scheme that names the function which validates its credentials.
        presented: The credentials that a request presents for a scheme; nothing, if it presents none.
    """

    def __init__(
        self, member: str, presented: Callable[[Mapping[str, Any], HTTPConnection], Sequence[str] | None]
    ) -> None:
        super().__init__(member)
        self._presented = presented

    def get_fn(self, security_scheme: dict[str, Any], required_scopes: list[str]) -> Verify:
        """The function that verifies a request."""
        validate, _ = self._validation(security_scheme, required_scopes)

        async def verify(request: ConnexionRequest) -> Any:
            presented = self._presented(security_scheme, HTTPConnection(request.scope))
            if presented is None:
                return NO_VALUE
            info = await validate(request, *presented)
            if info is None:
                raise OAuthResponseProblem(detail="Provided authorization is not valid")
            return info

        return verify


def _key(scheme: Mapping[str, Any], request: HTTPConnection) -> Sequence[str] | None:
    """An API key, wherever the scheme has it."""
    places = {"header": request.headers, "query": request.query_params, "cookie": request.cookies}
    key = places[scheme["in"]].get(scheme["name"])
    return None if key is None else (key,)


def _name_and_password(_scheme: Mapping[str, Any], request: HTTPConnection) -> Sequence[str] | None:
    """What Basic presents (RFC 7617)."""
    kind, _, encoded = request.headers.get("authorization", "").strip().partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except ValueError:
        decoded = b""
    name, colon, password = _text(decoded).partition(":")
    if not colon:
        raise OAuthProblem(detail="Invalid authorization header")
    return name, password


def _text(data: bytes) -> str:
    """A text of a client's that doesn't say how it is encoded (RFC 7617, section 2.1)."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _token_function(scheme: Mapping[str, Any]) -> str | None:
    """The name of the function that validates a scheme's access tokens; nothing, if it is for others."""
    return scheme.get("x-tokenInfoFunc") or scheme.get("x-bearerInfoFunc")


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function takes an argument of that name."""
    names, takes_all = argument_names(function)
    return takes_all or name in names


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _in_thread(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Runs a plain function in a thread, which may block."""

    async def call(*credentials: str, **arguments: Any) -> Any:
        return await _result(await run_in_threadpool(function, *credentials, **arguments))

    return call


def _access_token(claims: dict[str, Any] | None) -> AccessToken:
    """What somebody's own function has returned, as ours returns it."""
    if claims is None:
        raise InvalidToken(Refusal.NOT_ACCEPTED)
    if isinstance(claims, AccessToken):
        return claims
    return AccessToken(claims, granted_scopes(claims, "scope", "scp", "scopes"))


SECURITY_MAP = {
    "oauth2": partial(TokenHandler, "x-tokenInfoFunc"),
    "bearer": partial(TokenHandler, "x-bearerInfoFunc"),
    "apiKey": partial(OwnHandler, "x-apikeyInfoFunc", _key),
    "basic": partial(OwnHandler, "x-basicInfoFunc", _name_and_password),
}
"""For Connexion's `security_map`."""


class Requirements(SecurityHandlerFactory):  # type: ignore[misc]
    """Combines security requirements: of the alternatives any one suffices, within one all schemes are needed."""

    def verification(
        self, security: Sequence[Mapping[str, list[str]]], schemes: Mapping[str, Mapping[str, Any]]
    ) -> Callable[[ConnexionRequest], Awaitable[None]]:
        """The function that verifies a request against what the contract requires."""
        return self.verify_security([self._requirement(each, schemes) for each in security])

    def _requirement(self, requirement: Mapping[str, list[str]], schemes: Mapping[str, Mapping[str, Any]]) -> Verify:
        """What verifies one alternative; schemes that the same function validates have one token, with all scopes."""
        if not requirement:
            return self.verify_none  # type: ignore[no-any-return]
        merged: dict[str, tuple[str, list[str]]] = {}
        for name, scopes in requirement.items():
            function = _token_function(schemes[name]) or name
            _, needed = merged.setdefault(function, (name, []))
            needed += (scope for scope in scopes if scope not in needed)
        functions = {name: self._parsed(schemes[name], scopes) for name, scopes in merged.values()}
        if len(functions) == 1:
            return next(iter(functions.values()))
        return self.verify_multiple_schemes(functions)

    def _parsed(self, scheme: Mapping[str, Any], scopes: list[str]) -> Verify:
        kind = "oauth2" if scheme["type"] == "openIdConnect" else scheme["type"]
        verify: Verify | None = self.parse_security_scheme({**scheme, "type": kind}, scopes)
        if verify is None:
            raise TypeError(f"Nothing verifies security schemes of type {kind}.")
        return verify

    def verify_security(self, auth_funcs: Sequence[Verify]) -> Callable[[ConnexionRequest], Awaitable[None]]:
        """The function that verifies a request against the alternatives, in order."""
        # verify_none stands for the empty requirement, whose turn comes when nothing was presented.
        optional = self.verify_none in auth_funcs
        requirements = [verify for verify in auth_funcs if verify is not self.verify_none]

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

        async def verify(request: ConnexionRequest) -> Any:
            token_infos = {name: await scheme(request) for name, scheme in schemes.items()}
            return NO_VALUE if NO_VALUE in token_infos.values() else token_infos

        return verify


class NothingPresented(Exception):
    """No credentials that the operation speaks, and it needs some."""


async def _result(value: Any) -> Any:
    while inspect.isawaitable(value):
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
