"""What handlers return, as the contract declares it."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from connexion.lifecycle import ConnexionResponse
from connexion.operations import AbstractOperation
from connexion.resolver import Resolution, Resolver
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
    """Add the media type to one of the forms that Connexion takes: a body, or a tuple of it, status and headers."""
    if isinstance(answer, Response | ConnexionResponse):
        return answer
    body, *rest = answer if isinstance(answer, tuple) else (answer,)
    status = int(rest.pop(0)) if rest and not isinstance(rest[0], dict) else None
    headers = dict(rest[0]) if rest else {}
    status = status or (204 if body is None else 200)
    media_type = _media_type(operation, status)
    if media_type and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = media_type
    return body, status, headers


def _media_type(operation: AbstractOperation, status: int) -> str | None:
    responses = operation.responses
    declared = responses.get(str(status)) or responses.get(f"{status // 100}XX") or responses.get("default") or {}
    media_types = list(declared.get("content", ()))
    return media_types[0] if len(media_types) == 1 else None
