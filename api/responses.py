"""What handlers return, with the media type that the contract declares."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import flask
from connexion.datastructures import NoContent
from connexion.decorators.response import SyncResponseDecorator
from connexion.lifecycle import ConnexionResponse
from connexion.operations import AbstractOperation
from connexion.resolver import Resolution, Resolver
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response


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
    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def typed_coroutine(*args: Any, **kwargs: Any) -> Any:
            return _with_media_type(await handler(*args, **kwargs), operation)

        return typed_coroutine

    @functools.wraps(handler)
    def typed(*args: Any, **kwargs: Any) -> Any:
        return _with_media_type(handler(*args, **kwargs), operation)

    return typed


def _with_media_type(answer: Any, operation: AbstractOperation) -> Any:
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
    media_type = _media_type(operation, status or 200)
    if media_type and "Content-Type" not in headers:
        headers["Content-Type"] = media_type
    return body, status or 200, headers


def _media_type(operation: AbstractOperation, status: int) -> str | None:
    responses = operation.responses
    declared = responses.get(str(status)) or responses.get(f"{status // 100}XX") or responses.get("default") or {}
    media_types = list(declared.get("content", ()))
    return media_types[0] if len(media_types) == 1 else None
