"""Connexion's validation, made once for each operation, and with what it gets wrong about bodies put right."""

import json
from collections.abc import AsyncGenerator, Iterator
from functools import lru_cache
from typing import Any

import jsonschema_rs
from connexion.datastructures import MediaTypeDict
from connexion.exceptions import BadRequestProblem, ExtraParameterProblem, UnsupportedMediaTypeProblem
from connexion.json_schema import Draft4RequestValidator, format_error_with_path
from connexion.operations import AbstractOperation
from connexion.utils import extract_content_type, is_json_mimetype, is_null, is_nullable, split_content_type
from connexion.validators.parameter import ParameterValidator
from jsonschema import Draft4Validator, ValidationError  # type: ignore[import-untyped]
from jsonschema.validators import extend  # type: ignore[import-untyped]
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.types import Scope


class RequestValidation:
    """Validates the requests of an operation.

    Args:
        operation: Connexion's.
        strict: Whether parameters that the contract doesn't name are refused.
    """

    def __init__(self, operation: AbstractOperation, *, strict: bool) -> None:
        self._operation = operation
        self._strict = strict
        self._required: bool = operation.request_body.get("required", False)
        self._parser = operation.uri_parser_class(operation.parameters, operation.body_definition())
        self._types = MediaTypeDict([(each.lower(), None) for each in operation.consumes])
        self._parameters = _Parameters(operation.parameters, self._parser, strict, _credentials_in_query(operation))
        self._schemas = MediaTypeDict(
            {
                each: _compiled(_Body, operation.body_schema(each))
                for each in operation.consumes
                if is_json_mimetype(each) or each.lower() in _FORMS
            }
        )

    @classmethod
    def of(cls, operation: AbstractOperation, *, strict: bool) -> "RequestValidation | None":
        """What validates the requests of an operation; nothing, if there is nothing to validate."""
        return cls(operation, strict=strict) if operation.parameters or operation.consumes or strict else None

    def check_parameters(self, scope: Scope) -> None:
        """Validate the parameters of a request, and whether its body is of a media type that is taken.

        Raises:
            BadRequestProblem: A parameter is wrong or missing.
            UnsupportedMediaTypeProblem: The media type isn't taken.
        """
        self._parameters.validate(scope)
        media_type, _ = self._content_type(scope)
        if self._operation.consumes and media_type.lower() not in self._types:
            raise UnsupportedMediaTypeProblem(
                detail=f"Invalid Content-type ({media_type}), expected {self._operation.consumes}"
            )

    async def check_body(self, scope: Scope, body: bytes) -> bytes:
        """Validate the body of a request; returns it as the handler sees it.

        Raises:
            BadRequestProblem: It isn't what the contract declares.
        """
        media_type, encoding = self._content_type(scope)
        schema = self._operation.body_schema(media_type)
        if not schema:
            return body
        try:
            if is_json_mimetype(media_type):
                return self._check_json(media_type, encoding, schema, body)
            if media_type.lower() in _FORMS:
                return await self._check_form(scope, media_type, schema, body)
        except (ValueError, LookupError, RecursionError, MultiPartException) as error:
            # Other bytes, another charset, nested too deeply, which Connexion answers with 500.
            raise BadRequestProblem(detail="The request body can't be decoded as its Content-Type says.") from error
        return body  # it is the handler's to judge

    def _check_json(self, media_type: str, encoding: str, schema: dict[str, Any], body: bytes) -> bytes:
        if not body:
            if "default" in schema:
                return json.dumps(schema["default"]).encode(encoding)
            if self._required:
                raise BadRequestProblem(detail="RequestBody is required")
            return body
        text = body.decode(encoding)
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise BadRequestProblem(detail=str(error)) from error
        if value is None and is_nullable(self._operation.body_definition(media_type)):
            return body
        _check(self._schemas[media_type], value)
        return body

    async def _check_form(self, scope: Scope, media_type: str, schema: dict[str, Any], body: bytes) -> bytes:
        """Validate a form. Files aren't looked into: for each stands an empty text, or a list of them."""
        if not body and self._required:
            raise BadRequestProblem(detail="RequestBody is required")
        properties = schema.get("properties", {})
        texts: dict[str, list[Any]] = {}
        files: dict[str, Any] = {}
        for name, values in (await _fields_of(scope, media_type, body)).items():
            declared = properties.get(name, {})
            if _is_file(declared) and len(values) == 1:
                files[name] = ""
            elif _is_file(declared) or _is_file(declared.get("items", {})) or isinstance(values[0], UploadFile):
                files[name] = [""] * len(values)
            else:
                texts[name] = values
        value = {**self._parser.resolve_form(texts), **files}
        if self._strict and (extra := value.keys() - properties.keys()):
            raise ExtraParameterProblem(param_type="formData", extra_params=extra)
        _check(self._schemas[media_type], value)
        return body

    def _content_type(self, scope: Scope) -> tuple[str, str]:
        media_type, encoding = split_content_type(extract_content_type(scope["headers"]))
        if media_type is None:
            media_type = next(iter(self._operation.consumes), "application/octet-stream")
        return media_type, encoding or "utf-8"


async def _fields_of(scope: Scope, media_type: str, body: bytes) -> dict[str, list[Any]]:
    """The fields of a form, each with all its values."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body
        yield b""

    form = await _FORMS[media_type.lower()](Headers(scope=scope), stream()).parse()
    found = {name: form.getlist(name) for name in form}
    await form.close()
    return found


_FORMS = {"application/x-www-form-urlencoded": FormParser, "multipart/form-data": MultiPartParser}


def _is_file(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "string" and schema.get("format") in ("binary", "base64")


def _check(validator: Any, value: Any) -> None:
    try:
        validator.validate(value)
    except ValidationError as error:
        raise BadRequestProblem(detail=f"{error.message}{format_error_with_path(error)}") from error


def _credentials_in_query(operation: AbstractOperation) -> list[str]:
    """The parameters of the query that are credentials, which strict validation must not complain of."""
    schemes = [operation.security_schemes[name] for requirement in operation.security or () for name in requirement]
    return [scheme["name"] for scheme in schemes if scheme["type"] == "apiKey" and scheme["in"] == "query"]


def _pattern(validator: Any, pattern: str, instance: object, _: object) -> Iterator[ValidationError]:
    """`pattern`, as ECMA-262 has it and in linear time: Python's own can take a value of 26 characters for seconds."""
    if validator.is_type(instance, "string") and not _matching(pattern).is_valid(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


@lru_cache(1_024)
def _matching(pattern: str) -> jsonschema_rs.Draft4Validator:
    schema = {"pattern": pattern}
    try:
        return jsonschema_rs.Draft4Validator(schema, pattern_options=jsonschema_rs.RegexOptions())
    except jsonschema_rs.ValidationError:  # it looks around or back: what takes too many steps doesn't match
        limited = jsonschema_rs.FancyRegexOptions(backtrack_limit=_STEPS)
        return jsonschema_rs.Draft4Validator(schema, pattern_options=limited)


_STEPS = 100_000
_Parameter = extend(Draft4Validator, {"pattern": _pattern})
_Body = extend(Draft4RequestValidator, {"pattern": _pattern})


def _compiled(validator: Any, schema: dict[str, Any]) -> Any:
    return validator(schema, format_checker=Draft4Validator.FORMAT_CHECKER)


class _Parameters(ParameterValidator):  # type: ignore[misc]
    """Connexion's compiles the schemas of parameters for each request."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._validators = {
            id(parameter): _compiled(_Parameter, parameter.get("schema", parameter))
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
