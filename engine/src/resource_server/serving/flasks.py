"""Flask's part of a request: its contexts, hooks, error handlers and responses, around the handler."""

import functools
import inspect
import io
import sys
from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple

import flask
from connexion.frameworks.flask import FlaskJSONProvider, IntegerConverter, NumberConverter
from flask.ctx import AppContext
from flask.signals import request_started
from starlette.types import Scope
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, Rule
from werkzeug.wrappers import Response
from werkzeug.wsgi import get_host

from resource_server.serving.exchange import EXCHANGE, Answer, Exchange
from resource_server.serving.plans import Plan
from resource_server.serving.problems import Errors, cause_of, draws_itself


class Flask(flask.Flask):
    """Flask, told which operation a request is for: it has been routed, and routes only what is no operation's.

    Errors are answered as Flask does it, but where it has a page in HTML there is a problem document.

    Args:
        import_name: The package that it belongs to.
        errors: Makes problem documents.
    """

    def __init__(self, import_name: str, errors: Errors) -> None:
        super().__init__(import_name, static_folder=None)  # it would serve a folder of that name to everybody
        self.json = FlaskJSONProvider(self)
        self.url_map.converters.update(float=NumberConverter, int=IntegerConverter)
        self.config["PROPAGATE_EXCEPTIONS"] = False
        self._errors = errors
        self.rules: dict[Plan, Rule] = {}
        """The operations' rules, which Flask itself only builds URLs by."""

    def create_url_adapter(self, request: flask.Request | None) -> Any:
        """What finds the view for a request."""
        exchange = request.environ.get(EXCHANGE) if request is not None else None
        if request is None or exchange is None or exchange.plan is None:
            return super().create_url_adapter(request)
        if (trusted := self.config["TRUSTED_HOSTS"]) is not None:
            get_host(request.environ, trusted)
        make_adapter = partial(super().create_url_adapter, request)
        return _Routed(self.rules[exchange.plan], exchange.scope["path_params"], make_adapter)

    def make_response(self, rv: Any) -> flask.Response:
        """The response for what a view, a hook or an error handler has returned."""
        if isinstance(rv, HTTPException) and not draws_itself(rv):
            return self.problem(rv)
        return super().make_response(rv)

    def problem(self, error: Exception) -> flask.Response:
        """The problem document of an error."""
        exchange: Exchange | None = flask.request.environ.get(EXCHANGE)
        answered = None
        if exchange is not None:
            exchange.plan = None  # an error is held against no declaration
            answered = self._errors.handled(exchange, cause_of(error))
        answered = answered or self._errors.problem(exchange, error)
        response = self.response_class(answered.body, answered.status)
        response.headers.clear()
        response.headers.extend((name.decode("latin-1"), value.decode("latin-1")) for name, value in answered.fields)
        return response

    def log_exception(self, ctx: AppContext, *_: Any) -> None:  # type: ignore[override]  # as Flask 3.2 calls it
        """Nothing: problem documents are logged as they are made."""


class _Routed:
    """In place of Flask's router, for a request that has been routed."""

    def __init__(self, rule: Rule, arguments: dict[str, Any], make_adapter: Callable[[], MapAdapter | None]) -> None:
        self._rule = rule
        self._arguments = arguments
        self._make_adapter = make_adapter

    def match(self, **_: Any) -> tuple[Rule, dict[str, Any]]:
        """The operation's rule, and the arguments from its path."""
        return self._rule, self._arguments

    @cached_property
    def _adapter(self) -> Any:
        return self._make_adapter()

    def __getattr__(self, name: str) -> Any:  # for `url_for`
        return getattr(self._adapter, name)


class Failure(NamedTuple):
    """What a hook or a coroutine handler has raised, or Flask itself before any of them."""

    error: Exception
    early: bool = False


