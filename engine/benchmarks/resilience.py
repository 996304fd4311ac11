"""What rotations, an outage, unknown keys and attacks cost: `python -m benchmarks.resilience`.

Against an API of its own, served over a socket, whose clock is moved forward where minutes have to pass.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import click
import httpx

from resource_server.serving.background import in_background
from resource_server.settings import Settings
from resource_server.tokens import Auth0JWTBearerTokenValidator
from tests.attacks import CASES
from tests.outages import Api, Clock
from tests.sample import create_app
from tests.serving import raw_request
from tests.tenant import AUDIENCE, Tenant, rsa_key


@contextmanager
def fresh_api() -> Iterator[Api]:
    """An API of its own, with its issuer and a clock that can be moved."""
    with Tenant().running() as tenant:
        clock = Clock()
        validator = Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE, monotonic=clock)
        app = create_app(Settings(issuers=(tenant.url,), audience=AUDIENCE), validator=validator)
        with in_background(app) as url:
            yield Api(url, tenant, clock)


def rotations(count: int = 30) -> str:
    """Every key is new, and used at once, after a minute."""
    with fresh_api() as api, api.load(api.tenant.token) as load:
        for number in range(count):
            api.tenant.rotate(f"rotated{number}")
            api.clock.pass_by(60)
    lost = load.statuses.total() - load.statuses[200]
    return (
        f"{load.statuses[200]} requests served, {lost} lost, {api.tenant.key_fetches} key fetches in {count} rotations"
    )


def outage(seconds: int = 600) -> str:
    """The issuer fails when the keys have just run out."""
    with fresh_api() as api:
        token = api.tenant.token()
        api.status(token)
        before = api.tenant.fetches.total()
        api.clock.ahead += 599
        api.tenant.misbehave = lambda _: (503, {}, b"")
        with api.load(lambda: token) as load:
            api.clock.pass_by(seconds, step=2)
        lost = load.statuses.total() - load.statuses[200]
        attempts = api.tenant.fetches.total() - before
    return f"{load.statuses[200]} requests served, {lost} lost, {attempts} fetches in {seconds} s of outage"


def unknown_keys(count: int = 10_000) -> str:
    """A flood of tokens, each with a key that nobody has ever heard of."""
    key = rsa_key("unknown")
    with fresh_api() as api, httpx.Client(base_url=api.url, trust_env=False) as client:
        api.status(api.tenant.token())
        before, started = api.tenant.key_fetches, time.perf_counter()
        for number in range(count):
            token = api.tenant.token({"kid": f"unknown{number}"}, key=key)
            assert client.get("/api/private", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        fetches, took = api.tenant.key_fetches - before, time.perf_counter() - started
    return f"{fetches} key fetches for {count} requests, which took {took:.0f} s"


def refusals(rounds: int = 7) -> str:
    """The attacks that get a refusal, each over a connection of its own; the best of some rounds."""
    with fresh_api() as api:
        api.status(api.tenant.token())
        times: dict[str, float] = {}
        for case in (case for case in CASES if case.outcome != "ok"):
            request = case.make(api.tenant)
            for _ in range(rounds):
                started = time.perf_counter()
                raw_request(api.url, request.target, request.headers, request.method)
                times[case.name] = min(times.get(case.name, 1.0), time.perf_counter() - started)
    slowest = max(times, key=lambda name: times[name])
    usual = median(times.values())
    return (
        f"{len(times)} attacks refused, in {usual * 1e3:.2f} ms at the median; the slowest, {slowest!r}, "
        f"took {times[slowest] * 1e3:.2f} ms, {times[slowest] / usual:.1f} times as long"
    )


@click.command()
def main() -> None:
    """Print the figures, one line each."""
    for measure in (rotations, outage, unknown_keys, refusals):
        click.echo(f"{measure.__name__.replace('_', ' ')}: {measure()}")


if __name__ == "__main__":
    main()
