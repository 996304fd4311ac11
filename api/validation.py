"""Connexion's validators of bodies, with what they get wrong put right."""

from collections.abc import AsyncGenerator
from typing import Any

from connexion.datastructures import MediaTypeDict
from connexion.exceptions import BadRequestProblem
from connexion.validators import VALIDATOR_MAP, JSONRequestBodyValidator, JSONResponseBodyValidator
from starlette.types import Scope


class _RequestValidator(JSONRequestBodyValidator):  # type: ignore[misc]  # Connexion's classes are not typed
    """Connexion answers 500 to a body that can't be decoded: other bytes, another charset, nested too deeply."""

    async def _parse(self, stream: AsyncGenerator[bytes, None], scope: Scope) -> Any:
        try:
            return await super()._parse(stream, scope)
        except (ValueError, LookupError, RecursionError) as error:
            raise BadRequestProblem(detail="The request body is not JSON in UTF-8.") from error


class _ResponseValidator(JSONResponseBodyValidator):  # type: ignore[misc]
    """Connexion holds the empty body of a HEAD response against the schema of the one it stands for."""

    def _validate(self, body: Any) -> None:
        if self._scope["method"] != "HEAD":
            super()._validate(body)


VALIDATORS = {
    "body": MediaTypeDict(VALIDATOR_MAP["body"] | {"*/*json": _RequestValidator}),
    "response": MediaTypeDict(VALIDATOR_MAP["response"] | {"*/*json": _ResponseValidator}),
}
"""For Connexion's `validator_map`."""
