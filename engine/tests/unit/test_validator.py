"""The validator by itself: what can be configured, and what RFC 8725 asks of every algorithm."""

import asyncio
import threading
from itertools import groupby
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from resource_server.developing.contract_tests.forging import ABSENT, b64, sign
from resource_server.tokens import AccessToken, Auth0JWTBearerTokenValidator, require_scopes
from resource_server.tokens.claims import CHECKS
from resource_server.tokens.errors import (
    QUOTABLE,
    InsufficientScope,
    InvalidToken,
    IssuerUnavailable,
    MissingCredentials,
    Protection,
    Refusal,
)
from tests.tenant import AUDIENCE, Tenant, rsa_key, streamed

NOW = 1_800_000_000
RSA, PSS = rsa_key("rsa"), RSAKey.generate_key(2048, {"kid": "pss"})
EC, EC384, EC521 = (ECKey.generate_key(curve, {"kid": curve}) for curve in ("P-256", "P-384", "P-521"))
OKP, OKP448 = (OKPKey.generate_key(curve, {"kid": curve}) for curve in ("Ed25519", "Ed448"))


@pytest.fixture
def tenant() -> Tenant:
    """An issuer without a server: its answers come through the validator's transport."""
    tenant = Tenant()
    tenant.keys = [RSA]
    return tenant


def validator(tenant: Tenant, **options: Any) -> Auth0JWTBearerTokenValidator:
    def answer(request: httpx.Request) -> httpx.Response:
        return streamed(*tenant.answer(request.url.path))

    options = {"clock": lambda: NOW, "transport": httpx.MockTransport(answer), **options}
    return Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE, **options)


def refusal(subject: Auth0JWTBearerTokenValidator, token: str) -> Refusal | None:
    """Why the token is refused, if it is; asked in both ways that there are."""
    answers: list[Refusal | None] = []
    for validate in (subject.authenticate_token, lambda token: asyncio.run(subject.validate(token))):
        try:
            validate(token)
            answers.append(None)
        except InvalidToken as error:
            answers.append(error.refusal)
    assert answers[0] is answers[1]
    return answers[0]


def at(tenant: Tenant, **changed: Any) -> str:
    return tenant.token(**{"iat": NOW - 60, "exp": NOW + 60, **changed})


@pytest.mark.parametrize(
    ("changed", "leeway", "expected"),
    [
        ({"exp": NOW + 1}, 0, None),
        ({"exp": NOW}, 0, Refusal.EXPIRED),
        ({"exp": NOW - 4}, 5, None),
        ({"exp": NOW - 4.5}, 5, None),
        ({"exp": NOW - 5}, 5, Refusal.EXPIRED),
        ({"nbf": NOW}, 0, None),
        ({"nbf": NOW + 1}, 0, Refusal.NOT_YET_VALID),
        ({"nbf": NOW + 5}, 5, None),
        ({"nbf": NOW + 6}, 5, Refusal.NOT_YET_VALID),
        ({"iat": NOW + 600}, 5, None),  # when it was issued says nothing without a maximum age
    ],
)
def test_leeway_bounds_what_clocks_may_differ_by(
    tenant: Tenant, changed: dict[str, float], leeway: float, expected: Refusal | None
) -> None:
    assert refusal(validator(tenant, leeway=leeway), at(tenant, **changed)) is expected


def test_leeway_is_five_seconds_by_default(tenant: Tenant) -> None:
    subject = validator(tenant)
    assert refusal(subject, at(tenant, exp=NOW - 4)) is None
    assert refusal(subject, at(tenant, exp=NOW - 5)) is Refusal.EXPIRED


@pytest.mark.parametrize(
    ("iat", "expected"),
    [
        (NOW, None),
        (NOW - 3_605, None),
        (NOW - 3_606, Refusal.TOO_OLD),
        (NOW + 5, None),
        (NOW + 6, Refusal.TOO_OLD),
        (ABSENT, Refusal.TOO_OLD),
    ],
)
def test_maximum_age_counts_from_the_issue(tenant: Tenant, iat: object, expected: Refusal | None) -> None:
    assert refusal(validator(tenant, max_age=3_600), at(tenant, iat=iat)) is expected


@pytest.mark.parametrize(("permissions", "scopes"), [(True, {"a", "b", "c", "p"}), (False, {"a", "b", "c"})])
def test_scopes_come_from_all_their_claims(tenant: Tenant, *, permissions: bool, scopes: set[str]) -> None:
    token = validator(tenant, permissions=permissions).authenticate_token(
        at(tenant, scope="a b", scp=["c"], permissions=["p"])
    )
    assert token.scopes == scopes
    assert token.get_scope() == " ".join(sorted(scopes))
    assert token["sub"] == "auth0|ada"


@pytest.mark.parametrize("permissions", ["p", {"p": 1}, [1], None, [["p"]]])
def test_permissions_of_another_type_are_refused(tenant: Tenant, permissions: object) -> None:
    assert refusal(validator(tenant, permissions=True), at(tenant, permissions=permissions)) is Refusal.CLAIMS


