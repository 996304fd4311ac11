"""Operations, each compiled once: all that is known of it before a request comes."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from connexion.decorators.parameter import pythonic, sanitized, unwrap_decorators
from connexion.middleware.context import ContextOperation
from connexion.operations import AbstractOperation

from resource_server.contract.compiled import Compiled, Declared
from resource_server.contract.spec import VARIABLE
from resource_server.contract.types import ANYTHING
from resource_server.serving.answers import AnswerCheck
from resource_server.serving.authorization import Authorization
from resource_server.serving.exchange import CURRENT, EXCHANGE, Exchange
from resource_server.serving.parameters import ABSENT, MULTIPART, Parameter
from resource_server.serving.responses import Answers
from resource_server.serving.signatures import argument_names, signature
from resource_server.serving.validation import RequestValidation, is_file

_FROM_TOKENS = ("user", "token_info")
"""What a handler may ask for by name, unless the contract has parameters of these names."""


class Plan:
    """How requests for an operation are answered.

    Args:
        declared: What the contract says of it.
        operation: Connexion's, which has found the handler.
        compiled: The contract.
        base: The base path.
        authorization: What its requests must show; nothing, if everybody may call it.
        options: Connexion's: `pythonic_params`, `strict_validation` and `validate_responses`.
    """

    def __init__(
        self,
        declared: Declared,
        operation: AbstractOperation,
        compiled: Compiled,
        *,
        base: str,
        authorization: Authorization | None,
        options: Mapping[str, Any],
    ) -> None:
        self.declared = declared
        self.operation = operation
        self.path = base + declared.path
        self.method = declared.method
        self.operation_id: str = operation.operation_id
        self.authorization = authorization
        self.handler: Callable[..., Any] = operation.function
        self.is_coroutine = inspect.iscoroutinefunction(self.handler)
        self.answers = Answers(declared.responses, operation)
        named = bool(options.get("pythonic_params"))
        self._names, self._takes_all = argument_names(unwrap_decorators(self.handler))
        self._parameters = [
            Parameter(each, compiled.schemas, compiled.types, pythonic_params=named) for each in declared.parameters
        ]
        for parameter in self._parameters:
            parameter.is_argument = self._takes(parameter)
        strict = bool(options.get("strict_validation"))
        self.validation = None
        if self._parameters or declared.body is not None or strict:
            credentials = compiled.credentials_in_query(declared.security)
            self.validation = RequestValidation(
                self._parameters, declared.body, compiled, strict=strict, credentials=credentials
            )
        self.path_names = VARIABLE.findall(declared.path)
        self.path_kinds = dict(_path_kinds(declared, compiled))
        self._sanitize = pythonic if named else sanitized
        body_name = self._sanitize((declared.body or {}).get("x-body-name", "body"))
        self._body_name = (
            body_name if declared.body is not None and (self._takes_all or body_name in self._names) else None
        )
        self._body_has_default = body_name in _with_default(self.handler)
        self._files = files_of(declared, compiled)
        self._required_files = required_files(declared, compiled)
        self._from_tokens = [
            name
            for name in _FROM_TOKENS
            if (self._takes_all or name in self._names) and all(each.argument != name for each in self._parameters)
        ]
        self._takes_context = "context_" in self._names
        self.checks_answers = bool(options.get("validate_responses"))
        self.check_answer = AnswerCheck(declared.responses, compiled)

    def _takes(self, parameter: Parameter) -> bool:
        if parameter.location == "path":
            return True
        all_of_them = self._takes_all and parameter.location in ("query", "querystring")
        return all_of_them or parameter.argument in self._names

    def complaints(self) -> Iterator[str]:
        """What the handler doesn't take, and what it asks for that no request is sure to have."""
        name = self.declared.name
        handler = self.operation_id
        fed = {"context_", *self._from_tokens, *self._required_files}
        if self.declared.body is not None:
            fed.add(self._sanitize(self.declared.body.get("x-body-name", "body")))
        for each in self._parameters:
            if each.location in ("path", "query") and not self._takes_all and each.argument not in self._names:
                yield (
                    f"{name}: {handler} takes no argument {each.argument!r}, which the {each.location} has: "
                    f"add it{self._otherwise(each)}"
                )
            if wrong := each.wrong_default():
                yield f"{name}: the default of its parameter {each.name!r} is not one: {wrong}"
            if each.is_required or each.default is not ABSENT:
                fed.add(each.argument)
        for argument in _without_default(self.handler):
            if argument not in fed:
                yield (
                    f"{name}: {handler} asks for {argument!r}, which a request need not have: "
                    f"give the argument a default, like `{argument}=None`"
                )

    def _otherwise(self, parameter: Parameter) -> str:
        """What to do about a parameter that the handler doesn't take, in place of adding it."""
        if (name := pythonic(parameter.name)) in self._names:
            return f", or have `make_app(…, pythonic_params=True)` call it {name!r}"
        return "" if parameter.location == "path" else ", or `**others` if it reads the query by itself"

    @property
    def flask_path(self) -> str:
        """Its path template as Flask writes it, which builds URLs by it; its parameters are the handler's arguments."""
        names = {each.name: each.argument for each in self._parameters if each.location == "path"}
        path = self.declared.path
        for index, name in enumerate(self.path_names):
            argument = names.get(name, "")
            kind = {"integer": "int:", "number": "float:", "path": "path:"}.get(self.path_kinds.get(name, ""), "")
            path = path.replace(f"{{{name}}}", f"<{kind}{argument if argument.isidentifier() else f'p{index}'}>")
        return path

    @property
    def hides(self) -> list[str]:
        """What handlers get from tokens under names that are parameters here."""
        return [each.argument for each in self._parameters if each.argument in _FROM_TOKENS]

    def prepare(self) -> None:
        """Compile its schemas now."""
        if self.validation:
            self.validation.prepare()

    def arguments(self, request: Any) -> dict[str, Any]:
        """What the handler is called with.

        Args:
            request: Flask's.
        """
        exchange: Exchange = request.environ[EXCHANGE]
        arguments = exchange.arguments
        if self._body_name is not None and (exchange.value is not ABSENT or not self._body_has_default):
            arguments[self._body_name] = None if exchange.value is ABSENT else exchange.value
        if self._files and request.mimetype == MULTIPART:
            arguments |= self._sent_files(request)
        context = exchange.context
        for name in self._from_tokens:
            if name in context:
                arguments[name] = context[name]
        if self._takes_context:
            arguments["context_"] = context
        return arguments

    def _sent_files(self, request: Any) -> dict[str, Any]:
        sent = {name: request.files.getlist(name) for name in self._files}
        return {
            name: files if self._files[name] else files[0]
            for name, files in sent.items()
            if files and (self._takes_all or name in self._names)
        }


