"""Attacks with DPoP proofs: one line a case, with what the API must answer where both Bearer and DPoP are spoken.

Sources: RFC 9449, sections 4.2, 4.3, 7 and 11; RFC 7515; RFC 7517; RFC 8725; the advisories of libraries that check
proofs. A case may make several requests, of which the last counts. Its outcome is `ok`, a problem's code, or why the
proof or the token is refused.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from resource_server.developing.contract_tests.forging import ABSENT, b64, mac, segment, sign, unsigned
from resource_server.tokens.errors import Flaw, Refusal
from tests.attacks import ODD, Request, altered
from tests.proofs import Prover
from tests.tenant import Tenant

TARGET = b"/api/private"
RSA = Prover(RSAKey.generate_key(2048))
OTHER = Prover()
NAN = float("nan")


@dataclass(frozen=True)
class Client:
    """A client with a key and tokens that are bound to it."""

    tenant: Tenant
    url: str
    prover: Prover = field(default_factory=Prover)

    def token(self, **changed: Any) -> str:
        return self.tenant.token(**{"cnf": self.prover.cnf, **changed})

    def proof(self, token: str, target: bytes = TARGET, header: dict[str, Any] | None = None, **changed: Any) -> str:
        return self.prover.forged("GET", self.url + target.decode("latin-1"), token, header, **changed)


@dataclass(frozen=True)
class Case:
    """An attack, how it is made by a client, the outcome, and by which scheme the token is presented."""

    name: str
    outcome: str
    make: Callable[[Client], list[Request]]
    scheme: str = "DPoP"


def bound(token: str, proof: str | bytes, target: bytes = TARGET, method: bytes = b"GET") -> Request:
    proof = proof if isinstance(proof, bytes) else proof.encode()
    return Request(((b"Authorization", b"DPoP " + token.encode()), (b"DPoP", proof)), target, method)


def claims(name: str, outcome: str, **changed: Any) -> Case:
    """A proof, really signed, with changed claims."""

    def make(client: Client) -> list[Request]:
        token = client.token()
        return [bound(token, client.proof(token, **changed))]

    return Case(f"claims: {name}", outcome, make)


def header(name: str, outcome: str, **changed: Any) -> Case:
    """A proof, really signed, with a changed header."""

    def make(client: Client) -> list[Request]:
        token = client.token()
        return [bound(token, client.proof(token, header=changed))]

    return Case(f"header: {name}", outcome, make)


def jwk(name: str, outcome: str, prover: Prover | None = None, alg: str = "ES256", /, **changed: Any) -> Case:
    """A proof with a changed key in its header, for a token that is bound to the key as it was."""

    def make(client: Client) -> list[Request]:
        own = Client(client.tenant, client.url, prover or client.prover)
        token = own.token()
        members = {**own.prover.jwk, **changed}
        members = {member: value for member, value in members.items() if value is not ABSENT}
        return [bound(token, own.proof(token, header={"jwk": members, "alg": alg}))]

    return Case(f"jwk: {name}", outcome, make)


def by_key(name: str, outcome: str, key: Key, alg: str) -> Case:
    """A proof by another kind of key, which the token is bound to."""
    return jwk(name, outcome, Prover(key), alg)


def json_claims(name: str, outcome: str, text: bytes, **changed: Any) -> Case:
    """Claims of unusual JSON, really signed; `...` in it stands for the members of good claims."""

    def make(client: Client) -> list[Request]:
        token = client.token()
        head, payload, _ = client.proof(token, **changed).split(".")
        unusual = text.replace(b"...", _decoded(payload)[1:-1])
        return [bound(token, sign(_decoded(head), unusual, client.prover.key, "ES256"))]

    return Case(f"payload: {name}", outcome, make)


def json_header(name: str, outcome: str, text: bytes) -> Case:
    """A header of unusual JSON, really signed; `...` in it stands for the members of a good one."""

    def make(client: Client) -> list[Request]:
        token = client.token()
        head, payload, _ = client.proof(token).split(".")
        unusual = text.replace(b"...", _decoded(head)[1:-1])
        return [bound(token, sign(unusual, _decoded(payload), client.prover.key, "ES256"))]

    return Case(f"header text: {name}", outcome, make)


def proof(name: str, outcome: str, change: Callable[[str], str | bytes]) -> Case:
    """A good proof, then changed."""

    def make(client: Client) -> list[Request]:
        token = client.token()
        return [bound(token, change(client.proof(token)))]

    return Case(f"proof: {name}", outcome, make)


def forged(name: str, outcome: str, make_proof: Callable[[dict[str, Any], dict[str, Any], Client], str]) -> Case:
    """A proof put together from the header and the claims of a good one."""

    def make(client: Client) -> list[Request]:
        token = client.token()
        head, payload, _ = client.proof(token).split(".")
        return [bound(token, make_proof(json.loads(_decoded(head)), json.loads(_decoded(payload)), client))]

    return Case(f"forged: {name}", outcome, make)


def uri(name: str, outcome: str, change: Callable[[str], Any], target: bytes = TARGET) -> Case:
    """A proof for a URI that is made from the one which is asked for."""

    def make(client: Client) -> list[Request]:
        token = client.token()
        return [bound(token, client.proof(token, htu=change(f"{client.url}/api/private")), target)]

    return Case(f"htu: {name}", outcome, make)


def method(name: str, outcome: str, htm: Any, asked: bytes = b"GET") -> Case:
    """A proof for a method."""

    def make(client: Client) -> list[Request]:
        token = client.token()
        return [bound(token, client.proof(token, htm=htm), TARGET, asked)]

    return Case(f"htm: {name}", outcome, make)


def binding(name: str, outcome: str, **changed: Any) -> Case:
    """A token of the issuer's with other claims, and a good proof for it."""

    def make(client: Client) -> list[Request]:
        token = client.token(**changed)
        return [bound(token, client.proof(token))]

    return Case(f"token: {name}", outcome, make)


