"""Operations that need a user who has logged in strongly and lately (RFC 9470), and a client that sees to that."""

import copy
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from resource_server.contract.loading import load_contract, read_contract
from resource_server.contract.spec import ContractError
from resource_server.developing.contract_tests.forging import ABSENT
from resource_server.developing.issuer import DevelopmentIssuer, serve_in_background
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from resource_server.tokens import AccessToken, Auth0JWTBearerTokenValidator
from resource_server.tokens.errors import InsufficientAuthentication
from resource_server.tokens.jwt import SignedJWT
from tests.api.test_development_issuer import REQUEST, code_of, login, machine_token, redeem
from tests.sample import SPECIFICATION, create_app
from tests.serving import catalogued, production
from tests.tenant import AUDIENCE, Tenant

MFA = "urn:example:mfa"
STRONG, FRESH, EITHER = "/api/strong", "/api/fresh", "/api/either"
STEP_UP: dict[str, dict[str, Any]] = {
    STRONG: {"x-acr-values": MFA, "x-max-age": 60},
    FRESH: {"x-max-age": 60},
    EITHER: {"x-acr-values": f"urn:example:key {MFA}"},
}


def stepping_up() -> dict[str, Any]:
    """The contract, with operations that need more than a token."""
    contract = copy.deepcopy(read_contract(SPECIFICATION))
    for path, members in STEP_UP.items():
        contract["paths"][path] = {"get": {**contract["paths"]["/api/private"]["get"], **members}}
        contract["paths"][path]["get"]["operationId"] = f"handlers_of_step_up.{path.rpartition('/')[2]}"
    return contract


def written(contract: dict[str, Any], folder: Path) -> Path:
    path = folder / "openapi.yaml"
    path.write_text(yaml.safe_dump(contract), encoding="utf-8")
    return path


