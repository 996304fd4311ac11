"""What the contract says of requests: their parameters and bodies, validated and as handlers get them."""

import copy
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_plus
from urllib.request import parse_http_list

from connexion.exceptions import UnsupportedMediaTypeProblem
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import Scope

from resource_server.contract.compiled import Compiled
from resource_server.contract.types import ANYTHING, Content, json_value
from resource_server.serving.badrequest import Problems
from resource_server.serving.mediatypes import MediaType, best
from resource_server.serving.parameters import ABSENT, FORM, MULTIPART, Pairs, Parameter, Parameters, Style, pairs_of

Files = Mapping[str, list[tuple[str, MediaType]]]
"""The files of a form by the names of its fields, each with its type; a character stands for each octet."""


class RequestValidation:
    """Reads and validates the requests of an operation.

    Args:
        parameters: The operation's.
        body: What the contract says of its body, if anything.
        compiled: The contract.
        strict: Whether parameters and fields that the contract doesn't name are refused.
        credentials: Names in the query that aren't parameters, but credentials.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        body: Mapping[str, Any] | None,
        compiled: Compiled,
        *,
        strict: bool,
        credentials: Iterable[str],
    ) -> None:
        self._all = parameters
        self._parameters = Parameters(parameters, strict=strict, credentials=credentials)
        self._required = bool(body and body.get("required", False))
        content = (body or {}).get("content", {})
        self._bodies = [
            (MediaType.of(name), _Body(MediaType.of(name), definition, compiled, strict=strict))
            for name, definition in content.items()
        ]

    def prepare(self) -> None:
        """Compile all schemas now, so that no request waits for it."""
        for parameter in self._all:
            parameter.prepare()
        for _, body in self._bodies:
            body.prepare()

    def read_parameters(self, scope: Scope, problems: Problems) -> dict[str, Any]:
        """The arguments that a request's parameters are; what is wrong is added to the problems."""
        arguments = self._parameters.read(scope, problems)
        scope["path_params"] = {name: arguments[name] for name in self._parameters.of_path if name in arguments}
        return arguments

    def body_of(self, scope: Scope, *, comes: bool) -> "tuple[MediaType, _Body] | None":
        """What the body of a request is held against; nothing, if the contract says nothing of bodies, or none comes.

        Raises:
            UnsupportedMediaTypeProblem: Its media type isn't taken.
        """
        if not self._bodies:
            return None
        sent = _content_type(scope)
        if sent is None and (not comes or (len(self._bodies) == 1 and "*" not in self._bodies[0][0].essence)):
            return self._bodies[0]
        media_type = MediaType.of(sent) if sent is not None else None
        found: _Body | None = best(media_type, self._bodies) if media_type else None
        if media_type is None or found is None:
            if not comes and not self._required:
                return None
            taken = ", ".join(declared.essence for declared, _ in self._bodies)
            said = f"Content-Type {sent[:100]!r}" if sent is not None else "A body without Content-Type"
            raise UnsupportedMediaTypeProblem(detail=f"{said} isn't taken here: {taken}.")
        return media_type, found

    async def read_body(
        self, found: "tuple[MediaType, _Body] | None", scope: Scope, data: bytes, problems: Problems
    ) -> Any:
        """The value that a request's body has for its handler, or `ABSENT`; what is wrong is added to the problems."""
        if found is None:
            return ABSENT
        media_type, body = found
        if not data and (media_type.essence != FORM or _content_type(scope) is None):
            if self._required and body.default is ABSENT:
                problems.add("body", None, "#", "it is required")
            return copy.deepcopy(body.default)
        try:
            return await body.read(media_type, scope, data, problems)
        except (ValueError, LookupError, RecursionError, MultiPartException):
            problems.add("body", None, "#", "it can't be decoded as its Content-Type says")
            return ABSENT


