"""The cache of an issuer's keys, moment by moment, on a clock that the test moves."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from joserfc.jwk import RSAKey

from resource_server.tokens.errors import InvalidToken, IssuerUnavailable, Refusal
from resource_server.tokens.issuer import FetchedKeys, IssuerError
from resource_server.tokens.keycache import KeyCache, KeyPending
from resource_server.tokens.keys import PublicKey, verification_keys
from tests.tenant import rsa_key

OLD, NEW = rsa_key("old"), rsa_key("new")


class Issuer:
    """What the cache fetches from: it publishes keys, or fails, and counts."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.fetches = 0
        self.brought: list[list[PublicKey] | None] = []
        """What each fetch has brought; nothing, if it has failed."""
        self.published: list[PublicKey] = [OLD]
        self.lifetime = 600.0
        self.failure: Exception | None = None
        self.reached = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.clock: Callable[[], float] = lambda: self.now
        self.cache = KeyCache("https://tenant.example.com/", self.fetch, clock=lambda: self.clock())  # noqa: PLW0108  # a test replaces it

    def fetch(self) -> FetchedKeys:
        key_set = {"keys": [key.as_dict(private=False) for key in self.published]}
        self.reached.set()
        assert self.gate.wait(10)
        self.fetches += 1
        self.brought.append(None if self.failure else list(self.published))
        if self.failure:
            raise self.failure
        return FetchedKeys(verification_keys(key_set, ["RS256"]), self.lifetime)

    def key(self, kid: str | None) -> PublicKey:
        """The key, however often that has to be waited for."""
        pending = None
        for _ in range(3):
            try:
                return self.cache.key(kid, "RS256", pending)
            except KeyPending as raised:
                pending = raised
                pending.fetch.result(10)
        raise AssertionError("it would wait forever")

    def finds(self, kid: str | None) -> bool:
        """Whether the key is found; that it isn't published is the only other answer."""
        try:
            return self.key(kid).kid == kid
        except InvalidToken as error:
            return error.refusal is not Refusal.UNKNOWN_KEY

    def settle(self) -> None:
        """Wait for a fetch that nobody waits for."""
        for thread in threading.enumerate():
            if thread.name == "key-fetch":
                thread.join(10)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def test_first_token_fetches_the_keys_once(issuer: Issuer) -> None:
    assert issuer.fetches == 0
    assert [issuer.finds("old") for _ in range(100)] == [True] * 100
    assert issuer.fetches == 1


def test_many_waiting_requests_share_one_fetch(issuer: Issuer) -> None:
    issuer.gate.clear()
    with ThreadPoolExecutor(50) as pool:
        found = [pool.submit(issuer.finds, "old") for _ in range(50)]
        issuer.gate.set()
        assert all(future.result(10) for future in found)
    assert issuer.fetches == 1


def test_keys_are_refreshed_ahead_without_anybody_waiting(issuer: Issuer) -> None:
    issuer.key("old")
    issuer.now += 479
    assert issuer.cache.key("old", "RS256").kid == "old"
    assert issuer.fetches == 1
    issuer.now += 1  # 0.8 of the lifetime
    issuer.gate.clear()
    assert issuer.cache.key("old", "RS256").kid == "old"
    issuer.gate.set()
    issuer.settle()
    assert issuer.fetches == 2
    issuer.now += 479
    assert issuer.cache.key("old", "RS256").kid == "old"
    assert issuer.fetches == 2


def test_key_after_its_lifetime_waits_for_the_refresh(issuer: Issuer) -> None:
    issuer.key("old")
    issuer.now += 600
    with pytest.raises(KeyPending):
        issuer.cache.key("old", "RS256")
    issuer.settle()
    assert issuer.finds("old")
    assert issuer.fetches == 2


def test_withdrawn_key_is_refused_after_the_refresh(issuer: Issuer) -> None:
    assert issuer.finds("old")
    issuer.published = [NEW]
    issuer.now += 599
    assert issuer.finds("old")
    issuer.settle()
    assert not issuer.finds("old")
    assert issuer.finds("new")


def test_new_key_is_found_at_once_right_after_start(issuer: Issuer) -> None:
    assert issuer.finds("old")
    issuer.published = [NEW, OLD]
    assert issuer.finds("new")
    assert issuer.finds("old")
    assert issuer.fetches == 2


