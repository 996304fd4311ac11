"""What Flask's users expect of handlers, hooks, blueprints and extensions: all that plain Flask does.

Each case is set up twice, in a plain Flask application and in ours, is sent the same requests, and must answer the same
and call the same functions in the same order. Only errors that plain Flask has a page for are problem documents here.
Each case says where its users read or reported it: a repository's number, or a page of the documentation.
"""

import contextvars
import dataclasses
import functools
import io
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import flask
import flask.views
import httpx
import pytest
from flask.json.provider import DefaultJSONProvider
from flask.sessions import SecureCookieSessionInterface
from flask.signals import got_request_exception, request_finished, request_started
from werkzeug import exceptions
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.routing import RequestRedirect

from resource_server.serving import FlaskApp
from resource_server.settings import Settings
from resource_server.tokens.statuses import TITLES
from security import make_validator

FLASK = "https://flask.palletsprojects.com/en/stable/"
WERKZEUG = "https://werkzeug.palletsprojects.com/en/stable/"
Seen = list[object]
Handler = Callable[..., Any]
Setup = Callable[[flask.Flask, Seen], Handler]
Requests = tuple[tuple[str, str, dict[str, Any]], ...]


@dataclasses.dataclass
class Case:
    """What is set up, where its behaviour is written down, what is sent, and the detail of the last error."""

    setup: Setup
    source: str
    requests: Requests
    detail: str | None


CASES: dict[str, Case] = {}
GET: Requests = (("GET", "/items/7", {}),)


def case(source: str, requests: Requests = GET, detail: str | None = None) -> Callable[[Setup], Setup]:
    """Add a case."""

    def add(setup: Setup) -> Setup:
        CASES[setup.__name__] = Case(setup, source, requests, detail)
        return setup

    return add


def post(**options: Any) -> Requests:
    return (("POST", "/items/7", options),)


def raising(make: Callable[[], BaseException]) -> Handler:
    """A handler that raises a new error each time."""

    def handler(item: int) -> NoReturn:  # noqa: ARG001
        raise make()

    return handler


def aborting(*arguments: Any, **options: Any) -> Handler:
    def handler(item: int) -> NoReturn:  # noqa: ARG001
        flask.abort(*(each() if callable(each) else each for each in arguments), **options)

    return handler


def returning(make: Callable[[], Any]) -> Handler:
    return lambda item: make()  # noqa: ARG005


def note_all(app: flask.Flask, seen: Seen) -> None:
    """Note which hooks are called, in which order and with what."""

    def after(response: flask.Response) -> flask.Response:
        seen.append(("after", response.status_code))
        response.headers["X-Hook"] = "yes"
        return response

    app.before_request(lambda: seen.append("before"))
    app.after_request(after)
    app.teardown_request(lambda error: seen.append(("request", type(error).__name__)))
    app.teardown_appcontext(lambda error: seen.append(("app", type(error).__name__)))


class Payment(exceptions.HTTPException):
    """Has a status and a description of its own, and a header field."""

    code = 402
    description = "Pay first."

    def get_headers(self, *arguments: Any, **options: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*arguments, **options), ("X-Price", "3")]


class Drawn(exceptions.HTTPException):
    """Draws its own response."""

    code = 422

    def get_response(self, *_: Any, **__: Any) -> flask.Response:
        return flask.Response("drawn", 422, {"X-Own": "1"}, mimetype="text/plain")


class Own(Exception):
    """An error of the application's."""


def auth() -> exceptions.HTTPException:
    schemes = [WWWAuthenticate(name, {"realm": "a"}) for name in ("basic", "digest")]
    return exceptions.Unauthorized("Log in.", www_authenticate=schemes)