def _content_type(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"content-type":
            text: str = value.decode("latin-1").strip(" \t")
            return text or None
    return None


class _Body:
    """One media type of an operation's body."""

    def __init__(
        self, media_type: MediaType, definition: Mapping[str, Any], compiled: Compiled, *, strict: bool
    ) -> None:
        self._types = compiled.types
        self._content = Content.of(media_type.essence, definition)
        self._schema = self._content.schema
        self._validator = compiled.schemas.of_requests(self._schema)
        self._strict = strict
        followed = compiled.types.followed(self._schema)
        self.default = followed.get("default", ABSENT) if isinstance(followed, dict) else ABSENT
        self._fields: dict[str, _Field] = {}
        if media_type.essence in (FORM, MULTIPART):
            encoding = definition.get("encoding", {})
            multipart = media_type.essence == MULTIPART
            self._fields = {
                name: _Field(
                    Style(name, "form", explode=True, schema=schema, types=self._types),
                    encoding.get(name, {}),
                    multipart=multipart,
                )
                for name, schema in self._types.properties(self._schema).items()
            }
        self.is_form = media_type.essence == FORM and "access_token" not in self._fields
        """Whether it is a form in which nobody expects an access token."""
        self._owned = {each for field in self._fields.values() for each in field.names}
        self._deep = {name for name, field in self._fields.items() if field.is_deep}

    def prepare(self) -> None:
        """Compile its schema now."""
        self._validator.prepare()

    async def read(self, media_type: MediaType, scope: Scope, data: bytes, problems: Problems) -> Any:
        """The value of a body.

        Raises:
            Exception: It can't be decoded: `ValueError`, `LookupError`, `RecursionError` or `MultiPartException`.
        """
        if media_type.is_json or self._content.separator:
            value = self._content.value(_text(data, media_type))
            self._check(value, problems)
            return value
        if media_type.essence == FORM:
            return self._form(pairs_of(_text(data, media_type)), {}, problems, unquote_plus)
        if media_type.essence == MULTIPART:
            texts, files = await _parts(scope, data)
            return self._form(texts, files, problems, str)
        if media_type.is_text:
            values = list(self._types.values(_text(data, media_type), self._schema))
            self._check(next(filter(self._validator.is_valid, values), values[0]), problems)
        return data  # it is the handler's to judge

    def _form(self, pairs: Pairs, files: Files, problems: Problems, decode: Callable[[str], str]) -> dict[str, Any]:
        """The fields of a form but for its files, which are held against the contract, too."""
        by_name: dict[str, Pairs] = {}
        for name, text in pairs:
            base = name.partition("[")[0]
            by_name.setdefault(base if base in self._deep else name, []).append((name, text))
        value = self._declared(by_name, files, problems, decode)
        for name in [each for each in by_name if each not in self._owned]:
            if self._strict:
                problems.add("body", None, f"#/{name}", "it is not declared")
            schema = self._types.property(self._schema, name)
            values = [self._types.value(decode(text), schema) for _, text in by_name[name]]
            value[name] = values[0] if len(values) == 1 else values
        self._check({**value, **{name: self._of_files(name, sent) for name, sent in files.items()}}, problems)
        return value

    def _declared(
        self, by_name: Mapping[str, Pairs], files: Files, problems: Problems, decode: Callable[[str], str]
    ) -> dict[str, Any]:
        """The values of the fields that the contract names."""
        value: dict[str, Any] = {}
        for name, field in self._fields.items():
            if field.is_file and name in by_name:
                problems.add("body", None, f"#/{name}", "it must be a file")
            elif name in files and not field.may_be_file:
                problems.add("body", None, f"#/{name}", "it must be text, and not a file")
            elif name in files:
                if not all(field.takes(media_type) for _, media_type in files[name]):
                    problems.add("body", None, f"#/{name}", f"its Content-Type must be {field.content_type}")
            else:
                found = field.read([pair for each in field.names for pair in by_name.get(each, ())], decode)
                if found is not ABSENT:
                    value[name] = found
        return value

    def _of_files(self, name: str, sent: list[tuple[str, MediaType]]) -> Any:
        field, contents = self._fields.get(name), [content for content, _ in sent]
        return contents[0] if field is not None and field.is_file and not field.is_list and len(sent) == 1 else contents

    def _check(self, value: Any, problems: Problems) -> None:
        problems.check(self._validator, value, "body")


class _Field:
    """A field of a form."""

    def __init__(self, style: Style, encoding: Mapping[str, Any], *, multipart: bool) -> None:
        types, schema = style.types, style.schema
        kinds = types.of(schema)
        self.is_list = "array" in kinds and "string" not in kinds
        self.is_file = multipart and is_file(types.followed(types.items(schema) if self.is_list else schema))
        self.may_be_file = self.is_file or len(kinds) == len(ANYTHING)
        self.content_type = content_type = encoding.get("contentType", "")
        self._taken = [MediaType.of(each) for each in parse_http_list(content_type) if each and self.is_file]
        is_object = "object" in kinds and "string" not in kinds
        self._is_json = "json" in content_type or (
            multipart and is_object and not encoding.keys() & {"style", "explode"}
        )
        written = encoding.get("style", "form")
        self.is_deep = written == "deepObject"
        self._style = replace(style, style=written, explode=encoding.get("explode", written == "form"))
        if self._is_json:
            self._style = replace(style, schema={"type": "string"})
        self.names = self._style.names() or {style.name}

    def takes(self, media_type: MediaType) -> bool:
        """Whether a file may be of a type (OpenAPI, Encoding Object)."""
        return not self._taken or any(map(media_type.matches, self._taken))

    def read(self, pairs: Pairs, decode: Callable[[str], str]) -> Any:
        """The value among those of the form.

        Raises:
            ValueError: It is no JSON, and must be.
        """
        style = self._style
        value = style.of_pairs(pairs, decode)
        if self._is_json and value is not ABSENT:
            return json_value(value)
        return style.types.value(value, style.schema) if isinstance(value, str) else value


def is_file(schema: Any) -> bool:
    """Whether a schema, references followed, is one of a file's in a multipart form."""
    if not isinstance(schema, dict) or schema.get("type", "string") != "string":
        return False
    if schema.get("format") in ("binary", "base64"):
        return True
    return "contentMediaType" in schema and "contentEncoding" not in schema


def _text(data: bytes, media_type: MediaType) -> str:
    if media_type.charset not in _CHARSETS:
        raise LookupError(media_type.charset)
    return data.decode(media_type.charset).removeprefix("\ufeff")


_CHARSETS = (
    "utf-8",
    "utf8",
    "us-ascii",
    "ascii",
    "iso-8859-1",
    "latin-1",
    "latin1",
    "windows-1252",
    "utf-16",
    "utf-32",
)
"""Those that take no more than linear time."""


async def _parts(scope: Scope, data: bytes) -> tuple[Pairs, Files]:
    """The texts of a multipart form, and its files."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield data
        yield b""

    form = await MultiPartParser(Headers(scope=scope), stream()).parse()
    texts: Pairs = []
    files: dict[str, list[tuple[str, MediaType]]] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            media_type = MediaType.of(value.content_type or "text/plain")  # RFC 7578, section 4.4
            files.setdefault(name, []).append(((await value.read()).decode("latin-1"), media_type))
        else:
            texts.append((name, value))
    await form.close()
    return texts, files
