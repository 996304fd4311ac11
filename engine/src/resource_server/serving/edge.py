"""What surrounds every answer, errors included: the proxy in front, CORS, and header fields that browsers heed."""

from collections.abc import Collection, Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope

from resource_server.contract.spec import Contract, usage
from resource_server.networks import Networks, comes_from
from resource_server.serving.exchange import Answer, Exchange, Fields
from resource_server.tokens.credentials import PEER

_SAFE = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
_PRIVATE = (b"cache-control", b"no-store")


def own_path(scope: Scope) -> str:
    """The path without what a proxy has put in front."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if root else path


class Edge:
    """Where requests come in and answers go out.

    Args:
        trusted_proxies: From where `X-Forwarded-*` is believed, and the id that `X-Request-Id` brings is taken over;
            empty for nowhere. The proxies must set or remove each.
        cors_origins: The origins whose pages may read answers, exact to the character.
        cors_headers: The header fields that those pages may send beside those of the contracts.
        contracts: Whose methods and header fields those pages may use.
    """

    def __init__(
        self,
        *,
        trusted_proxies: Networks,
        cors_origins: Collection[str],
        cors_headers: Collection[str],
        contracts: Iterable[Contract],
    ) -> None:
        self._trusted = trusted_proxies
        self._cors = _cors(cors_origins, cors_headers, contracts) if cors_origins else None

    def enter(self, scope: Scope, receive: Receive) -> Exchange:
        """Begin an exchange; what a trusted proxy says of the request is believed."""
        if not (self._trusted and comes_from(scope, self._trusted)):
            return Exchange(dict(scope), receive)
        exchange = Exchange(_as_forwarded(scope), receive, _brought_id(scope))
        exchange.record["path"] = scope["path"]
        return exchange

    def preflight(self, exchange: Exchange) -> Response | None:
        """The answer to a browser that asks whether a page may send a request."""
        if self._cors and exchange.scope["method"] == "OPTIONS":
            headers = Headers(scope=exchange.scope)
            if "origin" in headers and "access-control-request-method" in headers:
                return self._cors.preflight_response(headers)
        return None

    def leave(self, exchange: Exchange, answer: Answer) -> Fields:
        """All header fields of an answer."""
        names = {name for name, _ in answer.fields}
        fields = [*answer.fields, *exchange.fields]
        fields += [field for field in _SAFE if field[0] not in names]
        for_somebody = exchange.field(b"authorization") is not None or exchange.context.get("token_info")
        if for_somebody and _PRIVATE[0] not in names:
            fields.append(_PRIVATE)  # RFC 9111, section 3.5: a shared cache knows of Authorization only, not of keys
        fields.append((b"x-request-id", exchange.record["request_id"].encode("latin-1")))
        if self._cors and (origin := exchange.field(b"origin")) is not None:
            headers = MutableHeaders(raw=fields)
            headers.update(self._cors.simple_headers)
            if self._cors.is_allowed_origin(text := origin.decode("latin-1")):
                self._cors.allow_explicit_origin(headers, text)
        return fields


def _cors(origins: Iterable[str], headers: Iterable[str], contracts: Iterable[Contract]) -> CORSMiddleware:
    methods, asked, told = {"HEAD"}, {*_REQUEST_FIELDS, *headers}, set(_ANSWER_FIELDS)
    for contract in contracts:
        used = usage(contract)
        methods |= used.methods
        asked |= used.request_headers
        told |= used.response_headers
    return CORSMiddleware(
        _nothing,
        allow_origins=tuple(origins),
        allow_methods=sorted(methods),
        allow_headers=sorted(asked),
        expose_headers=sorted(told),
        max_age=600,
    )


_REQUEST_FIELDS = "Authorization", "Content-Type", "DPoP"
_ANSWER_FIELDS = "WWW-Authenticate", "Retry-After", "X-Request-Id", "DPoP-Nonce"


async def _nothing(*_: object) -> None:
    """In place of an application: only the rules of CORS are used."""


def _brought_id(scope: Scope) -> str | None:
    found = [value for name, value in scope["headers"] if name == b"x-request-id"]
    text = found[-1].decode("latin-1") if found else ""
    return text if text.isascii() and text.isprintable() and 0 < len(text) <= 128 else None


def _as_forwarded(scope: Scope) -> Scope:
    """What the client has asked the proxy for. Each field's last value counts, which the proxy itself has written."""
    headers = Headers(scope=scope)
    names = ("for", "proto", "host", "prefix")
    said = {name: _last(",".join(headers.getlist(f"x-forwarded-{name}"))) for name in names}
    forwarded = {**scope, PEER: scope["client"]}
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
