"""Connexion's Flask app, without what it does anew on every request.

Connexion inspects a handler's signature and rebuilds its decorators on each call; here that is done once. It has Flask
route a request again that has been routed and authorized: here Flask is told the outcome, and has no way of its own to
an operation. `connexion.FlaskApp` in place of `FlaskApp` turns this off.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Any

import connexion
import flask
from connexion.apps.flask import FlaskApi, FlaskASGIApp, FlaskOperation
from connexion.decorators import FlaskDecorator
from connexion.decorators.response import SyncResponseDecorator
from connexion.frameworks.flask import Flask as FlaskFramework
from connexion.frameworks.flask import FlaskJSONProvider
from connexion.middleware.abstract import ROUTING_CONTEXT
from connexion.middleware.main import MiddlewarePosition
from connexion.operations import AbstractOperation
from connexion.spec import Specification
from flask import appcontext_tearing_down
from starlette.types import ASGIApp
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, Rule
from werkzeug.wrappers import Response
from werkzeug.wsgi import get_host

from resource_server.serving.bridge import Bridge
from resource_server.serving.direct import DirectHandler, LazyContext, has_hooks


class FlaskApp(connexion.FlaskApp):  # type: ignore[misc]  # Connexion's classes are not typed
    """Takes the place of Connexion's."""

    def __init__(self, import_name: str, *, server_args: dict[str, Any] | None = None, **options: Any) -> None:
        self._middleware_app = FlaskASGI(import_name, server_args or {})
        super(connexion.FlaskApp, self).__init__(import_name, **options)  # Connexion's would make another Flask
        self.app = self._middleware_app.app
        self.app.register_error_handler(HTTPException, self._http_exception)

    def add_middleware(
        self,
        middleware_class: Callable[..., ASGIApp],
        position: MiddlewarePosition = MiddlewarePosition.BEFORE_CONTEXT,
        **options: Any,
    ) -> None:
        """Add a middleware before one of Connexion's, or before what takes its place."""
        for place, middleware in enumerate(self.middleware.middlewares):
            if takes_place_of(middleware) is position.value:
                self.middleware.middlewares.insert(place, partial(middleware_class, **options))
                return
        raise ValueError(f"There is no middleware at the position {position.name}")


def takes_place_of(middleware: Any) -> Any:
    """The middleware of Connexion's that one takes the place of, by its own account; by default itself."""
    middleware_class = middleware.func if isinstance(middleware, partial) else middleware
    return getattr(middleware_class, "takes_place_of", middleware_class)


class FlaskASGI(FlaskASGIApp):  # type: ignore[misc]
    """Flask, as the stack's last application."""

    def __init__(self, import_name: str, server_args: dict[str, Any]) -> None:
        self.app = _Flask(import_name, **server_args)  # Connexion's would make a Flask; the rest is as there
        self.app.json = FlaskJSONProvider(self.app)
        self.app.config.update(PROPAGATE_EXCEPTIONS=True, TRAP_BAD_REQUEST_ERRORS=True, TRAP_HTTP_EXCEPTIONS=True)
        self.asgi_app = Bridge(self.app.wsgi_app, self.app.answer_directly)

    def add_api(self, specification: Specification, *, name: str | None = None, **options: Any) -> FlaskApi:
        """Add the operations of a contract."""
        api = _FlaskApi(specification, **options)
        self.app.register_blueprint(api.blueprint, **({"name": name} if name is not None else {}))
        return api


