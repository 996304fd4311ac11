"""Access tokens in a Flask app that is there already: each route says what it needs, under any WSGI server.

Here it is a scope::

    require_auth = ResourceProtector(Auth0JWTBearerTokenValidator("tenant.eu.auth0.com", "https://api.example.com"))


    @app.get("/api/private-scoped")
    @require_auth("read:messages")
    def private_scoped() -> dict[str, str]:
        return {"message": f"Hello {current_token['sub']}!"}

What is refused is answered with a problem document (RFC 9457) and a challenge, as an API of `resource_server.serving`
does. No contract is needed, and Connexion isn't imported.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar, overload
from uuid import UUID
from weakref import WeakValueDictionary

from flask import Blueprint, Flask, Response, abort, after_this_request, current_app, request
from werkzeug.local import LocalProxy

from resource_server.networks import comes_from
from resource_server.tokens.claims import AccessToken
from resource_server.tokens.credentials import CREDENTIALS, Credentials
from resource_server.tokens.errors import QUOTABLE, InsufficientClaims, MissingCredentials, SecurityError
from resource_server.tokens.resource import METADATA_HEADERS, ProtectedResource, protected_resource
from resource_server.tokens.rules import rules_of, unmet
from resource_server.tokens.uris import is_public_url
from resource_server.tokens.validator import Auth0JWTBearerTokenValidator
from resource_server.tokens.wsgi import certificates_in, credentials_in, peer_in

__all__ = ["ResourceProtector", "current_token"]

logger = logging.getLogger(__name__)

_P = ParamSpec("_P")
_R = TypeVar("_R")

_EXTENSION = "resource_server"
_TOKEN = "resource_server.access_token"  # noqa: S105  # where the environment of a request holds it


current_token: AccessToken = LocalProxy(  # type: ignore[assignment]
    lambda: request.environ.get(_TOKEN) or AccessToken({}, frozenset())
)
"""The access token that this request was let through with; empty where none was required, or none was presented."""


class _Requirement:
    """What a route needs: one of the alternatives, each of which names scopes; with none, any valid token."""

    def __init__(
        self,
        scopes: str | Iterable[str] | None = None,
        *,
        optional: bool = False,
        acr_values: str | None = None,
        max_age: int | None = None,
        claims: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        if isinstance(scopes, type):
            raise TypeError(_CLASS)
        self.rules = () if claims is None else rules_of(claims)
        self.alternatives = (scopes,) if isinstance(scopes, str) else tuple(scopes or ())
        self.optional, self.acr_values, self.max_age = optional, acr_values, max_age
        if scopes is not None and not self.alternatives:
            raise ValueError("No scopes: name one, or for any valid token leave them out.")
        for text in (*self.alternatives, *(() if acr_values is None else (acr_values,))):
            if not isinstance(text, str) or not text.strip() or not QUOTABLE.fullmatch(text):
                raise ValueError(
                    f"{text!r} is nothing that a challenge can ask for. For any valid token, leave it out."
                )


class ResourceProtector:
    """Protects the routes of Flask apps.

    Args:
        validator: Validates the access tokens; it may come with `init_app`, too.
        public_url: Where the app is reached from outside, without a final slash: for its metadata, and for proofs, if
            the validator checks them.

    Raises:
        ValueError: The URL isn't in its normal form, or missing where proofs name it; or issuers come from a coroutine.
    """

    def __init__(self, validator: Auth0JWTBearerTokenValidator | None = None, public_url: str | None = None) -> None:
        self._resource = _resource(validator, public_url) if validator else None
        self._scopes: set[str] = set()
        self._made: WeakValueDictionary[int, Callable[..., Any]] = WeakValueDictionary()

    def init_app(
        self, app: Flask, validator: Auth0JWTBearerTokenValidator | None = None, public_url: str | None = None
    ) -> None:
        """Answer each `SecurityError` of an app, and serve its metadata (RFC 9728) if its public URL is known.

        Args:
            app: The app; an error handler of its own for `SecurityError` stays.
            validator: Validates the tokens of this app, in place of the one that the protector was made with.
            public_url: Where this app is reached from outside.
        """
        if validator or public_url:
            known = validator or self._resource_of(app).validator
            app.extensions.setdefault(_EXTENSION, {})[self] = _resource(known, public_url)
        _answer_errors(app)
        app.before_request(self._refuse_what_is_left_open)
        for path in self._resource_of(app).metadata_paths:
            app.add_url_rule(path, "oauth_protected_resource", self._metadata)

    @overload
    def __call__(self, scopes: Callable[_P, _R], /) -> Callable[_P, _R]: ...

    @overload
    def __call__(
        self,
        scopes: str | Iterable[str] | None = None,
        *,
        optional: bool = False,
        acr_values: str | None = None,
        max_age: int | None = None,
        claims: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...

    def __call__(self, scopes: Any = None, **options: Any) -> Any:
        """Protect a view, below the decorator that makes it a route: `@require_auth`, or `@require_auth("read:a")`.

        Args:
            scopes: A text names scopes, all of which the token must have; of several texts one must hold.
            options: `optional` lets requests without credentials through, and still refuses bad ones. `acr_values`, of
                which the token's `acr` must be one, and `max_age`, seconds since the login, are RFC 9470's. `claims`
                says what claims must be, as `x-claims` does in a contract, of the route's own arguments, too.

        Raises:
            TypeError: It isn't a view that is protected, but a class.
            ValueError: The scopes are empty, or can't stand in a challenge; or the claims can't be enforced.
        """
        if callable(scopes) and not isinstance(scopes, type):
            return self()(scopes)
        requirement = self._requirement(scopes, options)

        def protect(view: Callable[..., Any]) -> Callable[..., Any]:
            if isinstance(view, type):
                raise TypeError(_CLASS)

            @wraps(view)
            def protected(*args: Any, **kwargs: Any) -> Any:
                try:
                    self._authorize(requirement)
                    return current_app.ensure_sync(view)(*args, **kwargs)
                except SecurityError as error:
                    # As a response, which extensions leave as it is; raised, because a decorator may expect data.
                    abort(self._refusal(error))

            self._made[id(view)] = protected
            return protected

        return protect

    def protect(self, where: Flask | Blueprint, scopes: str | Iterable[str] | None = None, **options: Any) -> None:
        """Protect all routes of a blueprint, or of an app: those of its static files and its blueprints, too.

        What Flask answers itself passes (preflights, and what is no route), and so does the metadata.

        Args:
            where: The app, or a blueprint that isn't registered yet.
            scopes: As for a view.
            options: As for a view.
        """
        requirement = self._requirement(scopes, options)

        def authorize() -> Response | None:
            rule = request.url_rule
            automatic = request.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False)
            if rule is None or automatic or current_app.view_functions.get(rule.endpoint) == self._metadata:
                return None
            try:
                self._authorize(requirement)
            except SecurityError as error:
                return self._refusal(error)
            return None

        where.before_request(authorize)
        if isinstance(where, Blueprint):
            where.record_once(lambda state: _answer_errors(state.app))
        else:
            _answer_errors(where)

    def _refuse_what_is_left_open(self) -> None:
        """Fail, rather than answer what the decorator in the wrong place has left open."""
        views = current_app.view_functions
        protected = self._made.get(id(views.get(request.endpoint or "")))
        if protected is not None and not any(each is protected for view in views.values() for each in _layers(view)):
            raise RuntimeError(f"The route {request.endpoint!r} isn't protected: write @require_auth below its route.")

    def _requirement(self, scopes: str | Iterable[str] | None, options: Mapping[str, Any]) -> _Requirement:
        requirement = _Requirement(scopes, **options)
        self._scopes.update(scope for text in requirement.alternatives for scope in text.split())
        return requirement

    def _resource_of(self, app: Flask) -> ProtectedResource:
        found: ProtectedResource | None = app.extensions.get(_EXTENSION, {}).get(self, self._resource)
        if found is None:
            raise RuntimeError("No validator: give one to ResourceProtector, or to init_app.")
        return found

    def _authorize(self, requirement: _Requirement) -> None:
        """Authorize the request, perhaps once more: a route may need more than its blueprint.

        Raises:
            SecurityError: It is refused.
        """
        environ, resource = request.environ, self._resource_of(current_app)
        before: Credentials | None = environ.get(CREDENTIALS)
        environ[CREDENTIALS] = environ[_TOKEN] = None
        credentials = credentials_in(environ, resource.protection.schemes, resource.url)
        if credentials is None:
            if requirement.optional:
                return
            raise MissingCredentials(resource.protection)
        if before:
            credentials.used = before.used  # a proof is good for one request, and this is still the same
        environ[CREDENTIALS] = credentials
        validator = resource.validator
        mtls = validator.mtls
        if mtls and comes_from({"client": (peer_in(environ), 0)}, mtls.trusted_proxies):
            credentials.certificates = certificates_in(environ, mtls.header)
        token = validator.check(credentials)
        validator.validate_token(token, requirement.alternatives, request)
        arguments = {
            name: str(value) for name, value in (request.view_args or {}).items() if isinstance(value, str | int | UUID)
        }
        if claims := unmet(requirement.rules, token, arguments):
            raise InsufficientClaims(claims)
        validator.require_authentication(token, requirement.acr_values, requirement.max_age)
        environ[_TOKEN] = token
        nonces = validator.dpop and validator.dpop.nonces
        if nonces and credentials.proofs:

            @after_this_request
            def renew(response: Response) -> Response:
                # The newest, so that a client always has one that is good (RFC 9449, section 8.2).
                response.headers["DPoP-Nonce"] = nonces.current()
                return response

    def _refusal(self, error: SecurityError) -> Response:
        """What is answered to a request that is refused: by the app's own handler, if there is one."""
        error.protection = self._resource_of(current_app).protection
        credentials: Credentials | None = request.environ.get(CREDENTIALS)
        if credentials:
            error.scheme = credentials.scheme
        handler = _own_handler(error) or _problem
        return current_app.make_response(current_app.ensure_sync(handler)(error))

    def _metadata(self) -> Response:
        metadata = self._resource_of(current_app).metadata(scopes_supported=sorted(self._scopes))
        return Response(json.dumps(metadata), headers=METADATA_HEADERS, mimetype="application/json")


