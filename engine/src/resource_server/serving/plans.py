"""Operations, each compiled once: all that is known of it before a request comes."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from connexion.decorators.parameter import get_arguments, pythonic, sanitized, unwrap_decorators
from connexion.lifecycle import WSGIRequest
from connexion.middleware.context import ContextOperation
from connexion.middleware.response_validation import ResponseValidationOperation
from connexion.operations import AbstractOperation
from connexion.utils import inspect_function_arguments
from starlette.types import Receive, Scope, Send

from resource_server.serving.authorization import Authorization
from resource_server.serving.exchange import EXCHANGE, Answer, Exchange
from resource_server.serving.responses import Answers
from resource_server.serving.validation import RequestValidation


class Plan:
    """How requests for an operation are answered.

    Args:
        operation: Connexion's.
        path: Its path template, with the base path.
        authorization: What its requests must show; nothing, if everybody may call it.
        options: Connexion's: `pythonic_params`, `strict_validation` and `validate_responses`.
    """

    def __init__(
        self,
        operation: AbstractOperation,
        path: str,
        authorization: Authorization | None,
        options: Mapping[str, Any],
    ) -> None:
        self.operation = operation
        self.path = path
        self.method: str = operation.method.upper()
        self.operation_id: str = operation.operation_id
        self.authorization = authorization
        self.validation = RequestValidation.of(operation, strict=bool(options.get("strict_validation")))
        self.handler: Callable[..., Any] = operation.function
        self.is_coroutine = inspect.iscoroutinefunction(self.handler)
        self.answers = Answers(operation)
        self._sanitize = pythonic if options.get("pythonic_params") else sanitized
        self._names, self._takes_all = inspect_function_arguments(unwrap_decorators(self.handler))
        self._takes_input = bool(operation.parameters or operation.consumes or "{" in operation.path)
        self._context = ContextOperation(_nothing, operation=operation)
        self._uri_parser = operation.uri_parser_class(operation.parameters, operation.body_definition())
        self.checks_answers = bool(options.get("validate_responses"))
        self._answer_check = ResponseValidationOperation(_replay, operation=operation)

    def enter(self, exchange: Exchange) -> None:
        """Have `connexion.request`, `connexion.context` and the like speak of a request, in this context."""
        _run_at_once(self._context(exchange.scope, exchange.receive, _nothing))

    def arguments(self, request: Any) -> dict[str, Any]:
        """What the handler is called with.

        Args:
            request: Flask's.
        """
        arguments: dict[str, Any] = {}
        exchange: Exchange = request.environ[EXCHANGE]
        if self._takes_input:
            wrapped = WSGIRequest(request, uri_parser=self._uri_parser, view_args=exchange.scope["path_params"])
            arguments = self._input(wrapped)
        for name, value in exchange.context.items():
            if self._takes_all or name in self._names:
                arguments[name] = value
        if "context_" in self._names:
            arguments["context_"] = exchange.context
        return arguments

    def _input(self, request: WSGIRequest) -> dict[str, Any]:
        operation = self.operation
        wanted = self._takes_all or self._sanitize(operation.body_name(request.content_type)) in self._names
        found = get_arguments(
            operation,
            path_params=request.path_params,
            query_params=request.query_params,
            body=request.get_body() if wanted else None,
            files=request.files() if operation.consumes else {},
            arguments=self._names,
            has_kwargs=self._takes_all,
            sanitize=self._sanitize,
            content_type=request.mimetype,
        )
        return {self._sanitize(name): value for name, value in found.items()}

    async def check_answer(self, exchange: Exchange, answered: Answer) -> None:
        """Hold an answer against the contract; of one that comes in parts, its status and header fields.

        Raises:
            NonConformingResponse: It isn't what the contract declares.
        """
        await self._answer_check({**exchange.scope, _ANSWER: answered}, exchange.receive, _nothing)


_ANSWER = "resource_server.answer"


async def _replay(scope: Scope, _: Receive, send: Send) -> None:
    """An ASGI application that answers what is to be checked."""
    answered: Answer = scope[_ANSWER]
    await send({"type": "http.response.start", "status": answered.status, "headers": list(answered.fields)})
    if answered.parts is None and scope["method"] != "HEAD":
        await send({"type": "http.response.body", "body": answered.body})


async def _nothing(*_: object) -> None:
    """An ASGI application that does nothing."""


def _run_at_once(coroutine: Any) -> None:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("It waits.")
