"""The way of a request, from the server to the handler and back."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from resource_server.serving.authorization import Authorization
from resource_server.serving.badrequest import Problems
from resource_server.serving.beside import Beside
from resource_server.serving.bodies import comes_with_body, read_body
from resource_server.serving.edge import Edge, own_path
from resource_server.serving.exchange import BUSY, Answer, ClientGone, Exchange, Page, Record, answer_of
from resource_server.serving.flasks import Failure, Steps
from resource_server.serving.health import Health
from resource_server.serving.plans import Plan, enter
from resource_server.serving.problems import Errors, answer, problem
from resource_server.serving.routing import Routes
from resource_server.serving.threads import Exit, Slots, Threads

logger = logging.getLogger(__name__)

_PART = 64 * 1024
"""Bytes of an answer that are sent at a time: what a client doesn't take isn't sent."""

MOST_UNSENT = 64 * 1024 * 1024
"""Bytes of answers longer than a part that may wait to be sent."""

_SMALL = 4 * 1024
"""Bytes of a body that is validated in the event loop."""

_BUSY = answer(problem(503, "The server is busy. Try again shortly."), {"Retry-After": "1"})


class Flow:
    """Answers requests: an ASGI application but for lifespans.

    Args:
        health: Answers at the paths of `health_paths`.
        health_paths: Those that the contract doesn't have.
        edge: What surrounds each answer.
        pages: Whatever is answered without an operation, by path.
        routes: The operations.
        beside: Flask's routes beside them.
        steps: Flask's part.
        errors: Answers errors.
        threads: Where handlers run.
        max_requests: How many are worked on at a time.
        max_body: How many bytes a body may have.
        observers: Are told of each request when it has been answered.
        trace: Begins the trace of a request, if there are traces.
    """

    def __init__(
        self,
        *,
        health: Health,
        health_paths: Iterable[str],
        edge: Edge,
        pages: Mapping[str, Page],
        routes: Routes,
        beside: Beside,
        steps: Steps,
        errors: Errors,
        threads: Threads,
        max_requests: int,
        max_body: int,
        observers: Sequence[Callable[[Record], None]],
        trace: Callable[[Exchange, Scope], Any] | None,
    ) -> None:
        self._health = health
        self._health_paths = frozenset(health_paths)
        self._edge = edge
        self._pages = pages
        self._routes = routes
        self._beside = beside
        self._steps = steps
        self._errors = errors
        self._threads = threads
        self._slots = Slots(max_requests)
        self._unsent = _Unsent()
        self._left_behind = 0
        self._max_body = max_body
        self._observers = observers
        self._trace = trace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens; what the health of the process is asked by isn't logged."""
        if scope["path"] in self._health_paths:
            await self._health.answer(scope["path"], stuck=self._slots.stuck)(scope, receive, send)
            return
        exchange = self._edge.enter(scope, receive)
        if self._trace:
            exchange.trace = self._trace(exchange, scope)
        try:
            await self._answer(exchange, send)
        except ClientGone:
            exchange.record["cause"] = ClientGone.__name__
        finally:
            if exchange.trace:
                exchange.trace.end(exchange)
            self._observe(exchange)

    async def _answer(self, exchange: Exchange, send: Send) -> None:
        """Answer a request. Any error becomes a problem document, unless the answer has begun."""
        try:
            try:
                await self._send(exchange, await self._go(exchange), send)
            except ClientGone:
                raise
            except Exception as error:
                if exchange.answered:
                    exchange.record["cause"] = type(error).__name__
                    raise
                if exchange.trace:
                    exchange.trace.failed(error)
                exchange.plan = None  # an error is held against no declaration
                await self._send(exchange, await self._errors.answer(exchange, error), send)
        finally:
            if exchange.has_slot:
                self._slots.give_back()

    async def _go(self, exchange: Exchange) -> Answer:
        """The way of a request."""
        page = await self._page(exchange)
        if page is not None:
            return page
        if self._slots.full:
            return self._busy(exchange)
        plan, authorization = self._route(exchange)
        if authorization:
            self._phase(exchange, "authorization")
            await authorization(exchange)
        self._phase(exchange, "validation")
        await self._validate(exchange, plan)
        exchange.has_slot = self._slots.take()
        if not exchange.has_slot:
            return self._busy(exchange)
        self._phase(exchange, "handler")
        return await self._handle(exchange, plan)

    async def _validate(self, exchange: Exchange, plan: Plan | None) -> None:
        """Have the parameters and the body, as the contract declares them."""
        validation = plan.validation if plan else None
        if validation is None:
            exchange.body = await read_body(exchange, self._max_body)
            return
        scope = exchange.scope
        problems = Problems()
        exchange.arguments = validation.read_parameters(scope, problems)
        expected = validation.body_of(scope, comes=comes_with_body(exchange))
        exchange.body = await read_body(exchange, self._max_body)
        if expected and plan and plan.authorization and expected[1].is_form and b"token" in exchange.body:
            plan.authorization.refuse_another(exchange)
        reading = partial(validation.read_body, expected, scope, exchange.body, problems)
        if len(exchange.body) <= _SMALL:
            exchange.value = await reading()
        else:
            exchange.value = await self._threads.run(_run, reading)
        if problems:
            raise await self._threads.run(problems.told)

    async def _page(self, exchange: Exchange) -> Answer | None:
        """What is answered without an operation: preflights of browsers, and pages."""
        if preflight := self._edge.preflight(exchange):
            return await answer_of(preflight, exchange.scope)
        page = self._pages.get(own_path(exchange.scope))
        if page is None:
            return None
        if exchange.scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        return await answer_of(await page(exchange.scope), exchange.scope)

    def _busy(self, exchange: Exchange) -> Answer:
        exchange.record.update(code="service_unavailable", cause=BUSY)
        return _BUSY

    def _route(self, exchange: Exchange) -> tuple[Plan | None, Authorization | None]:
        """The operation that a request is for, none if Flask has another route for it; and what it must show."""
        path = own_path(exchange.scope)
        plan, exchange.scope["path_params"] = self._routes.find(exchange, path)
        exchange.plan = plan
        if plan is None:
            return None, self._beside.find(exchange)
        exchange.record["operation"] = plan.operation_id
        exchange.route = plan.path
        return plan, plan.authorization

    async def _handle(self, exchange: Exchange, plan: Plan | None) -> Answer:
        exchange.variables = context = contextvars.copy_context()
        context.run(enter, exchange, plan.operation if plan else None)
        if plan and plan.is_coroutine:
            return await self._await(exchange, plan, context)
        return await self._threads.run(context.run, self._steps.answer, exchange)

    async def _await(self, exchange: Exchange, plan: Plan, context: contextvars.Context) -> Answer:
        """Call a coroutine handler here; what surrounds it runs in a thread, if that may block."""
        steps = self._steps
        run: Callable[..., Any] = self._threads.run if steps.hooked or exchange.body else _run_here
        flask_context, value = await run(context.run, steps.begin, exchange)
        failure: BaseException | None = None
        try:
            if value is None:
                arguments = await run(context.run, plan.arguments, flask_context.request)
                try:
                    value = await asyncio.get_running_loop().create_task(
                        _guarded(plan.handler, arguments), context=context
                    )
                    value = context.run(plan.answers.response, value)
                except Exception as error:  # noqa: BLE001  # an error handler of Flask's may answer it
                    value = Failure(error)
            if isinstance(value, Failure):
                run = self._threads.run  # error handlers may block
            answered, failure = await run(context.run, steps.finish, flask_context, value)
        except BaseException as error:
            failure = error
            raise
        else:
            return answered  # type: ignore[no-any-return]
        finally:
            await run(context.run, flask_context.pop, failure)

    async def _send(self, exchange: Exchange, answered: Answer, send: Send) -> None:
        """Send an answer; in development, after holding it against the contract."""
        if answered.parts is not None:
            await self._stream(exchange, answered, answered.parts, send)
            return
        await self._begin(exchange, answered, send)
        if len(answered.body) > _PART:
            await self._unsent.send(answered.body, send)
        else:
            await send({"type": "http.response.body", "body": answered.body})

    async def _begin(self, exchange: Exchange, answered: Answer, send: Send) -> None:
        if exchange.plan and exchange.plan.checks_answers:
            exchange.plan.check_answer(answered, exchange.scope["method"])
        fields = self._edge.leave(exchange, answered)
        exchange.record["status"] = answered.status
        exchange.answered = True
        await send({"type": "http.response.start", "status": answered.status, "headers": fields})

    async def _stream(self, exchange: Exchange, answered: Answer, parts: Iterator[bytes], send: Send) -> None:
        """Send an answer while its parts are made, until they end or the client has gone."""
        gone = asyncio.ensure_future(_until_gone(exchange.receive))
        making: asyncio.Future[bytes | None] | None = None
        try:
            await self._begin(exchange, answered, send)
            left = _length(answered, exchange.scope["method"])
            while True:
                making = self._threads.run(exchange.variables.run, next, parts, None)
                # A client that has all of it may leave.
                awaited = (making,) if left == 0 else (making, gone)
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                if gone in awaited and gone.done():
                    raise ClientGone
                part = making.result()
                if part is None:
                    break
                left = None if left is None else left - len(part)
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            if making is None or making.done():
                await self._threads.run(exchange.variables.run, _close, answered)
            else:
                self._leave_behind(exchange, answered, making)

    def _leave_behind(self, exchange: Exchange, answered: Answer, making: "asyncio.Future[bytes | None]") -> None:
        """Close a stream when its next part has been made: until then its generator can't be, and holds a thread."""
        self._left_behind += 1
        logger.warning("Its client has gone, but a stream makes its next part; so do %s in all", self._left_behind)

        def close(made: "asyncio.Future[bytes | None]") -> None:
            self._left_behind -= 1
            if not made.cancelled():
                made.exception()  # which nobody is left to be told of
            self._threads.run(exchange.variables.run, _close, answered)

        making.add_done_callback(close)

    def _phase(self, exchange: Exchange, name: str) -> None:
        if exchange.trace:
            exchange.trace.phase(name)

    def _observe(self, exchange: Exchange) -> None:
        record = exchange.record
        record["seconds"] = exchange.seconds
        record["status"] = record["status"] or 500
        for observe in self._observers:
            observe(record)


