"""Attacks: one line a case, with what the API must answer.

Sources: RFC 8725; RFC 6750; RFC 7515, section 10; the advisories of Authlib, joserfc and PyJWT; jwt_tool's playbook.
A case makes one request. Its outcome is `ok`, a problem's code, or the name of the `Refusal` behind `invalid_token`.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from joserfc.jwk import ECKey, OctKey, OKPKey

from resource_server.developing.contract_tests.forging import ABSENT, b64, mac, segment, sign
from tests.tenant import AUDIENCE, Tenant, rsa_key

NOW = int(time.time())
FOREIGN = rsa_key("current")


@dataclass(frozen=True)
class Request:
    """A request as it goes over the wire."""

    headers: tuple[tuple[bytes, bytes], ...] = ()
    target: bytes = b"/api/private"
    method: bytes = b"GET"


@dataclass(frozen=True)
class Case:
    """An attack, how it is made for a tenant, and the outcome."""

    name: str
    outcome: str
    make: Callable[[Tenant], Request]


def bearer(token: str | bytes, target: bytes = b"/api/private", method: bytes = b"GET") -> Request:
    token = token if isinstance(token, bytes) else token.encode()
    return Request(((b"Authorization", b"Bearer " + token),), target, method)


def claims(name: str, outcome: str, **changed: Any) -> Case:
    """A token of the issuer's, really signed, with changed claims."""
    return Case(f"claims: {name}", outcome, lambda tenant: bearer(tenant.token(**changed)))


def scopes(name: str, outcome: str, **changed: Any) -> Case:
    """The same, for the operation that needs a scope."""
    return Case(f"scopes: {name}", outcome, lambda tenant: bearer(tenant.token(**changed), b"/api/private-scoped"))


def header(name: str, outcome: str, **changed: Any) -> Case:
    """A token of the issuer's, really signed, with a changed header."""
    return Case(f"header: {name}", outcome, lambda tenant: bearer(tenant.token(changed)))


def json_claims(name: str, outcome: str, text: bytes, **changed: Any) -> Case:
    """A payload of unusual JSON, really signed; `...` in it stands for the members of good claims."""

    def make(tenant: Tenant) -> Request:
        payload = text.replace(b"...", json.dumps(tenant.claims(**changed))[1:-1].encode())
        return bearer(sign({"alg": "RS256", "typ": "JWT", "kid": "current"}, payload, tenant.key, "RS256"))

    return Case(f"payload: {name}", outcome, make)


def json_header(name: str, outcome: str, text: bytes) -> Case:
    """A header of unusual JSON over good claims, really signed; `...` stands for the members of a good one."""
    text = text.replace(b"...", b'"alg":"RS256","typ":"JWT","kid":"current"')
    return Case(
        f"header text: {name}", outcome, lambda tenant: bearer(sign(text, tenant.claims(), tenant.key, "RS256"))
    )


def token(name: str, outcome: str, change: Callable[[str], str | bytes]) -> Case:
    """A good token, then changed."""
    return Case(f"token: {name}", outcome, lambda tenant: bearer(change(tenant.token())))


def key(name: str, outcome: str, attackers: Any, **members: Any) -> Case:
    """The issuer's claims, signed by a key of the attacker's."""
    return Case(
        f"key: {name}", outcome, lambda tenant: bearer(tenant.token({"kid": "current", **members}, key=attackers))
    )


def confused(name: str, outcome: str, secret: Callable[[Tenant], bytes], alg: str = "HS256") -> Case:
    """A MAC whose secret is something public, which a verifier that trusts `alg` would take for a signature."""

    def make(tenant: Tenant) -> Request:
        return bearer(mac({"alg": alg, "typ": "JWT", "kid": "current"}, tenant.claims(), secret(tenant)))

    return Case(f"confusion: {name}", outcome, make)


def fabricated(name: str, outcome: str, alg: str, signature: bytes) -> Case:
    """The issuer's claims under a signature that nobody made."""

    def make(tenant: Tenant) -> Request:
        members = {"alg": alg, "typ": "JWT", "kid": "current"}
        return bearer(f"{segment(members)}.{segment(tenant.claims())}.{b64(signature)}")

    return Case(f"fabricated: {name}", outcome, make)