class Steps:
    """What Flask does for a request, step by step.

    Flask 3.2 has the steps take the context as an argument, which Flask 3.1 finds by itself.

    Args:
        app: The application.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._takes_context = "ctx" in inspect.signature(app.full_dispatch_request).parameters

    def _step(self, name: str, context: Any) -> Callable[..., Any]:
        step: Callable[..., Any] = getattr(self._app, name)
        return partial(step, context) if self._takes_context else step

    def answer(self, exchange: Exchange) -> Answer:
        """Answer a request in a thread, where everything may block.

        Raises:
            BaseException: What Flask doesn't answer.
        """
        context = self._app.request_context(environ(exchange))
        failure: BaseException | None = None
        try:
            try:
                context.push()
                response = self._step("full_dispatch_request", context)()
            except Exception as error:  # noqa: BLE001  # which is what an error handler of Flask's may answer
                failure = error
                response = self._failed(context, error)
            return as_answer(response, context.request)
        except BaseException as error:
            failure = error
            raise
        finally:
            context.pop(failure)

    def _failed(self, context: Any, error: Exception) -> Response:
        exchange: Exchange = context.request.environ[EXCHANGE]
        if exchange.trace:
            exchange.trace.failed(error)
        response: Response = self._step("handle_exception", context)(error)
        return response

    def _handled(self, context: Any, failure: Exception) -> Any:
        try:
            raise failure  # noqa: TRY301  # Flask looks at what has been raised
        except Exception as error:  # noqa: BLE001
            return self._step("handle_user_exception", context)(error)

    def begin(self, exchange: Exchange) -> tuple[Any, Any]:
        """Do what comes before a coroutine handler; returns the context, and what a hook has answered in its place."""
        context = self._app.request_context(environ(exchange))
        try:
            try:
                context.push()
            except Exception as error:  # noqa: BLE001  # an error handler of Flask's may answer it
                return context, Failure(error, early=True)
            try:
                request_started.send(self._app, _async_wrapper=self._app.ensure_sync)
                return context, self._step("preprocess_request", context)()
            except Exception as error:  # noqa: BLE001  # an error handler of Flask's may answer it
                return context, Failure(error)
        except BaseException as error:
            context.pop(error)
            raise

    def finish(self, context: Any, value: Any) -> tuple[Answer, Exception | None]:
        """Do what comes after a coroutine handler: its value, or its failure, becomes the answer.

        Returns also what no error handler has answered.
        """
        failure = None
        try:
            if isinstance(value, Failure):
                if value.early:
                    raise value.error  # noqa: TRY301
                value = self._handled(context, value.error)
            response = self._step("finalize_request", context)(value)
        except Exception as error:  # noqa: BLE001  # an error handler of Flask's may answer it
            response, failure = self._failed(context, error), error
        return as_answer(response, context.request), failure

    @cached_property  # from the first request on Flask takes no more of them
    def hooked(self) -> bool:
        """Whether anything that may block surrounds a handler."""
        app = self._app
        default = type(app.session_interface) is flask.sessions.SecureCookieSessionInterface
        return not default or any(
            (
                app.before_request_funcs,
                app.after_request_funcs,
                app.teardown_request_funcs,
                app.teardown_appcontext_funcs,
                app.url_value_preprocessors,
            )
        )


def view(plan: Plan) -> Callable[..., Response]:
    """Flask's view function for an operation whose handler is a plain function."""
    handler, answers = plan.handler, plan.answers

    @functools.wraps(handler)
    def call(**_: Any) -> Response:
        return answers.response(handler(**plan.arguments(flask.request)))

    return call


def as_answer(response: Response, request: flask.Request) -> Answer:
    """What a response answers."""
    if response.is_sequence and response.status_code >= 200 and response.status_code not in (204, 304):
        body = response.get_data()
        located = "Location" in response.headers  # which may have to be made whole
        encoded = _encoded(response.get_wsgi_headers(request.environ) if located else response.headers)
        if "Content-Length" not in response.headers:
            encoded.append((b"content-length", b"%d" % len(body)))
        response.close()
        return Answer(response.status_code, encoded, body if request.method != "HEAD" else b"")
    parts, status, fields = response.get_wsgi_response(request.environ)
    iterator = iter(parts)
    close = getattr(parts, "close", response.close)
    return Answer(int(status.split(" ", 1)[0]), _encoded(fields), b"", iterator, close)


def _encoded(fields: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields]


def environ(exchange: Exchange) -> dict[str, Any]:
    """What WSGI has in place of a scope (PEP 3333)."""
    scope: Scope = exchange.scope
    root_path = scope.get("root_path", "")
    server, port = scope.get("server") or ("localhost", 80)
    client, client_port = scope.get("client") or ("", "")
    path = scope["path"].removeprefix(root_path) if root_path else scope["path"]
    found: dict[str, Any] = {
        EXCHANGE: exchange,
        "asgi.scope": scope,
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root_path.encode().decode("latin-1"),
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "REMOTE_ADDR": client,
        "REMOTE_PORT": str(client_port),
        "SERVER_NAME": server,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "wsgi.errors": sys.stderr,
        "wsgi.input": io.BytesIO(exchange.body),
        "wsgi.input_terminated": True,  # so Flask reads a body that doesn't say how long it is
        "wsgi.multiprocess": True,
        "wsgi.multithread": True,
        "wsgi.run_once": False,
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.version": (1, 0),
    }
    for field, value in scope["headers"]:
        name, text = _variable(field), value.decode("latin-1")
        found[name] = f"{found[name]},{text}" if name in found else text
    return found


@lru_cache(256)
def _variable(field: bytes) -> str:
    name = field.decode("latin-1").upper().replace("-", "_")
    # By the field: `content_type` would otherwise speak for `Content-Type`, which the body has been validated by.
    return name if field in (b"content-length", b"content-type") else f"HTTP_{name}"
