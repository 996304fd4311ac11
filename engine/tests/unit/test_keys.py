"""Which keys of a key set are used, and for which algorithms."""

import logging
import re
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from resource_server.developing.contract_tests.forging import b64
from resource_server.tokens.keys import ALGORITHMS, verification_keys, verify_signature
from tests.tenant import rsa_key

GOOD = rsa_key("good").as_dict(private=False)
RSA = {name: GOOD[name] for name in ("kty", "n", "e")}


def jwk(key: Key, **changed: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": "bad", **changed}


UNUSABLE: dict[str, Any] = {
    "not an object": "x",
    "null": None,
    "a list": [],
    "an empty object": {},
    "of unknown type": {"kty": "AKP", "kid": "bad"},
    "of a type that is no text": {"kty": ["RSA"], "kid": "bad"},
    "without modulus": {"kty": "RSA", "e": "AQAB", "kid": "bad"},
    "modulus no text": {**RSA, "n": 5, "kid": "bad"},
    "modulus no base64": {**RSA, "n": "*", "kid": "bad"},
    "modulus empty": {**RSA, "n": "", "kid": "bad"},
    "exponent zero": {**RSA, "e": "AA", "kid": "bad"},
    "exponent one": {**RSA, "e": "AQ", "kid": "bad"},
    "exponent even": {**RSA, "e": "BA", "kid": "bad"},
    "RSA of 1024 bits": {"kty": "RSA", "e": "AQAB", "n": "u" * 170 + "w", "kid": "bad"},
    "for encryption": {**RSA, "use": "enc", "kid": "bad"},
    "for another use": {**RSA, "use": "other", "kid": "bad"},
    "for other operations": {**RSA, "key_ops": ["encrypt"], "kid": "bad"},
    "operations no list": {**RSA, "key_ops": 5, "kid": "bad"},
    "for another algorithm": {**RSA, "alg": "RS512", "kid": "bad"},
    "for encryption, by its algorithm": {**RSA, "alg": "RSA-OAEP", "kid": "bad"},
    "kid no text": {**RSA, "kid": ["bad"]},
    "symmetric": {"kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "kid": "bad"},
    "symmetric, for RS256": {"kty": "oct", "k": "AAAA", "alg": "RS256", "kid": "bad"},
    "private, published": {**rsa_key("bad").as_dict(private=True)},
    "an EC key": jwk(ECKey.generate_key("P-256")),
    "an EC key for RS256": jwk(ECKey.generate_key("P-256"), alg="RS256"),
    "an EC point off the curve": {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ", "kid": "bad"},
    "an EC curve that is none": {"kty": "EC", "crv": "P-1", "x": "AQ", "y": "AQ", "kid": "bad"},
    "an OKP key": jwk(OKPKey.generate_key("Ed25519")),
    "an OKP key for key agreement": jwk(OKPKey.generate_key("X25519")),
}  # fmt: skip


@pytest.mark.parametrize("bad", UNUSABLE.values(), ids=UNUSABLE.keys())
@pytest.mark.parametrize("first", [True, False])
def test_unusable_key_is_skipped_and_its_neighbours_work(bad: Any, *, first: bool) -> None:
    keys = verification_keys({"keys": [bad, GOOD] if first else [GOOD, bad]}, ["RS256"])
    assert set(keys) == {("good", "RS256"), (None, "RS256")}


@pytest.mark.filterwarnings("ignore:Key size")  # in production, joserfc's warning is no error
def test_short_rsa_key_is_skipped_for_its_length(caplog: pytest.LogCaptureFixture) -> None:
    short = RSAKey.generate_key(1024, {"kid": "short"}).as_dict(private=False)
    assert verification_keys({"keys": [short]}, ["RS256"]) == {}
    assert caplog.messages == ["A key of the issuer's key set is skipped, kid 'short': it is too short"]


def test_two_keys_without_kid_are_none_that_a_token_could_mean() -> None:
    one, other = ({name: rsa_key("x")[name] for name in ("kty", "n", "e")} for _ in range(2))
    assert verification_keys({"keys": [one, other]}, ["RS256"]) == {}
    assert set(verification_keys({"keys": [one]}, ["RS256"])) == {(None, "RS256")}


def test_same_key_twice_is_one_key() -> None:
    key = {name: rsa_key("x")[name] for name in ("kty", "n", "e")}
    for again in (key, {**key, "use": "sig"}, {**key, "use": "enc"}, {**key, "kid": "x"}):
        for document in ([key, again], [again, key]):
            assert (None, "RS256") in verification_keys({"keys": document}, ["RS256"]), document


@pytest.mark.parametrize("name", ["kid", "use", "alg", "key_ops", "x5c", "x5t", "x5u", "another"])
def test_members_that_are_null_are_none(name: str) -> None:
    assert len(verification_keys({"keys": [{**jwk(rsa_key("k")), name: None}]}, ["RS256"])) > 0


@pytest.mark.parametrize("key", [rsa_key("k"), ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")])
def test_padding_is_nothing(key: Key) -> None:
    members: dict[str, Any] = key.as_dict(private=False)
    padded = {name: members[name] + "=" * (-len(members[name]) % 4) for name in ("n", "e", "x", "y") if name in members}
    assert any(text.endswith("=") for text in padded.values())
    found = verification_keys({"keys": [{**members, **padded}]}, ["RS256", "ES256", "EdDSA"])
    assert {each.thumbprint() for each in found.values()} == {key.thumbprint()}


@pytest.mark.parametrize(
    "bad", [*UNUSABLE.values(), {"kty": "RSA"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, 1]
)
def test_reason_is_never_empty(bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    verification_keys({"keys": [bad]}, ["RS256"])
    assert all(re.search(r"kid .*: \S", message) for message in caplog.messages)


@pytest.mark.parametrize(("bits", "usable"), [(8_192, True), (8_200, False), (16_384, False)])
def test_keys_are_not_too_large_to_compute_with(caplog: pytest.LogCaptureFixture, *, bits: int, usable: bool) -> None:
    modulus = (1 << (bits - 1)) + 1 + 2 * 7**11
    large = {"kty": "RSA", "e": "AQAB", "n": b64(modulus.to_bytes(bits // 8)), "kid": "k"}
    assert bool(verification_keys({"keys": [large]}, ["RS256"])) == usable
    if not usable:
        assert caplog.messages == ["A key of the issuer's key set is skipped, kid 'k': it is too large"]


@pytest.mark.parametrize(
    ("exponent", "usable"),
    [(65_537, True), (2**32 + 15, True), (2**80 + 13, False), (2**2_000 + 1, False)],
    ids=["usual", "33 bits", "81 bits", "2001 bits"],
)
def test_exponent_is_bounded(*, exponent: int, usable: bool) -> None:
    members = jwk(rsa_key("k"), e=b64(exponent.to_bytes((exponent.bit_length() + 7) // 8)))
    assert bool(verification_keys({"keys": [members]}, ["RS256"])) == usable


def test_skipped_key_is_named_in_the_log_without_its_material(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        verification_keys({"keys": [rsa_key("leaked").as_dict(private=True)]}, ["RS256"])
    assert caplog.messages == ["A key of the issuer's key set is skipped, kid 'leaked': it is a private key, published"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("symmetric", "'bad': it is symmetric"),
        ("an OKP key for key agreement", "'bad': it is for key agreement"),
        ("not an object", "None: "),
    ],
)
def test_log_says_why_a_key_is_skipped(bad: str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    assert verification_keys({"keys": [UNUSABLE[bad]]}, ["RS256"]) == {}
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"A key of the issuer's key set is skipped, kid {reason}")


@pytest.mark.parametrize("document", [None, [], "x", {}, {"keys": None}, {"keys": {"a": 1}}])
def test_document_that_is_no_key_set_is_an_error(document: object) -> None:
    with pytest.raises(ValueError, match="not a JWK set"):
        verification_keys(document, ["RS256"])


def test_of_two_keys_with_one_kid_the_first_counts() -> None:
    one, other = rsa_key("same"), rsa_key("same")
    keys = verification_keys({"keys": [jwk(one, kid="same"), jwk(other, kid="same")]}, ["RS256"])
    assert keys["same", "RS256"]["n"] == one["n"]
    assert (None, "RS256") not in keys


def test_keys_of_different_kinds_may_share_a_kid() -> None:
    rsa, ec = rsa_key("same").as_dict(private=False), jwk(ECKey.generate_key("P-256"), kid="same")
    keys = verification_keys({"keys": [ec, rsa]}, ["RS256", "ES256"])
    assert keys["same", "RS256"].key_type == "RSA"
    assert keys["same", "ES256"].key_type == "EC"
    assert keys[None, "RS256"].key_type == "RSA"


EVERY_KIND: list[tuple[Key, set[str]]] = [
    (RSAKey.generate_key(2048), {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    (ECKey.generate_key("P-256"), {"ES256"}),
    (ECKey.generate_key("P-384"), {"ES384"}),
    (ECKey.generate_key("P-521"), {"ES512"}),
    (OKPKey.generate_key("Ed25519"), {"EdDSA", "Ed25519"}),
    (OKPKey.generate_key("Ed448"), {"EdDSA"}),
    (OKPKey.generate_key("X25519"), set()),
    (OctKey.generate_key(512), set()),
]


@pytest.mark.parametrize(("key", "algorithms"), EVERY_KIND, ids=lambda value: getattr(value, "key_type", None))
def test_each_algorithm_takes_keys_of_its_kind_only(key: Key, algorithms: set[str]) -> None:
    document = {"keys": [{**key.as_dict(private=isinstance(key, OctKey)), "kid": "k"}]}
    found = verification_keys(document, ALGORITHMS)
    assert {alg for kid, alg in found if kid == "k"} == algorithms
    for alg in algorithms:
        assert not verify_signature(alg, found["k", alg], b"message", b"")
        assert not verify_signature(alg, found["k", alg], b"message", bytes(600))