def in_field(name: bytes, value: bytes | None = None) -> Case:
    """No Authorization, but another header field, with a good token if no value is given: neither opens anything."""

    def make(tenant: Tenant) -> Request:
        return Request(((name, value or b"Bearer " + tenant.token().encode()),))

    return Case(f"in field: {name.decode()} {'token' if value is None else value.decode()}", "missing_credentials", make)


def presented(name: str, outcome: str, *values: bytes, query: bytes = b"") -> Case:
    """Authorization header fields as given; TOKEN in them is a good token."""

    def make(tenant: Tenant) -> Request:
        good = tenant.token().encode()
        fields = tuple((b"Authorization", value.replace(b"TOKEN", good)) for value in values)
        return Request(fields, b"/api/private" + query.replace(b"TOKEN", good))

    return Case(f"presented: {name}", outcome, make)


def target(outcome: str, path: bytes, method: bytes = b"GET") -> Case:
    """A good token at another target: what the router, the security layer and Flask must agree on."""
    name = f"target: {method.decode()} {path.decode('latin-1')}"
    return Case(name, outcome, lambda tenant: bearer(tenant.token(), path, method))


def without(outcome: str, path: bytes, method: bytes = b"GET") -> Case:
    """No token at all."""
    return Case(f"no token: {method.decode()} {path.decode('latin-1')}", outcome, lambda _: Request((), path, method))


def altered(text: str, index: int) -> str:
    """The text with one character of base64url replaced by another."""
    index %= len(text)
    return text[:index] + ("B" if text[index] == "A" else "A") + text[index + 1 :]


def ordinary_base64(good: str) -> str:
    """The signature in the alphabet of ordinary base64."""
    rest, _, signature = good.rpartition(".")
    return f"{rest}.{signature.replace('-', '+').replace('_', '/')}"


def resealed(good: str, change: Callable[[dict[str, Any]], object]) -> str:
    """The token with changed claims under its old signature."""
    head, payload, signature = good.split(".")
    members = json.loads(_b64decode(payload))
    change(members)
    return f"{head}.{segment(members)}.{signature}"


def _b64decode(text: str) -> bytes:
    from joserfc.util import urlsafe_b64decode

    return urlsafe_b64decode(text.encode())


def public_pem(tenant: Tenant) -> bytes:
    pem: bytes = tenant.key.as_pem(private=False)  # type: ignore[union-attr]  # the tenant's key is RSA
    return pem


ODD: dict[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "text": "x",
    "empty text": "",
    "list": [1],
    "object": {"a": 1},
}
CRITS: list[Any] = [["exp"], ["alg"], ["b64"], ["x"], [], "exp", None, {}, [1], ["kid", "typ"]]

STRUCTURE = [
    token("one segment", "OPAQUE", lambda _: "abc"),
    token("one segment of 8 KiB", "OPAQUE", lambda _: "a" * 8192),
    token("two segments", "MALFORMED", lambda good: good.rpartition(".")[0]),
    token("four segments", "MALFORMED", lambda good: good + ".AAAA"),
    token("five segments, a JWE", "ENCRYPTED", lambda good: good + ".AAAA.AAAA"),
    token("six segments", "MALFORMED", lambda good: good + ".a.b.c"),
    token("only dots", "MALFORMED", lambda _: ".."),
    token("five empty segments", "ENCRYPTED", lambda _: "...."),
    token("thousands of dots", "MALFORMED", lambda _: "." * 10_000),
    token("no header", "MALFORMED", lambda good: "." + good.partition(".")[2]),
    token("no payload", "MALFORMED", lambda good: f"{good.split('.')[0]}..{good.split('.')[2]}"),
    token("no signature", "SIGNATURE", lambda good: good.rpartition(".")[0] + "."),
    token("padding in the signature", "MALFORMED", lambda good: good + "=="),
    token("padding in the header", "MALFORMED", lambda good: good.replace(".", "=.", 1)),
    token("ordinary base64", "MALFORMED", ordinary_base64),
    token("percent signs", "MALFORMED", lambda good: good[:-3] + "%41"),
    token("an asterisk", "MALFORMED", lambda good: "*" + good[1:]),
    token("bytes that are not ASCII", "MALFORMED", lambda good: good.encode() + b"\xff\xfe"),
    token("UTF-8 beyond ASCII", "MALFORMED", lambda good: good + "é"),
    token("a comma", "MALFORMED", lambda good: good + ","),
    token("in quotes", "MALFORMED", lambda good: f'"{good}"'),
    token("twice, with a comma", "ENCRYPTED", lambda good: f"{good},{good}"),
    token("another ending of the signature's last bits", "MALFORMED", lambda good: good[:-1] + chr(ord(good[-1]) + 1)),
    token("longer than accepted", "OVERSIZED", lambda good: good + "A" * 16_384),
    token("opaque and longer than accepted", "OVERSIZED", lambda _: "A" * 20_000),
    token("JSON serialization", "OPAQUE", lambda good: json.dumps(dict(zip(("protected", "payload", "signature"), good.split("."), strict=True)), separators=(",", ":")).replace(".", "")),
    token("a SAML-like blob", "OPAQUE", lambda _: b64(b"<saml:Assertion/>")),
    token("a Fernet token", "OPAQUE", lambda _: "gAAAAABm" + "A" * 80),
    token("a PASETO", "MALFORMED", lambda _: "v4.public." + b64(b'{"sub":"a"}') + ".AAAA"),
]

