"""No header field and no token, of whatever bytes, ends in a server error or opens what it shouldn't."""

import base64
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from resource_server.developing.contract_tests.forging import b64, sign
from tests.cases import THOROUGH
from tests.serving import raw_request
from tests.tenant import Tenant

# What a header field may hold at all (RFC 9110, section 5.5); the server refuses the rest before the API sees it.
FIELD = st.binary(max_size=200).map(lambda value: bytes(byte for byte in value if byte >= 0x20 and byte != 0x7F))
BASE64 = st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", max_size=80)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
HEADER_MEMBERS = st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "jku", "x5c", "x5u", "zip", "cty", "x"])
CLAIM_NAMES = st.sampled_from(
    [
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "scope",
        "scp",
        "permissions",
        "cnf",
        "azp",
        "nonce",
        "events",
        "x",
    ]
)


def status(url: str, *values: bytes) -> int:
    return raw_request(url, b"/api/private", [(b"Authorization", value) for value in values]).status


@THOROUGH
@given(st.lists(FIELD, max_size=3))
def test_any_authorization_is_refused(url: str, values: list[bytes]) -> None:
    assert status(url, *values) in (400, 401)


@THOROUGH
@given(FIELD)
def test_any_bytes_as_the_token_are_refused(url: str, token: bytes) -> None:
    assert status(url, b"Bearer " + token) in (400, 401)


@THOROUGH
@given(st.lists(BASE64, min_size=1, max_size=6))
def test_any_segments_as_the_token_are_refused(url: str, segments: list[str]) -> None:
    assert status(url, b"Bearer " + ".".join(["A", *segments]).encode()) in (400, 401)


@THOROUGH
@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_in_the_segments_are_refused(url: str, header: bytes, payload: bytes, signature: bytes) -> None:
    assert status(url, f"Bearer {b64(header)}.{b64(payload)}.{b64(signature)}".encode()) == 401


@THOROUGH
@given(st.dictionaries(HEADER_MEMBERS, JSON, min_size=1, max_size=4))
def test_any_header_over_good_claims_opens_nothing_it_should_not(
    url: str, tenant: Tenant, changed: dict[str, Any]
) -> None:
    header = {"alg": "RS256", "typ": "JWT", "kid": "current", **changed}
    token = sign(header, tenant.claims(), tenant.key, "RS256")
    harmless = header.keys().isdisjoint(("crit", "b64")) and header["alg"] == "RS256" and header["kid"] == "current"
    assert status(url, b"Bearer " + token.encode()) in ((200, 401) if harmless else (401,))


@THOROUGH
@given(st.dictionaries(CLAIM_NAMES, JSON, min_size=1, max_size=4))
def test_any_claims_of_the_issuer_open_nothing_they_should_not(
    url: str, tenant: Tenant, changed: dict[str, Any]
) -> None:
    claims = {**tenant.claims(), **changed}
    token = sign({"alg": "RS256", "typ": "JWT", "kid": "current"}, claims, tenant.key, "RS256")
    harmless = changed.keys().isdisjoint(("iss", "aud", "cnf", "events")) and isinstance(claims["sub"], str)
    assert status(url, b"Bearer " + token.encode()) in ((200, 401) if harmless else (401,))


@THOROUGH
@given(st.binary(max_size=500))
def test_any_payload_signed_by_the_issuer_is_refused(url: str, tenant: Tenant, payload: bytes) -> None:
    token = sign({"alg": "RS256", "typ": "JWT", "kid": "current"}, payload, tenant.key, "RS256")
    assert status(url, b"Bearer " + token.encode()) == 401


@THOROUGH
@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_any_changed_byte_of_a_good_token_is_refused(url: str, tenant: Tenant, position: int, difference: int) -> None:
    header, payload, signature = tenant.token().split(".")
    parts = [header.encode(), payload.encode(), base64.urlsafe_b64decode(signature + "==")]
    which = position % 3
    changed = bytearray(parts[which])
    changed[(position // 3) % len(changed)] ^= difference
    parts[which] = bytes(changed)
    token = b"%s.%s.%s" % (parts[0], parts[1], b64(parts[2]).encode())
    if all(0x20 < byte != 0x7F for byte in token):
        assert status(url, b"Bearer " + token) in (400, 401)


@THOROUGH
@given(st.binary(max_size=100))
def test_any_query_changes_nothing(url: str, tenant: Tenant, query: bytes) -> None:
    query = bytes(byte for byte in query if 0x21 <= byte < 0x7F and byte not in b"#")
    if b"access" not in query and b"%" not in query:
        target = b"/api/private?" + query
        response = raw_request(url, target, [(b"Authorization", b"Bearer " + tenant.token().encode())])
        assert response.status == 200