for name, source, handler, detail in (
    ("abort", f"{FLASK}errorhandling/", aborting(404), None),
    ("abort_described", f"{FLASK}errorhandling/", aborting(404, "No such note."), "No such note."),
    ("abort_named", f"{FLASK}errorhandling/", aborting(409, description="Not now."), "Not now."),
    ("abort_lines", f"{WERKZEUG}exceptions/", aborting(400, "One.\nTwo."), "One.\nTwo."),
    ("abort_default_400", "pallets/flask#2735", aborting(400), None),
    ("abort_500", f"{FLASK}errorhandling/", aborting(500), None),
    ("abort_500_described", f"{FLASK}errorhandling/", aborting(500, "It burns."), "It burns."),
    ("abort_dict", f"{FLASK}api/#flask.abort", aborting(400, {"name": "is long"}), None),
    ("abort_list", f"{FLASK}api/#flask.abort", aborting(422, ["a", "b"]), None),
    ("abort_response", "pallets/werkzeug#1098", aborting(lambda: flask.Response("x", 403, {"X-Own": "1"})), None),
    (
        "abort_made",
        "flask-restful/flask-restful#791",
        aborting(lambda: flask.make_response(flask.jsonify(error="no"), 418)),
        None,
    ),
    ("abort_redirect", f"{WERKZEUG}exceptions/", aborting(lambda: flask.redirect("/login")), None),
    ("abort_unknown", f"{WERKZEUG}exceptions/", aborting(299), None),
    ("too_many", "pallets/werkzeug#1657", raising(lambda: exceptions.TooManyRequests("Slow.", retry_after=7)), "Slow."),
    ("busy", "pallets/werkzeug#1677", raising(lambda: exceptions.ServiceUnavailable("No.", retry_after=3)), "No."),
    ("unauthorized", "pallets/werkzeug#1755", raising(auth), "Log in."),
    ("not_allowed", "pallets/werkzeug#1748", raising(lambda: exceptions.MethodNotAllowed(["GET", "PUT"], "N.")), "N."),
    ("range", "pallets/werkzeug#1748", raising(lambda: exceptions.RequestedRangeNotSatisfiable(10)), None),
    ("too_large", f"{WERKZEUG}exceptions/", raising(lambda: exceptions.RequestEntityTooLarge("Huge.")), "Huge."),
    ("own_subclass", f"{FLASK}errorhandling/", raising(Payment), "Pay first."),
    ("own_response", f"{WERKZEUG}exceptions/", raising(Drawn), None),
    (
        "response_set",
        "pallets/werkzeug#1677",
        raising(lambda: exceptions.NotFound(response=flask.Response("gone", 404, {"X-Own": "1"}))),
        None,
    ),
    ("moved", "pallets/werkzeug#1718", raising(lambda: RequestRedirect("http://testserver/new")), None),
    ("fails", "pallets/flask#3266", raising(lambda: KeyError("a secret")), None),
    ("redirect", f"{FLASK}quickstart/", returning(lambda: flask.redirect("/login", 303)), None),
    ("dict", "pallets/flask#3111", returning(lambda: {"b": 1, "a": "é"}), None),
    ("list", "pallets/flask#4672", returning(lambda: [1, {"a": None}]), None),
    ("fields_only", f"{FLASK}quickstart/", returning(lambda: ({}, {"X-A": "1"})), None),
    ("status_text", f"{FLASK}api/#flask.Flask.make_response", returning(lambda: ({}, "202 Accepted")), None),
    (
        "replaced",
        "pallets/flask#3628",
        returning(lambda: (flask.jsonify(a=1), {"Content-Type": "application/vnd.a+json"})),
        None,
    ),
    ("empty", f"{FLASK}quickstart/", returning(lambda: flask.Response(status=204)), None),
    ("bytes", f"{FLASK}api/#flask.Flask.make_response", returning(lambda: flask.Response(b"\0\xff")), None),
    ("uuid", f"{FLASK}api/#module-flask.json", returning(lambda: {"id": uuid.UUID(int=1)}), None),
    (
        "dataclass",
        "pallets/flask#3195",
        returning(lambda: flask.jsonify(dataclasses.make_dataclass("P", ["x"])(1))),
        None,
    ),
    ("template", f"{FLASK}templating/", returning(lambda: {"a": flask.render_template_string("{{ g.x }}-")}), None),
):

    def plain_handler(app: flask.Flask, seen: Seen, handler: Handler = handler) -> Handler:
        note_all(app, seen)
        return handler

    CASES[name] = Case(plain_handler, source, GET, detail)