SIGNATURES = [
    token("first character of the signature", "SIGNATURE", lambda good: altered(good, good.rindex(".") + 1)),
    token("middle of the signature", "SIGNATURE", lambda good: altered(good, -100)),
    token("signature cut short", "SIGNATURE", lambda good: good[:-2]),
    token("signature of zeroes", "SIGNATURE", lambda good: good.rpartition(".")[0] + "." + "A" * 342),
    token("signature repeated", "SIGNATURE", lambda good: good + good.rpartition(".")[2][:340] + "AA"),
    token("signature of one byte", "SIGNATURE", lambda good: good.rpartition(".")[0] + ".AA"),
    token("another subject, resealed", "SIGNATURE", lambda good: resealed(good, lambda c: c.update(sub="auth0|eve"))),
    token("more scopes, resealed", "SIGNATURE", lambda good: resealed(good, lambda c: c.update(scope="admin"))),
    token("a later expiry, resealed", "SIGNATURE", lambda good: resealed(good, lambda c: c.update(exp=2**40))),
    token("a claim taken away, resealed", "SIGNATURE", lambda good: resealed(good, lambda c: c.pop("azp"))),
    key("a foreign RSA key under the issuer's kid", "SIGNATURE", FOREIGN),
    key("a foreign RSA key without kid", "SIGNATURE", FOREIGN, kid=ABSENT),
    key("a foreign RSA key under an unknown kid", "UNKNOWN_KEY", FOREIGN, kid="unknown"),
    key("an EC key", "ALGORITHM", ECKey.generate_key("P-256")),
    key("an EC key that claims RS256", "SIGNATURE", ECKey.generate_key("P-256"), alg="RS256"),
    key("an OKP key", "ALGORITHM", OKPKey.generate_key("Ed25519")),
    key("a shared secret", "ALGORITHM", OctKey.import_key("secret" * 6)),
    key("an embedded jwk (CVE-2018-0114)", "SIGNATURE", FOREIGN, jwk=FOREIGN.as_dict(private=False)),
    key("an embedded jwk, and no kid", "SIGNATURE", FOREIGN, kid=ABSENT, jwk=FOREIGN.as_dict(private=False)),
    key("an embedded jwk under its own kid", "UNKNOWN_KEY", FOREIGN, kid="x", jwk=FOREIGN.as_dict(private=False)),
    key("jku to another host", "SIGNATURE", FOREIGN, jku="https://evil.example.com/jwks.json"),
    key("jku and a kid of its own", "UNKNOWN_KEY", FOREIGN, kid="x", jku="https://evil.example.com/jwks.json"),
    key("jku to this machine", "UNKNOWN_KEY", FOREIGN, kid="x", jku="http://127.0.0.1:1/"),
    key("x5u", "SIGNATURE", FOREIGN, x5u="https://evil.example.com/cert.pem"),
    key("x5c", "SIGNATURE", FOREIGN, x5c=["MIIB"]),
    key("x5c under its own thumbprint", "UNKNOWN_KEY", FOREIGN, kid="x", x5c=["MIIB"], x5t="AAAA"),
]