def test_new_key_that_a_fetch_under_way_misses_is_found_by_the_next(issuer: Issuer) -> None:
    assert issuer.finds("old")
    issuer.now += 500
    issuer.gate.clear()
    issuer.reached.clear()
    issuer.cache.key("old", "RS256")  # starts the refresh, which reads what is published now
    assert issuer.reached.wait(10)
    issuer.published = [NEW, OLD]
    with pytest.raises(KeyPending) as joined:
        issuer.cache.key("new", "RS256")
    issuer.gate.set()
    joined.value.fetch.result(10)
    with pytest.raises(KeyPending) as own:
        issuer.cache.key("new", "RS256", joined.value)
    own.value.fetch.result(10)
    assert issuer.cache.key("new", "RS256", own.value).kid == "new"
    assert issuer.fetches == 3


def test_unknown_key_is_looked_up_by_one_fetch_that_began_after_it_was_asked_for(issuer: Issuer) -> None:
    assert issuer.finds("old")
    assert not issuer.finds("unknown")
    assert issuer.fetches == 2


def test_key_that_was_fetched_but_has_run_out_while_it_was_waited_for_is_used(issuer: Issuer) -> None:
    with pytest.raises(KeyPending) as pending:
        issuer.cache.key("old", "RS256")
    pending.value.fetch.result(10)
    issuer.now += 601  # the machine slept
    assert issuer.cache.key("old", "RS256", pending.value).kid == "old"
    with pytest.raises(KeyPending):
        issuer.cache.key("old", "RS256")


@pytest.mark.parametrize(("seconds", "fetches"), [(0, 3), (29, 3), (30, 4), (60, 5), (300, 6), (3_000, 6)])
def test_flood_of_unknown_kids_causes_a_trickle(issuer: Issuer, seconds: float, fetches: int) -> None:
    issuer.lifetime = 1e9
    assert issuer.finds("old")
    for number in range(1_000):
        assert not issuer.finds(f"unknown{number}")
    assert issuer.fetches - 1 == 3
    issuer.now += seconds
    for number in range(1_000):
        assert not issuer.finds(f"unknown{number}")
    assert issuer.fetches - 1 == fetches


def test_flood_of_ten_thousand_unknown_kids_in_a_minute_causes_five_fetches(issuer: Issuer) -> None:
    assert issuer.finds("old")
    for number in range(10_000):
        issuer.now += 60 / 10_000
        assert not issuer.finds(f"unknown{number}")
        assert issuer.cache.key("old", "RS256").kid == "old"
    assert issuer.fetches - 1 in (4, 5)


def test_flood_does_not_hide_a_rotation_for_longer_than_the_trickle(issuer: Issuer) -> None:
    assert issuer.finds("old")
    for number in range(100):
        assert not issuer.finds(f"unknown{number}")
    issuer.published = [NEW]
    issuer.now += 30
    assert issuer.finds("new")


def test_known_key_never_waits_for_a_lookup_of_an_unknown_one(issuer: Issuer) -> None:
    assert issuer.finds("old")
    issuer.gate.clear()
    with pytest.raises(KeyPending):
        issuer.cache.key("unknown", "RS256")
    assert issuer.cache.key("old", "RS256").kid == "old"
    issuer.gate.set()
    issuer.settle()


@pytest.mark.parametrize("failure", [IssuerError("down"), RuntimeError("a bug")])
def test_held_keys_outlive_an_outage_for_a_bounded_time(issuer: Issuer, failure: Exception) -> None:
    assert issuer.finds("old")
    issuer.failure = failure
    for _ in range(239):
        issuer.now += 360
        assert issuer.finds("old")
        issuer.settle()
    issuer.now += 359.9
    assert issuer.finds("old")
    issuer.settle()
    issuer.now += 0.1  # 24 h since the last refresh
    with pytest.raises(IssuerUnavailable):
        issuer.key("old")


def test_held_keys_are_good_for_their_lifetime_at_least() -> None:
    issuer = Issuer()
    issuer.cache = KeyCache("https://tenant.example.com/", issuer.fetch, clock=lambda: issuer.now, max_stale=60)
    assert issuer.finds("old")
    issuer.failure = IssuerError("down")
    issuer.now += 599
    assert issuer.finds("old")
    issuer.settle()
    assert issuer.finds("old")
    issuer.now += 1
    with pytest.raises(IssuerUnavailable):
        issuer.key("old")