def handled(kind: Any, answer: Callable[[Any], Any], make: Callable[[], Exception]) -> Setup:
    """An error handler of the application's is told of an error."""

    def setup(app: flask.Flask, seen: Seen) -> Handler:
        note_all(app, seen)

        def handle(error: Any) -> Any:
            seen.append((type(error).__name__, type(getattr(error, "original_exception", None)).__name__))
            return answer(error)

        app.register_error_handler(kind, handle)
        return raising(make)

    return setup


def as_json(error: exceptions.HTTPException) -> Any:
    response = error.get_response()
    response.data = flask.json.dumps({"name": error.name, "description": error.description})
    response.content_type = "application/json"
    return response


def caused() -> Exception:
    error = Own()
    error.__cause__ = KeyError("why")
    return error


HTTP, NOT_FOUND = exceptions.HTTPException, exceptions.NotFound
for name, source, setup in (
    ("handler_404", f"{FLASK}errorhandling/", handled(404, lambda _: ("none", 404, {"X-A": "1"}), NOT_FOUND)),
    ("handler_class", "pallets/flask#3266", handled(NOT_FOUND, lambda _: ("none", 404), NOT_FOUND)),
    (
        "handler_http",
        f"{FLASK}errorhandling/",
        handled(HTTP, as_json, lambda: exceptions.TooManyRequests(retry_after=1)),
    ),
    ("handler_http_500", "pallets/flask#2778", handled(HTTP, as_json, Own)),
    ("handler_500", "pallets/flask#3266", handled(500, lambda _: ("sorry", 500), Own)),
    ("handler_500_class", "pallets/flask#3266", handled(exceptions.InternalServerError, as_json, Own)),
    ("handler_500_abort", f"{FLASK}errorhandling/", handled(500, as_json, exceptions.InternalServerError)),
    ("handler_cause", "pallets/werkzeug#1590", handled(500, lambda e: repr(e.original_exception.__cause__), caused)),
    ("handler_all", f"{FLASK}errorhandling/", handled(Exception, lambda _: ("all", 500), Own)),
    ("handler_all_404", f"{FLASK}errorhandling/", handled(Exception, lambda _: ("all", 500), NOT_FOUND)),
    ("handler_passes", f"{FLASK}errorhandling/", handled(Exception, lambda e: e, NOT_FOUND)),
    ("handler_turns", f"{FLASK}errorhandling/", handled(Own, lambda _: exceptions.Gone("Sold."), Own)),
    ("handler_of_base", "pallets/flask#2778", handled(LookupError, lambda _: ("lookup", 400), KeyError)),
    ("handler_200", f"{FLASK}errorhandling/", handled(Own, lambda _: {"fine": True}, Own)),
    ("handler_fails", f"{FLASK}errorhandling/", handled(404, lambda _: 1 // 0, NOT_FOUND)),
    ("handler_aborts", f"{FLASK}errorhandling/", handled(Own, lambda _: flask.abort(410), Own)),
    (
        "handler_401",
        "maxcountryman/flask-login#318",
        handled(401, lambda _: flask.redirect("/login"), exceptions.Unauthorized),
    ),
):
    CASES[name] = Case(setup, source, GET, None)


@case("pallets/flask#3412")
def handler_async(app: flask.Flask, seen: Seen) -> Handler:
    @app.errorhandler(404)
    async def none(_: Exception) -> Any:
        return "none", 404

    @app.before_request
    async def before() -> None:
        seen.append("before")

    @app.after_request
    async def after(response: flask.Response) -> flask.Response:
        seen.append("after")
        return response

    return aborting(404)


@case(f"{FLASK}patterns/deferredcallbacks/")
def after_this(app: flask.Flask, seen: Seen) -> Handler:  # noqa: ARG001
    def handler(item: int) -> NoReturn:  # noqa: ARG001
        @flask.after_this_request
        def mark(response: flask.Response) -> flask.Response:
            response.set_cookie("a", "1")
            response.set_cookie("b", "2")
            return response

        flask.abort(404)

    return handler


@case("pallets/flask#2821", detail="Not you.")
def before_aborts(app: flask.Flask, seen: Seen) -> Handler:
    note_all(app, seen)
    app.before_request(lambda: flask.abort(403, "Not you."))
    app.before_request(lambda: seen.append("never"))
    return returning(lambda: seen.append("never"))


@case(f"{FLASK}api/#flask.Flask.before_request")
def before_answers(app: flask.Flask, seen: Seen) -> Handler:
    note_all(app, seen)
    app.before_request(lambda: ({"gate": True}, 202))
    return returning(lambda: seen.append("never"))


@case("pallets/flask#2066")
def before_fails(app: flask.Flask, seen: Seen) -> Handler:
    note_all(app, seen)

    @app.before_request
    def fail() -> None:
        raise Own

    return returning(dict)


@case(f"{FLASK}api/#flask.Flask.after_request", GET)
def after_fails(app: flask.Flask, seen: Seen) -> Handler:
    note_all(app, seen)
    app.after_request(lambda _: 1 // 0)
    return returning(dict)


@case(f"{FLASK}lifecycle/")
def after_aborts(app: flask.Flask, seen: Seen) -> Handler:
    note_all(app, seen)
    app.after_request(lambda _: flask.abort(409, "Late."))
    return returning(dict)


def signals(make: Callable[[], Exception], prepare: Callable[[flask.Flask, Seen], None] = lambda *_: None) -> Setup:
    def setup(app: flask.Flask, seen: Seen) -> Handler:
        prepare(app, seen)

        def note(name: str) -> Callable[..., None]:
            return lambda _, **said: seen.append((name, *(type(said[key]).__name__ for key in said if key[0] != "_")))

        app.extensions["kept"] = kept = [note(name) for name in ("started", "failed", "finished")]
        for signal, function in zip((request_started, got_request_exception, request_finished), kept, strict=True):
            signal.connect(function, app)
        return raising(make)

    return setup


CASES["signals_abort"] = Case(signals(NOT_FOUND), "pallets/flask#3851", GET, None)
CASES["signals_fail"] = Case(signals(Own), "spec-first/connexion#1326", GET, None)
CASES["signals_fail_hooked"] = Case(signals(Own, note_all), "spec-first/connexion#1326", GET, None)


@case("maxcountryman/flask-login#607")
def session_on_error(app: flask.Flask, seen: Seen) -> Handler:  # noqa: ARG001
    app.secret_key = "for the session"  # it is none

    def handler(item: int) -> NoReturn:  # noqa: ARG001
        flask.session["tries"] = 1
        flask.flash("wrong")
        flask.abort(403, "Wrong.")

    return handler


@case("pallets/flask#2254")
def session_fails(app: flask.Flask, seen: Seen) -> Handler:
    class Broken(SecureCookieSessionInterface):
        def open_session(self, *_: Any) -> NoReturn:
            raise Own

    app.session_interface = Broken()
    note_all(app, seen)
    app.register_error_handler(Own, lambda _: ("no session", 503))
    return returning(dict)


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")


@case("pallets/flask#3412")
def variables(app: flask.Flask, seen: Seen) -> Handler:
    app.before_request(lambda: VARIABLE.set("before") and None)
    app.teardown_request(lambda _: seen.append(VARIABLE.get()))
    return returning(lambda: {"variable": VARIABLE.get()})


@case(f"{FLASK}api/#incoming-request-data")
def of_the_request(app: flask.Flask, seen: Seen) -> Handler:  # noqa: ARG001
    def handler(item: int) -> dict[str, Any]:
        request, endpoint = flask.request, str(flask.request.endpoint)
        urls = [flask.url_for(endpoint, item=8, a=1), flask.url_for(endpoint, item=8, _external=True)]
        return {"item": item, "args": request.view_args, "rule": str(request.url_rule), "urls": urls}

    return handler


@case(f"{FLASK}patterns/urlprocessors/")
def preprocessors(app: flask.Flask, seen: Seen) -> Handler:
    app.url_value_preprocessor(lambda _, values: seen.append(dict(values or {})))
    app.url_defaults(lambda _, values: values.setdefault("lang", "en"))
    return returning(lambda: {"url": flask.url_for(str(flask.request.endpoint), item=1)})


@case(f"{FLASK}api/#flask.copy_current_request_context")
def copied(app: flask.Flask, seen: Seen) -> Handler:
    def handler(item: int) -> dict[str, Any]:  # noqa: ARG001
        thread = threading.Thread(target=flask.copy_current_request_context(lambda: seen.append(flask.request.path)))
        thread.start()
        thread.join()
        return {}

    note_all(app, seen)
    return handler


def reading(read: Callable[[], Any]) -> Setup:
    return lambda _, __: returning(lambda: {"read": read()})


TEXT, JSON = {"Content-Type": "text/plain"}, {"Content-Type": "application/json"}
for name, source, read, requests in (
    ("json", f"{FLASK}api/#flask.Request.get_json", lambda: flask.request.json, post(json={"a": 1})),
    ("json_wrong_type", "pallets/werkzeug#2339", lambda: flask.request.json, post(content=b"{}", headers=TEXT)),
    (
        "json_broken",
        f"{FLASK}api/#flask.Request.get_json",
        lambda: flask.request.json,
        post(content=b"{", headers=JSON),
    ),
    (
        "json_silent",
        f"{FLASK}api/#flask.Request.get_json",
        lambda: flask.request.get_json(silent=True),
        post(content=b"{", headers=JSON),
    ),
    (
        "json_force",
        f"{FLASK}api/#flask.Request.get_json",
        lambda: flask.request.get_json(force=True),
        post(content=b"[1]", headers=TEXT),
    ),
    ("form", f"{FLASK}quickstart/", lambda: flask.request.form.getlist("a"), post(data={"a": ["1", "2"]})),
    ("form_missing", "pallets/flask#3249", lambda: flask.request.form["b"], post(data={"a": "1"})),
    ("args_missing", "pallets/flask#2735", lambda: flask.request.args["b"], GET),
    (
        "files",
        f"{FLASK}patterns/fileuploads/",
        lambda: [(flask.request.files["f"].filename, flask.request.files["f"].read().decode())],
        post(files={"f": ("a.txt", b"hello")}),
    ),
):
    CASES[name] = Case(reading(read), source, requests, None)


@case("pallets/flask#5625", post(content=b"x" * 50, headers=TEXT))
def max_content_length(app: flask.Flask, seen: Seen) -> Handler:
    note_all(app, seen)
    app.config["MAX_CONTENT_LENGTH"] = 10
    return returning(lambda: {"length": len(flask.request.get_data())})


RANGES: Requests = (
    *GET,
    ("HEAD", "/items/7", {}),
    ("GET", "/items/7", {"headers": {"Range": "bytes=2-4"}}),
    ("GET", "/items/7", {"headers": {"If-None-Match": '"tag"'}}),
    ("GET", "/items/7", {"headers": {"Range": "bytes=90-"}}),
)


@case("pallets/flask#2957", RANGES)
def file(app: flask.Flask, seen: Seen) -> Handler:  # noqa: ARG001
    return returning(
        lambda: flask.send_file(io.BytesIO(b"0123456789"), "text/plain", True, "é.txt", etag="tag")  # noqa: FBT003
    )


@case(f"{WERKZEUG}utils/#werkzeug.utils.send_from_directory")
def file_missing(app: flask.Flask, seen: Seen) -> Handler:
    note_all(app, seen)
    return returning(lambda: flask.send_from_directory(Path(__file__).parent, "../secret"))


@case("pallets/flask#5774", (*GET, ("HEAD", "/items/7", {})))
def stream(app: flask.Flask, seen: Seen) -> Handler:
    note_all(app, seen)

    def parts() -> Iterator[str]:
        try:
            yield flask.request.path
            yield str(flask.request.view_args)
        finally:
            seen.append("closed")

    def make() -> flask.Response:
        response = flask.Response(flask.stream_with_context(parts()), mimetype="text/plain")
        response.call_on_close(lambda: seen.append("called"))
        return response

    return returning(make)


@case("corydolphin/flask-cors#122")
def cookies(app: flask.Flask, seen: Seen) -> Handler:  # noqa: ARG001
    def make() -> flask.Response:
        response = flask.make_response({"a": 1}, 201)
        response.set_cookie("a", "1", httponly=True)
        response.set_cookie("b", "2", samesite="Lax")
        response.vary.update(["Origin", "Accept"])
        return response

    return returning(make)


@case("pallets/flask#4692")
def json_provider(app: flask.Flask, seen: Seen) -> Handler:  # noqa: ARG001
    class Provider(DefaultJSONProvider):
        default = staticmethod(lambda value: f"own {value}")

    app.json = Provider(app)
    return returning(lambda: {"complex": 1j})


@case("pallets/flask#4567", detail="Pay first.")
def aborter(app: flask.Flask, seen: Seen) -> Handler:
    note_all(app, seen)
    app.aborter.mapping[402] = Payment
    return aborting(402)


@case("alisaifee/flask-limiter#276")
def limited(app: flask.Flask, seen: Seen) -> Handler:  # noqa: ARG001
    def count(response: flask.Response) -> flask.Response:
        response.headers["X-RateLimit-Remaining"] = "0"
        response.headers.setdefault("Retry-After", "60")
        return response

    app.before_request(lambda: flask.abort(429, "1 per 1 minute"))
    app.after_request(count)
    return returning(dict)


@case(f"{FLASK}blueprints/#static-files", (("GET", f"/own/{Path(__file__).name}", {}), ("GET", "/own/none.txt", {})))
def static(app: flask.Flask, seen: Seen) -> Handler:
    note_all(app, seen)
    app.register_blueprint(
        flask.Blueprint("own", __name__, static_folder=str(Path(__file__).parent), static_url_path="/own")
    )
    return returning(dict)


@case("pallets/flask#3502")
def teardown_after_handler(app: flask.Flask, seen: Seen) -> Handler:
    note_all(app, seen)
    app.register_error_handler(Exception, lambda _: ("handled", 500))
    return raising(Own)


@case(f"{FLASK}testing/#tests-that-depend-on-an-active-context")
def context_of_tests(app: flask.Flask, seen: Seen) -> Handler:
    def handler(item: int) -> dict[str, Any]:  # noqa: ARG001
        with app.test_request_context("/other?a=1", headers={"X-Own": "1"}):
            seen.append((flask.request.path, flask.request.args["a"], flask.current_app == app))
        return {"path": flask.request.path}

    return handler


PAGES: Requests = tuple(
    ("GET", path, {}) for path in ("/pages/in/ok", "/pages/in/gone", "/pages/gone", "/pages/in/view", "/pages/in/slash")
)


@case("pallets/flask#4229", PAGES)
def blueprints(app: flask.Flask, seen: Seen) -> Handler:
    outer, inner = flask.Blueprint("outer", __name__), flask.Blueprint("inner", __name__)
    note_all(app, seen)
    outer.before_request(lambda: seen.append("outer"))
    inner.before_request(lambda: seen.append("inner"))
    inner.before_app_request(lambda: seen.append("all"))
    inner.register_error_handler(410, lambda _: ("inner", 410))
    inner.add_url_rule("/ok", "ok", lambda: {"at": flask.request.endpoint, "url": flask.url_for(".ok")})
    inner.add_url_rule("/gone", "gone", lambda: flask.abort(410))
    inner.add_url_rule("/slash/", "slash", lambda: "slash")
    outer.add_url_rule("/gone", "gone", lambda: flask.abort(410, "Outer."))

    class View(flask.views.MethodView):
        def get(self) -> Any:
            return flask.jsonify(flask.request.blueprints)

    inner.add_url_rule("/view", view_func=View.as_view("view"))
    outer.register_blueprint(inner, url_prefix="/in")
    app.register_blueprint(outer, url_prefix="/pages")
    return returning(dict)


def get_item(item: int) -> None:
    """What the contract names; the resolver finds the handler of each case in its place."""


def post_item(item: int) -> None:
    """The other one."""


CONTRACT_OPERATION: dict[str, Any] = {
    "security": [],
    "parameters": [{"name": "item", "in": "path", "required": True, "schema": {"type": "integer"}}],
    "responses": {"200": {"description": "JSON.", "content": {"application/json": {}}}},
}
CONTRACT: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Items", "version": "1"},
    "paths": {
        "/items/{item}": {
            method: {"operationId": f"{__name__}.{method}_item", **CONTRACT_OPERATION} for method in ("get", "post")
        }
    },
}


def as_coroutine(handler: Handler) -> Handler:
    async def coroutine(item: int) -> Any:
        return handler(item=item)

    return coroutine


def as_function(handler: Handler) -> Handler:
    @functools.wraps(handler, updated=())
    def function(item: int) -> Any:
        return handler(item=item)

    return function


def make_app_of(settings: Settings) -> FlaskApp:
    validator = make_validator(settings)
    return FlaskApp(__name__, settings=settings, validator=validator, lifespan=lambda _: nullcontext(), observers=[])


def plain(setup: Setup, kind: Callable[[Handler], Handler]) -> tuple[httpx.Client, Seen]:
    app, seen = flask.Flask(__name__, static_folder=None), Seen()
    app.add_url_rule("/items/<int:item>", "item", kind(setup(app, seen)), methods=["GET", "POST"])
    return httpx.Client(transport=httpx.WSGITransport(app), base_url="http://testserver"), seen


def ours(setup: Setup, kind: Callable[[Handler], Handler]) -> tuple[Any, Seen]:
    settings = Settings(issuers=("https://tenant.example.com/",), audience="https://api.example.com")
    app = make_app_of(settings)
    seen = Seen()
    handler = kind(setup(app.app, seen))
    app.add_api(CONTRACT, resolver=lambda _: handler)
    return app.test_client(), seen


def fields(response: httpx.Response) -> list[tuple[str, str]]:
    """Its header fields but for those of the body, and those that are in each of our answers."""
    others = ("content-length", "content-type", "date", "x-request-id", "x-content-type-options", "referrer-policy")
    found = [(name, value) for name, value in response.headers.multi_items() if name not in others]
    return sorted((name, value.partition(".")[0] if value.startswith("session=") else value) for name, value in found)


def assert_same_body(expected: httpx.Response, found: httpx.Response, detail: str | None) -> None:
    if expected.is_error and expected.text.startswith("<!doctype html>"):
        assert found.headers["content-type"] == "application/problem+json"
        problem = found.json()
        assert (problem["status"], problem["title"]) == (expected.status_code, TITLES[expected.status_code or 0])
        assert isinstance(problem["detail"], str)
        assert "No operation" not in problem["detail"]  # one was found, and its handler has failed
        assert problem["detail"] == (detail or problem["detail"])
        return
    assert found.headers.get("content-type") == expected.headers.get("content-type")
    is_json = expected.content and "json" in expected.headers.get("content-type", "")
    assert (found.json() if is_json else found.content) == (expected.json() if is_json else expected.content)


@pytest.mark.parametrize("kind", [as_function, as_coroutine])
@pytest.mark.parametrize("name", [pytest.param(name, id=f"{name}-{each.source}") for name, each in CASES.items()])
def test_it_is_as_in_plain_flask(name: str, kind: Callable[[Handler], Handler]) -> None:
    each = CASES[name]
    (theirs, called), (client, seen) = plain(each.setup, kind), ours(each.setup, kind)
    for method, path, options in each.requests:
        expected = theirs.request(method, path, follow_redirects=False, **options)
        found = client.request(method, path, follow_redirects=False, **options)
        assert (found.status_code, fields(found), seen) == (expected.status_code, fields(expected), called)
        assert_same_body(expected, found, each.detail)
