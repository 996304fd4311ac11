"""Keys that are fetched in processes which fork and in greenlets, each in a process of its own."""

import subprocess
import sys
import threading

import httpx
import pytest

from resource_server.tokens import Auth0JWTBearerTokenValidator
from resource_server.tokens.errors import IssuerUnavailable
from tests.processes import ENGINE
from tests.tenant import AUDIENCE, Tenant

FORK = """
import os, signal, threading
from resource_server.tokens.issuer import FetchedKeys
from resource_server.tokens.keycache import KeyCache, KeyPending

parent, reached, lifetime = os.getpid(), threading.Event(), 600.0

def fetch():
    reached.set()
    if hangs and os.getpid() == parent:
        threading.Event().wait()
    return FetchedKeys({{("kid", "RS256"): "key"}}, lifetime)

now, hangs = 0.0, not {held}
cache = KeyCache("https://tenant.example.com/", fetch, clock=lambda: now)

def key():
    pending = None
    while True:
        try:
            return cache.key("kid", "RS256", pending)
        except KeyPending as raised:
            pending = raised
            pending.fetch.result(5)

if {held}:
    key()
    reached.clear()
    now, hangs = 599.0, True
cache.ready()
assert reached.wait(5)
if child := os.fork():
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
else:
    signal.alarm(10)
    now += 601.0
    os._exit(key() != "key")
"""


def run(script: str, *arguments: str) -> list[str]:
    """What a script prints, line by line."""
    command = [sys.executable, "-W", "error", "-c", script, *arguments]
    ran = subprocess.run(command, cwd=ENGINE, env={"PYTHONPATH": "src:."}, capture_output=True, text=True, timeout=60)  # noqa: S603, PLW1510
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.parametrize("held", [False, True], ids=["the first fetch", "a refresh"])
def test_fork_while_keys_are_fetched_leaves_the_child_a_fetch_of_its_own(*, held: bool) -> None:
    assert run(FORK.format(held=held)) == ["0"]


def test_fetch_that_does_not_end_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource_server.tokens.validator.LONGEST_FETCH", 0.1)
    over = threading.Event()

    def answer(_: httpx.Request) -> httpx.Response:
        over.wait(10)
        return httpx.Response(404)

    tenant = Tenant()
    subject = Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE, transport=httpx.MockTransport(answer))
    with pytest.raises(IssuerUnavailable):
        subject.authenticate_token(tenant.token())
    over.set()


IMPORTS = """
import sys
import resource_server.tokens.keycache, resource_server.tokens.issuer
before = set(sys.modules)
issuer = resource_server.tokens.issuer.Issuer(sys.argv[1], ["RS256"])
assert issuer.fetch_keys().keys
for unreachable in ("https://127.0.0.1:9/", "https://nowhere.invalid/"):
    try:
        resource_server.tokens.issuer.Issuer(unreachable, ["RS256"]).fetch_keys()
    except resource_server.tokens.issuer.IssuerError:
        pass
for name in sorted(set(sys.modules) - before):
    print(name)
"""


def test_fetch_imports_nothing_so_that_no_fork_inherits_the_lock_of_an_import(tenant: Tenant) -> None:
    assert run(IMPORTS, tenant.url) == []


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import asyncio, sys, gevent
from resource_server import Auth0JWTBearerTokenValidator

audience, *given = sys.argv[1:]
tokens = dict(zip(given[::2], given[1::2]))
if audience.startswith("beside:"):
    audience = audience.removeprefix("beside:")
    gevent.spawn(lambda: asyncio.run(asyncio.sleep(5)))
    gevent.sleep(0.1)
validator = Auth0JWTBearerTokenValidator(tokens.keys(), audience)
greenlets = [gevent.spawn(validator.authenticate_token, token) for token in tokens.values()]
gevent.joinall(greenlets, timeout=10, raise_error=True)
print(*(each.value["sub"] for each in greenlets), sep="\\n")
"""


@pytest.mark.parametrize("beside", ["", "beside:"], ids=["alone", "beside an event loop"])
def test_greenlets_fetch_the_keys_of_two_issuers_at_once(tenant: Tenant, beside: str) -> None:
    with Tenant().running() as other:
        given = [tenant.url, tenant.token(sub="one"), other.url, other.token(sub="two")]
        assert run(GREENLETS, beside + AUDIENCE, *given) == ["one", "two"]
