"""Issuers by host: what a function of the operator's decides, and what an attacker can't."""

import asyncio
import copy
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import RSAKey

from resource_server import Auth0JWTBearerTokenValidator, Credentials, IssuerResolver
from resource_server.tokens.errors import InvalidToken, IssuerUnavailable, Refusal
from resource_server.tokens.issuers import IssuersPending, KeyCaches, host_name
from resource_server.tokens.validator import RESOLVED
from tests.serving import wait_until
from tests.tenant import AUDIENCE, Tenant, rsa_key, streamed

KEYS = [rsa_key(f"key-{number}") for number in range(3)]
PROTOTYPE = Tenant()  # each makes a key, which takes a while


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class World:
    """Tenants by the hosts of their issuers, a database of whose tokens are taken where, and who was asked for what."""

    def __init__(self) -> None:
        self.tenants: dict[str, Tenant] = {}
        self.database: dict[str, Any] = {}
        self.looked_up: Counter[str] = Counter()
        self.requested: list[str] = []
        self.clock = Clock()
        self.fetches: list[tuple[str, bool]] = []

    def tenant(self, name: str, key: RSAKey | None = None) -> Tenant:
        tenant = self.tenants[f"{name}.auth.test"] = copy.copy(PROTOTYPE)
        tenant.url, tenant.keys = f"https://{name}.auth.test/", [key or KEYS[len(self.tenants) % len(KEYS)]]
        return tenant

    def look_up(self, host: str) -> Any:
        self.looked_up[host] += 1
        found = self.database.get(host)
        if isinstance(found, BaseException):
            raise found
        return found() if callable(found) else found

    async def look_up_later(self, host: str) -> Any:
        await asyncio.sleep(0)
        return self.look_up(host)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requested.append(str(request.url))
        return streamed(*self.tenants[request.url.host].answer(request.url.path))

    def validator(self, *domains: str, is_async: bool = False, **options: Any) -> Auth0JWTBearerTokenValidator:
        function = self.look_up_later if is_async else self.look_up
        options = {"clock": self.clock, **options}
        resolver = IssuerResolver(function, **options)
        validator = Auth0JWTBearerTokenValidator(
            domains, AUDIENCE, resolver=resolver, transport=httpx.MockTransport(self.answer), monotonic=self.clock
        )
        validator.on_fetch = lambda issuer, succeeded: self.fetches.append((issuer, succeeded))
        return validator


@pytest.fixture
def world() -> World:
    return World()


def slowly(value: Any) -> Any:
    time.sleep(0.1)
    return value


def judge(validator: Auth0JWTBearerTokenValidator, token: str, host: str) -> Any:
    """How a token is judged at a host: `None` if it is good, otherwise the refusal, or 503. Both ways must agree."""
    verdicts: list[Any] = []
    ways: list[Callable[[Credentials], Any]] = [lambda each: asyncio.run(validator.validate(each))]
    if validator.resolver and not validator.resolver.is_async:
        ways.append(validator.check)
    for way in ways:
        try:
            way(Credentials("Bearer", token, host=host))
            verdicts.append(None)
        except InvalidToken as error:
            verdicts.append(error.refusal)
        except IssuerUnavailable as error:
            verdicts.append(503 if 1 <= int(error.headers["Retry-After"]) <= 10 else error)
    assert len(set(verdicts)) == 1
    return verdicts[0]


@pytest.mark.parametrize("is_async", [False, True])
def test_tokens_are_taken_at_the_hosts_of_their_issuers(world: World, *, is_async: bool) -> None:
    acme, globex, fixed = (world.tenant(name) for name in ("acme", "globex", "fixed"))
    world.database = {"acme.test": ["acme.auth.test"], "globex.test": "https://globex.auth.test/"}
    validator = world.validator(fixed.url, is_async=is_async)
    expected = {
        (acme, "acme.test"): None,
        (acme, "ACME.test.:443"): None,  # one host, however it is written
        (acme, "globex.test"): Refusal.ISSUER,
        (acme, "other.test"): Refusal.ISSUER,
        (acme, ""): Refusal.ISSUER,
        (globex, "acme.test"): Refusal.ISSUER,
        (globex, "globex.test"): None,
        (fixed, "acme.test"): None,
        (fixed, "other.test"): None,
        (fixed, ""): None,
    }
    for _ in range(2):  # what has been remembered of a token doesn't change it
        found = {(tenant, host): judge(validator, tenant.token(), host) for tenant, host in expected}
        assert found == expected
    assert world.looked_up == {"acme.test": 1, "globex.test": 1, "other.test": 1}
    assert set(world.fetches) == {(RESOLVED, True), (fixed.url, True)}


