"""What handlers return, with the media type that the contract declares."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import flask
from connexion.datastructures import NoContent
from connexion.decorators.response import SyncResponseDecorator
from connexion.frameworks.flask import Flask as FlaskFramework
from connexion.jsonifier import Jsonifier
from connexion.lifecycle import ConnexionResponse
from connexion.operations import AbstractOperation
from connexion.utils import is_json_mimetype
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response

from resource_server.contract.structure import written
from resource_server.serving.answers import declared_for

Body = Mapping[str, object] | list[Any] | str | bytes | float | Iterator[str] | Iterator[bytes] | Response | None
Status = int | str
Fields = Mapping[str, str] | Sequence[tuple[str, str]]
ReturnValue = Body | tuple[Body, Status] | tuple[Body, Fields] | tuple[Body, Status, Fields]
"""What a handler may return: a body, and perhaps a status, like `201` or `"201 Created"`, and header fields."""


class _Jsonifier(Jsonifier):  # type: ignore[misc]  # Connexion's classes are not typed
    def dumps(self, data: Any, **kwargs: Any) -> str:
        """The JSON of a value.

        Raises:
            TypeError: There is none; which member is why, and of what type it is.
        """
        try:
            text: str = super().dumps(data, **kwargs)
        except (TypeError, ValueError) as error:
            why = next(self._unwritable(data), None) if isinstance(error, TypeError) else None
            raise TypeError(f"The answer can't be written as JSON: {why or error}") from error
        return text

    def _unwritable(self, value: Any, place: tuple[str, ...] = ()) -> Iterator[str]:
        """What no JSON has in a value, and where."""
        is_object, is_array = isinstance(value, dict), isinstance(value, list | tuple)
        if is_object or is_array:
            for name, each in value.items() if is_object else enumerate(value):
                if not isinstance(name, str | int | float | None):
                    yield f"a name in {written(place)} is a {type(name).__name__}"
                if len(place) < _DEEPEST:
                    yield from self._unwritable(each, (*place, str(name)))
            return
        try:
            super().dumps(value)
        except TypeError:
            yield f"{written(place)} is a {type(value).__name__}"


_DEEPEST = 50
"""Members in members that are looked at: a value may contain itself."""

JSONIFIER = _Jsonifier(flask.json, separators=(",", ":"))
"""For Connexion's `jsonifier`. Connexion's own indents, which Python's C encoder can't."""


class Answers:
    """What the handler of an operation returns, with the media type that the contract declares for its status.

    Connexion looks at all responses of an operation together, and refuses to choose once the errors have another media
    type than the answer. A media type that the handler itself gives stays.

    Args:
        responses: What is declared, by status.
        operation: Connexion's.
    """

    def __init__(self, responses: Mapping[str, Any], operation: AbstractOperation) -> None:
        self._responses = responses
        self._media_type = functools.cache(self._declared_media_type)

        decorator = SyncResponseDecorator(framework=FlaskFramework, jsonifier=JSONIFIER)
        self._as_response = decorator(lambda answer: answer)

    def response(self, answer: Any) -> Response:
        """Flask's response for what a handler has returned."""
        if isinstance(answer, dict | list) and self.json:
            # What Connexion makes of it in the end, without its looking for the media type.
            return flask.current_app.response_class(JSONIFIER.dumps(answer), mimetype=self.json)
        answer, headers = self._typed(answer)
        response: Response = self._as_response(answer)
        response.headers.update(headers)
        return response

    def _typed(self, answer: Any) -> tuple[Any, Headers]:
        """What Connexion makes a response of, and the header fields that it would take for a dictionary."""
        none = Headers()
        body = answer[0] if isinstance(answer, tuple) and answer else answer
        if isinstance(body, ConnexionResponse):
            return answer, none
        if isinstance(body, Response):
            return flask.current_app.make_response(answer), none
        body, status, headers = _taken_apart(answer)
        if body is None or body is NoContent:
            response = Response(status=status or 204)
            response.headers.remove("Content-Type")
            return response, headers
        media_type = self._media_type(status or 200)
        given = headers.get("Content-Type", media_type)
        return (body, status or 200, {"Content-Type": given} if given else {}), headers

    @functools.cached_property
    def json(self) -> str | None:
        """The media type of 200, if it is a form of JSON."""
        media_type = self._media_type(200)
        return media_type if media_type and is_json_mimetype(media_type) else None

    def _declared_media_type(self, status: int) -> str | None:
        media_types = list((declared_for(self._responses, status) or {}).get("content", ()))
        return media_types[0] if len(media_types) == 1 else None


def _taken_apart(answer: Any) -> tuple[Any, int | None, Headers]:
    """Body, status and header fields of what a handler has returned."""
    body, *rest = answer if isinstance(answer, tuple) else (answer,)
    status: Any = rest.pop(0) if rest and (len(rest) > 1 or not isinstance(rest[0], _FIELDS)) else None
    if len(rest) > 1:
        raise TypeError("A handler may return a body, (body, status), (body, fields) or (body, status, fields).")
    if isinstance(status, Enum):
        status = status.value
    if isinstance(status, str):  # "202 Accepted"
        status = status.partition(" ")[0]
    return body, None if status is None else int(status), Headers(rest[0] if rest else None)


_FIELDS = (Mapping, Headers, list, tuple)
