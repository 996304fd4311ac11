"""What surrounds every answer, errors included: the proxy in front, CORS, and header fields that browsers heed."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resource_server.contract.spec import Contract, usage
from resource_server.networks import Networks, comes_from
from resource_server.serving.records import RECORD, note


def edge_middlewares(*, trusted_proxies: Networks, cors_origins: Iterable[str], contract: Contract) -> list[Any]:
    """The middlewares for the front of the stack, outermost first.

    Args:
        trusted_proxies: From where `X-Forwarded-*` is believed; empty for nowhere. The proxies must set or remove each.
        cors_origins: The origins whose pages may read answers, exact to the character.
        contract: Whose methods and header fields those pages may use.
    """
    used = usage(contract)
    cors = partial(
        CORSMiddleware,
        allow_origins=tuple(cors_origins),
        allow_methods=sorted({*used.methods, "HEAD"}),
        allow_headers=sorted({*used.request_headers, "Authorization", "Content-Type", "DPoP"}),
        expose_headers=sorted(
            {*used.response_headers, "WWW-Authenticate", "Retry-After", "X-Request-Id", "DPoP-Nonce"}
        ),
        max_age=600,
    )
    proxy = [partial(Forwarded, trusted=trusted_proxies)] if trusted_proxies else []
    return [*proxy, SafeHeaders, *([cors] if cors_origins else [])]


def own_path(scope: Scope) -> str:
    """The path without what a proxy has put in front."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


class SafeHeaders:
    """Sniffs nothing, refers nowhere, and keeps what was answered to a token out of caches (RFC 9111, section 3.5).

    Names the id of the request, and notes the status of its answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        authorized = any(name == b"authorization" for name, _ in scope["headers"])
        wanted = SAFE | _PRIVATE if authorized else SAFE
        record = scope[RECORD]

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                missing = wanted.keys() - {name.lower() for name, _ in headers}
                headers += [(name, wanted[name]) for name in wanted if name in missing]
                headers.append((b"x-request-id", record["request_id"].encode()))
                record["status"] = message["status"]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_safely)


SAFE = {b"x-content-type-options": b"nosniff", b"referrer-policy": b"no-referrer"}
"""Header fields of each answer."""

_PRIVATE = {b"cache-control": b"no-store"}


class Forwarded:
    """Believes a trusted proxy what the client asked for: X-Forwarded-For, -Proto, -Host and -Prefix.

    Each field's last value counts, which the proxy itself has written.
    """

    def __init__(self, app: ASGIApp, trusted: Networks) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and comes_from(scope, self._trusted):
            scope = _as_forwarded(scope)
            note(scope, client=scope["client"][0])
        await self._app(scope, receive, send)


def _as_forwarded(scope: Scope) -> Scope:
    headers = Headers(scope=scope)
    names = ("for", "proto", "host", "prefix")
    said = {name: _last(",".join(headers.getlist(f"x-forwarded-{name}"))) for name in names}
    forwarded = dict(scope)
    if said["for"]:
        forwarded["client"] = (said["for"], 0)
    if said["proto"] in ("http", "https"):
        forwarded["scheme"] = said["proto"]
    if said["host"]:
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        forwarded["headers"] = [(b"host", said["host"].encode("latin-1")), *others]
    prefix = said["prefix"].rstrip("/")
    if prefix.startswith("/") and not prefix.startswith("//"):
        # ASGI has the path begin with the root path; the proxy has cut it off.
        forwarded["root_path"] = prefix + scope.get("root_path", "")
        forwarded["path"] = prefix + scope["path"]
    return forwarded


def _last(values: str) -> str:
    return values.rpartition(",")[2].strip()