HANDLERS = """
def key_info(key): return {"sub": key}
def strong(): return {"message": ""}
fresh = either = strong
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("step-up")
    (folder / "handlers_of_step_up.py").write_text(HANDLERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield written(stepping_up(), folder)


@pytest.fixture(scope="module")
def issuer() -> Iterator[httpx.Client]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        serve_in_background(listener, DevelopmentIssuer(url, lambda: ["read:messages"]))
        with httpx.Client(base_url=url, trust_env=False) as client:
            yield client


@pytest.fixture(scope="module")
def api(issuer: httpx.Client, spec: Path) -> Iterator[httpx.Client]:
    settings = Settings(issuers=(str(issuer.base_url),), audience=AUDIENCE, development=True, specification=spec)
    with in_background(create_app(settings)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def call(api: httpx.Client, path: str, token: str) -> httpx.Response:
    return api.get(path, headers={"Authorization": f"Bearer {token}"})


def logged_in(issuer: httpx.Client, **asked: str) -> str:
    token: str = redeem(issuer, code_of(login(issuer, "auth0|ada", **asked))).json()["access_token"]
    return token


def signed(issuer: httpx.Client, **claims: Any) -> str:
    """A token with any claims."""
    present = {name: value for name, value in claims.items() if value is not ABSENT}
    answer = issuer.post("/sign", json={"audience": AUDIENCE, "claims": present})
    token: str = answer.raise_for_status().json()["access_token"]
    return token


def asked_for(refusal: httpx.Response) -> dict[str, str]:
    """What a challenge asks the client to authorize again with (RFC 9470, section 4)."""
    parameters = dict(re.findall(r'(\w+)="([^"]*)"', refusal.headers["www-authenticate"]))
    assert (refusal.status_code, parameters["error"]) == (401, "insufficient_user_authentication")
    return {name: value for name, value in parameters.items() if name in ("acr_values", "max_age")}


@pytest.mark.parametrize("path", STEP_UP)
def test_client_authorizes_again_as_it_is_told_and_is_served(
    issuer: httpx.Client, api: httpx.Client, path: str
) -> None:
    old = signed(issuer, sub="auth0|ada", auth_time=int(time.time()) - 3_600)
    assert call(api, "/api/private", old).status_code == 200
    refusal = call(api, path, old)
    expected = {"acr_values": STEP_UP[path].get("x-acr-values"), "max_age": STEP_UP[path].get("x-max-age")}
    asked = asked_for(refusal)
    assert asked == {name: str(value) for name, value in expected.items() if value is not None}
    assert call(api, path, logged_in(issuer, **asked)).status_code == 200


def test_challenge_and_problem_say_what_is_needed(issuer: httpx.Client, api: httpx.Client) -> None:
    refusal = call(api, STRONG, logged_in(issuer))
    said = f"This operation needs a user who has logged in with one of {MFA} and in the last 60 seconds."
    assert refusal.headers["www-authenticate"].startswith(
        f'Bearer error="insufficient_user_authentication", error_description="{said}", acr_values="{MFA}", max_age="60"'
    )
    problem = catalogued(refusal.json())
    assert (problem["code"], problem["detail"]) == ("insufficient_user_authentication", said)


@pytest.mark.parametrize(
    ("asked", "acr"),
    [({}, None), ({"acr_values": " "}, None), ({"acr_values": f"{MFA} urn:example:key"}, MFA)],
    ids=str,
)
def test_token_for_a_user_says_how_and_when_they_have_logged_in(
    issuer: httpx.Client, asked: dict[str, str], acr: str | None
) -> None:
    claims = SignedJWT.parse(logged_in(issuer, **asked)).claims
    assert claims.get("acr") == acr
    assert ("acr" in claims) == (acr is not None)
    assert abs(claims["auth_time"] - time.time()) < 10


def test_machine_has_not_logged_in(issuer: httpx.Client, api: httpx.Client) -> None:
    token = machine_token(issuer, acr_values=MFA)["access_token"]
    assert SignedJWT.parse(token).claims.keys().isdisjoint(("acr", "auth_time"))
    assert [call(api, path, token).status_code for path in STEP_UP] == [401, 401, 401]


def test_page_sends_on_what_was_asked_for(issuer: httpx.Client) -> None:
    asked = {"acr_values": MFA, "max_age": "60", "dpop_jkt": "a" * 43, "resource": AUDIENCE}
    page = issuer.get("/authorize", params={**REQUEST, **asked})
    for name, value in asked.items():
        assert f'<input type="hidden" name="{name}" value="{value}">' in page.text


# acr, seconds since auth_time, status by operation
LOGINS: list[tuple[Any, Any, list[int]]] = [
    (MFA, 0, [200, 200, 200]),
    (MFA, 50, [200, 200, 200]),
    (MFA, 3_600, [401, 401, 200]),
    ("urn:example:key", 0, [401, 200, 200]),
    ("urn:example:password", 0, [401, 200, 401]),
    ("urn:example", 0, [401, 200, 401]),
    (MFA.upper(), 0, [401, 200, 401]),
    (f"urn:example:key {MFA}", 0, [401, 200, 401]),
    (ABSENT, 0, [401, 200, 401]),
    (MFA, ABSENT, [401, 401, 200]),
    (MFA, -3_600, [401, 401, 200]),
    (MFA, 0.5, [200, 200, 200]),
]


@pytest.mark.parametrize(
    ("acr", "age", "statuses"), LOGINS, ids=lambda value: "absent" if value is ABSENT else str(value)[:30]
)
def test_login_is_strong_and_recent_enough_or_not(
    issuer: httpx.Client, api: httpx.Client, acr: Any, age: Any, statuses: list[int]
) -> None:
    auth_time = ABSENT if age is ABSENT else time.time() - age if isinstance(age, float) else int(time.time()) - age
    token = signed(issuer, acr=acr, auth_time=auth_time)
    assert [call(api, path, token).status_code for path in STEP_UP] == statuses


ODD: list[Any] = [None, True, 0, -1, 1.5, 10**400, -(10**400), 2**53, "", "x", "1e9", [], [MFA], {}, {MFA: 1}, [[[]]]]


@pytest.mark.parametrize("odd", ODD, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("claim", ["acr", "auth_time"])
def test_odd_claim_is_refused_as_no_login(issuer: httpx.Client, api: httpx.Client, claim: str, odd: Any) -> None:
    token = signed(issuer, **{"acr": MFA, "auth_time": int(time.time()), claim: odd})
    refusal = call(api, STRONG, token)
    assert asked_for(refusal) == {"acr_values": MFA, "max_age": "60"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(acr=JSON, auth_time=JSON | st.integers(min_value=2**53))
def test_any_claims_are_enough_or_refused_and_nothing_else(acr: Any, auth_time: Any) -> None:
    validator = Auth0JWTBearerTokenValidator("tenant.example.com", AUDIENCE, clock=lambda: 1_000_000.0)
    token = AccessToken({"acr": acr, "auth_time": auth_time}, frozenset())
    number = isinstance(auth_time, int | float) and not isinstance(auth_time, bool)
    enough = acr == MFA and number and 1_000_000 - 65 <= auth_time <= 1_000_005
    try:
        validator.require_authentication(token, MFA, 60)
    except InsufficientAuthentication:
        assert not enough
    else:
        assert enough


def test_served_in_production_it_is_the_same(tenant: Tenant, spec: Path) -> None:
    now = int(time.time())
    tokens = [tenant.token(acr=MFA, auth_time=now), tenant.token(acr=MFA, auth_time=now - 3_600), tenant.token()]
    with production(tenant, spec) as url, httpx.Client(base_url=url, trust_env=False) as client:
        answers = [call(client, STRONG, token) for token in tokens]
    assert [answer.status_code for answer in answers] == [200, 401, 401]
    assert [asked_for(answer) for answer in answers[1:]] == [{"acr_values": MFA, "max_age": "60"}] * 2


def set_(**members: Any) -> Callable[[dict[str, Any]], object]:
    """Change the members of an operation."""
    named = {name.replace("_", "-"): value for name, value in members.items()}
    return lambda contract: contract["paths"][STRONG]["get"].update(named)


_NEEDS_TOKENS = f"GET {STRONG}: x-acr-values and x-max-age need an access token in each alternative of its security"
_TEXT = f"GET {STRONG}: x-acr-values must be text"
_SECONDS = f"GET {STRONG}: x-max-age must be a number of seconds"

_NO_TEXT: list[Any] = [None, "", " ", 'a"b', "ä", "a\nb", 5, True, [MFA], {}]
_NO_SECONDS: list[Any] = [None, -1, 1.5, True, "60", [60], {}, 10**400]

COMPLAINTS: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    *((set_(x_acr_values=value), _TEXT) for value in _NO_TEXT),
    *((set_(x_max_age=value), _SECONDS) for value in _NO_SECONDS),
    (set_(security=[]), _NEEDS_TOKENS),
    (set_(security=[{"oauth2": []}, {}]), _NEEDS_TOKENS),
    (set_(security=[{"oauth2": []}, {"key": []}]), _NEEDS_TOKENS),
    (
        lambda contract: contract["paths"][STRONG].update({"x-max-age": 60}),
        "#/paths/~1api~1strong/x-max-age: it belongs to an operation",
    ),
    (
        lambda contract: contract["paths"][STRONG].update({"x-acr-values": "a"}),
        "#/paths/~1api~1strong/x-acr-values: it belongs to an",
    ),
    (lambda contract: contract.update({"x-max-age": 60}), "#/x-max-age: it belongs to an operation"),
]


@pytest.mark.parametrize(("change", "complaint"), COMPLAINTS)
def test_contract_whose_step_up_cannot_be_enforced_is_refused(
    tmp_path: Path, spec: Path, change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    contract = read_contract(spec)
    key = {"type": "apiKey", "in": "header", "name": "X-Key", "x-apikeyInfoFunc": "handlers_of_step_up.key_info"}
    contract["components"]["securitySchemes"]["key"] = key
    load_contract(written(contract, tmp_path))
    change(contract)
    path = written(contract, tmp_path)
    with pytest.raises(ContractError) as error:
        load_contract(path)
    assert str(error.value).startswith(f"{path}: {complaint}")