def test_issuers_that_are_named_once_for_all_need_no_lookup(world: World) -> None:
    fixed = world.tenant("fixed")
    world.database = {"any.test": RuntimeError("the database is away")}
    assert judge(world.validator(fixed.url), fixed.token(), "any.test") is None
    assert not world.looked_up


EVIL = [
    "http://169.254.169.254/latest/meta-data/",
    "https://10.0.0.1/",
    "https://acme.auth.test",
    "https://ACME.auth.test/",
    "https://acme.auth.test/ ",
    "https://acme.auth.test/.",
    "https://acme.auth.test:443/",
    "https://acme.auth.test/@evil.test/",
    "https://evil.test/#https://acme.auth.test/",
    "acme.auth.test",
    ["https://acme.auth.test/"],
    {"https://acme.auth.test/": 1},
    None,
    1,
    "",
]


@pytest.mark.parametrize("iss", EVIL)
def test_iss_never_leads_anywhere(world: World, iss: object) -> None:
    acme = world.tenant("acme")
    world.database = {"acme.test": [acme.url]}
    assert judge(world.validator(), acme.token(iss=iss), "acme.test") is Refusal.ISSUER
    assert world.requested == []


@settings(deadline=None)
@given(iss=st.text() | st.builds("https://{}/".format, st.text()) | st.from_regex(r"https?://acme\.auth\.test[:/].*"))
def test_any_other_iss_never_leads_anywhere(iss: str) -> None:
    world = World()
    acme = world.tenant("acme")
    world.database = {"acme.test": [acme.url]}
    verdict = judge(world.validator(), acme.token(iss=iss), "acme.test")
    assert verdict is (None if iss == acme.url else Refusal.ISSUER)
    assert iss == acme.url or world.requested == []


def test_another_tenants_signature_is_refused(world: World) -> None:
    acme, globex = world.tenant("acme"), world.tenant("globex")
    world.database = {"acme.test": [acme.url], "globex.test": [globex.url]}
    forged = globex.token(iss=acme.url)
    assert judge(world.validator(), forged, "acme.test") is Refusal.UNKNOWN_KEY
    assert all(url.startswith(acme.url) for url in world.requested)


class Endless:
    """Names issuers without end."""

    def __iter__(self) -> Iterator[str]:
        while True:
            yield "https://acme.auth.test/"


def world_of_mirrors() -> Any:
    return world_of_mirrors()


WRONG = {
    "http": ["http://acme.auth.test/"],
    "http as one text": "http://acme.auth.test/",
    "path of a host": ["acme.auth.test/path"],
    "user": ["https://ada@acme.auth.test/"],
    "query": ["https://acme.auth.test/?a=b"],
    "garbage": ["\0\n"],
    "empty": [""],
    "number": 5,
    "number within": [5],
    "bytes": b"acme.auth.test",
    "nothing within": [None],
    "very long": ["https://acme.auth.test/" + "a" * 10_000],
    "rows": [("https://acme.auth.test/",)],
    "too many": [f"https://{number}.auth.test/" for number in range(10_001)],
    "endless": Endless(),
    "coroutine": lambda: asyncio.sleep(0),
    "raises": RuntimeError("password=secret"),
    "exits": SystemExit(),
    "recursion": world_of_mirrors,
}

