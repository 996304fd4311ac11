"""What kind of thing a text is, and that nothing of it reaches the terminal as it stands."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resource_server.developing.contract_tests.forging import ABSENT, b64, segment
from resource_server.doctor.command import as_json, as_text, report_on
from resource_server.doctor.findings import printable, shown
from resource_server.doctor.kinds import kind_of, kind_of_jwt
from resource_server.settings import Settings
from resource_server.tokens.jwt import SignedJWT
from tests.processes import TESTS
from tests.sample import SPECIFICATION
from tests.tenant import AUDIENCE, Tenant

UNREACHED = Settings(issuers=("http://127.0.0.1:9/",), audience=AUDIENCE)
TOKEN = f"{segment({'alg': 'RS256'})}.{segment({'sub': 'ada'})}.{b64(bytes(256))}"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("$TOKEN", "placeholder"),
        ("${ACCESS_TOKEN}", "placeholder"),
        ("%TOKEN%", "placeholder"),
        ("{{access_token}}", "placeholder"),
        ("<token>", "placeholder"),
        ("YOUR_ACCESS_TOKEN", "placeholder"),
        ("eyJhbGciOiJSUzI1NiJ9…", "abbreviated"),
        ("[object Object]", "object"),
        ("<coroutine object get at 0x7f>", "object"),
        (f"'{TOKEN}'", "quoted"),
        (f"“{TOKEN}”", "quoted"),
        (TOKEN.replace(".", "%2E"), "percent_encoded"),
        (f"{TOKEN[:90]}\n  {TOKEN[90:]}", "wrapped"),
        (f"https://app.example.com/#access_token={TOKEN}&token_type=Bearer", "token_response"),
        (f"access_token={TOKEN}&expires_in=1", "token_response"),
        (json.dumps({"user": {}, "accessToken": TOKEN}), "token_response"),
        (json.dumps({"protected": "", "payload": "", "signature": ""}), "json_serialization"),
        (json.dumps({"sub": "ada"}), "json"),
        ("{'access_token':", None),
        ("v1.MfhBtYzPQrs2aBcDeFgHiJ", "refresh_token"),
        ("v4.public.AAAA", "paseto"),
        ("gAAAAABm" + "A" * 80, "fernet"),
        ("4d9a3b1e-6b0e-4a51-9c52-1f2a4d6f3c11", "api_key"),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "api_key"),
        (b64(b"ada:secret"), "basic"),
        (TOKEN.rpartition(".")[0], "cut"),
        (f"{TOKEN},{TOKEN}", "several"),
        (f"{TOKEN}==", "base64"),
        ("x" * 200_000, None),
        ("abc", None),
    ],
)
def test_text_is_of_its_kind(text: str, kind: str | None) -> None:
    found = kind_of(text)
    assert (found.name if found else None) == kind
    assert found is None or found.advice


@pytest.mark.parametrize(
    ("header", "claims", "kind", "description"),
    [
        ({"typ": "dpop+jwt"}, {"htm": "GET", "htu": "https://x"}, "dpop_proof", "a DPoP proof"),
        ({"typ": "logout+jwt"}, {}, "logout_token", "a logout token"),
        ({}, {"events": {}}, "logout_token", "a logout token"),
        ({}, {"typ": "Refresh", "aud": "x"}, "refresh_token", "a refresh token"),
        ({}, {"iss": "client", "sub": "client"}, "client_assertion", "a client assertion"),
        ({}, {"typ": "ID", "scope": "a"}, "id_token", "an ID token"),
        ({}, {"token_use": "id"}, "id_token", "an ID token"),
        ({}, {"nonce": "n"}, "id_token", "an ID token"),
        ({}, {"aud": "client", "email": "a"}, "id_token", "an ID token"),
        ({}, {"aud": "client", "email": "a", "scope": "b"}, "access_token", "an access token"),
        ({"typ": "at+jwt"}, {"auth_time": 1}, "access_token", "an access token as RFC 9068 has it"),
        ({}, {"iss": "https://t.eu.auth0.com/"}, "access_token", "an access token of Auth0"),
        ({}, {"sub": "client@clients"}, "access_token", "an access token of Auth0"),
        ({}, {"sub": "auth0|ada"}, "access_token", "an access token of Auth0"),
        ({}, {"iss": "https://["}, "jwt", "a JWT that doesn't say what it is for"),
        ({}, {"cnf": {}, "scp": "a"}, "access_token", "an access token, bound to a key or certificate"),
    ],
)
def test_jwt_is_of_its_kind(header: dict[str, Any], claims: dict[str, Any], kind: str, description: str) -> None:
    found = kind_of_jwt(SignedJWT(header, claims, "", b"", b""))
    assert found.name == kind
    assert found.description.startswith(description)


# What the documentation of providers shows, with the ids made up.
PUBLISHED = [json.loads(line) for line in (TESTS / "provider_tokens.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("token", PUBLISHED, ids=lambda token: f"{token['provider']}, {token['what']}")
def test_token_of_a_provider_is_known_by_what_it_contains(token: dict[str, Any]) -> None:
    found = kind_of_jwt(SignedJWT(token["header"], token["claims"], "", b"", b""))
    assert (found.name, found.description) == (token["kind"], token["description"])


def test_proof_in_place_of_a_token_is_sent_elsewhere(tenant: Tenant, settings: Settings) -> None:
    proof = tenant.token({"typ": "dpop+jwt"}, iss=ABSENT, aud=ABSENT, htm="GET", htu="https://x", jti="1")
    report = report_on(proof, settings, SPECIFICATION, time.time())
    assert report.advice.startswith("This is a DPoP proof: it belongs in the header field DPoP")


TERMINAL = "\x1b]0;x\x07\x1b[31m\r\n\x7f\x9b2J\u202e\u2028"


@pytest.mark.parametrize("header", [{"kid": TERMINAL}, {"typ": TERMINAL}, {"alg": f"HS{TERMINAL}"}], ids=str)
def test_control_characters_do_not_reach_the_terminal(
    tenant: Tenant, settings: Settings, header: dict[str, Any]
) -> None:
    odd: dict[str, Any] = {TERMINAL: TERMINAL, "sub": TERMINAL, "aud": TERMINAL, "scope": TERMINAL, "realm_access": {}}
    token = tenant.token(header, **odd)
    report = report_on(token, settings, SPECIFICATION, time.time())
    plain = as_text(report).replace("\x1b[0m", "")
    for colour in ("\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m"):
        plain = plain.replace(colour, "")
    assert all(character.isprintable() or character == "\n" for character in plain)
    assert "\\u001b" in plain
    written = as_json(report)
    assert written.isascii()
    assert all(character.isprintable() or character == "\n" for character in written)
    assert json.loads(written)["token"]["claims"]["sub"] == TERMINAL


def test_numbers_that_overflow_are_shown() -> None:
    assert shown([1e999, {"a": -1e999}]) == '["inf", {"a": "-inf"}]'


@given(st.text())
def test_what_is_shown_is_one_line_and_printable(text: str) -> None:
    assert printable(text).isprintable()
    assert shown(text).isprintable()


@given(st.one_of(st.text(max_size=80), st.text("eyJ.\"'{}=%$<> \n", max_size=60)))
def test_any_text_is_examined_without_a_failure_and_refused(text: str) -> None:
    report = report_on(text, UNREACHED, SPECIFICATION, time.time())
    assert not report.good
    assert report.advice
    assert as_text(report)
    assert json.loads(as_json(report))["good"] is False