def target(outcome: str, path: bytes) -> Case:
    """A good token at another target, and a proof for exactly that."""

    def make(client: Client) -> list[Request]:
        token = client.token()
        return [bound(token, client.proof(token, path), path)]

    return Case(f"target: {path.decode()}", outcome, make)


def twice(name: str, outcome: str, first: dict[str, Any], second: dict[str, Any], *, other_token: bool = False) -> Case:
    """Two requests, with proofs that are changed as given."""

    def make(client: Client) -> list[Request]:
        tokens = client.token(), client.token(**({"azp": "another"} if other_token else {}))
        changes = zip(tokens, (first, second), strict=True)
        return [bound(token, client.proof(token, **changed)) for token, changed in changes]

    return Case(f"twice: {name}", outcome, make)


def presented(
    name: str, outcome: str, *fields: tuple[bytes, bytes], query: bytes = b"", scheme: str = "DPoP"
) -> Case:
    """Header fields as given; in them <token>, <proof> and the like stand for what is named so below."""

    def make(client: Client) -> list[Request]:
        token, unbound, id_token = client.token(), client.tenant.token(), client.token(nonce="n", scope=ABSENT)
        texts = {
            b"<token>": token,
            b"<unbound>": unbound,
            b"<proof>": client.proof(token),
            b"<next>": client.proof(token),
            b"<foreign>": Client(client.tenant, client.url, OTHER).proof(token),
            b"<for unbound>": client.proof(unbound),
            b"<id token>": id_token,
            b"<for id token>": client.proof(id_token),
            b"<rsa proof>": RSA.proof("GET", f"{client.url}/api/private", token),
        }
        filled = tuple((field, _filled(value, texts)) for field, value in fields)
        return [Request(filled, TARGET + _filled(query, texts))]

    return Case(f"presented: {name}", outcome, make, scheme)


def _filled(value: bytes, texts: dict[bytes, str]) -> bytes:
    for marker, text in texts.items():
        value = value.replace(marker, text.encode())
    return value


def _decoded(text: Any) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _with_scheme(scheme: str, url: str) -> str:
    return url.replace("http", scheme)


def _resealed(good: str, **changed: Any) -> str:
    """The proof with changed claims under its old signature."""
    head, payload, signature = good.split(".")
    return f"{head}.{segment(json.loads(_decoded(payload)) | changed)}.{signature}"


def _as_pem(_: dict[str, Any], __: dict[str, Any], client: Client) -> bytes:
    pem: bytes = client.prover.key.as_pem(private=False)  # type: ignore[union-attr]  # the client's key is EC
    return pem


def _symmetric(head: dict[str, Any], payload: dict[str, Any], secret: bytes, **changed: Any) -> str:
    return mac({**head, "alg": "HS256", **changed}, payload, secret)


A, D = (partial(lambda name, value: (name, value), name) for name in (b"Authorization", b"DPoP"))
BOUND = A(b"DPoP <token>")
EC_PRIVATE = ECKey.generate_key("P-256")
OCT = OctKey.import_key("secret" * 6)
NOT_TEXT = {name: value for name, value in ODD.items() if not isinstance(value, str)}
PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")

CLAIMS = [
    claims("as they should be", "ok"),
    *(claims(f"no {name}", Flaw.CLAIMS, **{name: ABSENT}) for name in ("jti", "htm", "htu", "iat", "ath")),
    *(claims(f"{name} is {kind}", Flaw.CLAIMS, **{name: value}) for name in ("jti", "htm", "htu", "ath") for kind, value in NOT_TEXT.items()),
    *(claims(f"iat is {kind}", Flaw.CLAIMS, iat=value) for kind, value in ODD.items()),
    claims("an unknown one", "ok", foo={"bar": [1]}),
    claims("a nonce, which nobody asked for", "ok", nonce="x"),
    claims("jti empty", Flaw.CLAIMS, jti=""),
    claims("jti of one character", "ok", jti="j"),
    claims("jti a number", Flaw.CLAIMS, jti=1),
    claims("jti with a space and a line break", "ok", jti="a b\r\nX: y"),
    claims("jti beyond ASCII", "ok", jti="\u00e9\U0001f600\0"),
    claims("jti of 1024 characters", "ok", jti="j" * 1024),
    claims("jti of 1025 characters", Flaw.CLAIMS, jti="j" * 1025),
    claims("jti of 12 KiB", Flaw.MALFORMED, jti="j" * 12_288),
    claims("exp an hour ago", Flaw.TIME, exp=1_700_000_000),
    claims("exp in an hour", "ok", exp=4_000_000_000),
    claims("exp as text", Flaw.CLAIMS, exp="4000000000"),
    claims("nbf in an hour", Flaw.TIME, nbf=4_000_000_000),
    claims("nbf an hour ago", "ok", nbf=1_700_000_000),
    claims("nbf as text", Flaw.CLAIMS, nbf="1700000000"),
    claims("iat as text", Flaw.CLAIMS, iat="1700000000"),
    claims("iat 0", Flaw.TIME, iat=0),
    claims("iat negative", Flaw.TIME, iat=-1),
    claims("iat in milliseconds", Flaw.TIME, iat=1_700_000_000_000),
    claims("iat an hour ago", Flaw.TIME, iat=1_700_000_000),
    claims("iat beyond any date", Flaw.CLAIMS, iat=10**300),
    claims("iat of 400 digits", Flaw.CLAIMS, iat=10**400),
    claims("iat of 400 digits, negative", Flaw.CLAIMS, iat=-(10**400)),
    json_claims("iat infinite", Flaw.CLAIMS, b'{"iat":1e999,...}', iat=ABSENT),
    json_claims("iat infinitely long ago", Flaw.CLAIMS, b'{"iat":-1e999,...}', iat=ABSENT),
    claims("iat not a number", Flaw.MALFORMED, iat=NAN),
    claims("ath empty", Flaw.TOKEN, ath=""),
    claims("ath of nothing", Flaw.TOKEN, ath=b64(bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))),
    claims("ath huge", Flaw.TOKEN, ath="a" * 8_000),
]

