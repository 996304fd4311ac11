"""Tokens for contract tests are what they are said to be: a token with another defect would be refused for that."""

import time
from collections.abc import Mapping
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from resource_server.developing.contract_tests.defects import DEFECTS
from resource_server.developing.contract_tests.forging import ABSENT, mac
from resource_server.developing.contract_tests.material import Material
from resource_server.developing.contract_tests.results import NotRun
from resource_server.developing.contract_tests.trust import Trust
from resource_server.tokens.keys import verification_keys
from tests.tenant import AUDIENCE, Tenant, rsa_key

NOW = int(time.time())
GONE, COMING = NOW - 3_600, NOW + 3_600


@pytest.fixture(scope="module")
def tenant() -> Tenant:
    return Tenant()


class Given:
    """A source that always has the same token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def token(self, scopes: object, changes: object, login: object = None) -> str:
        return self._token


def trusting(tenant: Tenant, token: str, **options: Any) -> Trust:
    return Trust(
        issuer=tenant.url,
        audience=AUDIENCE,
        keys=lambda: verification_keys(tenant.key_set(), ["RS256"]),
        sources=[Given(token)],
        signs=False,
        **options,
    )


def changes(bad: str | None) -> dict[str, Any]:
    return {bad: 0} if bad else {}


OTHER = "https://other.example.com"
CNF = {"jkt": "x"}

# which claim is to be bad, the claims, and why the token won't do
UNFIT: list[tuple[str | None, dict[str, Any], str]] = [
    (None, {"exp": GONE}, "has expired"),
    (None, {"exp": ABSENT}, "has no expiry"),
    (None, {"nbf": COMING}, "isn't valid yet"),
    (None, {"aud": OTHER}, f"is not for the audience {AUDIENCE}"),
    (None, {"iss": OTHER}, "is from another issuer than "),
    (None, {"cnf": CNF}, "is bound to a key or certificate"),
    ("exp", {}, "hasn't expired"),
    ("exp", {"exp": ABSENT}, "has no expiry"),
    ("exp", {"exp": GONE, "aud": OTHER}, "is not for the audience"),
    ("exp", {"exp": GONE, "cnf": CNF}, "is bound to"),
    ("aud", {}, "is also for the audience"),
    ("aud", {"aud": [OTHER, AUDIENCE]}, "is also for the audience"),
    ("aud", {"aud": OTHER, "exp": GONE}, "has expired"),
    ("aud", {"aud": OTHER, "cnf": CNF}, "is bound to"),
]


@pytest.mark.parametrize(("bad", "claims", "why"), UNFIT)
def test_token_with_another_defect_is_not_used(
    tenant: Tenant, bad: str | None, claims: Mapping[str, Any], why: str
) -> None:
    with pytest.raises(NotRun, match=f"the token that there is {why}"):
        trusting(tenant, tenant.token(**claims)).token((), changes(bad))


@pytest.mark.parametrize(
    ("bad", "claims"),
    [(None, {}), (None, {"nbf": GONE}), ("exp", {"exp": GONE}), ("aud", {"aud": OTHER}), ("cnf", {"cnf": CNF})],
)
def test_token_with_just_this_defect_is_used(tenant: Tenant, bad: str | None, claims: Mapping[str, Any]) -> None:
    token = tenant.token(**claims)
    assert trusting(tenant, token).token((), changes(bad)) == token


@pytest.mark.parametrize(
    ("header", "key", "why"),
    [
        ({}, rsa_key("unknown"), "was signed by a key that the issuer doesn't publish"),
        ({}, rsa_key("current"), "was signed by a key that the issuer doesn't publish"),
        ({"kid": ["current"]}, None, "was signed by a key that the issuer doesn't publish"),
        ({"alg": "PS256"}, None, "is signed with PS256, for which no key is published or which TOKEN_ALGORITHMS"),
    ],
)
def test_token_of_another_key_is_not_used(
    tenant: Tenant, header: Mapping[str, Any], key: RSAKey | None, why: str
) -> None:
    with pytest.raises(NotRun, match=why):
        trusting(tenant, tenant.token(header, key=key)).token(())


def test_scopes_are_read_as_the_api_reads_them(tenant: Tenant) -> None:
    token = tenant.token(scope="a b", permissions=["c"])
    assert trusting(tenant, token).token(["a"]) == token
    with pytest.raises(NotRun, match="doesn't grant c"):
        trusting(tenant, token).token(["a", "c"])
    assert trusting(tenant, token, permissions=True).token(["a", "c"]) == token
    assert trusting(tenant, token).token(["a"], without=[frozenset({"b", "d"})]) == token
    for too_much in ({"a"}, {"b", "c"}):
        with pytest.raises(NotRun, match="grants a b c, whatever is asked for"):
            trusting(tenant, token).token((), without=[frozenset({"d"}), frozenset(too_much)])


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.b.c.d.e", ""])
def test_what_is_no_jwt_is_told(tenant: Tenant, token: str) -> None:
    with pytest.raises(NotRun, match=r"^The access token is "):
        trusting(tenant, token).token(())


def test_issuer_without_keys_is_told(tenant: Tenant) -> None:
    nobody = Trust(issuer=tenant.url, audience=AUDIENCE, keys=dict, sources=[Given(tenant.token())], signs=False)
    with pytest.raises(NotRun, match="the issuer's public keys can't be fetched"):
        nobody.token(())


@pytest.mark.parametrize("signer", [0, 1])
def test_public_key_that_is_abused_is_the_one_that_the_header_names(signer: int) -> None:
    tenant = Tenant()
    tenant.keys = [rsa_key("first"), rsa_key("second")]
    material = Material(trusting(tenant, tenant.token(key=tenant.keys[signer])), ["read:messages"])
    pem = next(defect for defect in DEFECTS if defect.name == "HS256 with the public PEM")
    key = tenant.keys[signer]
    assert isinstance(key, RSAKey)
    expected = mac({**material.header, "alg": "HS256"}, material.claims, key.as_pem(private=False))
    assert pem.make(material).fields == (f"Bearer {expected}",)
