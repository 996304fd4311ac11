"""What handlers return, with the media type that the contract declares."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import flask
from connexion.datastructures import NoContent
from connexion.decorators.response import SyncResponseDecorator
from connexion.jsonifier import Jsonifier
from connexion.lifecycle import ConnexionResponse
from connexion.operations import AbstractOperation
from connexion.resolver import Resolution, Resolver
from connexion.utils import is_json_mimetype
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response

JSONIFIER = Jsonifier(flask.json, separators=(",", ":"))
"""For Connexion's `jsonifier`. Connexion's own indents, which Python's C encoder can't."""


class ContractResolver(Resolver):  # type: ignore[misc]  # Connexion's classes are not typed
    """Gives what a handler returns the media type that the contract declares for its status.

    Connexion looks at all responses of an operation together, and refuses to choose once the errors have another media
    type than the answer. A media type that the handler itself gives stays.
    """

    def resolve(self, operation: AbstractOperation) -> Resolution:
        """Find the handler of an operation."""
        resolution = super().resolve(operation)
        resolution.function = _typed(resolution.function, operation)
        return resolution


def _typed(handler: Callable[..., Any], operation: AbstractOperation) -> Callable[..., Any]:
    answers = _Answers(operation)
    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def typed_coroutine(*args: Any, **kwargs: Any) -> Any:
            return answers.typed(await handler(*args, **kwargs))

        return typed_coroutine

    @functools.wraps(handler)
    def typed(*args: Any, **kwargs: Any) -> Any:
        return answers.typed(handler(*args, **kwargs))

    vars(typed).update(handler=handler, answers=answers)  # for `resource_server.serving.direct`
    return typed


class _Answers:
    """What the handler of an operation returns."""

    def __init__(self, operation: AbstractOperation) -> None:
        self._operation = operation  # it isn't complete yet
        self._media_type = functools.cache(self._declared_media_type)

    def typed(self, answer: Any) -> Any:
        """An answer with its media type."""
        if isinstance(answer, dict | list) and self.json:
            # What Connexion makes of it in the end, without its looking for the media type.
            return flask.current_app.response_class(self.dumps(answer), mimetype=self.json)
        body = answer[0] if isinstance(answer, tuple) and answer else answer
        if isinstance(body, ConnexionResponse):
            return answer
        if isinstance(body, Response):
            return flask.current_app.make_response(answer)
        body, status, headers = SyncResponseDecorator._unpack_handler_response(answer)  # noqa: SLF001  # the forms it takes
        headers = Headers(headers)
        if body is None or body is NoContent:
            response = Response(status=status or 204, headers=headers)
            response.headers.remove("Content-Type")
            return response
        media_type = self._media_type(status or 200)
        if media_type and "Content-Type" not in headers:
            headers["Content-Type"] = media_type
        return body, status or 200, headers

    @functools.cached_property
    def json(self) -> str | None:
        """The media type of 200, if it is a form of JSON."""
        media_type = self._media_type(200)
        return media_type if media_type and is_json_mimetype(media_type) else None

    def dumps(self, answer: Any) -> str:
        """An answer as JSON."""
        text: str = JSONIFIER.dumps(answer)
        return text

    def _declared_media_type(self, status: int) -> str | None:
        responses = self._operation.responses
        declared = responses.get(str(status)) or responses.get(f"{status // 100}XX") or responses.get("default") or {}
        media_types = list(declared.get("content", ()))
        return media_types[0] if len(media_types) == 1 else None