ALGORITHMS = [
    *(fabricated(f"alg {alg!r}, no signature", "ALGORITHM", alg, b"") for alg in ("none", "None", "NONE", "nOnE", "none ", "", "null", "RS256 ", "rs256", "HS256")),
    *(header(f"alg {alg}, with the issuer's key", "ALGORITHM", alg=alg) for alg in ("RS384", "RS512", "PS256", "PS384", "PS512", "ES256K", "EdDSA", "Ed25519", "RS1", "RSA-OAEP", "dir", "A256GCM", "RS257", "SHA256withRSA")),
    *(header(f"alg of the wrong type, {name}", "MALFORMED", alg=value) for name, value in ODD.items() if not isinstance(value, str)),
    header("alg a number", "MALFORMED", alg=256),
    header("alg a list with RS256", "MALFORMED", alg=["RS256"]),
    header("no alg", "MALFORMED", alg=ABSENT),
    confused("HS256 with the public key as PEM (CVE-2015-9235)", "ALGORITHM", public_pem),
    confused("HS256 with the PEM, no final newline", "ALGORITHM", lambda tenant: public_pem(tenant).strip()),
    confused("HS256 with the key set's text", "ALGORITHM", lambda tenant: json.dumps(tenant.key_set()).encode()),
    confused("HS256 with the modulus", "ALGORITHM", lambda tenant: str(tenant.key["n"]).encode()),
    confused("HS256 with the kid", "ALGORITHM", lambda _: b"current"),
    confused("HS256 with an empty-like secret", "ALGORITHM", lambda _: b"\0"),
    confused("HS384", "ALGORITHM", public_pem, "HS384"),
    confused("HS512", "ALGORITHM", public_pem, "HS512"),
    *(fabricated(f"psychic signature for {alg} (CVE-2022-21449)", "ALGORITHM", alg, bytes(size)) for alg, size in (("ES256", 64), ("ES384", 96), ("ES512", 132))),
]

