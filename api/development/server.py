"""`python -m api run`: the API on a socket that outlives it, restarted when its sources change."""

import contextlib
import dataclasses
import socket
from pathlib import Path

import click
import uvicorn
from watchfiles import PythonFilter, run_process

from api.app import create_app
from api.contract import Contract, declared_scopes, load_contract, operations
from api.development.clients import MACHINE
from api.development.issuer import DevelopmentIssuer, serve_in_background
from api.server import listen
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
    api = development_issuer_url(settings.host, port)
    click.echo(f"Swagger UI  {api}ui/")
    if settings.development_issuer:
        issuer_listener = listen(settings.host, settings.port and settings.port + 1)
        issuer = DevelopmentIssuer(
            development_issuer_url(settings.host, issuer_listener.getsockname()[1]), declared_scopes(contract)
        )
        serve_in_background(issuer_listener, issuer)
        settings = dataclasses.replace(settings, issuers=(issuer.url,))
        click.echo(f"Issuer      {issuer.url}  (development only: it gives tokens to anybody)")
        click.echo(f"Try         {_curl(api, contract, issuer, settings.audience)}")
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


def _curl(api: str, contract: Contract, issuer: DevelopmentIssuer, audience: str) -> str:
    """A command that calls a protected operation as it stands, or an open one if none can be called without input."""
    callable_paths = [
        (bool(security), path)
        for method, path, _, security in operations(contract)
        if method == "GET" and "{" not in path
    ]
    protected, path = max(callable_paths, default=(False, "/openapi.json"))
    token = issuer.issue(MACHINE, audience, " ".join(issuer.scopes))["access_token"]
    header = f'-H "Authorization: Bearer {token}" ' if protected else ""
    return f"curl {header}{api.rstrip('/')}{path}"


def _sources(specification: Path) -> list[Path]:
    """What to watch: the current directory, the contract's, and this project's own code."""
    places = [Path.cwd(), specification.resolve().parent, Path(__file__).resolve().parents[2]]
    return [place for place in dict.fromkeys(places) if not any(other in place.parents for other in places)]


def _serve(settings: Settings, listener: socket.socket) -> None:
    config = uvicorn.Config(
        create_app(settings), log_level="info", server_header=False, proxy_headers=False, timeout_graceful_shutdown=1
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([listener])
