"""Handlers called without what Flask prepares for each request and most don't use: request, session and response.

`flask.request` and the rest are there as soon as a handler touches them; then Flask also makes the response.
Hooks, signals and Flask's own error handlers see everything as ever: an application that has hooks goes Flask's way.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import flask
from connexion.decorators.parameter import inspect_function_arguments, unwrap_decorators
from flask import signals
from flask.ctx import RequestContext
from flask.globals import _cv_request

_SIGNALS = (
    signals.appcontext_popped,
    signals.appcontext_pushed,
    signals.appcontext_tearing_down,
    signals.got_request_exception,
    signals.request_finished,
    signals.request_started,
    signals.request_tearing_down,
)


def has_hooks(app: flask.Flask) -> bool:
    """Whether anything is to be called before or after each request."""
    return bool(
        app.before_request_funcs
        or app.after_request_funcs
        or app.teardown_request_funcs
        or app.teardown_appcontext_funcs
        or app.url_value_preprocessors
        or any(signal.receivers for signal in _SIGNALS)
    )


class DirectHandler:
    """A handler that takes nothing of the request, and whose answer is JSON as a rule.

    Args:
        function: The handler, as `ContractResolver` wraps it.
        names: What it takes.
    """

    def __init__(self, function: Any, names: Iterable[str]) -> None:
        self._handler = function.handler
        self._answers = function.answers
        self._names = names

    @classmethod
    def of(cls, function: Any, path: str) -> "DirectHandler | None":
        """The handler, if it can be called so: if it takes nothing but what the authorization knows."""
        if not hasattr(function, "answers") or inspect.iscoroutinefunction(function):
            return None
        names, has_kwargs = inspect_function_arguments(unwrap_decorators(function))
        if "{" in path or has_kwargs or not {"user", "token_info"}.issuperset(names):
            return None
        return cls(function, names)

    def __call__(self, scope: Mapping[str, Any]) -> Any:
        context = scope["extensions"].get("connexion_context", {})
        return self._handler(**{name: context[name] for name in self._names if name in context})

    def json(self, answer: Any) -> tuple[str, bytes] | None:
        """The media type and the body of an answer that is JSON, with the status 200 and no header fields."""
        media_type = self._answers.json
        if media_type is None or not isinstance(answer, dict | list):
            return None
        return media_type, self._answers.dumps(answer).encode()

    def typed(self, answer: Any) -> Any:
        """Any other answer, with its media type."""
        return self._answers.typed(answer)


class LazyContext(RequestContext):
    """Flask's context of a request, made when something of it is first asked for."""

    def __init__(self, app: flask.Flask, make_environ: Callable[[], dict[str, Any]]) -> None:
        vars(self).update(app=app, _make_environ=make_environ)

    @property
    def touched(self) -> bool:
        """Whether it has been made."""
        return "request" in vars(self)

    def begin(self) -> None:
        """Become the current context."""
        vars(self)["_token"] = _cv_request.set(self)

    def end(self, error: BaseException | None) -> None:
        """Be so no more."""
        if self.touched:
            self.pop(error)
        else:
            _cv_request.reset(vars(self)["_token"])

    def __getattr__(self, name: str) -> Any:
        if self.touched or name.startswith("__"):
            raise AttributeError(name)
        super().__init__(self.app, vars(self)["_make_environ"]())
        # From here on as if it had been pushed.
        self._cv_tokens.append((vars(self)["_token"], None))
        interface = self.app.session_interface
        session = interface.open_session(self.app, self.request)
        self._session = interface.make_null_session(self.app) if session is None else session
        if self.url_adapter is not None:
            self.match_request()
        return getattr(self, name)

    def copy(self) -> RequestContext:
        """A context for another thread."""
        request = self.request
        return RequestContext(self.app, environ=request.environ, request=request, session=self._session)
