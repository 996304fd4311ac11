"""`python -m api run`: the API on a socket that outlives it, restarted when its sources change."""

import contextlib
import dataclasses
import json
import logging
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import click
import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from watchfiles import PythonFilter, run_process

from resource_server.contract.files import read_document
from resource_server.contract.loading import read_contract
from resource_server.contract.spec import (
    Contract,
    ContractError,
    Try,
    base_path,
    claim_rules,
    declared_scopes,
    follow,
    operation_to_try,
    operations,
    parameters,
    path_item,
)
from resource_server.developing.clients import MACHINE
from resource_server.developing.issuer import DevelopmentIssuer, serve_in_background
from resource_server.developing.trying import curl
from resource_server.serving.listening import listen
from resource_server.serving.logs import begin_logging, write_requests
from resource_server.serving.making import ApplicationError, check, make
from resource_server.serving.server import uvicorn_config
from resource_server.settings import SLASH_WARNING, Settings, SettingsError, development_issuer_url, lacks_final_slash
from resource_server.tokens.rules import EQUALS_PATH_PARAMETER, ClaimRule, good_claims

logger = logging.getLogger(__name__)


def run(factory: str, settings: Settings) -> None:
    """Serve the API for development until interrupted, with the development issuer beside it if the settings say so.

    Args:
        factory: The function that makes the application, like `api.app:create_app`.
        settings: How it is served.

    Raises:
        ApplicationError: The application can't be made.
        ContractError: The contract can't be read.
        click.ClickException: A port is taken.
    """
    begin_logging(settings.log_format, requests=settings.log_requests)
    contract = read_contract(settings.specification)
    listener = listen(settings.host, settings.port)
    port = listener.getsockname()[1]
    url = development_issuer_url(settings.host, port).rstrip("/") + base_path(contract)
    if settings.development_issuer:
        issuer_listener = listen(settings.host, settings.port and settings.port + 1, what="the development issuer")
        issuer_url = development_issuer_url(settings.host, issuer_listener.getsockname()[1])
        settings = dataclasses.replace(settings, issuers=(issuer_url,))
    check(factory, settings)
    issuer = None
    if settings.development_issuer:
        offered = _Offered(settings.specification, settings.development_claims or {})
        issuer = DevelopmentIssuer(issuer_url, offered.scopes, offered.claims)
        serve_in_background(issuer_listener, issuer)
    _announce(url, contract, settings, issuer)
    logging.getLogger("watchfiles").setLevel(logging.ERROR)  # of Ctrl-C there is nothing to say
    # The socket listens already: a request that comes while the API (re)starts waits for it.
    run_process(
        *_sources(settings.specification),
        target=_serve,
        args=(factory, settings, listener),
        watch_filter=PythonFilter(extra_extensions=(".yaml", ".yml", ".json", ".env")),
        debounce=300,
    )


class _Offered:
    """The scopes that the contract declares at the moment, and the claims that it requires.

    While it can't be read, those from before.

    Args:
        specification: Where it is.
        claims: Further claims, which come before those that it requires.
    """

    def __init__(self, specification: Path, claims: Mapping[str, Any]) -> None:
        self._specification = specification
        self._further = dict(claims)
        self._read_at = 0
        self._scopes: list[str] = []
        self._claims = self._further

    def scopes(self) -> Iterable[str]:
        self._read()
        return self._scopes

    def claims(self) -> Mapping[str, Any]:
        self._read()
        return self._claims

    def _read(self) -> None:
        with contextlib.suppress(OSError, ContractError, AttributeError, LookupError, TypeError, ValueError):
            changed_at = self._specification.stat().st_mtime_ns
            if changed_at != self._read_at:
                contract = read_document(self._specification)
                self._scopes = declared_scopes(contract)
                self._claims = good_claims(list(_rules(contract)), self._further)
                self._read_at = changed_at