ATH = [
    forged("ath padded", Flaw.TOKEN, lambda head, payload, client: sign(head, {**payload, "ath": payload["ath"] + "="}, client.prover.key, "ES256")),
    forged("ath in hexadecimal", Flaw.TOKEN, lambda head, payload, client: sign(head, {**payload, "ath": _decoded(payload["ath"]).hex()}, client.prover.key, "ES256")),
    forged("ath in capitals", Flaw.TOKEN, lambda head, payload, client: sign(head, {**payload, "ath": payload["ath"].upper()}, client.prover.key, "ES256")),
    forged("ath cut", Flaw.TOKEN, lambda head, payload, client: sign(head, {**payload, "ath": payload["ath"][:-1]}, client.prover.key, "ES256")),
    forged("ath of another token", Flaw.TOKEN, lambda head, _, client: client.proof(client.token(azp="another"), header=head)),
    forged("claims in the header only", Flaw.CLAIMS, lambda head, payload, client: sign({**head, **payload}, {}, client.prover.key, "ES256")),
]

METHODS = [
    *(method(f"{htm[:20]!r} for GET", Flaw.METHOD, htm) for htm in ("POST", "HEAD", "get", "Get", "", " GET", "GET ", "GET,POST", "*", "GET\0", "OPTIONS", "G" * 4000)),
    method("a list with GET", Flaw.CLAIMS, ["GET"]),
    method("HEAD for HEAD", "ok", "HEAD", b"HEAD"),
    method("GET for HEAD", Flaw.METHOD, "GET", b"HEAD"),
    method("POST for POST, which there is not", "method_not_allowed", "POST", b"POST"),
]

URIS = [
    uri("with a query", "ok", lambda url: url + "?x=1"),
    uri("with an empty query", "ok", lambda url: url + "?"),
    uri("with a fragment", "ok", lambda url: url + "#x"),
    uri("with a query beyond ASCII", "ok", lambda url: url + "?é"),
    uri("without the query that was asked", "ok", lambda url: url, b"/api/private?x=1"),
    uri("with another query than was asked", "ok", lambda url: url + "?y=2", b"/api/private?x=1"),
    uri("query with another path", Flaw.URI, lambda url: url.replace("/private", "/public?/api/private")),
    uri("scheme in capitals", "ok", lambda url: url.replace("http", "HTTP")),
    uri("host escaped", "ok", lambda url: url.replace("127", "%3127")),
    uri("port with a zero before", "ok", lambda url: url.replace("127.0.0.1:", "127.0.0.1:0")),
    uri("dot segment", "ok", lambda url: url.replace("/api/", "/api/./")),
    uri("two dots", "ok", lambda url: url.replace("/api/", "/x/../api/")),
    uri("dots above the root", "ok", lambda url: url.replace("/api/", "/../../api/")),
    uri("escaped dots", "ok", lambda url: url.replace("/api/", "/x/%2e%2E/api/")),
    uri("escaped letter", "ok", lambda url: url.replace("private", "pri%76ate")),
    uri("escaped letter that was asked for so", "ok", lambda url: url, b"/api/pri%76ate"),
    uri("other host", Flaw.URI, lambda url: url.replace("127.0.0.1", "localhost")),
    uri("other address of this machine", Flaw.URI, lambda url: url.replace("127.0.0.1", "127.0.0.2")),
    uri("address as a number", Flaw.URI, lambda url: url.replace("127.0.0.1", "2130706433")),
    uri("address in short", Flaw.URI, lambda url: url.replace("127.0.0.1", "127.1")),
    uri("address as IPv6", Flaw.URI, lambda url: url.replace("127.0.0.1", "[::ffff:127.0.0.1]")),
    uri("host with a final dot", Flaw.URI, lambda url: url.replace("127.0.0.1", "127.0.0.1.")),
    uri("other port", Flaw.URI, lambda url: url.replace("127.0.0.1:", "127.0.0.1:1")),
    uri("no port", Flaw.URI, lambda _: "http://127.0.0.1/api/private"),
    uri("empty port", Flaw.URI, lambda _: "http://127.0.0.1:/api/private"),
    uri("port of 5000 digits", Flaw.URI, lambda _: f"http://127.0.0.1:{'9' * 5000}/api/private"),
    *(uri(f"scheme {scheme!r}", Flaw.URI, partial(_with_scheme, scheme)) for scheme in ("https", "ws", "ftp", "file", "")),
    uri("no scheme", Flaw.URI, lambda url: url.removeprefix("http:")),
    uri("path only", Flaw.URI, lambda _: "/api/private"),
    uri("no path", Flaw.URI, lambda url: url.removesuffix("/api/private")),
    uri("parent path", Flaw.URI, lambda url: url.removesuffix("/private")),
    uri("other path", Flaw.URI, lambda url: url.replace("private", "public")),
    uri("longer path", Flaw.URI, lambda url: url + "-scoped"),
    uri("final slash", Flaw.URI, lambda url: url + "/"),
    uri("final dot", Flaw.URI, lambda url: url + "/."),
    uri("path in capitals", Flaw.URI, lambda url: url.replace("/api", "/API")),
    uri("two slashes", Flaw.URI, lambda url: url.replace("/api/", "//api/")),
    uri("parameter of a segment", Flaw.URI, lambda url: url + ";x"),
    uri("escaped slash", Flaw.URI, lambda url: url.replace("/private", "%2Fprivate")),
    uri("escaped question mark", Flaw.URI, lambda url: url + "%3Fx"),
    uri("twice escaped letter", Flaw.URI, lambda url: url.replace("private", "pri%2576ate")),
    uri("unfinished escape", Flaw.URI, lambda url: url + "%"),
    uri("escape of nothing", Flaw.URI, lambda url: url + "%00"),
    uri("escape beyond ASCII", Flaw.URI, lambda url: url + "%C3%A9"),
    uri("path beyond ASCII", Flaw.URI, lambda url: url + "é"),
    uri("path of other letters that look the same", Flaw.URI, lambda url: url.replace("private", "priv\u0430te")),
    uri("long s in the scheme", Flaw.URI, lambda url: url.replace("http", "http\u017f")),
    uri("full-width digits", Flaw.URI, lambda url: url.replace("127", "\uff11\uff12\uff17")),
    uri("user", Flaw.URI, lambda url: url.replace("//", "//user@")),
    uri("user and password", Flaw.URI, lambda url: url.replace("//", "//user:secret@")),
    uri("empty user", Flaw.URI, lambda url: url.replace("//", "//@")),
    uri("ours as the user of another host", Flaw.URI, lambda url: url.replace("/api", "@evil.example.com/api")),
    uri("ours after another host's fragment", Flaw.URI, lambda url: url.replace("//", "//evil.example.com#@")),
    uri("ours after another host's backslash", Flaw.URI, lambda url: url.replace("//", "//evil.example.com\\@")),
    uri("ours as a prefix of another host", Flaw.URI, lambda url: url.replace("127.0.0.1", "127.0.0.1.example.com")),
    uri("backslashes", Flaw.URI, lambda url: url.replace("/", "\\")),
    uri("one backslash", Flaw.URI, lambda url: url.replace("/private", "\\private")),
    uri("space before", Flaw.URI, lambda url: " " + url),
    uri("space after", Flaw.URI, lambda url: url + " "),
    uri("space within", Flaw.URI, lambda url: url.replace("private", "pri vate")),
    uri("tab within", Flaw.URI, lambda url: url.replace("private", "pri\tvate")),
    uri("line break after", Flaw.URI, lambda url: url + "\n"),
    uri("line break within the scheme", Flaw.URI, lambda url: url.replace("http", "ht\ntp")),
    uri("NUL after", Flaw.URI, lambda url: url + "\0"),
    uri("empty", Flaw.URI, lambda _: ""),
    uri("no URI", Flaw.URI, lambda _: "x"),
    uri("a wildcard", Flaw.URI, lambda _: "*"),
    uri("of 10 KiB", Flaw.URI, lambda url: url + "/x" * 5_000),
    uri("of 5000 dot segments", Flaw.URI, lambda url: url + "/." * 5_000),
    uri("in brackets that aren't closed", Flaw.URI, lambda _: "http://[::1/api/private"),
    uri("a list with ours", Flaw.CLAIMS, lambda url: [url]),
]