def _length(answered: Answer, method: str) -> int | None:
    """How many bytes a body has: none where its head is all of an answer; None, if that isn't known."""
    if method == "HEAD" or answered.status < 200 or answered.status in (204, 304):
        return 0
    return next((int(value) for name, value in answered.fields if name == b"content-length"), None)


def _close(answered: Answer) -> None:
    try:
        answered.close()
    except Exception:
        logger.exception("What a stream leaves behind couldn't be closed")


def _run(make_coroutine: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(make_coroutine())


async def _run_here(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


async def _guarded(handler: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """What a coroutine handler returns; one that asks Python to exit has failed."""
    try:
        return await handler(**arguments)
    except (SystemExit, KeyboardInterrupt) as error:
        raise Exit(repr(error)) from error


class _Unsent:
    """Long answers on their way. If they become too many bytes, the client that has taken longest is given up."""

    def __init__(self) -> None:
        self._sizes: dict[asyncio.Timeout, int] = {}

    async def send(self, body: bytes, send: Send) -> None:
        """Send a body.

        Raises:
            ClientGone: Its client has been given up.
        """
        try:
            async with asyncio.timeout(None) as patience:
                self._sizes[patience] = len(body)
                self._make_room()
                for begin in range(0, len(body), _PART):
                    await send({"type": "http.response.body", "body": body[begin : begin + _PART], "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except TimeoutError as error:
            raise ClientGone from error
        finally:
            self._sizes.pop(patience, None)

    def _make_room(self) -> None:
        while len(self._sizes) > 1 and sum(self._sizes.values()) > MOST_UNSENT:
            longest = next(iter(self._sizes))
            del self._sizes[longest]
            longest.reschedule(0)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