_CLASS = (
    "A class can't be protected as a whole: name what its methods need in `decorators` (views of Flask) or "
    "`method_decorators` (resources of Flask-RESTful), like [require_auth('read:a')], or decorate its methods."
)


def _layers(view: Any) -> Iterator[Any]:
    """A view, and what is in it if it was decorated."""
    while view is not None:
        yield view
        view = getattr(view, "__wrapped__", None)


def _resource(validator: Auth0JWTBearerTokenValidator, public_url: str | None) -> ProtectedResource:
    if public_url is not None and not is_public_url(public_url):
        raise ValueError(f"{public_url!r} isn't a URL in its normal form, like https://api.example.com")
    if validator.dpop and not public_url:
        raise ValueError("Proofs (DPoP) name the URL that they are for: give public_url, like https://api.example.com")
    if validator.resolver and validator.resolver.is_async:
        raise ValueError(validator.resolver.needs_loop)
    return protected_resource(validator, public_url)


def _answer_errors(app: Any) -> None:
    """Have problem documents answer what views and hooks raise, unless the app has a handler of its own for that."""
    if SecurityError not in app.error_handler_spec.get(None, {}).get(None, {}):
        app.register_error_handler(SecurityError, _problem)


def _own_handler(error: SecurityError) -> Callable[..., Any] | None:
    """The handler that an app has for refusals; one for all exceptions isn't meant for them."""
    for name in (*request.blueprints, None):
        handlers = current_app.error_handler_spec.get(name, {}).get(None, {})
        for kind in type(error).__mro__[: type(error).__mro__.index(SecurityError) + 1]:
            if kind in handlers:
                return handlers[kind]
    return None


def _problem(error: SecurityError) -> Response:
    refusal = getattr(error, "refusal", None)
    logger.info("Refused: %s%s", error.error, f" ({refusal.name.lower()})" if refusal else "")
    return Response(json.dumps(error.problem), error.status_code, error.get_headers())