HEADERS = [
    *(header(f"no {name}", flaw, **{name: ABSENT}) for name, flaw in (("typ", Flaw.TYPE), ("alg", Flaw.ALGORITHM), ("jwk", Flaw.KEY))),
    *(header(f"typ {typ[:20]!r}", Flaw.TYPE, typ=typ) for typ in ("", "JWT", "at+jwt", "dpop", "jwt", "dpop+jwt ", " dpop+jwt", "dpop+jwt;x", "dpop+jwt\0", "DPoP", "id+jwt", "dpop-proof+jwt", "t" * 4000)),
    *(header(f"typ {typ!r}, which section 4.2 spells otherwise", Flaw.TYPE, typ=typ) for typ in ("DPoP+JWT", "application/dpop+jwt")),
    *(header(f"typ is {kind}", Flaw.TYPE, typ=value) for kind, value in NOT_TEXT.items()),
    *(header(f"alg {alg[:20]!r}", Flaw.ALGORITHM, alg=alg) for alg in ("none", "None", "NONE", "nOnE", "", "es256", "Es256", "ES256 ", "ES256K", "HS256", "HS512", "RS1", "RSA-OAEP", "dir", "ed25519", "Ed448", "A" * 4000)),
    *(header(f"alg is {kind}", Flaw.ALGORITHM, alg=value) for kind, value in NOT_TEXT.items()),
    header("alg a list with ES256", Flaw.ALGORITHM, alg=["ES256"]),
    *(header(f"alg {alg}, with a key for ES256", Flaw.KEY, alg=alg) for alg in ("ES384", "ES512", "RS256", "PS256", "EdDSA", "Ed25519")),
    *(header(f"jwk is {kind}", Flaw.KEY, jwk=value) for kind, value in ODD.items()),
    header("jwk empty", Flaw.KEY, jwk={}),
    header("jwk a list with one", Flaw.KEY, jwk=[OTHER.jwk]),
    header("jwk a key set", Flaw.KEY, jwk={"keys": [OTHER.jwk]}),
    header("jwk as text", Flaw.KEY, jwk=json.dumps(OTHER.jwk)),
    header("jwk of another client", Refusal.OTHER_KEY, jwk=OTHER.jwk),
    *(header(f"crit {crit!r}", Flaw.MALFORMED, crit=crit) for crit in (["exp"], ["b64"], ["jwk"], [], "jwk", None)),
    header("b64 false", Flaw.MALFORMED, b64=False, crit=["b64"]),
    header("b64 false, not critical", Flaw.MALFORMED, b64=False),
    header("b64 true", Flaw.MALFORMED, b64=True),
    header("kid beside the key", "ok", kid="current"),
    header("kid of the wrong type beside the key", "ok", kid=[1]),
    header("jku beside the key", "ok", jku="https://evil.example.com/jwks.json"),
    header("x5u beside the key", "ok", x5u="https://evil.example.com/cert.pem"),
    header("x5c beside the key", "ok", x5c=["MIIB"]),
    header("jku for the key", Flaw.KEY, jwk=ABSENT, jku="http://127.0.0.1:1/jwks.json"),
    header("kid for the key", Flaw.KEY, jwk=ABSENT, kid="current"),
    header("x5c for the key", Flaw.KEY, jwk=ABSENT, x5c=["MIIB"]),
    header("an unknown member", "ok", foo={"bar": [1]}),
    header("a member of 4 KiB", "ok", foo="x" * 4_096),
    header("a nonce in the header", "ok", nonce="x"),
    json_header("nothing", Flaw.MALFORMED, b""),
    json_header("a list", Flaw.MALFORMED, b"[{...}]"),
    json_header("null", Flaw.MALFORMED, b"null"),
    json_header("an empty object", Flaw.TYPE, b"{}"),
    json_header("cut short", Flaw.MALFORMED, b"{..."),
    json_header("two typs", Flaw.MALFORMED, b'{"typ":"JWT",...}'),
    json_header("two algs, the bad one last", Flaw.MALFORMED, b'{...,"alg":"none"}'),
    json_header("two jwks", Flaw.MALFORMED, b'{...,"jwk":{}}'),
    json_header("two jwks, one escaped", Flaw.MALFORMED, b'{...,"\\u006awk":{}}'),
    json_header("not UTF-8", Flaw.MALFORMED, b'{...,"x":"\xff"}'),
    json_header("a byte order mark", Flaw.MALFORMED, b"\xef\xbb\xbf{...}"),
    json_header("a lone surrogate", Flaw.MALFORMED, b'{...,"x":"\\ud800"}'),
    json_header("NaN", Flaw.MALFORMED, b'{...,"x":NaN}'),
    json_header("nested deeply", Flaw.MALFORMED, b'{...,"x":' + b"[" * 3000 + b"]" * 3000 + b"}"),
    json_header("white space", "ok", b" { ... } \n"),
]