def _rules(contract: Contract) -> Iterator[ClaimRule]:
    """What the operations require of claims. The parameters of their paths are the contract's examples."""
    for _, path, operation, _ in operations(contract):
        found = parameters(contract, path_item(contract, path), operation)
        examples = {each["name"]: _example(contract, each) for each in found if each["in"] == "path"}
        for rule in claim_rules(contract, operation):
            if rule.claim in _OF_WHO_ASKS:
                continue
            if rule.keyword != EQUALS_PATH_PARAMETER:
                yield rule
            elif (example := examples.get(rule.value)) is not None:
                yield ClaimRule(rule.claim, "equals", str(example))


_OF_WHO_ASKS = ("sub", "azp", "client_id", "gty")
"""Claims that no contract decides on."""


def _example(contract: Contract, parameter: Mapping[str, Any]) -> Any:
    """A value that the contract shows for a parameter; nothing, if it shows none."""
    schema = follow(contract, parameter.get("schema", {}))
    named = [follow(contract, each).get("value") for each in parameter.get("examples", {}).values()]
    examples = [schema.get("example"), *schema.get("examples", ()), schema.get("default")]
    return next((each for each in (parameter.get("example"), *named, *examples) if each is not None), None)


def _announce(url: str, contract: Contract, settings: Settings, issuer: DevelopmentIssuer | None) -> None:
    click.echo(f"Swagger UI  {url}/ui/")
    if issuer is None:
        click.echo(f"Issuer      {settings.named_issuers}")
        for each in filter(lacks_final_slash, settings.issuers):
            logger.warning(SLASH_WARNING, each, urlsplit(each).netloc)
        return
    click.echo(f"Issuer      {issuer.url}  (development only: it gives tokens to anybody)")
    if found := operation_to_try(contract):
        click.echo(f"Try         {_call(url, found, settings, issuer)}")


def _call(url: str, operation: Try, settings: Settings, issuer: DevelopmentIssuer) -> str:
    """A command that calls an operation as it stands."""
    if operation.protected and settings.dpop == "required":  # each call needs a proof of its own
        return f"{sys.executable} -m api token --dpop --url {urlsplit(url).path}{operation.path} | sh"
    token = issuer.issue(MACHINE, settings.audience, " ".join(issuer.scopes))["access_token"]
    return curl(url + operation.path, {"Authorization": f"Bearer {token}"} if operation.protected else {})


def _sources(specification: Path) -> list[Path]:
    """What to watch: the current directory, the contract's, and this project's own code."""
    places = [Path.cwd(), specification.resolve().parent, Path(__file__).resolve().parents[1]]
    return [place for place in dict.fromkeys(places) if not any(other in place.parents for other in places)]


def _serve(factory: str, settings: Settings, listener: socket.socket) -> None:
    begin_logging(settings.log_format, requests=settings.log_requests)
    with contextlib.suppress(OSError):
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  # the terminal's, for `breakpoint()`
    try:
        settings = _reread(settings)
        app: ASGIApp = make(factory, settings)
    except (ApplicationError, SettingsError) as error:
        click.echo(f"Error: {error}\nEvery request is answered with 503 until that is mended.", err=True)
        app = _Unserved(str(error))
    if settings.log_requests:
        write_requests(settings.log_format)
    config = uvicorn_config(app, settings, timeout_graceful_shutdown=1)
    with contextlib.suppress(KeyboardInterrupt):
        _Server(config).run([listener])


def _reread(settings: Settings) -> Settings:
    """The settings as they are now: the `.env` file may have changed. Address and issuer stay those that are served."""
    now = Settings.load(development=True)
    kept: dict[str, Any] = {"issuers": settings.issuers} if now.development_issuer else {}
    return dataclasses.replace(now, specification=settings.specification, **kept)


class _Unserved:
    """Stands in for an application that can't be made, so that whoever calls it learns why."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for stage in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{stage}.complete"})
            return
        problem = {"type": "about:blank", "title": "Service Unavailable", "status": 503}
        body = json.dumps({**problem, "detail": self._why, "code": "contract_error"})
        headers = {"Retry-After": "1"}
        await Response(body, 503, headers=headers, media_type="application/problem+json")(scope, receive, send)


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ctrl-C comes twice, from the terminal and from the parent process; uvicorn would take that for impatience."""
        if not self.should_exit:
            super().handle_exit(sig, frame)