def files_of(declared: Declared, compiled: Compiled) -> dict[str, bool]:
    """The fields of a multipart form that are files or may be, and whether there may be several."""
    types, found = compiled.types, dict[str, bool]()
    for name, definition in (declared.body or {}).get("content", {}).items():
        if name.lower().startswith("multipart/"):
            for field, schema in types.properties(definition.get("schema", {})).items():
                kinds = types.of(schema)
                several = "array" in kinds and "string" not in kinds
                if is_file(types.followed(types.items(schema) if several else schema)) or len(kinds) == len(ANYTHING):
                    found[field] = several
    return found


def required_files(declared: Declared, compiled: Compiled) -> set[str]:
    """The fields of files that each request must have: its body must be there, and be such a form."""
    body = declared.body or {}
    content = body.get("content", {})
    if not body.get("required") or not all(name.lower().startswith("multipart/") for name in content):
        return set()
    schemas = [compiled.types.followed(each.get("schema", {})) for each in content.values()]
    fields = [set(schema.get("required", ())) for schema in schemas if isinstance(schema, dict)]
    return files_of(declared, compiled).keys() & set.intersection(*fields) if fields else set()


def _path_kinds(declared: Declared, compiled: Compiled) -> Iterator[tuple[str, str]]:
    """Of the parameters of its path, what they match: whole segments, unless they are numbers or paths."""
    for each in declared.parameters:
        if each["in"] == "path" and each.get("style", "simple") == "simple":
            schema = compiled.types.followed(each.get("schema", {}))
            kinds = compiled.types.of(schema)
            if isinstance(schema, dict) and schema.get("format") == "path":
                yield each["name"], "path"
            elif len(kinds) == 1 and kinds[0] in ("integer", "number"):
                yield each["name"], kinds[0]


def _without_default(function: Callable[..., Any]) -> list[str]:
    parameters = _signature(function)
    return [name for name, each in parameters.items() if each.default is each.empty and each.kind in _NAMED]


def _with_default(function: Callable[..., Any]) -> set[str]:
    return {name for name, each in _signature(function).items() if each.default is not each.empty}


def _signature(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return signature(function).parameters
    except (TypeError, ValueError):
        return {}


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


async def _nothing(*_: object) -> None:
    """An ASGI application that does nothing."""


def enter(exchange: Exchange, operation: AbstractOperation | None) -> None:
    """Have `connexion.request`, `connexion.context` and the like speak of a request, in this context."""
    CURRENT.set(exchange)
    # Connexion's class for it says that there is an operation, but beside the contract there is none.
    _run_at_once(ContextOperation(_nothing, operation=operation)(exchange.scope, exchange.receive, _nothing))


def _run_at_once(coroutine: Any) -> None:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("It waits.")
