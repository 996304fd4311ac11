"""Connexion's validators of bodies, with what they get wrong put right."""

from collections.abc import AsyncGenerator
from typing import Any

from connexion.datastructures import MediaTypeDict
from connexion.exceptions import BadRequestProblem
from connexion.validators import (
    VALIDATOR_MAP,
    AbstractRequestBodyValidator,
    AbstractResponseBodyValidator,
    FormDataValidator,
    JSONRequestBodyValidator,
    JSONResponseBodyValidator,
    MultiPartFormDataValidator,
    TextResponseBodyValidator,
)
from starlette.formparsers import MultiPartException
from starlette.types import Scope


class _Decoding(AbstractRequestBodyValidator):  # type: ignore[misc]  # Connexion's classes are not typed
    """Connexion answers 500 to a body that can't be decoded: other bytes, another charset, nested too deeply."""

    async def _parse(self, stream: AsyncGenerator[bytes, None], scope: Scope) -> Any:
        try:
            return await super()._parse(stream, scope)
        except (ValueError, LookupError, RecursionError, MultiPartException) as error:
            raise BadRequestProblem(detail="The request body can't be decoded as its Content-Type says.") from error


class _BodyOfHead(AbstractResponseBodyValidator):  # type: ignore[misc]
    """Connexion holds the empty body of a HEAD response against the schema of the one it stands for."""

    def _validate(self, body: Any) -> None:
        if self._scope["method"] != "HEAD":
            super()._validate(body)


def _corrected(correction: type, validator: type) -> type:
    return type(validator.__name__, (correction, validator), {})


VALIDATORS = {
    "body": MediaTypeDict(
        VALIDATOR_MAP["body"]
        | {
            "*/*json": _corrected(_Decoding, JSONRequestBodyValidator),
            "application/x-www-form-urlencoded": _corrected(_Decoding, FormDataValidator),
            "multipart/form-data": _corrected(_Decoding, MultiPartFormDataValidator),
        }
    ),
    "response": MediaTypeDict(
        VALIDATOR_MAP["response"]
        | {
            "*/*json": _corrected(_BodyOfHead, JSONResponseBodyValidator),
            "text/plain": _corrected(_BodyOfHead, TextResponseBodyValidator),
        }
    ),
}
"""For Connexion's `validator_map`."""
