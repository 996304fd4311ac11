"""What the hot functions cost, in units of a bare Flask: `python -m benchmarks.hot`.

A ratio says the same on every machine, so it is recorded, and a change that makes one larger shows in review. Each
function is timed in turns with the unit, in one process, and of each the fastest turn counts.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import flask
from starlette.types import ASGIApp, Message
from werkzeug.test import create_environ

from api.handlers import public
from resource_server.settings import Settings
from resource_server.tokens import Auth0JWTBearerTokenValidator
from tests.sample import create_app
from tests.tenant import AUDIENCE, Tenant

RECORD = Path(__file__).with_name("hot.json")
_ROUNDS, _CALLS, _TOLERANCE = 40, 100, 1.25


@contextmanager
def hot_functions() -> Iterator[dict[str, Callable[[], Any]]]:
    """The functions, by what they do."""
    with Tenant().running() as tenant:
        validator = Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE)
        forgetful = Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE, token_cache_size=0)
        app = create_app(Settings(issuers=(tenant.url,), audience=AUDIENCE), validator=validator)
        token = tenant.token()
        for each in (validator, forgetful):
            each.authenticate_token(token)
        yield {
            "GET /api/private, no token": lambda: _request(app, "/api/private", expected=401),
            "validate a token": lambda: forgetful.authenticate_token(token),
            "validate a token again": lambda: validator.authenticate_token(token),
        }


def bare_flask() -> Callable[[], None]:
    """The unit: Flask answers as the public operation does."""
    app = flask.Flask(__name__)
    app.get("/api/public")(public)
    environ = create_environ("/api/public")

    def call() -> None:
        answer = app(dict(environ), lambda *_: lambda _: None)
        b"".join(answer)
        answer.close()  # type: ignore[attr-defined]  # werkzeug's answers have it

    return call


def _request(app: ASGIApp, path: str, expected: int) -> None:
    """A request that is refused, before it gets to a handler: what threads cost, `throughput` measures."""
    headers = [(b"host", b"127.0.0.1:3010"), (b"accept", b"*/*")]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 3010),
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    LOOP.run_until_complete(app(scope, receive, send))
    assert sent[0]["status"] == expected, sent


LOOP = asyncio.new_event_loop()


def measure(function: Callable[[], Any], unit: Callable[[], Any], rounds: int = _ROUNDS) -> float:
    """How many times as long as the unit a function takes."""
    turns = [(_timed(function), _timed(unit)) for _ in range(rounds + 1)][1:]  # the first warms up
    fastest, fastest_unit = (min(column) for column in zip(*turns, strict=True))
    return float(fastest / fastest_unit)


def _timed(function: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    for _ in range(_CALLS):
        function()
    return time.perf_counter() - begun


@click.command()
@click.option("--record", is_flag=True, help="Write the ratios down, to be compared with from now on.")
@click.option("--rounds", type=click.IntRange(1), default=_ROUNDS, show_default=True, help="The fastest of so many.")
def main(rounds: int, *, record: bool) -> None:
    """Compare the hot functions' cost with what is recorded; exit with 1 if one has become slower by a quarter."""
    recorded: dict[str, float] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    unit, found, slower = bare_flask(), {}, False
    with hot_functions() as functions:
        for name, function in functions.items():
            ratio = found[name] = round(measure(function, unit, rounds), 3)
            before = recorded.get(name)
            if worse := before is not None and ratio > before * _TOLERANCE and not record:
                slower = True
            click.echo(f"{ratio:7.3f}  recorded {before or '-':>6}  {name}{'  SLOWER' if worse else ''}")
    if record:
        RECORD.write_text(json.dumps(found, indent=2) + "\n")
    sys.exit(slower)


if __name__ == "__main__":
    main()