def test_machine_out_of_threads_is_an_outage_that_ends(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more_threads(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more_threads)
        with pytest.raises(IssuerUnavailable):
            issuer.cache.key("old", "RS256")
    issuer.now += 1
    assert issuer.finds("old")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_fetch_that_is_torn_down_leaves_nobody_waiting(issuer: Issuer) -> None:
    class TornDownError(BaseException):
        """Like SystemExit: not an Exception."""

    def fetch() -> FetchedKeys:
        raise TornDownError

    cache = KeyCache("https://tenant.example.com/", fetch, clock=lambda: issuer.now)
    with pytest.raises(KeyPending) as pending:
        cache.key("old", "RS256")
    pending.value.fetch.result(10)
    with pytest.raises(IssuerUnavailable):
        cache.key("old", "RS256", pending.value)
    issuer.settle()


def test_empty_key_set_withdraws_every_key(issuer: Issuer) -> None:
    assert issuer.finds("old")
    issuer.published = []
    issuer.now += 600
    assert not issuer.finds("old")


def test_fetch_that_ends_while_the_key_is_looked_for_is_not_missed(issuer: Issuer) -> None:
    issuer.gate.clear()
    with pytest.raises(KeyPending) as pending:
        issuer.cache.key("old", "RS256")

    def clock() -> float:
        if threading.current_thread() is threading.main_thread():
            issuer.gate.set()
            issuer.settle()
        return issuer.now

    issuer.clock = clock  # it is read between the two looks at the cache's state
    with pytest.raises(KeyPending):
        issuer.cache.key("old", "RS256", pending.value)
    issuer.settle()
    assert issuer.finds("old")


def test_outage_is_retried_in_the_background_and_its_end_noticed(issuer: Issuer) -> None:
    assert issuer.finds("old")
    issuer.failure, issuer.published = IssuerError("down"), [NEW]
    issuer.now += 600
    assert issuer.finds("old")
    issuer.settle()
    fetches = issuer.fetches
    for _ in range(100):
        assert issuer.finds("old")
    issuer.settle()
    assert issuer.fetches == fetches
    issuer.failure = None
    issuer.now += 10
    issuer.finds("old")
    issuer.settle()
    assert not issuer.finds("old")
    assert issuer.finds("new")


def test_unknown_key_during_an_outage_is_not_the_tokens_fault(issuer: Issuer) -> None:
    assert issuer.finds("old")
    issuer.failure = IssuerError("down")
    for _ in range(10):
        with pytest.raises(IssuerUnavailable):
            issuer.key("unknown")


def test_no_key_ever_held_is_unavailable_with_growing_pauses(issuer: Issuer) -> None:
    issuer.failure = IssuerError("down")
    pauses = []
    for _ in range(6):
        with pytest.raises(IssuerUnavailable) as error:
            issuer.key("old")
        pauses.append(error.value.retry_after)
        fetches = issuer.fetches
        issuer.now += error.value.retry_after - 0.01
        with pytest.raises(IssuerUnavailable):
            issuer.key("old")
        assert issuer.fetches == fetches
        issuer.now += 0.01
    assert pauses == [1, 2, 4, 8, 10, 10]
    issuer.failure = None
    issuer.now += 10
    assert issuer.finds("old")


def test_success_forgets_the_failures_before_it(issuer: Issuer) -> None:
    issuer.failure = IssuerError("down")
    with pytest.raises(IssuerUnavailable):
        issuer.key("old")
    issuer.failure = None
    issuer.now += 1
    assert issuer.finds("old")
    assert not issuer.finds("unknown")


def test_waiting_that_is_given_up_is_not_given_up_for_others(issuer: Issuer) -> None:
    issuer.gate.clear()
    with pytest.raises(KeyPending) as one:
        issuer.cache.key("old", "RS256")
    with pytest.raises(KeyPending) as other:
        issuer.cache.key("old", "RS256")
    assert one.value.fetch is other.value.fetch
    assert not one.value.fetch.cancel()
    issuer.gate.set()
    assert other.value.fetch.result(10) is None
    assert issuer.finds("old")


@pytest.mark.parametrize(
    ("failure", "messages"),
    [
        (IssuerError("down"), ["The keys of https://tenant.example.com/ could not be refreshed: down"]),
        (RuntimeError("a bug"), ["The keys of https://tenant.example.com/ could not be refreshed"]),
        (None, []),
    ],
)
def test_failure_is_logged_and_never_raised_in_the_background(
    issuer: Issuer, caplog: pytest.LogCaptureFixture, failure: Exception | None, messages: list[str]
) -> None:
    issuer.failure = failure
    with pytest.raises(KeyPending) as pending:
        issuer.cache.key("old", "RS256")
    pending.value.fetch.result(10)
    assert caplog.messages == messages
    assert [bool(record.exc_info) for record in caplog.records] == [isinstance(failure, RuntimeError)] * len(messages)


def finds_another(issuer: Issuer, kid: str | None, wrong: PublicKey) -> bool:
    """Whether another key than one that didn't verify a token is found; else its signature is what is wrong."""
    pending = None
    for _ in range(3):
        try:
            found = issuer.cache.key(kid, "RS256", pending, wrong=wrong)
        except KeyPending as raised:
            pending = raised
            pending.fetch.result(10)
        except InvalidToken as error:
            return error.refusal is not Refusal.SIGNATURE
        else:
            if found.thumbprint() != wrong.thumbprint():
                return True
            wrong = found
    raise AssertionError("it would wait forever")


@pytest.mark.parametrize("kid", [None, "same"])
def test_key_that_another_took_the_place_of_is_looked_up(issuer: Issuer, kid: str | None) -> None:
    issuer.published = [rsa_key("same")]
    before = issuer.key(kid)
    issuer.published = [RSAKey.import_key(NEW.as_dict(private=True), {"kid": "same"})]
    assert finds_another(issuer, kid, before)
    assert (issuer.fetches, issuer.key(kid).thumbprint()) == (2, NEW.thumbprint())
    assert not finds_another(issuer, kid, issuer.key(kid))


def test_flood_of_wrong_signatures_causes_a_trickle_that_unknown_kids_share(issuer: Issuer) -> None:
    key = issuer.key("old")
    for _ in range(100):
        assert not finds_another(issuer, "old", issuer.key("old"))
        issuer.finds("unknown")
    assert issuer.fetches == 1 + 3
    assert issuer.key("old").thumbprint() == key.thumbprint()


def test_wrong_signature_during_an_outage_stays_one(issuer: Issuer) -> None:
    key = issuer.key("old")
    issuer.failure = IssuerError("down")
    for _ in range(5):
        assert not finds_another(issuer, "old", key)
    assert issuer.key("old") is key


def test_key_without_kid_is_found_when_it_is_the_only_one(issuer: Issuer) -> None:
    assert issuer.key(None).kid == "old"
    issuer.published = [OLD, NEW]
    issuer.now += 600
    with pytest.raises(InvalidToken):
        issuer.key(None)


@pytest.mark.parametrize("use", [lambda issuer: issuer.key("old"), lambda issuer: issuer.finds("unknown")])
def test_nothing_is_fetched_before_the_first_token(issuer: Issuer, use: Callable[[Issuer], object]) -> None:
    assert issuer.fetches == 0
    use(issuer)
    assert issuer.fetches > 0


def test_issuer_without_usable_keys_is_not_ready(issuer: Issuer) -> None:
    issuer.published = []
    issuer.cache.ready()
    issuer.settle()
    assert not issuer.cache.ready()
    issuer.published = [OLD]
    issuer.now += 600
    issuer.cache.ready()
    issuer.settle()
    assert issuer.cache.ready()


@pytest.mark.parametrize(("asked", "pause"), [(None, 1), (0, 1), (60, 60), (10**9, 300)])
def test_issuer_is_left_alone_for_as_long_as_it_asks(issuer: Issuer, asked: float | None, pause: float) -> None:
    issuer.failure = IssuerError("busy", asked)
    with pytest.raises(IssuerUnavailable) as raised:
        issuer.key("old")
    assert raised.value.headers["Retry-After"] == str(pause)
    issuer.failure = None
    issuer.now += pause - 0.1
    with pytest.raises(IssuerUnavailable):
        issuer.key("old")
    issuer.now += 0.2
    assert issuer.finds("old")
