"""Tokens and key sets that people have reported to other projects, each with what is right here."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, RSAKey

from resource_server.developing.contract_tests.forging import ABSENT
from resource_server.tokens.errors import InvalidToken, Refusal
from resource_server.tokens.validator import Auth0JWTBearerTokenValidator
from tests.tenant import AUDIENCE, KEYS, Answer, Tenant, rsa_key


def outcome(tenant: Tenant, token: str) -> set[str] | Refusal:
    """The scopes that a token grants, or why it is refused."""
    try:
        return set(Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE).check(token).scopes)
    except InvalidToken as error:
        return error.refusal


def publishing(tenant: Tenant, keys: list[Any], content_type: str = "application/json") -> None:
    def answer(path: str) -> Answer:
        if path != KEYS:
            return tenant.document(path)
        return 200, {"Content-Type": content_type}, json.dumps({"keys": keys}).encode()

    tenant.misbehave = answer


def public(key: Key, *without: str, **changed: Any) -> dict[str, Any]:
    return {name: value for name, value in (key.as_dict(private=False) | changed).items() if name not in without}


OTHERS: dict[str, Callable[[], dict[str, Any]]] = {
    # Post-quantum keys (RFC 9964) are published beside classical ones.
    "authlib/joserfc#104": lambda: {"kty": "AKP", "alg": "ML-DSA-65", "kid": "pq", "pub": "AAAA"},
    "latchset/jwcrypto#385": lambda: {"kty": "AKP", "pub": "AAAA"},
    # Rauthy and Hydra publish an Ed25519 key first.
    "PrefectHQ/fastmcp#4515": lambda: {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "ed", "x": "A" * 43},
    # Keycloak's key for encryption.
    "jpadilla/pyjwt#762": lambda: public(rsa_key("enc"), use="enc", alg="RSA-OAEP"),
    # PingFederate's first key is of another kind; its others have no `alg`.
    "mpdavis/python-jose#331": lambda: public(ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"}), "alg"),
    # A key that is nothing but a certificate.
    "panva/jose#96": lambda: {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "x5c", "x5c": ["MIIC"]},
    "aspnet-contrib/AspNet.Security.OpenIdConnect.Server#267": lambda: {"kty": "RSA", "use": "sig", "x5c": ["MIID"]},
}
"""Keys that stand before the one that signs, and stop other readers of the set."""


@pytest.mark.parametrize("report", OTHERS)
def test_key_that_is_of_no_use_costs_no_other(tenant: Tenant, report: str) -> None:
    publishing(tenant, [OTHERS[report](), public(tenant.key)])
    assert outcome(tenant, tenant.token()) == {"read:messages"}


PUBLISHED: dict[str, Callable[[RSAKey], dict[str, Any]]] = {
    # Entra's keys have no `alg` (RFC 7517, section 4.4: optional).
    "auth0/jwks-rsa-java#6": lambda key: public(key, "alg"),
    "awslabs/aws-jwt-verify#6": lambda key: public(
        key, "alg", issuer="https://login.microsoftonline.com/{tenantid}/v2.0"
    ),
    "jwt/ruby-jwt#534": lambda key: public(key, "alg", "use"),
    # Thumbprints without the certificate that they are of.
    "MicahParks/keyfunc#128": lambda key: public(key, x5t="1b94c"),
}


@pytest.mark.parametrize("report", PUBLISHED)
def test_key_is_used_as_it_is_published(tenant: Tenant, report: str) -> None:
    assert isinstance(tenant.key, RSAKey)
    publishing(tenant, [PUBLISHED[report](tenant.key)])
    assert outcome(tenant, tenant.token()) == {"read:messages"}


@pytest.mark.parametrize(
    ("report", "content_type"),
    [
        ("auth0/jwks-rsa-java#77", "application/jwk-set+json"),
        ("openziti/ziti#2312", "application/jwk+json"),
        ("IdentityPython/JWTConnect-Python-CryptoJWT#177", "application/jwk-set+json; charset=utf-8"),
        ("openwallet-foundation-labs/oid4vc-ts#72", "text/plain"),
    ],
)
def test_key_set_is_used_whatever_type_it_says_it_has(tenant: Tenant, report: str, content_type: str) -> None:
    publishing(tenant, [public(tenant.key)], content_type)
    assert outcome(tenant, tenant.token()) == {"read:messages"}, report


@pytest.mark.parametrize(
    ("report", "header", "claims", "expected"),
    [
        # A list of scopes (IdentityServer, SimpleIdServer, UAA); RFC 8693, section 4.2 has a text.
        ("DuendeArchive/IdentityServer4#1061", {}, {"scope": ["a", "b"]}, {"a", "b"}),
        ("simpleidserver/SimpleIdServer#957", {"typ": "at+jwt"}, {"scope": ["a"]}, {"a"}),
        ("cloudfoundry/uaa#701", {}, {"scope": ["cloud_controller.read"]}, {"cloud_controller.read"}),
        # Fractions of seconds (RFC 7519, section 2); pyoidc, lcobucci/jwt and others write them.
        ("OpenIDC/mod_auth_openidc#187", {}, {"exp": 4102444800.172277}, {"read:messages"}),
        ("Keats/jsonwebtoken#212", {}, {"exp": 4102444800.5, "nbf": 1698742245.336421}, {"read:messages"}),
        ("envoyproxy/envoy#28201", {}, {"iat": 1.688117968e9}, {"read:messages"}),
        # Dates that are texts: they must be numbers (RFC 7519, section 4.1.4).
        ("lcobucci/jwt#604", {}, {"exp": "4102444800.172277"}, Refusal.CLAIMS),
        ("lcobucci/jwt#604", {}, {"nbf": "1607523611.770"}, Refusal.CLAIMS),
        # `typ` as RFC 9068, section 2.1 has it, any case (RFC 7515, section 4.1.9), or absent.
        ("spring-projects/spring-security#13185", {"typ": "at+jwt"}, {}, {"read:messages"}),
        ("pilcrowonpaper/oslo#94", {"typ": "application/at+jwt"}, {}, {"read:messages"}),
        ("FusionAuth/fusionauth-jwt#26", {"typ": "jwt"}, {}, {"read:messages"}),
        ("MicroShed/microshed-testing#201", {"typ": ABSENT}, {}, {"read:messages"}),
        # ID tokens sent to an API.
        ("auth0/node-jsonwebtoken#1004", {}, {"nonce": "n-0S6", "scope": ABSENT}, Refusal.TYPE),
        ("wso2/api-manager#2948", {}, {"at_hash": "77QmUPtjPfzWtF2AnpK9RQ", "scope": ABSENT}, Refusal.TYPE),
    ],
)
def test_token_is_judged_as_the_standard_has_it(
    tenant: Tenant, report: str, header: dict[str, Any], claims: dict[str, Any], expected: set[str] | Refusal
) -> None:
    assert outcome(tenant, tenant.token(header, **claims)) == expected, report