KEYS = [
    *(jwk(f"with the private member {name}", Flaw.KEY, RSA, "RS256", **{name: "AQAB"}) for name in PRIVATE),
    *(jwk(f"with the private member {name} of no value", Flaw.KEY, **{name: None}) for name in ("d", "k")),
    jwk("private EC key", Flaw.KEY, Prover(EC_PRIVATE), **EC_PRIVATE.as_dict(private=True)),
    jwk("private RSA key", Flaw.KEY, RSA, "RS256", **RSA.key.as_dict(private=True)),
    *(jwk(f"no {name}", Flaw.KEY, **{name: ABSENT}) for name in ("kty", "crv", "x", "y")),
    *(jwk(f"{name} is {kind}", Flaw.KEY, **{name: value}) for name in ("kty", "crv", "x", "y") for kind, value in ODD.items()),
    *(jwk(f"no {name}, RSA", Flaw.KEY, RSA, "RS256", **{name: ABSENT}) for name in ("n", "e")),
    *(jwk(f"{name} is {kind}, RSA", Flaw.KEY, RSA, "RS256", **{name: value}) for name in ("n", "e") for kind, value in ODD.items()),
    jwk("point not on the curve", Flaw.KEY, y=b64(bytes(31) + b"\1")),
    jwk("point at zero", Flaw.KEY, x=b64(bytes(32)), y=b64(bytes(32))),
    jwk("coordinate too large", Flaw.KEY, x=b64(b"\xff" * 32)),
    jwk("coordinate padded", Flaw.KEY, x=f"{OTHER.jwk['x']}="),
    jwk("coordinate of 8 KiB", Flaw.KEY, x=b64(b"\1" * 6_000)),
    jwk("kty oct", Flaw.KEY, kty="oct"),
    jwk("kty in small letters", Flaw.KEY, kty="ec"),
    jwk("kty RSA over EC", Flaw.KEY, kty="RSA"),
    jwk("curve of another name", Flaw.KEY, crv="P-384"),
    jwk("curve that isn't known", Flaw.KEY, crv="P-256K"),
    jwk("use sig", "ok", use="sig"),
    jwk("use enc", Flaw.KEY, use="enc"),
    jwk("use that isn't known", Flaw.KEY, use="x"),
    jwk("key_ops verify", "ok", key_ops=["verify"]),
    jwk("key_ops without verify", Flaw.KEY, key_ops=["encrypt"]),
    jwk("key_ops sign", Flaw.KEY, key_ops=["sign"]),
    jwk("key_ops empty", Flaw.KEY, key_ops=[]),
    jwk("key_ops text", Flaw.KEY, key_ops="verify"),
    jwk("kid", "ok", kid="x"),
    jwk("its own alg", "ok", None, "ES256", alg="ES256"),
    jwk("another alg", Flaw.KEY, None, "ES256", alg="ES384"),
    jwk("an unknown member", "ok", foo={"bar": [1]}),
    jwk("exponent 1", Flaw.KEY, RSA, "RS256", e=b64(b"\1")),
    jwk("exponent 0", Flaw.KEY, RSA, "RS256", e=b64(b"\0")),
    jwk("even exponent", Flaw.KEY, RSA, "RS256", e=b64(b"\2")),
    jwk("exponent 3 in place of its own", Refusal.OTHER_KEY, RSA, "RS256", e=b64(b"\3")),
    jwk("modulus with a zero before", Refusal.OTHER_KEY, RSA, "RS256", n=b64(b"\0" + _decoded(RSA.jwk["n"]))),
    jwk("modulus 1", Flaw.KEY, RSA, "RS256", n=b64(b"\1")),
    jwk("RSA, 1024 bits", Flaw.KEY, RSA, "RS256", n=b64(_decoded(RSA.jwk["n"])[:127] + b"\1")),
    *(by_key(f"RSA, {alg}", "ok", RSA.key, alg) for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
    by_key("P-384, ES384", "ok", ECKey.generate_key("P-384"), "ES384"),
    by_key("P-521, ES512", "ok", ECKey.generate_key("P-521"), "ES512"),
    by_key("Ed25519, EdDSA", "ok", OKPKey.generate_key("Ed25519"), "EdDSA"),
    by_key("Ed25519, Ed25519", "ok", OKPKey.generate_key("Ed25519"), "Ed25519"),
    jwk("RSA, 16384 bits", Flaw.KEY, RSA, "RS256", n=b64(b"\x80" + bytes(2_046) + b"\1")),
    jwk("exponent of 2048 bits", Flaw.KEY, RSA, "RS256", e=b64(b"\x80" + bytes(254) + b"\1")),
    by_key("Ed448, EdDSA", "ok", OKPKey.generate_key("Ed448"), "EdDSA"),
    by_key("symmetric, HS256", Flaw.ALGORITHM, OCT, "HS256"),
    jwk("symmetric in place of its own", Flaw.KEY, **OCT.as_dict(private=True), y=ABSENT, crv=ABSENT, x=ABSENT),
    jwk("for key agreement", Flaw.KEY, None, "EdDSA", **OKPKey.generate_key("X25519").as_dict(private=False), y=ABSENT),
    jwk("secp256k1", Flaw.KEY, **ECKey.generate_key("secp256k1").as_dict(private=False)),
    jwk("another client's", Refusal.OTHER_KEY, **OTHER.jwk),
]

SIGNATURES = [
    proof("no signature", Flaw.SIGNATURE, lambda good: good.rpartition(".")[0] + "."),
    proof("first character of the signature", Flaw.SIGNATURE, lambda good: altered(good, good.rindex(".") + 1)),
    proof("signature cut short", Flaw.SIGNATURE, lambda good: good[:-6]),
    proof("signature of zeroes (CVE-2022-21449)", Flaw.SIGNATURE, lambda good: f"{good.rpartition('.')[0]}.{'A' * 86}"),
    proof("signature of one byte", Flaw.SIGNATURE, lambda good: good.rpartition(".")[0] + ".AA"),
    proof("signature in DER", Flaw.SIGNATURE, lambda good: f"{good.rpartition('.')[0]}.{b64(bytes.fromhex('3006020101020101'))}"),
    proof("another claim, resealed", Flaw.SIGNATURE, lambda good: _resealed(good, jti="another")),
    proof("a later iat, resealed", Flaw.SIGNATURE, lambda good: _resealed(good, iat=2**40)),
    proof("another method, resealed", Flaw.SIGNATURE, lambda good: _resealed(good, htm="POST")),
    forged("by another key", Flaw.SIGNATURE, lambda head, payload, _: sign(head, payload, OTHER.key, "ES256")),
    forged("by the other key it names", Refusal.OTHER_KEY, lambda head, payload, _: sign({**head, "jwk": OTHER.jwk}, payload, OTHER.key, "ES256")),
    forged("by the issuer's key", Refusal.OTHER_KEY, lambda head, payload, client: sign({**head, "alg": "RS256", "jwk": client.tenant.key.as_dict(private=False)}, payload, client.tenant.key, "RS256")),
    forged("unsigned, alg none", Flaw.ALGORITHM, lambda head, payload, _: unsigned({**head, "alg": "none"}, payload)),
    forged("unsigned", Flaw.SIGNATURE, lambda head, payload, _: unsigned(head, payload)),
    forged("HS256 with the public key as PEM", Flaw.ALGORITHM, lambda head, payload, client: _symmetric(head, payload, _as_pem(head, payload, client))),
    forged("HS256 with the public key as JWK", Flaw.ALGORITHM, lambda head, payload, client: _symmetric(head, payload, json.dumps(client.prover.jwk).encode())),
    forged("HS256 with a symmetric jwk", Flaw.ALGORITHM, lambda head, payload, _: _symmetric(head, payload, b"k" * 32, jwk={"kty": "oct", "k": b64(b"k" * 32)})),
]

STRUCTURE = [
    proof("empty", Flaw.MALFORMED, lambda _: ""),
    proof("one segment", Flaw.MALFORMED, lambda _: "abc"),
    proof("two segments", Flaw.MALFORMED, lambda good: good.rpartition(".")[0]),
    proof("four segments", Flaw.MALFORMED, lambda good: good + ".AAAA"),
    proof("five segments, a JWE", Flaw.MALFORMED, lambda good: good + ".AAAA.AAAA"),
    proof("only dots", Flaw.MALFORMED, lambda _: ".."),
    proof("no header", Flaw.MALFORMED, lambda good: "." + good.partition(".")[2]),
    proof("no payload", Flaw.MALFORMED, lambda good: f"{good.split('.')[0]}..{good.split('.')[2]}"),
    proof("padding in the signature", Flaw.MALFORMED, lambda good: good + "=="),
    proof("padding in the header", Flaw.MALFORMED, lambda good: good.replace(".", "=.", 1)),
    proof("white space within", Flaw.MALFORMED, lambda good: good.replace(".", ". ")),
    proof("a tab within", Flaw.MALFORMED, lambda good: good.replace(".", ".\t", 1)),
    proof("a word before", Flaw.MALFORMED, lambda good: "DPoP " + good),
    proof("spaces around", "ok", lambda good: f"  {good} \t "),
    proof("in quotes", Flaw.MALFORMED, lambda good: f'"{good}"'),
    proof("a comma after", Flaw.MALFORMED, lambda good: good + ","),
    proof("twice, with a comma", Flaw.MALFORMED, lambda good: f"{good}, {good}"),
    proof("bytes that are not ASCII", Flaw.MALFORMED, lambda good: good.encode() + b"\xff\xfe"),
    proof("UTF-8 beyond ASCII", Flaw.MALFORMED, lambda good: good + "é"),
    proof("longer than accepted", Flaw.MALFORMED, lambda good: good + "A" * 16_384),
    proof("JSON serialization", Flaw.MALFORMED, lambda good: json.dumps(dict(zip(("protected", "payload", "signature"), good.split("."), strict=True)))),
    json_claims("nothing", Flaw.MALFORMED, b""),
    json_claims("null", Flaw.MALFORMED, b"null"),
    json_claims("a list", Flaw.MALFORMED, b"[{...}]"),
    json_claims("text", Flaw.MALFORMED, b'"jti"'),
    json_claims("an empty object", Flaw.CLAIMS, b"{}"),
    json_claims("two objects", Flaw.MALFORMED, b"{...}{...}"),
    json_claims("cut short", Flaw.MALFORMED, b"{..."),
    *(json_claims(f"two of {name}", Flaw.MALFORMED, b'{"%s":"x",...}' % name.encode()) for name in ("jti", "htm", "htu", "iat", "ath")),
    json_claims("two of htu, one escaped", Flaw.MALFORMED, b'{"ht\\u0075":"x",...}'),
    json_claims("not UTF-8", Flaw.MALFORMED, b'{...,"x":"\xff"}'),
    json_claims("UTF-16", Flaw.MALFORMED, '{"jti":"a"}'.encode("utf-16")),
    json_claims("a byte order mark", Flaw.MALFORMED, b"\xef\xbb\xbf{...}"),
    json_claims("jti a lone surrogate", Flaw.MALFORMED, b'{"jti":"\\ud800",...}', jti=ABSENT),
    json_claims("nested deeply", Flaw.MALFORMED, b'{...,"x":' + b"[" * 3000 + b"]" * 3000 + b"}"),
    json_claims("a number of 5000 digits", Flaw.MALFORMED, b'{...,"x":' + b"9" * 5000 + b"}"),
    json_claims("white space", "ok", b"\t{ ... }\r\n"),
]

REPLAYS = [
    twice("different proofs", "ok", {}, {}),
    twice("the same jti", Flaw.REPLAYED, {"jti": "same"}, {"jti": "same"}),
    twice("the same jti, another member", Flaw.REPLAYED, {"jti": "member"}, {"jti": "member", "x": 1}),
    twice("the same jti, another token", Flaw.REPLAYED, {"jti": "token"}, {"jti": "token"}, other_token=True),
    twice("the same jti, another header", Flaw.REPLAYED, {"jti": "header"}, {"jti": "header", "header": {"x": 1}}),
    twice("another case of the jti", "ok", {"jti": "case"}, {"jti": "CASE"}),
    twice("another form of the jti", "ok", {"jti": "\u00e9"}, {"jti": "e\u0301"}),
    twice("a jti with a space after", "ok", {"jti": "space"}, {"jti": "space "}),
    twice("a jti that a bad proof had", "ok", {"jti": "bad", "htm": "POST"}, {"jti": "bad"}),
]

BINDINGS = [
    binding("as it should be", "ok"),
    binding("bound to no key", Refusal.NOT_BOUND, cnf=ABSENT),
    binding("bound to another key", Refusal.OTHER_KEY, cnf=OTHER.cnf),
    binding("jkt empty", Refusal.OTHER_KEY, cnf={"jkt": ""}),
    binding("jkt in capitals", Refusal.OTHER_KEY, cnf={"jkt": str(OTHER.cnf["jkt"]).upper()}),
    *(binding(f"cnf is {kind}", Refusal.OTHER_BINDING, cnf=value) for kind, value in ODD.items()),
    binding("cnf empty", Refusal.OTHER_BINDING, cnf={}),
    *(binding(f"jkt is {kind}", Refusal.OTHER_BINDING, cnf={"jkt": value}) for kind, value in NOT_TEXT.items()),
    binding("jkt a number", Refusal.OTHER_BINDING, cnf={"jkt": 1}),
    binding("jkt in a list", Refusal.OTHER_BINDING, cnf=[OTHER.cnf]),
    *(binding(f"cnf of another kind, {name}", Refusal.OTHER_BINDING, cnf={name: value}) for name, value in (("x5t#S256", "x"), ("jwk", OTHER.jwk), ("kid", "x"), ("jku", "https://evil.example.com"), ("JKT", "x"))),
    Case("token: bound to the key and a certificate", Refusal.OTHER_BINDING, lambda client: binding("", "", cnf={**client.prover.cnf, "x5t#S256": "x"}).make(client)),
    Case("token: bound to the key, and the key beside it", Refusal.OTHER_BINDING, lambda client: binding("", "", cnf={**client.prover.cnf, "jwk": client.prover.jwk}).make(client)),
    Case("token: jkt at the top only", Refusal.NOT_BOUND, lambda client: binding("", "", cnf=ABSENT, **client.prover.cnf).make(client)),
    binding("expired", Refusal.EXPIRED, exp=1),
    binding("for another audience", Refusal.AUDIENCE, aud="https://other.example.com"),
    binding("without sub", Refusal.CLAIMS, sub=ABSENT),
    Case("token: without the scope", "insufficient_scope", lambda client: [bound(token := client.token(scope="other"), client.proof(token, b"/api/private-scoped"), b"/api/private-scoped")]),
    Case("token: without the scope, as Bearer", "insufficient_scope", lambda client: [Request((A(b"Bearer " + client.tenant.token(scope="").encode()),), b"/api/private-scoped")], "Bearer"),
]

TARGETS = [
    *(target("ok", path) for path in (b"/api/private?", b"/api/private?x=%ff", b"/api/private-scoped", b"/api/pri%76ate", b"/%61pi/private", b"/api/public")),
    *(target("not_found", path) for path in (b"//api/private", b"/api//private", b"/api/private/", b"/api/private;x", b"/api/./private", b"/api/x/../private", b"/api%2Fprivate", b"/api/Private", b"/api/private%00")),
]

TRANSPORT = [
    presented("as it should be", "ok", BOUND, D(b"<proof>")),
    presented("the proof first", "ok", D(b"<proof>"), BOUND),
    presented("scheme in small letters", "ok", A(b"dpop <token>"), D(b"<proof>")),
    presented("scheme in capitals", "ok", A(b"DPOP <token>"), D(b"<proof>")),
    presented("field in small letters", "ok", BOUND, (b"dpop", b"<proof>")),
    presented("field in capitals", "ok", BOUND, (b"DPOP", b"<proof>")),
    presented("two spaces", "ok", A(b"DPoP  <token>"), D(b"<proof>")),
    presented("no proof", Flaw.MISSING, BOUND),
    *(presented(f"proof in the field {name.decode()}", Flaw.MISSING, BOUND, (name, b"<proof>")) for name in (b"DPoP-Proof", b"X-DPoP", b"DPoP_", b"D-PoP", b"Proof")),
    presented("two proofs", Flaw.SEVERAL, BOUND, D(b"<proof>"), D(b"<next>")),
    presented("one proof twice", Flaw.SEVERAL, BOUND, D(b"<proof>"), D(b"<proof>")),
    presented("an empty proof beside it", Flaw.SEVERAL, BOUND, D(b""), D(b"<proof>")),
    presented("two proofs in one field", Flaw.MALFORMED, BOUND, D(b"<proof>,<next>")),
    presented("a hundred proofs", Flaw.SEVERAL, BOUND, *(D(b"x"),) * 90),
    presented("another key's proof", Refusal.OTHER_KEY, BOUND, D(b"<foreign>")),
    presented("a proof for another token", Flaw.TOKEN, BOUND, D(b"<for unbound>")),
    presented("the token as its proof", Flaw.TYPE, BOUND, D(b"<token>")),
    presented("an ID token as its proof", Flaw.TYPE, BOUND, D(b"<id token>")),
    presented("the proof as the token", Refusal.ALGORITHM, A(b"DPoP <proof>"), D(b"<proof>")),
    presented("an RSA proof as the token", Refusal.TYPE, A(b"DPoP <rsa proof>"), D(b"<proof>")),
    presented("the proof for the token, as Bearer", Refusal.ALGORITHM, A(b"Bearer <proof>"), scheme="Bearer"),
    presented("an ID token with its proof", Refusal.TYPE, A(b"DPoP <id token>"), D(b"<for id token>")),
    presented("an opaque token", Refusal.OPAQUE, A(b"DPoP abc"), D(b"<proof>")),
    presented("an unbound token", Refusal.NOT_BOUND, A(b"DPoP <unbound>"), D(b"<for unbound>")),
    presented("an unbound token without a proof", Refusal.NOT_BOUND, A(b"DPoP <unbound>")),
    presented("a bound token as Bearer", Refusal.SENDER_CONSTRAINED, A(b"Bearer <token>"), scheme="Bearer"),
    presented("a bound token as Bearer, with its proof", Refusal.SENDER_CONSTRAINED, A(b"Bearer <token>"), D(b"<proof>"), scheme="Bearer"),
    presented("an unbound token as Bearer", "ok", A(b"Bearer <unbound>"), scheme="Bearer"),
    presented("an unbound token as Bearer, with a proof", "ok", A(b"Bearer <unbound>"), D(b"<for unbound>"), scheme="Bearer"),
    presented("an unbound token as Bearer, with rubbish for a proof", "ok", A(b"Bearer <unbound>"), D(b"x"), scheme="Bearer"),
    presented("the proof only", "missing_credentials", D(b"<proof>")),
    presented("nothing", "missing_credentials"),
    presented("Basic with a proof", "missing_credentials", A(b"Basic YTpi"), D(b"<proof>")),
    *(presented(f"scheme {scheme.decode()}", "missing_credentials", A(scheme + b" <token>"), D(b"<proof>")) for scheme in (b"DPoPX", b"XDPoP", b"DPo", b"DPoP-Bearer", b"D")),
    presented("scheme alone", "invalid_request", A(b"DPoP"), D(b"<proof>")),
    presented("scheme and spaces", "invalid_request", A(b"DPoP   "), D(b"<proof>")),
    presented("two words", "invalid_request", A(b"DPoP <token> x"), D(b"<proof>")),
    presented("the token twice", "invalid_request", A(b"DPoP <token> <token>"), D(b"<proof>")),
    presented("scheme twice", "invalid_request", A(b"DPoP DPoP <token>"), D(b"<proof>")),
    presented("both schemes", "invalid_request", A(b"DPoP Bearer <token>"), D(b"<proof>")),
    presented("both schemes in one field", "invalid_request", A(b"DPoP <token>, Bearer <unbound>"), D(b"<proof>")),
    presented("a tab for the space", "invalid_request", A(b"DPoP\t<token>"), D(b"<proof>")),
    presented("a tab in the token", "invalid_request", A(b"DPoP <token>\tx"), D(b"<proof>")),
    presented("a colon after the scheme", "invalid_request", A(b"DPoP: <token>"), D(b"<proof>")),
    presented("a comma after the scheme", "invalid_request", A(b"DPoP, <token>"), D(b"<proof>")),
    presented("Bearer and DPoP", "invalid_request", A(b"Bearer <unbound>"), BOUND, D(b"<proof>"), scheme="Bearer"),
    presented("DPoP and Bearer", "invalid_request", BOUND, A(b"Bearer <unbound>"), D(b"<proof>"), scheme="Bearer"),
    presented("DPoP twice", "invalid_request", BOUND, BOUND, D(b"<proof>"), scheme="Bearer"),
    presented("in the query, too", "invalid_request", BOUND, D(b"<proof>"), query=b"?access_token=<token>"),
    presented("in the query, too, escaped", "invalid_request", BOUND, D(b"<proof>"), query=b"?%61ccess%5Ftoken=x"),
    presented("in the query only", "missing_credentials", D(b"<proof>"), query=b"?access_token=<token>"),
    presented("proof in the query", Flaw.MISSING, BOUND, query=b"?DPoP=<proof>"),
    presented("another host asked for", "ok", BOUND, D(b"<proof>"), (b"X-Forwarded-Host", b"evil.example.com")),
    presented("another scheme forwarded", "ok", BOUND, D(b"<proof>"), (b"X-Forwarded-Proto", b"https")),
    presented("another method by override", "ok", BOUND, D(b"<proof>"), (b"X-HTTP-Method-Override", b"POST")),
]

CASES = list(chain(CLAIMS, ATH, METHODS, URIS, HEADERS, KEYS, SIGNATURES, STRUCTURE, REPLAYS, BINDINGS, TARGETS, TRANSPORT))
