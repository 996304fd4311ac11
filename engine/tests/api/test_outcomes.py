"""Each situation that a request can be in, and exactly what the API answers: status, header fields and body."""

import json
import time
from collections.abc import Callable

import httpx
import pytest
from joserfc.jwk import OctKey

from resource_server.developing.contract_tests.forging import ABSENT
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from resource_server.tokens.statuses import TITLES
from tests.sample import create_app
from tests.serving import RawResponse, catalogued, raw_request
from tests.tenant import AUDIENCE, Tenant, rsa_key

PUBLIC = "Hello from a public endpoint! You don't need to be authenticated to see this."
PRIVATE = "Hello from a private endpoint! You need to be authenticated to see this."
SCOPED = "Hello from a private endpoint! You need to be authenticated and have a scope of read:messages to see this."


def assert_problem(
    response: httpx.Response | RawResponse, status: int, code: str, detail: str, challenge: str | None = None
) -> None:
    """Exactly this problem document, and this challenge or none."""
    actual_status = response.status if isinstance(response, RawResponse) else response.status_code
    body = response.body if isinstance(response, RawResponse) else response.content
    assert actual_status == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers.get("www-authenticate") == challenge
    title = TITLES[status]
    said = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
    assert catalogued(json.loads(body)) == said


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("path", "message"), [("/api/public", PUBLIC), ("/api/private", PRIVATE), ("/api/private-scoped", SCOPED)]
)
def test_valid_token_with_the_scope_opens_every_operation(
    api: httpx.Client, tenant: Tenant, path: str, message: str
) -> None:
    response = api.get(path, headers=bearer(tenant.token()))
    assert (response.status_code, response.json()) == (200, {"message": message})
    assert response.headers["content-type"] == "application/json"
    assert "www-authenticate" not in response.headers


def test_public_operation_needs_no_token_and_looks_at_none(api: httpx.Client) -> None:
    assert api.get("/api/public").json() == {"message": PUBLIC}
    assert api.get("/api/public", headers=bearer("nonsense")).json() == {"message": PUBLIC}


@pytest.mark.parametrize(
    "profile",
    [{"typ": "JWT"}, {"typ": "at+jwt"}, {"typ": "application/at+jwt"}, {"typ": "AT+JWT"}, {"typ": ABSENT}],
    ids=lambda profile: str(profile["typ"]),
)
def test_both_token_profiles_are_accepted(api: httpx.Client, tenant: Tenant, profile: dict[str, object]) -> None:
    assert api.get("/api/private", headers=bearer(tenant.token(profile))).status_code == 200


