"""Tokens for contract tests: given, kept, waited for, and refused to be what they are not."""

import pytest

from resource_server.developing.contract_tests.results import NotRun
from resource_server.developing.contract_tests.sources import MARGIN, GivenTokens
from tests.tenant import Tenant

NOW = 1_800_000_000


@pytest.fixture(scope="module")
def issuer() -> Tenant:
    return Tenant()


class Clock:
    """A clock, which sleeping moves."""

    def __init__(self) -> None:
        self.now = float(NOW)
        self.slept = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


def given(clock: Clock, *, good: str | None = None, kept: tuple[str, ...] = (), wait: float = 0) -> GivenTokens:
    return GivenTokens(good, kept, wait, clock, clock.sleep)


def test_token_that_has_expired_long_enough_is_used_at_once(issuer: Tenant) -> None:
    clock = Clock()
    old, older = issuer.token(exp=NOW - MARGIN - 1), issuer.token(exp=NOW - 9_999)
    assert given(clock, kept=(old,)).token((), {"exp": 0}) == old
    assert given(clock, good=issuer.token(exp=NOW + 60), kept=(old, older)).token((), {"exp": 0}) == older
    assert clock.slept == 0


def test_token_that_soon_expires_is_waited_for(issuer: Tenant) -> None:
    clock = Clock()
    token = issuer.token(exp=NOW + 60)
    assert given(clock, good=token, wait=60 + MARGIN).token((), {"exp": 0}) == token
    assert clock.now == NOW + 60 + MARGIN


@pytest.mark.parametrize("wait", [0, 59 + MARGIN])
def test_token_is_not_waited_for_longer_than_allowed(issuer: Tenant, wait: float) -> None:
    clock = Clock()
    with pytest.raises(NotRun, match=r"one will have in 180 seconds, for which --wait would wait"):
        given(clock, good=issuer.token(exp=NOW + 60), wait=wait).token((), {"exp": 0})
    assert clock.slept == 0


def test_token_that_has_just_expired_is_none_to_a_server_with_another_clock(issuer: Tenant) -> None:
    with pytest.raises(NotRun, match="no token has expired yet"):
        given(Clock(), kept=(issuer.token(exp=NOW - 1),)).token((), {"exp": 0})
