"""Remembered signatures change no answer: what is refused without them is refused with them, at once."""

import time

import pytest
from joserfc.jwk import RSAKey

from resource_server.serving.background import in_background
from resource_server.settings import Settings
from resource_server.tokens import Auth0JWTBearerTokenValidator
from resource_server.tokens.errors import InvalidToken, Refusal
from resource_server.tokens.verified import TokenCache, Verified
from tests.attacks import CASES
from tests.outages import Clock
from tests.sample import create_app
from tests.serving import RawResponse, raw_request
from tests.tenant import AUDIENCE, Tenant, rsa_key


def test_every_attack_has_the_same_outcome_with_and_without(tenant: Tenant) -> None:
    def answer(url: str, number: int) -> RawResponse:
        request = requests[number]
        response = raw_request(url, request.target, request.headers, request.method)
        del response.headers["date"], response.headers["x-request-id"]
        return response

    requests = [case.make(tenant) for case in CASES]
    apis = [
        create_app(Settings(issuers=(tenant.url,), audience=AUDIENCE, token_cache_size=size)) for size in (0, 1_024)
    ]
    with in_background(apis[0]) as without, in_background(apis[1]) as remembering:
        for number, case in enumerate(CASES):
            expected = answer(without, number)
            assert [answer(remembering, number) for _ in range(2)] == [expected] * 2, case.name


def validator(tenant: Tenant, clock: Clock, size: int = 8) -> Auth0JWTBearerTokenValidator:
    return Auth0JWTBearerTokenValidator(
        tenant.url, AUDIENCE, token_cache_size=size, clock=lambda: time.time() + clock.ahead, monotonic=clock
    )


def refusal(checked: Auth0JWTBearerTokenValidator, token: str) -> Refusal:
    with pytest.raises(InvalidToken) as raised:
        checked.authenticate_token(token)
    return raised.value.refusal


def test_token_is_not_remembered_beyond_its_expiry() -> None:
    with Tenant().running() as tenant:
        clock = Clock()
        checked, token = validator(tenant, clock), tenant.token(exp=int(time.time()) + 100)
        assert [checked.authenticate_token(token)["sub"] for _ in range(2)] == ["auth0|ada"] * 2
        clock.pass_by(120)
        assert refusal(checked, token) is Refusal.EXPIRED


@pytest.mark.parametrize(("kid", "expected"), [("next", Refusal.UNKNOWN_KEY), ("current", Refusal.SIGNATURE)])
def test_token_is_not_remembered_when_its_key_is_withdrawn(kid: str, expected: Refusal) -> None:
    with Tenant().running() as tenant:
        clock = Clock()
        checked, token = validator(tenant, clock), tenant.token()
        checked.authenticate_token(token)
        tenant.rotate(kid, withdraw=True)
        clock.pass_by(700)
        assert refusal(checked, token) is expected


def test_token_that_differs_in_its_signature_only_is_not_the_remembered_one(tenant: Tenant) -> None:
    checked, token = validator(tenant, Clock()), tenant.token()
    checked.authenticate_token(token)
    assert refusal(checked, token[:-8] + "AAAAAAA" + token[-1]) is Refusal.SIGNATURE


def test_what_a_handler_does_to_claims_is_not_remembered(tenant: Tenant) -> None:
    checked, token = validator(tenant, Clock()), tenant.token(roles=["reader"])
    for _ in range(3):
        claims = checked.authenticate_token(token)
        assert claims["roles"] == ["reader"]
        claims["roles"].append("admin")
        claims["sub"] = "eve"


def test_refusals_are_not_remembered(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    remembered: list[object] = []
    monkeypatch.setattr(TokenCache, "put", lambda _, *what: remembered.append(what))
    checked = validator(tenant, Clock())
    for token in (tenant.token(aud="other"), tenant.token(key=rsa_key("current")), "opaque", "a.b.c", "\ud800"):
        for _ in range(2):
            refusal(checked, token)
    assert remembered == []
    checked.authenticate_token(tenant.token())
    assert len(remembered) == 1


def remember(tokens: TokenCache, *names: str) -> None:
    for name in names:
        tokens.put(name.encode(), Verified("", None, "RS256", RSAKey.generate_key(2048), {}, frozenset(), "{}"))


def test_no_more_than_so_many_are_remembered_those_that_came_last() -> None:
    tokens = TokenCache(2)
    remember(tokens, "a", "b")
    assert tokens.get(b"a")
    remember(tokens, "c")
    assert [bool(tokens.get(name.encode())) for name in "abc"] == [True, False, True]
    assert len(tokens) == 2


def test_size_of_zero_remembers_nothing() -> None:
    tokens = TokenCache(0)
    remember(tokens, "a")
    assert (len(tokens), tokens.get(b"a")) == (0, None)