@pytest.mark.parametrize("path", ["/api/private", "/api/private-scoped"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YWRhOmFkYQ=="}, {"Authorization": "Negotiate"}])
def test_missing_credentials_are_challenged_with_the_realm_only(
    api: httpx.Client, path: str, headers: dict[str, str]
) -> None:
    assert_problem(
        api.get(path, headers=headers),
        401,
        "missing_credentials",
        "This operation needs an access token: send it as 'Authorization: Bearer <token>'.",
        f'Bearer realm="{AUDIENCE}"',
    )


@pytest.mark.parametrize(
    ("target", "authorization"),
    [
        (b"/api/private", [b"Bearer"]),
        (b"/api/private", [b"bearer "]),
        (b"/api/private", [b"Bearer one two"]),
        (b"/api/private", [b"Bearer one\ttwo"]),
        (b"/api/private", [b"Bearer one", b"Bearer two"]),
        (b"/api/private", [b"Basic one", b"Bearer two"]),
        (b"/api/private?access_token=one", [b"Bearer two"]),
        (b"/api/private?a=b&%61ccess_token=", [b"Bearer two"]),
    ],
)
def test_malformed_credentials_are_an_invalid_request(url: str, target: bytes, authorization: list[bytes]) -> None:
    assert_problem(
        raw_request(url, target, [(b"Authorization", value) for value in authorization]),
        400,
        "invalid_request",
        "Send exactly one access token, in one header field: 'Authorization: Bearer <token>'.",
        'Bearer error="invalid_request"',
    )


def test_token_in_the_query_alone_is_not_taken(api: httpx.Client, tenant: Tenant) -> None:
    assert api.get("/api/private", params={"access_token": tenant.token()}).status_code == 401


NOW = int(time.time())
MALFORMED = "The access token is not a well-formed JWT."
CLAIMS = "The access token lacks a required claim or has one of the wrong type."
ISSUER = "The access token was issued by another authorization server than this API trusts."
AUDIENCE_OF_ANOTHER = (
    "The access token was issued for another audience. Ask for this API's audience when requesting it."
)
EXPIRED = "The access token has expired. Request a new one."
NOT_YET = "The access token is not valid yet. Check the clocks of the authorization server and of this API."
ALGORITHM = "The access token is signed with an algorithm that this API does not accept."
CRITICAL = "The access token uses a JWT extension (crit or b64) that this API does not support."
TYPE = "The JWT is not an access token. Send the access token, not an ID token or another kind of JWT."
SIGNATURE = "The signature of the access token is invalid."
UNKNOWN_KEY = "The access token is signed with a key that the authorization server does not publish."

BAD_TOKENS: dict[str, tuple[Callable[[Tenant], str], str]] = {
    "opaque": (
        lambda _: "kT9ux0dG2",
        "The access token is opaque, not a JWT. Ask for the API's audience when requesting the token.",
    ),
    "encrypted": (
        lambda _: "a.b.c.d.e",
        "The access token is encrypted (JWE). Have the authorization server issue a signed JWT for this API.",
    ),
    "of two segments": (lambda _: "a.b", MALFORMED),
    "not base64url": (lambda tenant: tenant.token().replace(".", ".!", 1), MALFORMED),
    "too long": (lambda tenant: tenant.token(x="x" * 16_384), "The access token is longer than this API accepts."),
    "expired": (lambda tenant: tenant.token(exp=NOW - 60), EXPIRED),
    "without exp": (lambda tenant: tenant.token(exp=ABSENT), CLAIMS),
    "without sub": (lambda tenant: tenant.token(sub=ABSENT), CLAIMS),
    "not yet valid": (lambda tenant: tenant.token(nbf=NOW + 3_600), NOT_YET),
    "of another issuer": (lambda tenant: tenant.token(iss="https://evil.example.com/"), ISSUER),
    "without iss": (lambda tenant: tenant.token(iss=ABSENT), ISSUER),
    "for another audience": (lambda tenant: tenant.token(aud="https://other.example.com"), AUDIENCE_OF_ANOTHER),
    "for other audiences": (lambda tenant: tenant.token(aud=["a", "b"]), AUDIENCE_OF_ANOTHER),
    "without aud": (lambda tenant: tenant.token(aud=ABSENT), AUDIENCE_OF_ANOTHER),
    "unsigned": (lambda tenant: tenant.token({"alg": "none"}).rpartition(".")[0] + ".", ALGORITHM),
    "signed with a shared secret": (
        lambda tenant: tenant.token({"kid": "current"}, key=OctKey.import_key("k" * 32)),
        ALGORITHM,
    ),
    "signed with another algorithm": (lambda tenant: tenant.token({"alg": "RS512"}), ALGORITHM),
    "with a critical extension": (lambda tenant: tenant.token({"crit": ["exp"], "exp": 1}), CRITICAL),
    "an ID token by its type": (lambda tenant: tenant.token({"typ": "id+jwt"}), TYPE),
    "an ID token by its claims": (lambda tenant: tenant.token(nonce="n", scope=ABSENT), TYPE),
    "a logout token": (lambda tenant: tenant.token({"typ": "logout+jwt"}), TYPE),
    "signed by somebody else": (lambda tenant: tenant.token(key=rsa_key("current")), SIGNATURE),
    "signed with an unknown key": (lambda tenant: tenant.token(key=rsa_key("unknown")), UNKNOWN_KEY),
    "bound to a key": (
        lambda tenant: tenant.token(cnf={"jkt": "x"}),
        "The access token is bound to a key or certificate, so it is not accepted as a Bearer token.",
    ),
}


@pytest.mark.parametrize(("mint", "description"), BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
def test_unacceptable_token_is_refused_with_its_reason(
    api: httpx.Client, tenant: Tenant, mint: Callable[[Tenant], str], description: str
) -> None:
    assert_problem(
        api.get("/api/private", headers=bearer(mint(tenant))),
        401,
        "invalid_token",
        description,
        f'Bearer error="invalid_token", error_description="{description}"',
    )


@pytest.mark.parametrize("scope", [ABSENT, "", "write:messages", "read:messages2 openid", "READ:MESSAGES"])
def test_missing_scope_is_forbidden_and_the_tokens_own_are_not_echoed(
    api: httpx.Client, tenant: Tenant, scope: object
) -> None:
    assert_problem(
        api.get("/api/private-scoped", headers=bearer(tenant.token(scope=scope))),
        403,
        "insufficient_scope",
        "The access token lacks a scope that this operation requires: read:messages",
        'Bearer error="insufficient_scope", scope="read:messages"',
    )


def test_unreachable_issuer_is_the_servers_trouble_not_the_tokens(tenant: Tenant) -> None:
    nowhere = "http://127.0.0.1:9/"  # discard: nothing listens there
    with in_background(create_app(Settings(issuers=(nowhere,), audience=AUDIENCE))) as url:
        response = httpx.get(f"{url}/api/private", headers=bearer(tenant.token(iss=nowhere)), trust_env=False)
    assert_problem(
        response,
        503,
        "issuer_unavailable",
        "The access token can't be checked: the authorization server can't be reached. Try again shortly.",
    )
    assert 1 <= int(response.headers["retry-after"]) <= 10


@pytest.mark.parametrize("authorized", [False, True])
@pytest.mark.parametrize(
    "target",
    [
        b"/nowhere",
        b"//api/private",
        b"/api//private",
        b"/api/private/",
        b"/api/private//",
        b"/api/private;x",
        b"/api/private%2F",
        b"/api/private%3B",
        b"/API/private",
        b"/api/./private",
        b"/x/../api/private",
        b"/api/private%00",
        b"/api/private%20",
    ],
)
def test_only_the_exact_path_leads_to_an_operation(
    url: str, tenant: Tenant, target: bytes, *, authorized: bool
) -> None:
    headers = [(b"Authorization", b"Bearer " + tenant.token().encode())] if authorized else []
    response = raw_request(url, target, headers)
    assert_problem(response, 404, "not_found", "No operation of this API has this path.")


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"PROPFIND"])
def test_method_outside_the_contract_is_not_allowed(url: str, tenant: Tenant, method: bytes) -> None:
    response = raw_request(url, b"/api/private", [(b"Authorization", b"Bearer " + tenant.token().encode())], method)
    assert_problem(
        response,
        405,
        "method_not_allowed",
        "No operation of this API has this path and method; Allow names the methods.",
    )
    assert response.headers["allow"] == "GET, HEAD"


def test_head_is_answered_like_get_without_its_body(api: httpx.Client, tenant: Tenant) -> None:
    authorized = api.head("/api/private", headers=bearer(tenant.token()))
    assert (authorized.status_code, authorized.content) == (200, b"")
    assert api.head("/api/private").headers["www-authenticate"] == f'Bearer realm="{AUDIENCE}"'
