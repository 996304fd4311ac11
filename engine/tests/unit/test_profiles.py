"""Tokens of providers other than Auth0, as they are in the field: claims, confirmations, profiles, where keys are."""

import json
from typing import Any

import httpx
import pytest

from resource_server.developing.contract_tests.forging import ABSENT
from resource_server.tokens.claims import AccessToken, bound_to
from resource_server.tokens.errors import InvalidToken, Refusal
from resource_server.tokens.validator import Auth0JWTBearerTokenValidator
from tests.tenant import AUDIENCE, Tenant, streamed


def validated(tenant: Tenant, claims: dict[str, Any], typ: str = "JWT", **options: Any) -> AccessToken | Refusal:
    """What comes of a token with changed claims."""
    try:
        subject = Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE, **options)
        return subject.check(tenant.token({"typ": typ}, **claims))
    except InvalidToken as error:
        return error.refusal


def scopes(tenant: Tenant, claims: dict[str, Any], **options: Any) -> set[str] | Refusal:
    found = validated(tenant, claims, **options)
    return found if isinstance(found, Refusal) else set(found.scopes)


@pytest.mark.parametrize("permissions", [None, {}, "a b", 1, [1], [None], {"a": "b"}])
def test_permissions_that_do_not_count_may_be_anything(tenant: Tenant, permissions: object) -> None:
    assert scopes(tenant, {"permissions": permissions}) == {"read:messages"}
    assert scopes(tenant, {"permissions": permissions}, permissions=True) is Refusal.CLAIMS


@pytest.mark.parametrize(
    ("names", "claims", "granted"),
    [
        (("roles",), {"roles": ["read", "write"]}, {"read", "write"}),  # Entra's app-only tokens
        (("scp", "roles"), {"scp": "a b", "roles": ["c"]}, {"a", "b", "c"}),
        (("realm_access.roles",), {"realm_access": {"roles": ["read"]}}, {"read"}),  # Keycloak
        (("resource_access.api.roles",), {"resource_access": {"api": {"roles": ["read"]}}}, {"read"}),
        (("https://api.example.com/roles",), {"https://api.example.com/roles": ["read"]}, {"read"}),  # Auth0's actions
        (("cognito:groups",), {"cognito:groups": ["read"]}, {"read"}),
        (("roles",), {"roles": None}, set()),
        (("roles",), {"roles": {"read": True}}, set()),
        (("roles",), {"roles": ["read", 1]}, set()),
        (("realm_access.roles",), {"realm_access": ["read"]}, set()),
        (("realm_access.roles",), {"realm_access.roles": ["exact"], "realm_access": {"roles": ["read"]}}, {"exact"}),
        (("roles",), {}, set()),
    ],
)
def test_claims_that_grant_scopes_can_be_chosen(
    tenant: Tenant, names: tuple[str, ...], claims: dict[str, Any], granted: set[str]
) -> None:
    assert scopes(tenant, claims, scope_claims=names) == granted


@pytest.mark.parametrize(
    ("sub", "subject", "accepted"), [(ABSENT, True, False), (ABSENT, False, True), (1, False, False)]
)
def test_whether_there_must_be_a_subject_can_be_chosen(
    tenant: Tenant, sub: object, *, subject: bool, accepted: bool
) -> None:
    found = validated(tenant, {"sub": sub}, subject=subject)
    assert isinstance(found, AccessToken) == accepted


@pytest.mark.parametrize(
    ("cnf", "accepted"),
    [
        ({"jkt": "x", "kc-jkt-type": "dpop"}, True),  # Keycloak; auth0/node-oauth2-jwt-bearer#254
        ({"jkt": "x", "another": {}}, True),
        *(({"jkt": "x", name: "y"}, False) for name in ("x5t#S256", "jwk", "jwe", "kid", "jku", "osc")),
        ({"kc-jkt-type": "dpop"}, False),
        ({"jkt": 1}, False),
    ],
)
def test_what_is_not_known_beside_a_key_is_ignored(cnf: object, *, accepted: bool) -> None:
    if accepted:
        assert bound_to({"cnf": cnf}) == ("x", None)
    else:
        with pytest.raises(InvalidToken) as error:
            bound_to({"cnf": cnf})
        assert error.value.refusal is Refusal.OTHER_BINDING


WHOLE = {"client_id": "c", "jti": "j"}


@pytest.mark.parametrize(
    ("typ", "claims", "refusal"),
    [
        ("at+jwt", WHOLE, None),
        ("application/at+jwt", WHOLE, None),
        ("AT+JWT", WHOLE, None),
        ("JWT", WHOLE, Refusal.TYPE),
        (ABSENT, WHOLE, Refusal.TYPE),
        *(("at+jwt", {**WHOLE, name: ABSENT}, Refusal.CLAIMS) for name in ("client_id", "jti", "iat", "sub")),
        *(("at+jwt", {**WHOLE, name: 1}, Refusal.CLAIMS) for name in ("client_id", "jti")),
    ],
)
def test_rfc_9068_is_held_to_where_it_is_asked_for(
    tenant: Tenant, typ: Any, claims: dict[str, Any], refusal: Refusal | None
) -> None:
    found = validated(tenant, claims, typ, rfc9068=True)
    assert (found if isinstance(found, Refusal) else None) is refusal
    if typ in ("JWT", "at+jwt") and claims.get("sub") is not ABSENT:
        assert isinstance(validated(tenant, {}, typ), AccessToken)


@pytest.mark.parametrize("name", ["nonce", "at_hash", "c_hash", "s_hash"])
def test_token_that_says_its_type_is_no_id_token(tenant: Tenant, name: str) -> None:
    assert isinstance(validated(tenant, {name: "n", "scope": ABSENT}, "at+jwt"), AccessToken)
    assert validated(tenant, {name: "n", "scope": ABSENT}, "JWT") is Refusal.TYPE


@pytest.mark.parametrize("place", ["metadata", "keys", "both"])
def test_documents_may_lie_elsewhere(place: str) -> None:
    tenant = Tenant()  # at https://tenant.example.com/, which nobody can ask
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if request.url.path == "/keys":
            return streamed(200, {}, json.dumps(tenant.key_set()).encode())
        metadata = {"issuer": tenant.url, "jwks_uri": "https://inside.example.com/keys"}
        return streamed(200, {}, json.dumps(metadata).encode())

    metadata_urls = {tenant.url: "https://inside.example.com/metadata"} if place != "keys" else None
    jwks_urls = {tenant.url: "https://inside.example.com/keys"} if place != "metadata" else None
    subject = Auth0JWTBearerTokenValidator(
        tenant.url,
        AUDIENCE,
        metadata_urls=metadata_urls,
        jwks_urls=jwks_urls,
        transport=httpx.MockTransport(answer),
    )
    assert subject.check(tenant.token())["sub"] == "auth0|ada"
    keys = "https://inside.example.com/keys"
    assert asked == (["https://inside.example.com/metadata", keys] if place == "metadata" else [keys])
    with pytest.raises(InvalidToken) as error:
        subject.check(tenant.token(iss="https://inside.example.com/"))
    assert error.value.refusal is Refusal.ISSUER