ALGORITHMS: list[tuple[str, Key]] = [
    *((f"{kind}{bits}", PSS) for kind in ("RS", "PS") for bits in (256, 384, 512)),
    ("ES256", EC),
    ("ES384", EC384),
    ("ES512", EC521),
    ("EdDSA", OKP),
    ("Ed25519", OKP),
    ("EdDSA", OKP448),
]


@pytest.mark.parametrize(("alg", "key"), ALGORITHMS, ids=[f"{alg} {key.kid}" for alg, key in ALGORITHMS])
def test_algorithm_is_accepted_only_when_configured(tenant: Tenant, alg: str, key: Key) -> None:
    tenant.keys = [key, RSA]
    token = sign({"alg": alg, "kid": key.kid}, tenant.claims(exp=NOW + 60), key, alg)
    assert refusal(validator(tenant, algorithms=[alg]), token) is None
    others = [other for other, _ in ALGORITHMS if other != alg]
    assert refusal(validator(tenant, algorithms=others), token) is Refusal.ALGORITHM


@pytest.mark.parametrize(("alg", "key"), ALGORITHMS, ids=[f"{alg} {key.kid}" for alg, key in ALGORITHMS])
def test_algorithm_never_meets_a_key_of_another_kind(tenant: Tenant, alg: str, key: Key) -> None:
    every: list[Key] = [RSA, PSS, EC, EC384, EC521, OKP, OKP448]
    tenant.keys = every
    subject = validator(tenant, algorithms=sorted({alg for alg, _ in ALGORITHMS}))
    for other in every:
        token = sign({"alg": alg, "kid": other.kid}, tenant.claims(exp=NOW + 60), key, alg)
        if other is key:
            assert refusal(subject, token) is None
        else:
            assert refusal(subject, token) in (Refusal.UNKNOWN_KEY, Refusal.SIGNATURE)


def test_key_that_says_its_algorithm_verifies_no_other(tenant: Tenant) -> None:
    token = sign({"alg": "PS256", "kid": "rsa"}, tenant.claims(exp=NOW + 60), RSA, "PS256")
    assert refusal(validator(tenant, algorithms=["RS256", "PS256"]), token) is Refusal.UNKNOWN_KEY


@pytest.mark.parametrize("signature", [b"", bytes(64), b"\xff" * 64, bytes(63), bytes(65), bytes(200)])
def test_psychic_signatures_are_refused(tenant: Tenant, signature: bytes) -> None:
    tenant.keys = [EC]
    good = sign({"alg": "ES256", "kid": "P-256"}, tenant.claims(exp=NOW + 60), EC, "ES256")
    token = f"{good.rpartition('.')[0]}.{b64(signature)}"
    assert refusal(validator(tenant, algorithms=["ES256"]), token) is Refusal.SIGNATURE


def test_symmetric_key_in_the_key_set_opens_nothing(tenant: Tenant) -> None:
    tenant.misbehave = lambda path: (
        200,
        {},
        (
            b'{"keys":[{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA","kid":"oct"}]}'
            if path.endswith("jwks.json")
            else b'{"issuer":"https://tenant.example.com/","jwks_uri":"https://tenant.example.com/jwks.json"}'
        ),
    )
    secret = OctKey.import_key(b"secret-secret-secret-secret-secret")
    token = sign({"alg": "HS256", "kid": "oct"}, tenant.claims(exp=NOW + 60), secret, "HS256")
    assert refusal(validator(tenant), token) is Refusal.ALGORITHM


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ftp://x", AUDIENCE, {}), "is neither a host"),
        (([], AUDIENCE, {}), "^No issuer: name at least one domain, or give a resolver$"),
        (("tenant.example.com", "", {}), "^No audience: write the API's identifier$"),
        (("tenant.example.com", "", {"realm": "x"}), "^No audience: write the API's identifier$"),
        (("tenant.example.com", 'a"b', {}), "can't stand in a challenge"),
        (("tenant.example.com", AUDIENCE, {"realm": "a\nb"}), "can't stand in a challenge"),
        (("tenant.example.com", AUDIENCE, {"algorithms": []}), "aren't all among"),
        (("tenant.example.com", AUDIENCE, {"algorithms": ["HS256"]}), "aren't all among"),
        (
            ("tenant.example.com", AUDIENCE, {"algorithms": ["RS256", "none"]}),
            "^The algorithms 'RS256, none' aren't all among ES256, ES384, ",
        ),
        (("tenant.example.com", AUDIENCE, {"algorithms": "RS256"}), "aren't all among"),
    ],
)
def test_unusable_argument_is_refused_at_once(arguments: tuple[Any, str, dict[str, Any]], message: str) -> None:
    domain, audience, options = arguments
    with pytest.raises(ValueError, match=message):
        Auth0JWTBearerTokenValidator(domain, audience, **options)


def test_realm_can_be_other_than_the_audience() -> None:
    assert Auth0JWTBearerTokenValidator("tenant.example.com", AUDIENCE, realm="messages").realm == "messages"
    assert Auth0JWTBearerTokenValidator("tenant.example.com", AUDIENCE).realm == AUDIENCE