class _Flask(flask.Flask):
    """Leaves a request where Connexion has routed it, and prepares nothing that nobody uses.

    Flask routes the other requests, to routes that are not of the contract.
    """

    @cached_property
    def _rules(self) -> dict[tuple[str | None, str | None], Rule]:
        rules = ((rule, self.view_functions.get(rule.endpoint)) for rule in self.url_map.iter_rules())
        return {view.key: rule for rule, view in rules if isinstance(view, _FlaskOperation)}

    def _rule(self, scope: Mapping[str, Any]) -> Rule | None:
        routing = scope.get("extensions", {}).get(ROUTING_CONTEXT, {})
        return self._rules.get((routing.get("api_base_path"), routing.get("operation_id")))

    def answer_directly(
        self, scope: Mapping[str, Any], make_environ: Callable[[], dict[str, Any]], start_response: Any
    ) -> Iterable[bytes] | None:
        """Answer a request as `wsgi_app` does, if its handler needs little of what that prepares."""
        rule = self._rule(scope)
        view: Any = self.view_functions[rule.endpoint] if rule else None
        any_host = self.config["TRUSTED_HOSTS"] is None
        if view and view.direct and any_host and scope["method"] != "HEAD" and not has_hooks(self):
            with self.app_context():
                return self._call(view, scope, LazyContext(self, make_environ), start_response)
        return None

    def _call(self, view: Any, scope: Mapping[str, Any], context: LazyContext, start_response: Any) -> Iterable[bytes]:
        direct: DirectHandler = view.direct
        failure: BaseException | None = None
        context.begin()
        try:
            try:
                answer = direct(scope)
                if not context.touched and (json := direct.json(answer)):
                    media_type, body = json
                    start_response("200 OK", [("Content-Type", media_type), ("Content-Length", str(len(body)))])
                    return [body]
                answer = view.respond(direct.typed(answer))
            except Exception as error:  # noqa: BLE001  # Flask's error handlers say what becomes of it
                answer = self.handle_user_exception(error)
            response = self.finalize_request(answer)
            return response(context.request.environ, start_response)
        except BaseException as error:
            failure = error
            raise
        finally:
            context.end(failure)

    def create_url_adapter(self, request: flask.Request | None) -> Any:
        """What finds the view for a request."""
        if request is None:
            return super().create_url_adapter(request)
        rule = self._rule(request.environ.get("asgi.scope", {}))
        if rule is None:
            return super().create_url_adapter(request)
        if (trusted := self.config["TRUSTED_HOSTS"]) is not None:
            get_host(request.environ, trusted)
        return _Routed(rule, request.environ["asgi.scope"]["path_params"], partial(super().create_url_adapter, request))

    def do_teardown_appcontext(self, *args: Any) -> None:
        """Call the functions that are to be called when a context ends."""
        if self.teardown_appcontext_funcs or appcontext_tearing_down.receivers:
            super().do_teardown_appcontext(*args)


class _Routed:
    """In place of Flask's router, for a request that has been routed."""

    def __init__(self, rule: Rule, arguments: dict[str, Any], adapter: Callable[[], MapAdapter | None]) -> None:
        self._rule = rule
        self._arguments = arguments
        self._make_adapter = adapter

    def match(self, **_: Any) -> tuple[Rule, dict[str, Any]]:
        """The operation's rule, and the arguments from its path."""
        return self._rule, self._arguments

    @cached_property
    def _adapter(self) -> Any:
        return self._make_adapter()

    def __getattr__(self, name: str) -> Any:  # for `url_for`
        return getattr(self._adapter, name)


class _FlaskApi(FlaskApi):  # type: ignore[misc]
    def make_operation(self, operation: AbstractOperation) -> FlaskOperation:
        """The view of an operation."""
        made = _FlaskOperation.from_operation(operation, pythonic_params=self.pythonic_params, jsonifier=self.jsonifier)
        made.operation = operation
        made.key = self.base_path, operation.operation_id
        return made

    def _add_operation_internal(
        self, method: str, path: str, operation: FlaskOperation, name: str | None = None
    ) -> None:
        self.blueprint.add_url_rule(path, name, operation, methods=[method], build_only=True)


class _FlaskOperation(FlaskOperation):  # type: ignore[misc]
    """A view whose decorators are made once."""

    operation: AbstractOperation
    key: tuple[str, str]

    @cached_property
    def _decorated(self) -> Callable[[Any], Response]:
        decorator = FlaskDecorator(pythonic_params=self.pythonic_params, jsonifier=self.jsonifier)
        decorated: Callable[[Any], Response] = decorator.decorate(self._fn)
        return decorated

    @cached_property
    def direct(self) -> DirectHandler | None:
        """The handler, if it can be called without what Flask prepares."""
        return DirectHandler.of(self._fn, self.operation.path)

    @cached_property
    def respond(self) -> Callable[[Any], Response]:
        """Makes a response of what a handler has returned."""
        decorator = SyncResponseDecorator(framework=FlaskFramework, jsonifier=self.jsonifier)
        respond: Callable[[Any], Response] = decorator(lambda answer: answer)
        return respond

    @cached_property
    def _uri_parser(self) -> Any:
        operation = self.operation
        return operation.uri_parser_class(operation.parameters, operation.body_definition())

    def __call__(self, *args: Any, **kwargs: Any) -> Response:
        return self._decorated(FlaskFramework.get_request(uri_parser=self._uri_parser))