WHY = {
    "number": "TypeError(\"'int' object is not iterable\")",
    "too many": "it has returned more than 10,000 issuers: select those of the host",
    "endless": "it has returned more than 10,000 issuers: select those of the host",
    "coroutine": "it has returned a coroutine: write it as `async def`",
    "raises": "RuntimeError('password=secret')",
    "exits": "SystemExit()",
    "recursion": "RecursionError(",
}
"""Of those of which nothing can be used: the reason in the log, with a traceback."""


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_the_operators_error(
    world: World, name: str, *, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    acme = world.tenant("acme")
    world.database = {"acme.test": WRONG[name]}
    assert judge(world.validator(is_async=is_async), acme.token(), "acme.test") == 503
    assert world.requested == []
    (record,) = (each for each in caplog.records if each.levelno == logging.ERROR)
    assert "look_up" in record.message
    assert "acme.test" in record.message
    assert "503" in record.message
    assert WHY.get(name, "") in record.message
    assert bool(record.exc_info) == (name in WHY)
    assert acme.token() not in caplog.text


@pytest.mark.parametrize("nothing", [None, [], (), "none"])
def test_host_without_issuers_is_no_error(world: World, nothing: Any, caplog: pytest.LogCaptureFixture) -> None:
    acme = world.tenant("acme")
    world.database = {} if nothing == "none" else {"acme.test": nothing}
    validator = world.validator()
    for later, looked_up in ((0, 1), (7, 1), (4, 2)):  # kept for ten seconds, and from eight on looked up ahead
        world.clock.now += later
        assert judge(validator, acme.token(), "acme.test") is Refusal.ISSUER
        assert world.looked_up["acme.test"] == looked_up
    assert not caplog.records


def test_wrong_value_spares_the_right_ones(world: World, caplog: pytest.LogCaptureFixture) -> None:
    acme, globex = world.tenant("acme"), world.tenant("globex")
    world.database = {"acme.test": ["http://globex.auth.test/", acme.url, 7]}
    validator = world.validator()
    assert judge(validator, acme.token(), "acme.test") is None
    assert judge(validator, globex.token(), "acme.test") == 503
    assert "names 2 of the issuers of acme.test wrongly" in caplog.text
    assert not any("globex" in url for url in world.requested)


def test_ten_thousand_issuers_are_fetched_by_need(world: World) -> None:
    acme = world.tenant("acme")
    world.database = {"api.test": [*(f"https://{number}.auth.test/" for number in range(9_999)), acme.url]}
    assert judge(world.validator(), acme.token(), "api.test") is None
    assert {httpx.URL(url).host for url in world.requested} == {"acme.auth.test"}


def test_withdrawn_issuer_is_refused_within_the_cache_time(world: World) -> None:
    acme = world.tenant("acme")
    world.database = {"acme.test": [acme.url]}
    validator = world.validator(cache_seconds=30)
    token = acme.token()
    assert judge(validator, token, "acme.test") is None
    del world.database["acme.test"]
    world.clock.now += 23.9
    assert judge(validator, token, "acme.test") is None
    assert world.looked_up["acme.test"] == 1
    world.clock.now += 6.1
    assert judge(validator, token, "acme.test") is Refusal.ISSUER


def test_answer_is_renewed_before_anybody_has_to_wait(world: World) -> None:
    acme = world.tenant("acme")
    world.database = {"acme.test": [acme.url]}
    validator = world.validator()
    judge(validator, acme.token(), "acme.test")
    gate = threading.Event()
    world.database["acme.test"] = lambda: gate.wait(5) and [acme.url]
    world.clock.now += 48
    began = time.monotonic()
    assert judge(validator, acme.token(), "acme.test") is None
    assert time.monotonic() - began < 2
    gate.set()
    wait_until(lambda: world.looked_up["acme.test"] == 2)
    world.database["acme.test"] = [acme.url]
    world.clock.now += 40  # longer than the first answer is kept
    assert judge(validator, acme.token(), "acme.test") is None
    assert world.looked_up["acme.test"] == 2


def test_last_good_answer_counts_for_a_bounded_time(world: World, caplog: pytest.LogCaptureFixture) -> None:
    acme, globex = world.tenant("acme"), world.tenant("globex")
    world.database = {"acme.test": [acme.url]}
    validator = world.validator(max_stale=100)
    assert judge(validator, acme.token(), "acme.test") is None
    world.database["acme.test"] = OSError("the database is away")
    world.clock.now += 61
    assert judge(validator, acme.token(), "acme.test") is None
    assert judge(validator, globex.token(), "acme.test") is Refusal.ISSUER  # as it was when last known
    assert world.looked_up["acme.test"] == 2  # it is left alone for a second
    assert "its last answer counts for 100 seconds" in caplog.text
    world.clock.now += 38.9
    assert judge(validator, acme.token(), "acme.test") is None
    world.clock.now += 0.1
    assert judge(validator, acme.token(), "acme.test") == 503
    world.database["acme.test"] = []
    world.clock.now += 20
    assert judge(validator, acme.token(), "acme.test") is Refusal.ISSUER


def test_withdrawal_beats_a_stale_answer(world: World) -> None:
    acme = world.tenant("acme")
    world.database = {"acme.test": [acme.url]}
    validator = world.validator()
    for answer, later, verdict in (
        ([acme.url], 0, None), (OSError(), 61, None), ([], 60, Refusal.ISSUER), (OSError(), 20, 503),
    ):  # fmt: skip
        world.database["acme.test"] = answer
        world.clock.now += later
        with suppress(InvalidToken, IssuerUnavailable):  # may be answered from the cache while it is looked up
            validator.check(Credentials("Bearer", acme.token(), host="acme.test"))
        wait_until(lambda: not validator.resolver.under_way)  # type: ignore[union-attr]
        assert judge(validator, acme.token(), "acme.test") == verdict


def test_failures_are_tried_again_but_seldom(world: World) -> None:
    acme = world.tenant("acme")
    world.database = {"acme.test": OSError()}
    validator = world.validator()
    for _ in range(400):
        with pytest.raises(IssuerUnavailable):
            validator.check(Credentials("Bearer", acme.token(), host="acme.test"))
        world.clock.now += 0.5
    assert 20 <= world.looked_up["acme.test"] <= 25  # after 1, 2, 4, 8 and then each 10 seconds
    world.database["other.test"] = [acme.url]
    assert judge(validator, acme.token(), "other.test") is None  # a host that makes it fail harms no other


@pytest.mark.parametrize("is_async", [False, True])
def test_function_that_hangs_is_given_up(world: World, *, is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    acme, gate, ended = world.tenant("acme"), threading.Event(), list[float]()

    def hang(host: str) -> Any:
        world.looked_up[host] += 1
        gate.wait(20)
        return [acme.url]

    async def hang_later(host: str) -> Any:
        world.looked_up[host] += 1
        try:
            await asyncio.sleep(20)
        finally:
            ended.append(time.monotonic() - began)

    world.look_up, world.look_up_later = hang, hang_later  # type: ignore[method-assign]
    validator = world.validator(is_async=is_async, timeout=0.3, clock=time.monotonic)

    async def ask() -> list[object]:
        asked = (validator.validate(Credentials("Bearer", acme.token(), host="acme.test")) for _ in range(20))
        results: list[object] = await asyncio.gather(*asked, return_exceptions=True)
        await asyncio.sleep(0.1)
        assert len(ended) == is_async  # a thread can't be ended
        return results

    began = time.monotonic()
    results = asyncio.run(ask())
    assert all(isinstance(each, IssuerUnavailable) for each in results)
    assert 0.25 < time.monotonic() - began < 3
    assert world.looked_up["acme.test"] == 1
    assert "issuers of acme.test" in caplog.text
    gate.set()  # what comes too late doesn't count
    time.sleep(0.05)
    with pytest.raises(IssuerUnavailable):
        asyncio.run(validator.validate(Credentials("Bearer", acme.token(), host="acme.test")))


def test_function_that_hangs_holds_few_threads(world: World) -> None:
    acme, gate = world.tenant("acme"), threading.Event()
    world.database = {f"{number}.test": lambda: gate.wait(20) and [acme.url] for number in range(200)}
    validator = world.validator(timeout=0.3, clock=time.monotonic)

    async def ask() -> list[object]:
        asked = (validator.validate(Credentials("Bearer", acme.token(), host=host)) for host in world.database)
        return await asyncio.gather(*asked, return_exceptions=True)

    assert all(isinstance(each, IssuerUnavailable) for each in asyncio.run(ask()))
    assert sum(thread.name == "issuer-lookup" for thread in threading.enumerate()) <= 16
    gate.set()
    wait_until(lambda: not any(thread.name == "issuer-lookup" for thread in threading.enumerate()))
    world.database["acme.test"] = [acme.url]
    assert judge(validator, acme.token(), "acme.test") is None


@pytest.mark.parametrize("is_async", [False, True])
def test_a_hundred_requests_at_once_are_one_lookup(world: World, *, is_async: bool) -> None:
    acme = world.tenant("acme")
    world.database = {"acme.test": [acme.url] if is_async else lambda: slowly([acme.url])}
    validator = world.validator(is_async=is_async)

    async def ask() -> list[object]:
        asked = (validator.validate(Credentials("Bearer", acme.token(), host="acme.test")) for _ in range(100))
        return await asyncio.gather(*asked)

    assert len(asyncio.run(ask())) == 100
    assert world.looked_up["acme.test"] == 1
    assert len(world.requested) == 2


def test_threads_share_a_lookup(world: World) -> None:
    acme = world.tenant("acme")
    world.database = {"acme.test": lambda: slowly([acme.url])}
    validator = world.validator()
    credentials = Credentials("Bearer", acme.token(), host="acme.test")
    with ThreadPoolExecutor(30) as pool:
        assert len(list(pool.map(lambda _: validator.check(credentials), range(100)))) == 100
    assert world.looked_up["acme.test"] == 1


def test_client_that_leaves_takes_nobodys_lookup_along(world: World) -> None:
    acme = world.tenant("acme")
    validator = world.validator(is_async=True)

    async def look_up(host: str) -> list[str]:
        world.looked_up[host] += 1
        await asyncio.sleep(0.1)
        return [acme.url]

    validator = Auth0JWTBearerTokenValidator(
        (), AUDIENCE, resolver=IssuerResolver(look_up), transport=httpx.MockTransport(world.answer)
    )

    async def ask() -> None:
        credentials = Credentials("Bearer", acme.token(), host="acme.test")
        first, second = (asyncio.create_task(validator.validate(credentials)) for _ in range(2))
        await asyncio.sleep(0.02)
        first.cancel()
        assert (await second)["sub"] == "auth0|ada"

    asyncio.run(ask())
    assert world.looked_up["acme.test"] == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_function_has_no_context_of_a_request(world: World, *, is_async: bool) -> None:
    of_a_request: ContextVar[str] = ContextVar("of_a_request")
    of_a_request.set("the first one's")
    acme, seen = world.tenant("acme"), list[str | None]()
    world.database = {"acme.test": lambda: seen.append(of_a_request.get(None))}
    judge(world.validator(is_async=is_async), acme.token(), "acme.test")
    assert seen == [None]


def test_event_loop_that_ends_says_nothing_of_the_function(world: World) -> None:
    acme = world.tenant("acme")

    async def look_up(host: str) -> list[str]:
        world.looked_up[host] += 1
        await asyncio.sleep(0.05)
        return [acme.url]

    world.look_up_later = look_up  # type: ignore[method-assign]
    validator = world.validator(is_async=True)
    assert judge(validator, acme.token(), "acme.test") is None
    world.clock.now += 50  # each request renews the answer ahead, and ends before it has come
    assert [judge(validator, acme.token(), "acme.test") for _ in range(3)] == [None] * 3
    assert world.looked_up["acme.test"] == 4
    world.clock.now += 10  # now they wait
    assert judge(validator, acme.token(), "acme.test") is None
    assert judge(validator, acme.token(), "acme.test") is None
    assert world.looked_up["acme.test"] == 5


def test_plain_function_never_runs_in_the_event_loop(world: World) -> None:
    acme, threads = world.tenant("acme"), []
    world.database = {"acme.test": lambda: threads.append(threading.current_thread())}
    judge(world.validator(), acme.token(), "acme.test")
    assert [thread.name for thread in threads] == ["issuer-lookup"]


def test_flood_of_unknown_hosts_costs_no_tenant_anything(world: World) -> None:
    acme = world.tenant("acme")
    world.database = {"acme.test": [acme.url]}
    validator, token = world.validator(is_async=True), acme.token()
    assert judge(validator, token, "acme.test") is None

    async def flood() -> None:
        for number in range(1_100):
            with pytest.raises(InvalidToken):
                await validator.validate(Credentials("Bearer", token, host=f"{number}.test"))

    asyncio.run(flood())
    assert validator.resolver.kept == 1_001  # type: ignore[union-attr]
    world.database["acme.test"] = OSError()
    assert judge(validator, token, "acme.test") is None
    assert world.looked_up["acme.test"] == 1


def test_kept_issuers_are_bounded_in_all(world: World) -> None:
    many = [f"https://{number}.auth.test/" for number in range(10_000)]
    world.database = {f"{number}.test": many for number in range(12)}
    validator, acme = world.validator(), world.tenant("acme")
    for host in world.database:
        assert judge(validator, acme.token(), host) is Refusal.ISSUER
    assert validator.resolver.kept == 10  # type: ignore[union-attr]


def test_lookups_that_were_given_up_do_not_pile_up(world: World) -> None:
    gate = threading.Event()
    world.database = {f"{number}.test": lambda: gate.wait(20) and None for number in range(900)}
    resolver = world.validator().resolver
    assert resolver
    for _ in range(3):
        for host in world.database:
            with suppress(IssuersPending, IssuerUnavailable):
                resolver.trusts("https://acme.auth.test/", host)
        world.clock.now += 10  # all have taken too long
    assert 16 < resolver.under_way <= 1_016
    gate.set()
    wait_until(lambda: not resolver.under_way)


def test_flood_gives_up_the_oldest_lookups_and_serves_the_latest(world: World) -> None:
    gate = threading.Event()
    world.database = {f"{number}.test": lambda: gate.wait(20) and None for number in range(1_500)}
    acme = world.database["acme.test"] = world.tenant("acme").url
    resolver = world.validator().resolver
    assert resolver
    oldest: list[IssuersPending] = []
    for host in world.database:
        with pytest.raises(IssuersPending) as pending:
            resolver.trusts(acme, host)
        oldest.append(pending.value)
    assert oldest[20].fetch.result(0) is None
    with pytest.raises(IssuerUnavailable):
        resolver.trusts(acme, "20.test", oldest[20])
    gate.set()
    assert oldest[-1].fetch.result(5)
    assert resolver.trusts(acme, "acme.test", oldest[-1])


def test_renewals_come_before_a_flood(world: World) -> None:
    world.database = {f"{number}.test": lambda: slowly(None) for number in range(900)}
    acme = world.database["acme.test"] = world.tenant("acme").url
    resolver = world.validator().resolver
    assert resolver
    with pytest.raises(IssuersPending) as first:
        resolver.trusts(acme, "acme.test")
    assert first.value.fetch.result(5)
    for host in list(world.database)[:-1]:
        with suppress(IssuersPending):
            resolver.trusts(acme, host)
    world.clock.now += 61
    world.database["acme.test"] = None  # it is withdrawn
    with pytest.raises(IssuersPending) as again:
        resolver.trusts(acme, "acme.test")
    began = time.monotonic()
    assert again.value.fetch.result(5) is not None
    assert time.monotonic() - began < 2  # after all others it would be five seconds
    assert not resolver.trusts(acme, "acme.test")


def test_waiting_for_a_thread_is_no_failure_of_the_function(world: World, caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()
    world.database = {f"{number}.test": lambda: gate.wait(20) and None for number in range(16)}
    acme = world.database["acme.test"] = world.tenant("acme").url
    resolver = world.validator(timeout=100).resolver
    assert resolver
    with pytest.raises(IssuersPending) as first:
        resolver.trusts(acme, "acme.test")
    assert first.value.fetch.result(5)
    for host in list(world.database)[:-1]:
        with pytest.raises(IssuersPending):
            resolver.trusts(acme, host)
    world.clock.now += 61
    with pytest.raises(IssuersPending) as waiting:
        resolver.trusts(acme, "acme.test")
    world.clock.now += 101
    with pytest.raises(IssuerUnavailable):
        resolver.trusts(acme, "acme.test", waiting.value)  # what was good a while ago isn't used in its place
    assert "acme.test" not in caplog.text
    gate.set()


def test_evicted_issuer_loses_no_request_and_is_not_refreshed(world: World) -> None:
    tenants = [world.tenant(f"t{number}", KEYS[0]) for number in range(6)]
    world.database = {"api.test": [each.url for each in tenants]}
    validator = world.validator(max_issuers=2)

    async def ask() -> list[object]:
        asked = (validator.validate(Credentials("Bearer", each.token(), host="api.test")) for each in tenants * 5)
        return await asyncio.gather(*asked)

    assert len(asyncio.run(ask())) == 30
    fetched = len(world.requested)
    world.clock.now += 10_000
    assert validator.unready() == []
    time.sleep(0.05)
    assert len(world.requested) == fetched


def test_keys_of_the_issuers_used_last_are_held() -> None:
    made: list[str] = []
    caches: Any = KeyCaches(lambda issuer: (made.append(issuer), object())[1], 2, Clock())  # type: ignore[func-returns-value, arg-type, return-value]
    first, second = caches.of("first"), caches.of("second")
    assert caches.of("first") is first
    caches.of("third")
    assert caches.of("first") is first
    assert caches.of("second") is not second
    assert made == ["first", "second", "third", "second"]


def test_evictions_are_rare_whatever_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    clock, held, limits = Clock(), 0, list[int]()
    caches: Any = KeyCaches(lambda _: object(), 10, clock)  # type: ignore[arg-type, return-value]
    for later in (0, 0.1, 1, 1_000):
        clock.now += later
        limits.append(0)
        for _ in range(200):
            held += 1
            with suppress(IssuerUnavailable):
                caches.of(str(held))
                limits[-1] += 1
    assert limits == [110, 1, 10, 100]
    assert set(caplog.messages) == {"Far more than 10 issuers are in use: raise max_issuers of the IssuerResolver"}


def test_with_a_resolver_alone_it_is_ready_at_once(world: World) -> None:
    world.database = {"acme.test": [world.tenant("acme").url]}
    assert world.validator().unready() == []
    assert not world.looked_up


def test_request_without_its_host_has_no_resolved_issuer(world: World) -> None:
    acme = world.tenant("acme")
    world.database = {"": [acme.url], "acme.test": [acme.url]}
    validator = world.validator()
    with pytest.raises(InvalidToken):
        validator.check(acme.token())
    assert not world.looked_up


def test_coroutine_function_is_refused_where_there_is_no_event_loop(world: World) -> None:
    validator = world.validator(is_async=True)
    with pytest.raises(RuntimeError, match=r"look_up_later is `async def`.* Write it as `def`"):
        validator.check(world.tenant("acme").token())


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (lambda _: None, False),
        (World.look_up, False),
        (World.look_up_later, True),
        (partial(World.look_up_later, World()), True),
        (type("Lookup", (), {"__call__": World.look_up_later})(), True),
    ],
)
def test_coroutine_functions_are_known_as_such(function: Any, *, is_async: bool) -> None:
    assert IssuerResolver(function).is_async is is_async


@pytest.mark.parametrize("options", [{"cache_seconds": 0}, {"timeout": 0}, {"max_issuers": 0}])
def test_unusable_option_is_refused_at_once(options: Any) -> None:
    with pytest.raises(ValueError, match="must be greater than 0"):
        IssuerResolver(lambda _: None, **options)


def test_what_is_no_function_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"\['a'\] is no function"):
        IssuerResolver(["a"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("acme.test", "acme.test"),
        ("ACME.Test:8080", "acme.test"),
        ("acme.test.", "acme.test"),
        ("acme.test.:443", "acme.test"),
        ("acme.test:", "acme.test"),
        ("xn--mnchen-3ya.test", "xn--mnchen-3ya.test"),
        ("127.0.0.1:3010", "127.0.0.1"),
        ("[::1]:3010", "[::1]"),
        ("", ""),
        ("a.test,b.test", ""),
        ("a.test b.test", ""),
        ("a.test/b", ""),
        ("ada@a.test", ""),
        ("a..test", ""),
        (".a.test", ""),
        ("a.test..", ""),
        ("a.test\n", ""),
        ("a.test:80\n", ""),
        ("münchen.test", ""),
        ("a.test\u212a", ""),  # KELVIN SIGN, whose small letter is k
        ("\u212a.test", ""),
        ("a%2etest", ""),
        ("a" * 301, ""),
        ("a.test:x", ""),
    ],
)
def test_host_is_known_by_one_name(field: str, name: str) -> None:
    assert host_name(field) == name


@given(st.text())
def test_host_is_plain_or_none(field: str) -> None:
    name = host_name(field)
    assert name.isascii()
    assert name == name.lower()
    assert not set(name) & set(" /@,%\\'\"\n\t")
    assert host_name(name) == name
