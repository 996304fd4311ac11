"""`python -m api run`: the API on a socket that outlives it, restarted when its sources change."""

import contextlib
import dataclasses
import socket
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import click
import uvicorn
from watchfiles import PythonFilter, run_process

from api.app import build, create_app
from api.contract import Contract, base_path, declared_scopes, load_contract, operations
from api.development.clients import MACHINE
from api.development.issuer import DevelopmentIssuer, serve_in_background
from api.server import UVICORN, listen
from api.settings import Settings, development_issuer_url


def run(settings: Settings) -> None:
    """Serve the API for development until interrupted, with the development issuer beside it if the settings say so.

    Raises:
        ContractError: The contract can't be served as it stands.
        click.ClickException: A port is taken.
    """
    contract = load_contract(settings.specification)
    listener = listen(settings.host, settings.port)
    port = listener.getsockname()[1]
    url = development_issuer_url(settings.host, port).rstrip("/") + base_path(contract)
    click.echo(f"Swagger UI  {url}/ui/")
    if settings.development_issuer:
        issuer_listener = listen(settings.host, settings.port and settings.port + 1)
        issuer = DevelopmentIssuer(
            development_issuer_url(settings.host, issuer_listener.getsockname()[1]), declared_scopes(contract)
        )
        serve_in_background(issuer_listener, issuer)
        settings = dataclasses.replace(settings, issuers=(issuer.url,))
        click.echo(f"Issuer      {issuer.url}  (development only: it gives tokens to anybody)")
        if curl := _curl(url, contract, issuer, settings.audience):
            click.echo(f"Try         {curl}")
    else:
        click.echo(f"Issuer      {', '.join(settings.issuers)}")
    # The socket listens already: a request that comes while the API (re)starts waits for it.
    run_process(
        *_sources(settings.specification),
        target=_serve,
        args=(settings, listener),
        watch_filter=PythonFilter(extra_extensions=(".yaml", ".yml", ".json", ".env")),
        debounce=300,
    )


def _curl(url: str, contract: Contract, issuer: DevelopmentIssuer, audience: str) -> str | None:
    """A command that calls an operation as it stands, a protected one if there is one without input."""
    without_input = [
        (bool(security), path)
        for method, path, operation, security in operations(contract)
        if method == "GET" and "{" not in path and not any(map(_is_required, operation.get("parameters", [])))
    ]
    if not without_input:
        return None
    protected, path = max(without_input)
    token = issuer.issue(MACHINE, audience, " ".join(issuer.scopes))["access_token"]
    header = f'-H "Authorization: Bearer {token}" ' if protected else ""
    return f"curl {header}{url}{path}"


def _is_required(parameter: Mapping[str, Any]) -> bool:
    return "$ref" in parameter or bool(parameter.get("required"))


def _sources(specification: Path) -> list[Path]:
    """What to watch: the current directory, the contract's, and this project's own code."""
    places = [Path.cwd(), specification.resolve().parent, Path(__file__).resolve().parents[2]]
    return [place for place in dict.fromkeys(places) if not any(other in place.parents for other in places)]


def _serve(settings: Settings, listener: socket.socket) -> None:
    config = uvicorn.Config(build(create_app(settings)), timeout_graceful_shutdown=1, **UVICORN)
    with contextlib.suppress(KeyboardInterrupt):
        _Server(config).run([listener])


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ctrl-C comes twice, from the terminal and from the parent process; uvicorn would take that for impatience."""
        if not self.should_exit:
            super().handle_exit(sig, frame)