def test_audience_without_ascii_may_have_a_realm_of_its_own(tenant: Tenant) -> None:
    assert Auth0JWTBearerTokenValidator(tenant.url, "bücher", realm="books").audience == "bücher"


def test_outage_is_told_in_both_ways_of_asking(tenant: Tenant) -> None:
    tenant.misbehave = lambda _: (503, {}, b"")
    with pytest.raises(IssuerUnavailable):
        asyncio.run(validator(tenant).validate(at(tenant)))
    with pytest.raises(IssuerUnavailable):
        validator(tenant).authenticate_token(at(tenant))


@pytest.mark.parametrize("way", ["validate", "authenticate_token"])
def test_unknown_key_costs_one_fetch(tenant: Tenant, way: str) -> None:
    subject = validator(tenant)
    ask = subject.authenticate_token if way == "authenticate_token" else lambda t: asyncio.run(subject.validate(t))
    for fetches in (1, 2):
        with pytest.raises(InvalidToken):
            ask(at(tenant, key=rsa_key("unknown")))
        assert tenant.key_fetches == fetches


def test_held_keys_stay_good_for_a_day_by_default_and_for_as_long_as_is_set(
    tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    day = validator(tenant, monotonic=lambda: now[0])
    hour = validator(tenant, monotonic=lambda: now[0], max_stale=3_600)
    for subject in (day, hour):
        subject.authenticate_token(at(tenant))
    tenant.misbehave = lambda _: (503, {}, b"")
    now[0] = 3_599
    assert [bool(subject.authenticate_token(at(tenant))) for subject in (day, hour)] == [True, True]
    now[0] = 3_600
    assert day.authenticate_token(at(tenant))
    with pytest.raises(IssuerUnavailable):
        hour.authenticate_token(at(tenant))
    now[0] = 86_399
    assert day.authenticate_token(at(tenant))
    now[0] = 86_400
    with pytest.raises(IssuerUnavailable):
        day.authenticate_token(at(tenant))
    assert caplog.messages[0].startswith(f"The keys of {tenant.url} could not be refreshed: ")


def test_permissions_grant_nothing_by_default(tenant: Tenant) -> None:
    assert validator(tenant).authenticate_token(at(tenant, scope="a", permissions=["p"])).scopes == {"a"}


def test_event_loop_runs_on_while_keys_are_fetched(tenant: Tenant) -> None:
    gate = threading.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        assert gate.wait(10)
        return streamed(*tenant.answer(request.url.path))

    async def both() -> None:
        subject = validator(tenant, transport=httpx.MockTransport(answer))
        validating = asyncio.create_task(subject.validate(at(tenant)))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not validating.done()
        gate.set()
        assert (await validating)["sub"] == "auth0|ada"

    asyncio.run(both())


def test_warm_keys_are_used_in_place(tenant: Tenant) -> None:
    subject = validator(tenant)
    subject.authenticate_token(at(tenant))
    coroutine = subject.validate(at(tenant))
    with pytest.raises(StopIteration) as finished:
        coroutine.send(None)  # it ends without having waited for anything
    assert finished.value.value["sub"] == "auth0|ada"


@pytest.mark.parametrize("required", [[], ["a"], ["a", "b"], ["b", "a"]])
def test_all_required_scopes_suffice(required: list[str]) -> None:
    require_scopes(AccessToken({}, frozenset("ab")), required)


@pytest.mark.parametrize("required", [["c"], ["a", "c"], ["ab"], ["a b"]])
def test_one_missing_scope_is_insufficient_and_all_required_are_named(required: list[str]) -> None:
    with pytest.raises(InsufficientScope) as error:
        require_scopes(AccessToken({}, frozenset("ab")), required)
    assert error.value.challenge == f'Bearer error="insufficient_scope", scope="{" ".join(required)}"'


def test_checks_with_one_refusal_stand_together_under_one_name() -> None:
    groups = [key for key, _ in groupby(CHECKS, key=lambda check: (check.name, check.refusal))]
    assert len(groups) == len({name for name, _ in groups}) == len({refusal for _, refusal in groups}) == 6


@pytest.mark.parametrize(
    ("schemes", "challenge", "description"),
    [
        (["Bearer"], 'Bearer realm="r"', "This operation needs an access token: send it as"),
        (
            ["Bearer", "ApiKey"],
            'Bearer realm="r", ApiKey realm="r"',
            "This operation needs an access token: send it as",
        ),
        (["Basic"], 'Basic realm="r"', "This operation needs credentials."),
    ],
)
def test_missing_credentials_are_asked_for_in_every_scheme(
    schemes: list[str], challenge: str, description: str
) -> None:
    error = MissingCredentials(Protection("r"), schemes)
    assert error.challenge == challenge
    assert error.description.startswith(description)


@pytest.mark.parametrize("refusal", Refusal)
def test_every_description_may_stand_in_a_challenge(refusal: Refusal) -> None:
    assert QUOTABLE.fullmatch(refusal)
    assert InvalidToken(refusal).challenge == f'Bearer error="invalid_token", error_description="{refusal.value}"'
