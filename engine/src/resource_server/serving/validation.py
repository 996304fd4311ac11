"""Connexion's validation, made once for each operation, and with what it gets wrong about bodies put right."""

from collections.abc import AsyncGenerator
from typing import Any

from connexion.datastructures import MediaTypeDict
from connexion.exceptions import BadRequestProblem
from connexion.middleware.request_validation import (
    RequestValidationAPI,
    RequestValidationMiddleware,
    RequestValidationOperation,
)
from connexion.operations import AbstractOperation
from connexion.utils import is_null, is_nullable
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
from connexion.validators.parameter import ParameterValidator, draft4_format_checker
from jsonschema import Draft4Validator, ValidationError  # type: ignore[import-untyped]
from starlette.formparsers import MultiPartException
from starlette.types import ASGIApp, Scope


class RequestValidation(RequestValidationMiddleware):  # type: ignore[misc]  # Connexion's classes are not typed
    """Takes the place of Connexion's `RequestValidationMiddleware`, which makes its validators for each request."""

    takes_place_of = RequestValidationMiddleware

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self.api_cls = _ValidationAPI


class _ValidationAPI(RequestValidationAPI):  # type: ignore[misc]
    def make_operation(self, operation: AbstractOperation) -> RequestValidationOperation | ASGIApp:
        """What validates the requests of one operation; nothing, if there is nothing to validate."""
        next_app: ASGIApp = self.next_app
        made: RequestValidationOperation = super().make_operation(operation)
        if not (operation.parameters or operation.consumes or self.strict_validation):
            return next_app
        parser = operation.uri_parser_class(operation.parameters, operation.body_definition())
        parameters = _Parameters(operation.parameters, parser, made.strict_validation, made.security_query_params)
        made._validator_map["parameter"] = lambda *_, **__: parameters  # noqa: SLF001  # it takes a class only
        return made


class _Parameters(ParameterValidator):  # type: ignore[misc]
    """Connexion's compiles the schemas of parameters for each request."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._validators = {
            id(parameter): Draft4Validator(parameter.get("schema", parameter), format_checker=draft4_format_checker)
            for parameters in self.parameters.values()
            for parameter in parameters
        }

    def validate_parameter(self, kind: str, value: Any, parameter: dict[str, Any], _: str | None = None) -> str | None:
        """What is wrong with a value."""
        if value is None or (is_nullable(parameter) and is_null(value)):
            missing: str | None = super().validate_parameter(kind, value, parameter)
            return missing
        try:
            self._validators[id(parameter)].validate(value)
        except ValidationError as error:
            return str(error)
        return None


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