HEADERS = [
    *(header(f"kid {kid!r}", "UNKNOWN_KEY", kid=kid) for kid in ("", "Current", "current ", "current\0", "../../dev/null", "/dev/null", "' OR 1=1--", "current' UNION SELECT 'k", "; cat /etc/passwd", "{{7*7}}", "${jndi:ldap://x}", "k" * 4000, "\r\nX: y", "é", "None", "null", "0")),
    *(header(f"kid of the wrong type, {name}", "MALFORMED", kid=value) for name, value in ODD.items() if not isinstance(value, str)),
    header("kid a number", "MALFORMED", kid=0),
    header("no kid, with one key published", "ok", kid=ABSENT),
    *(header(f"typ {typ!r}", "TYPE", typ=typ) for typ in ("id+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt", "JWE", "JWS", "JOSE", "refresh+jwt", "", "at+jwt;x", "application/jwt;x", "application/id+jwt", " JWT", "JWT ", "at+jwt\0", "jwt+at", "kb+jwt", "oauth-authz-req+jwt")),
    *(header(f"typ {typ!r}", "ok", typ=typ) for typ in ("JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt")),
    *(header(f"typ of the wrong type, {name}", "MALFORMED", typ=value) for name, value in ODD.items() if not isinstance(value, str)),
    *(header(f"crit {crit!r}", "CRITICAL", crit=crit) for crit in CRITS),
    header("b64 false", "CRITICAL", b64=False, crit=["b64"]),
    header("b64 false, not critical", "CRITICAL", b64=False),
    header("b64 true", "CRITICAL", b64=True),
    header("zip", "ok", zip="DEF"),
    header("cty JWT", "ok", cty="JWT"),
    header("an unknown member", "ok", foo={"bar": [1, 2]}),
    header("jku beside the issuer's own kid and key", "ok", jku="https://evil.example.com/jwks.json"),
    header("issuer and audience in the header only", "ok", iss="x", aud="y"),
    json_header("nothing", "MALFORMED", b""),
    json_header("a list", "MALFORMED", b'["alg","RS256"]'),
    json_header("text", "MALFORMED", b'"alg"'),
    json_header("a number", "MALFORMED", b"1"),
    json_header("null", "MALFORMED", b"null"),
    json_header("an empty object", "MALFORMED", b"{}"),
    json_header("cut short", "MALFORMED", b'{"alg":"RS256"'),
    json_header("single quotes", "MALFORMED", b"{'alg':'RS256'}"),
    json_header("two algs, the bad one first", "MALFORMED", b'{"alg":"none",...}'),
    json_header("two algs, the bad one last", "MALFORMED", b'{...,"alg":"none"}'),
    json_header("two algs, one escaped", "MALFORMED", b'{...,"\\u0061lg":"none"}'),
    json_header("two kids", "MALFORMED", b'{...,"kid":"other"}'),
    json_header("NaN", "MALFORMED", b'{...,"x":NaN}'),
    json_header("nested deeply", "MALFORMED", b'{...,"x":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    json_header("a byte order mark", "MALFORMED", b"\xef\xbb\xbf{...}"),
    json_header("not UTF-8", "MALFORMED", b'{...,"x":"\xff"}'),
    json_header("UTF-16", "MALFORMED", '{"alg":"RS256","kid":"current"}'.encode("utf-16")),
    json_header("white space", "ok", b" { ... } \n"),
]

PAYLOADS = [
    json_claims("nothing", "MALFORMED", b""),
    json_claims("null", "MALFORMED", b"null"),
    json_claims("true", "MALFORMED", b"true"),
    json_claims("text", "MALFORMED", b'"sub"'),
    json_claims("a list", "MALFORMED", b"[{...}]"),
    json_claims("a number", "MALFORMED", b"42"),
    json_claims("an empty object", "ISSUER", b"{}"),
    json_claims("two objects", "MALFORMED", b"{...}{...}"),
    json_claims("cut short", "MALFORMED", b"{..."),
    json_claims("a comment", "MALFORMED", b"{.../*,*/}"),
    json_claims("a trailing comma", "MALFORMED", b"{...,}"),
    json_claims("NUL at the end", "MALFORMED", b"{...}\0"),
    json_claims("not JSON", "MALFORMED", b"sub=ada"),
    json_claims("not UTF-8", "MALFORMED", b'{...,"x":"\xff"}'),
    json_claims("UTF-8 too long", "MALFORMED", b'{...,"x":"\xc0\xaf"}'),
    json_claims("encoded surrogates", "MALFORMED", b'{...,"x":"\xed\xa0\x80"}'),
    json_claims("UTF-16", "MALFORMED", '{"sub":"a"}'.encode("utf-16-le")),
    json_claims("a byte order mark", "MALFORMED", b"\xef\xbb\xbf{...}"),
    json_claims("a lone surrogate", "MALFORMED", b'{...,"x":"\\ud800"}'),
    json_claims("a lone low surrogate", "MALFORMED", b'{...,"x":"\\uDC00"}'),
    json_claims("a lone surrogate in a name", "MALFORMED", b'{...,"\\ud800":1}'),
    json_claims("a pair of surrogates", "ok", b'{...,"x":"\\ud83d\\ude00"}'),
    json_claims("NaN", "MALFORMED", b'{...,"x":NaN}'),
    json_claims("Infinity", "MALFORMED", b'{...,"x":Infinity}'),
    json_claims("-Infinity", "MALFORMED", b'{...,"x":-Infinity}'),
    json_claims("a number of 5000 digits", "MALFORMED", b'{...,"x":' + b"9" * 5000 + b"}"),
    json_claims("a number that overflows", "ok", b'{...,"x":1e999}'),
    json_claims("a long fraction", "ok", b'{...,"x":0.' + b"9" * 5000 + b"}"),
    json_claims("nested lists, 5000 deep", "MALFORMED", b'{...,"x":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    json_claims("nested objects, 1500 deep", "MALFORMED", b'{...,"x":' + b'{"a":' * 1500 + b"1" + b"}" * 1500 + b"}"),
    json_claims("nested lists, 31 deep", "ok", b'{...,"x":' + b"[" * 31 + b"]" * 31 + b"}"),
    json_claims("nested lists, 32 deep", "MALFORMED", b'{...,"x":' + b"[" * 32 + b"]" * 32 + b"}"),
    json_claims("nested lists, 31 deep, among others", "ok", b'{...,"y":[],"x":' + b"[" * 31 + b"]" * 31 + b"}"),
    json_claims("nested objects, 31 deep, among others", "ok", b'{...,"y":[],"x":' + b'{"a":' * 31 + b"1" + b"}" * 31 + b"}"),
    json_claims("a hundred lists, side by side", "ok", b'{...,"x":[' + b",".join([b"[]"] * 100) + b"]}"),
    json_claims("nested, never closed", "MALFORMED", b'{...,"x":' + b"[" * 8000),
    json_claims("many members", "ok", b"{..." + b"".join(b',"%d":1' % number for number in range(1000)) + b"}"),
    *(json_claims(f"two of {name}", "MALFORMED", b'{...,"%s":"x"}' % name.encode()) for name in ("iss", "sub", "aud", "exp", "scope")),
    json_claims("two of exp, one escaped", "MALFORMED", b'{...,"e\\u0078p":1}'),
    json_claims("two of an unknown member, nested", "MALFORMED", b'{...,"x":{"a":1,"a":2}}'),
    json_claims("white space", "ok", b"\t{ ... }\r\n"),
]

CLAIMS = [
    *(claims(f"{name} is {kind}", "CLAIMS", **{name: value}) for name in ("exp", "nbf", "iat") for kind, value in ODD.items()),
    *(claims(f"sub is {kind}", "CLAIMS", sub=value) for kind, value in ODD.items() if not isinstance(value, str)),
    *(claims(f"aud is {kind}", "CLAIMS", aud=value) for kind, value in ODD.items() if not isinstance(value, str)),
    *(claims(f"{name} is {kind}", "CLAIMS", **{name: value}) for name in ("scope", "scp") for kind, value in ODD.items() if not isinstance(value, str)),
    *(claims(f"iss is {kind}", "ISSUER", iss=value) for kind, value in ODD.items()),
    *(claims(f"no {name}", refusal, **{name: ABSENT}) for name, refusal in (("iss", "ISSUER"), ("sub", "CLAIMS"), ("aud", "AUDIENCE"), ("exp", "CLAIMS"))),
    *(claims(f"without {name}, which is optional", "ok", **{name: ABSENT}) for name in ("iat", "azp", "scope")),
    claims("exp a minute ago", "EXPIRED", exp=NOW - 60),
    claims("exp 0", "EXPIRED", exp=0),
    claims("exp negative", "EXPIRED", exp=-1),
    claims("exp with a fraction", "ok", exp=NOW + 3600.5),
    claims("exp as text", "CLAIMS", exp=str(NOW + 3600)),
    claims("exp as a date", "CLAIMS", exp="2099-01-01T00:00:00Z"),
    claims("exp beyond any date", "CLAIMS", exp=10**300),
    claims("exp of 400 digits", "CLAIMS", exp=10**400),
    json_claims("exp infinite", "CLAIMS", b'{"exp":1e999,...}', exp=ABSENT),
    claims("exp in milliseconds", "ok", exp=NOW * 1000),
    claims("nbf in an hour", "NOT_YET_VALID", nbf=NOW + 3600),
    claims("nbf of 400 digits", "CLAIMS", nbf=10**400),
    claims("nbf in the past", "ok", nbf=NOW - 3600),
    claims("iat of 400 digits", "CLAIMS", iat=10**400),
    claims("iat negative", "ok", iat=-1),
    *(claims(f"aud {aud!r}", "AUDIENCE", aud=aud) for aud in ("", "*", AUDIENCE + "/", AUDIENCE.upper(), AUDIENCE + " ", AUDIENCE[:-1], AUDIENCE + ".evil.example.com", f"{AUDIENCE} other", "https://api.example.com.", [], ["*"], [AUDIENCE + "/"], [AUDIENCE[:-1], "x"])),
    claims("aud a list with ours", "ok", aud=["https://tenant.example.com/userinfo", AUDIENCE]),
    claims("aud a list of lists", "CLAIMS", aud=[[AUDIENCE]]),
    claims("aud a list with null", "CLAIMS", aud=[AUDIENCE, None]),
    claims("aud an object with ours as a member", "CLAIMS", aud={AUDIENCE: True}),
    *(claims(f"iss {iss!r}", "ISSUER", iss=iss) for iss in ("", "https://evil.example.com/", "https://tenant.example.com", "tenant.example.com", "http://127.0.0.1/", "file:///etc/passwd", "https://127.0.0.1:1/")),
    Case("claims: iss without its final slash", "ISSUER", lambda tenant: bearer(tenant.token(iss=tenant.url[:-1]))),
    Case("claims: iss in capitals", "ISSUER", lambda tenant: bearer(tenant.token(iss=tenant.url.upper()))),
    Case("claims: iss with a path", "ISSUER", lambda tenant: bearer(tenant.token(iss=tenant.url + "x"))),
    Case("claims: iss with userinfo", "ISSUER", lambda tenant: bearer(tenant.token(iss=tenant.url.replace("//", "//a@")))),
    Case("claims: iss a list with ours", "ISSUER", lambda tenant: bearer(tenant.token(iss=[tenant.url]))),
    *(claims(f"an ID token's {name}", "TYPE", scope=ABSENT, **{name: "x"}) for name in ("nonce", "at_hash", "c_hash", "s_hash")),
    claims("an ID token's nonce beside scopes, as from Keycloak", "ok", nonce="n"),
    claims("an ID token's nonce beside scp", "ok", scope=ABSENT, scp=["a"], nonce="n"),
    claims("an ID token's nonce beside an empty scope", "TYPE", scope="", nonce="n"),
    claims("a logout token's events", "TYPE", events={"http://schemas.openid.net/event/backchannel-logout": {}}),
    claims("cnf with jkt (DPoP), sent as Bearer", "SENDER_CONSTRAINED", cnf={"jkt": "x"}),
    claims("cnf with a certificate's thumbprint, sent as Bearer", "SENDER_CONSTRAINED", cnf={"x5t#S256": "x"}),
    *(claims(f"cnf is {kind}", "SENDER_CONSTRAINED", cnf=value) for kind, value in ODD.items()),
    claims("cnf empty", "SENDER_CONSTRAINED", cnf={}),
]

SCOPES = [
    *(scopes(f"scope {scope!r}", "insufficient_scope", scope=scope) for scope in ("", " ", "read", "read:message", "read:messages2", "Read:Messages", "READ:MESSAGES", "read:messages,write", "read:messages;", "read:messages\t", "\u00a0read:messages", "read:messages\n", "*", "read:*", "admin", "read: messages", "read\u200b:messages", "openid profile", [], ["read"], ["read:messages "], ["openid read:messages"])),
    *(scopes(f"scope {scope!r}", "ok", scope=scope) for scope in ("read:messages", " read:messages", "a read:messages b", "read:messages read:messages", "a  read:messages", ["read:messages"], ["a", "read:messages"])),
    scopes("no scope", "insufficient_scope", scope=ABSENT),
    scopes("the scope in scp", "ok", scope=ABSENT, scp=["read:messages"]),
    scopes("the scope in scp, as text", "ok", scope=ABSENT, scp="a read:messages"),
    *(scopes(f"the scope in {name}", "insufficient_scope", scope=ABSENT, **{name: ["read:messages"]}) for name in ("permissions", "scopes", "roles", "authorities", "Scope", "scope ")),
    scopes("scopes of 4000 words", "insufficient_scope", scope="a " * 4000),
    scopes("scope with a quote, not echoed", "insufficient_scope", scope='x", realm="evil'),
    scopes("sub with line breaks", "ok", sub="ada\r\nX-Evil: 1"),
]

TRANSPORT = [
    presented("as it should be", "ok", b"Bearer TOKEN"),
    presented("scheme in small letters", "ok", b"bearer TOKEN"),
    presented("scheme in capitals", "ok", b"BEARER TOKEN"),
    presented("two spaces", "ok", b"Bearer  TOKEN"),
    presented("space at the end", "ok", b"Bearer TOKEN "),
    presented("scheme alone", "invalid_request", b"Bearer"),
    presented("scheme and spaces", "invalid_request", b"Bearer   "),
    presented("two words", "invalid_request", b"Bearer TOKEN x"),
    presented("the token twice", "invalid_request", b"Bearer TOKEN TOKEN"),
    presented("scheme twice", "invalid_request", b"Bearer Bearer TOKEN"),
    presented("a tab in the token", "invalid_request", b"Bearer TOKEN\tx"),
    presented("two header fields", "invalid_request", b"Bearer TOKEN", b"Bearer TOKEN"),
    presented("Basic first, then Bearer", "invalid_request", b"Basic YTpi", b"Bearer TOKEN"),
    presented("Bearer first, then Basic", "invalid_request", b"Bearer TOKEN", b"Basic YTpi"),
    presented("an empty header field beside it", "invalid_request", b"", b"Bearer TOKEN"),
    presented("folded into one with a comma", "invalid_request", b"Bearer TOKEN, Bearer TOKEN"),
    presented("with parameters", "invalid_request", b'Bearer TOKEN, realm="x"'),
    presented("in the query, too", "invalid_request", b"Bearer TOKEN", query=b"?access_token=TOKEN"),
    presented("in the query, too, escaped", "invalid_request", b"Bearer TOKEN", query=b"?%61ccess%5Ftoken=x"),
    presented("in the query, too, empty", "invalid_request", b"Bearer TOKEN", query=b"?a=1&access_token"),
    presented("in the query only", "missing_credentials", query=b"?access_token=TOKEN"),
    presented("a name like it in the query", "ok", b"Bearer TOKEN", query=b"?xaccess_token=1&Access_Token=2"),
    *(presented(f"scheme {scheme!r}", "missing_credentials", scheme + b" TOKEN") for scheme in (b"Basic", b"Token", b"JWT", b"OAuth", b"Digest", b"Negotiate", b"MAC", b"BearerX", b"XBearer", b"Bear", b"Bearer-X", b"Bearer1")),
    presented("scheme and token joined", "missing_credentials", b"BearerTOKEN"),
    presented("the token alone", "missing_credentials", b"TOKEN"),
    presented("a tab for the space", "invalid_request", b"Bearer\tTOKEN"),
    presented("no-break space for the space", "invalid_request", b"Bearer\xa0TOKEN"),
    presented("a colon after the scheme", "invalid_request", b"Bearer: TOKEN"),
    presented("a comma after the scheme", "invalid_request", b"Bearer, TOKEN"),
    presented("an equals sign after the scheme", "invalid_request", b"Bearer=TOKEN"),
    presented("nothing but white space and commas", "missing_credentials", b" , "),
    presented("an empty header field", "missing_credentials", b""),
    presented("no header field", "missing_credentials"),
    *(in_field(name) for name in (b"X-Authorization", b"Proxy-Authorization", b"X-Access-Token", b"Authorization-X", b"X-Forwarded-Authorization", b"Cookie", b"X-Original-URL", b"X-Rewrite-URL")),
    *(in_field(name, value) for name, value in ((b"X-Original-URL", b"/api/public"), (b"X-Rewrite-URL", b"/api/public"), (b"X-HTTP-Method-Override", b"OPTIONS"), (b"X-Forwarded-For", b"127.0.0.1"), (b"X-Forwarded-User", b"ada"), (b"X-Remote-User", b"ada"), (b"Forwarded", b"for=127.0.0.1"), (b"X-Forwarded-Prefix", b"/api/public"), (b"Cookie", b"access_token=x"))),
]

PATHS = [
    *(without("missing_credentials", path) for path in (b"/api/private", b"/api/private-scoped", b"/api/private?", b"/api/private?x=1", b"/api/pri%76ate", b"/%61pi/private")),
    without("missing_credentials", b"/api/private", b"HEAD"),
    *(without("method_not_allowed", b"/api/private", method) for method in (b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"PROPFIND", b"MKCOL", b"REPORT")),
    *(path_case("not_found", path) for path_case in (without, target) for path in (b"//", b"//api/private", b"///api/private", b"/api//private", b"/api/private/", b"/api/private//", b"/api/private;x", b"/api/private;x=/api/public", b"/api/public/../private", b"/api/public/..%2Fprivate", b"/api/./private", b"/api/private/.", b"/api%2Fprivate", b"/api%2fprivate", b"/api/private%2F", b"/api/private%20", b"/api/private%00", b"/api/private%0A", b"/api/private%3Fx", b"/api/private%23", b"/api/private.json", b"/API/private", b"/api/Private", b"/api/private\\", b"/api%5Cprivate", b"/api/private%252F", b"/api/%70rivat%C3%A9", b"/api", b"/api/", b"/api/private/public", b"/public", b"/ui/../api/private", b"/openapi.json/../api/private")),
    target("ok", b"/api/private?x=%ff%00"),
    target("ok", b"/api/private", b"HEAD"),
    target("ok", b"/api/public"),
    without("ok", b"/api/public"),
    without("ok", b"/api/public", b"HEAD"),
]

CASES = list(chain(STRUCTURE, SIGNATURES, ALGORITHMS, HEADERS, PAYLOADS, CLAIMS, SCOPES, TRANSPORT, PATHS))
