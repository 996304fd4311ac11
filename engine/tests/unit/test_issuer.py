"""Fetching an issuer's documents: over real HTTP from a tenant that misbehaves, and what may be configured."""

import contextlib
import gzip
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from resource_server.tokens.issuer import FetchedKeys, Issuer, IssuerError, issuer_url
from tests.tenant import KEYS, METADATA, Answer, Tenant, rsa_key, streamed

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def broken() -> Tenant:
    """A tenant of the test's own, not yet running."""
    return Tenant()


def issuer(tenant: Tenant) -> Issuer:
    return Issuer(tenant.url, ["RS256"])


@pytest.mark.parametrize(
    ("max_age", "lifetime"), [(None, 600), (0, 60), (59, 60), (61, 61), (900, 900), (86_400, 86_400), (10**9, 86_400)]
)
def test_keys_are_kept_as_long_as_the_answer_says_within_bounds(
    broken: Tenant, max_age: int | None, lifetime: float
) -> None:
    broken.max_age = max_age
    with broken.running():
        fetched = issuer(broken).fetch_keys()
    assert fetched.lifetime == lifetime
    assert set(fetched.keys) == {("current", "RS256"), (None, "RS256")}


@pytest.mark.parametrize(
    ("cache_control", "lifetime"),
    [
        ("max-age=120", 120),
        ("public, MAX-AGE=120, must-revalidate", 120),
        ('max-age="120"', 120),
        ("s-maxage=120", 600),
        ("max-age=-120", 600),
        ("max-age=abc", 600),
        ("no-store", 600),
        ("max-age=99999999999999999999", 86_400),
        ("", 600),
    ],
)
def test_cache_control_is_read_as_rfc_9111_says(broken: Tenant, cache_control: str, lifetime: float) -> None:
    documents = {KEYS: broken.key_set, METADATA: broken.metadata}

    def answer(path: str) -> Answer:
        return 200, {**JSON, "Cache-Control": cache_control}, json.dumps(documents[path]()).encode()

    broken.misbehave = answer
    with broken.running():
        assert issuer(broken).fetch_keys().lifetime == lifetime


def test_metadata_is_fetched_once_while_the_key_set_answers_and_anew_after_it_failed(broken: Tenant) -> None:
    with broken.running():
        subject = issuer(broken)
        for _ in range(3):
            subject.fetch_keys()
        assert broken.fetches == {METADATA: 1, KEYS: 3}
        broken.misbehave = lambda _: (500, {}, b"")
        for _ in range(2):
            with pytest.raises(IssuerError):
                subject.fetch_keys()
        broken.misbehave = None
        subject.fetch_keys()
        assert broken.fetches[METADATA] == 3


def at(path: str, *answer: Any) -> Callable[[Tenant], Callable[[str], Answer]]:
    """Answer this at one path, and as it should be at the other."""

    def make(tenant: Tenant) -> Callable[[str], Answer]:
        def misbehave(asked: str) -> Answer:
            if asked != path:
                return tenant.document(asked)
            status, headers, body = (part(tenant) if callable(part) else part for part in answer)
            return status, headers, body

        return misbehave

    return make


def metadata(**changed: object) -> Callable[[Tenant], bytes]:
    return lambda tenant: json.dumps({**tenant.metadata(), **changed}).encode()


FAILURES = {
    "metadata: error": at(METADATA, 500, {}, b"no"),
    "metadata: not found": at(METADATA, 404, JSON, b"{}"),
    "metadata: HTML": at(METADATA, 200, {"Content-Type": "text/html"}, b"<html>Log in</html>"),
    "metadata: a list": at(METADATA, 200, JSON, b"[]"),
    "metadata: nested deeply": at(METADATA, 200, JSON, b"[" * 100_000),
    "metadata: not UTF-8": at(METADATA, 200, JSON, b'{"issuer":"\xff"}'),
    "metadata: truncated": at(METADATA, 200, {**JSON, "Content-Length": "1000"}, b'{"issuer":'),
    "metadata: of another issuer": at(METADATA, 200, JSON, metadata(issuer="https://evil.example.com/")),
    "metadata: of an issuer like it": at(METADATA, 200, JSON, metadata(issuer="http://127.0.0.1")),
    "metadata: without issuer": at(METADATA, 200, JSON, metadata(issuer=None)),
    "metadata: without jwks_uri": at(METADATA, 200, JSON, metadata(jwks_uri=None)),
    "metadata: jwks_uri a list": at(METADATA, 200, JSON, metadata(jwks_uri=[])),
    "metadata: jwks_uri a file": at(METADATA, 200, JSON, metadata(jwks_uri="file:///etc/passwd")),
    "metadata: jwks_uri http elsewhere": at(METADATA, 200, JSON, metadata(jwks_uri="http://evil.example.com/")),
    "metadata: jwks_uri no URL": at(METADATA, 200, JSON, metadata(jwks_uri="https://[::1")),
    "metadata: jwks_uri without a host": at(METADATA, 200, JSON, metadata(jwks_uri="https:///jwks")),
    "metadata: redirects elsewhere": at(METADATA, 302, {"Location": "https://evil.example.com/"}, b""),
    "metadata: redirects to itself": at(METADATA, 302, {"Location": METADATA}, b""),
    "metadata: redirects nowhere": at(METADATA, 302, {"Location": "http://[::1"}, b""),
    "keys: error": at(KEYS, 503, {}, b""),
    "keys: no content": at(KEYS, 204, {}, b""),
    "keys: HTML": at(KEYS, 200, {"Content-Type": "text/html"}, b"<html>"),
    "keys: redirects elsewhere": at(KEYS, 307, {"Location": "http://127.0.0.1:9/"}, b""),
    "keys: redirects to another host's name for this machine": at(KEYS, 302, {"Location": "http://localhost:9/"}, b""),
    "keys: truncated": at(KEYS, 200, {**JSON, "Content-Length": "100000"}, b'{"keys":['),
    "keys: too long": at(KEYS, 200, JSON, b" " * 600_000 + b'{"keys":[]}'),
    "keys: a compression bomb": at(KEYS, 200, {**JSON, "Content-Encoding": "gzip"}, gzip.compress(b" " * 50_000_000)),
    "keys: a bomb in a bomb": at(
        KEYS, 200, {**JSON, "Content-Encoding": "gzip, gzip"}, gzip.compress(gzip.compress(b" " * 50_000_000))
    ),
    "keys: not compressed as said": at(KEYS, 200, {**JSON, "Content-Encoding": "gzip"}, b"{}"),
    "keys: no list": at(KEYS, 200, JSON, b'{"keys":{}}'),
    "keys: no member": at(KEYS, 200, JSON, b"{}"),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_answer_that_is_not_as_it_should_be_is_an_outage(
    broken: Tenant, failure: Callable[[Tenant], Callable[[str], Answer]]
) -> None:
    with broken.running():
        subject = issuer(broken)
        broken.misbehave = failure(broken)
        with pytest.raises(IssuerError) as error:
            subject.fetch_keys()
        assert len(str(error.value)) < 500
        broken.misbehave = None
        assert subject.fetch_keys().keys


@pytest.mark.parametrize("keys", [b'{"keys":[]}', b'{"keys":[{"kty":"oct","k":"AAAA"}]}'])
def test_key_set_without_a_usable_key_is_no_outage_but_logged(
    broken: Tenant, caplog: pytest.LogCaptureFixture, keys: bytes
) -> None:
    with broken.running():
        broken.misbehave = at(KEYS, 200, JSON, keys)(broken)
        assert issuer(broken).fetch_keys().keys == {}
    assert caplog.messages[-1] == f"{broken.url}.well-known/jwks.json holds no key for RS256"


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ("metadata: a list", ": the answer is not a JSON object$"),
        ("keys: too long", ": the answer is too long$"),
        ("keys: a bomb in a bomb", ": the answer is encoded as 'gzip, gzip', which was not asked for$"),
        ("keys: redirects elsewhere", ": the answer redirects to another origin$"),
        ("metadata: redirects to itself", ": the answer redirects again and again$"),
        ("keys: no list", "^http://127.0.0.1:[0-9]+/.well-known/jwks.json is not a JWK set$"),
    ],
)
def test_operator_is_told_what_is_wrong(broken: Tenant, failure: str, message: str) -> None:
    with broken.running():
        broken.misbehave = FAILURES[failure](broken)
        with pytest.raises(IssuerError, match=message):
            issuer(broken).fetch_keys()


@pytest.mark.parametrize(("size", "accepted"), [(512 * 1024, True), (512 * 1024 + 1, False)])
def test_longest_answer_is_bounded(broken: Tenant, size: int, *, accepted: bool) -> None:
    with broken.running():
        keys = json.dumps(broken.key_set()).encode()
        broken.misbehave = at(KEYS, 200, JSON, keys + b" " * (size - len(keys)))(broken)
        if accepted:
            assert issuer(broken).fetch_keys().keys
        else:
            with pytest.raises(IssuerError, match="too long"):
                issuer(broken).fetch_keys()


def test_proxy_of_the_environment_is_not_asked_for_loopback(broken: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/")
    with broken.running():
        assert issuer(broken).fetch_keys().keys


def test_proxy_of_the_environment_is_asked_for_issuers_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}/")
        asked: list[bytes] = []

        def refuse() -> None:
            with proxy.accept()[0] as connection:
                asked.append(connection.recv(1_000).partition(b"\r\n")[0])
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(IssuerError, match="ProxyError"):
            Issuer("https://tenant.example.com/", ["RS256"]).metadata()
        thread.join(10)
    assert asked == [b"CONNECT tenant.example.com:443 HTTP/1.1"]


def test_several_algorithms_are_named_when_no_key_is_for_them(broken: Tenant, caplog: pytest.LogCaptureFixture) -> None:
    with broken.running():
        assert Issuer(broken.url, ["PS256", "ES256"]).fetch_keys().keys == {}
    assert caplog.messages[-1].endswith("holds no key for PS256, ES256")


def test_wrong_issuer_is_told_to_the_operator(broken: Tenant) -> None:
    with broken.running():
        broken.misbehave = at(METADATA, 200, JSON, metadata(issuer="https://tenant.example.com"))(broken)
        with pytest.raises(IssuerError, match=r"\. They must be equal to the character: correct AUTH0_DOMAIN\.$"):
            issuer(broken).metadata()


def test_redirect_within_the_origin_is_followed(broken: Tenant) -> None:
    with broken.running():
        moved: Answer = (302, {"Location": "/moved"}, b"")
        there: Answer = (200, JSON, json.dumps(broken.key_set()).encode())
        broken.misbehave = lambda path: {KEYS: moved, "/moved": there}.get(path) or broken.document(path)
        assert issuer(broken).fetch_keys().keys


def test_nothing_listening_is_an_outage() -> None:
    with pytest.raises(IssuerError, match="ConnectError"):
        Issuer("http://127.0.0.1:9/", ["RS256"]).fetch_keys()


def test_answer_that_never_comes_is_given_up(broken: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource_server.tokens.issuer._TIMEOUT", 0.2)

    def too_late(_: str) -> Answer:
        time.sleep(1)
        return 200, JSON, b"{}"

    broken.misbehave = too_late
    with broken.running(), pytest.raises(IssuerError, match="ReadTimeout"):
        issuer(broken).fetch_keys()


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 "],
    ids=["body", "header", "early hints"],
)
def test_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr("resource_server.tokens.issuer._DEADLINE", 0.3)
    over = threading.Event()

    def drip(listener: socket.socket) -> None:
        with listener.accept()[0] as connection, contextlib.suppress(OSError):
            connection.sendall(head)
            while not over.wait(0.05):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        with pytest.raises(IssuerError, match="TimeoutError"):
            Issuer(f"http://127.0.0.1:{listener.getsockname()[1]}/", ["RS256"]).metadata()
        for each in threading.enumerate():
            if each.name == "issuer-request":
                each.join(10)
                assert not each.is_alive()
        assert not over.is_set()
        over.set()
        thread.join(10)


def test_resolver_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource_server.tokens.issuer._DEADLINE", 0.2)
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(5))
    with pytest.raises(IssuerError, match="Timeout"):
        Issuer("https://tenant.example.com/", ["RS256"]).metadata()
    assert not over.is_set()
    over.set()


def test_redirect_to_another_origin_that_answers_is_not_followed(broken: Tenant) -> None:
    with broken.running(), Tenant().running() as other:
        other.url = broken.url  # it would even claim to be the right one
        elsewhere = f"http://127.0.0.1:{other.port}{METADATA}"
        broken.misbehave = lambda _: (302, {"Location": elsewhere}, b"")
        with pytest.raises(IssuerError, match="redirects to another origin"):
            issuer(broken).metadata()
        assert not other.fetches


@pytest.mark.parametrize(
    ("url", "jwks_uri", "fetched"),
    [
        ("https://tenant.example.com/", "https://keys.example.net/jwks", True),
        ("https://tenant.example.com/", "http://tenant.example.com/jwks", False),
        ("https://tenant.example.com/", "http://127.0.0.1/jwks", False),
        ("https://tenant.example.com/", "https://127.0.0.1:8443/jwks", False),
        ("https://tenant.example.com/", "https://user:password@keys.example.net/jwks", False),
        ("https://tenant.example.com/", "https://keys.example.net:port/jwks", False),
        ("http://127.0.0.1:9000/", "http://127.0.0.1:9001/jwks", True),
        ("http://127.0.0.1:9000/", "http://tenant.example.com/jwks", False),
    ],
)
def test_key_set_may_be_elsewhere_but_http_is_for_loopback_only(url: str, jwks_uri: str, *, fetched: bool) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        key_set = {"keys": [rsa_key("current").as_dict(private=False)]}
        document = key_set if str(request.url) == jwks_uri else {"issuer": url, "jwks_uri": jwks_uri}
        return streamed(200, JSON, json.dumps(document).encode())

    subject = Issuer(url, ["RS256"], transport=httpx.MockTransport(answer))
    if fetched:
        assert subject.fetch_keys().keys
    else:
        with pytest.raises(IssuerError, match="names no https jwks_uri"):
            subject.fetch_keys()
    assert (jwks_uri in asked) is fetched


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://tenant.example.com/", "https://tenant.example.com/.well-known/openid-configuration"),
        ("https://tenant.example.com", "https://tenant.example.com/.well-known/openid-configuration"),
        ("https://idp.example.com/realms/X", "https://idp.example.com/realms/X/.well-known/openid-configuration"),
    ],
)
def test_metadata_is_where_openid_connect_says(url: str, location: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return streamed(200 if request.url == location else 404, JSON, json.dumps({"issuer": url}).encode())

    assert Issuer(url, ["RS256"], transport=httpx.MockTransport(answer)).metadata() == {"issuer": url}


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({}, ("https://tenant.example.com/authorize", "https://tenant.example.com/oauth/token")),
        (
            {"authorization_endpoint": "https://login.example.net/a", "token_endpoint": "https://t.example.net/t"},
            ("https://login.example.net/a", "https://t.example.net/t"),
        ),
        (
            {"authorization_endpoint": "javascript:alert(1)", "token_endpoint": "https://t.example.net/t"},
            ("https://tenant.example.com/authorize", "https://t.example.net/t"),
        ),
        (
            {"authorization_endpoint": "https://login.example.net/a", "token_endpoint": "https://t.example.net;x/t"},
            ("https://login.example.net/a", "https://tenant.example.com/oauth/token"),
        ),
        (
            {"authorization_endpoint": "http://login.example.net/a", "token_endpoint": 5},
            ("https://tenant.example.com/authorize", "https://tenant.example.com/oauth/token"),
        ),
    ],
)
@pytest.mark.parametrize("url", ["https://tenant.example.com/", "https://tenant.example.com"])
def test_endpoints_are_the_metadatas_where_they_can_be_used(
    url: str, named: dict[str, Any], expected: tuple[str, str]
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept"] == "application/json, application/jwk-set+json"
        assert request.headers["user-agent"] == "resource-server"
        assert request.headers["accept-encoding"] == "identity"
        return streamed(200, JSON, json.dumps({"issuer": url, **named}).encode())

    assert Issuer(url, ["RS256"], transport=httpx.MockTransport(answer)).endpoints() == expected


def test_usual_endpoints_are_below_the_issuers_path() -> None:
    assert Issuer("https://idp.example.com/X", ["RS256"]).usual_endpoints() == (
        "https://idp.example.com/X/authorize",
        "https://idp.example.com/X/oauth/token",
    )


@pytest.mark.parametrize("domain", ["tenant.eu.auth0.com", "https://tenant.eu.auth0.com/"])
def test_domain_and_issuer_url_mean_the_same_tenant(domain: str) -> None:
    assert issuer_url(domain) == "https://tenant.eu.auth0.com/"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Date": "Sun, 06 Nov 1994 08:49:37 GMT"}, 784_111_777),
        ({"Date": "Sun, 06 Nov 1994 08:49:37 GMT", "Age": "60"}, 784_111_837),
        ({"Date": "Sun, 06 Nov 1994 08:49:37 GMT", "Age": "soon"}, 784_111_777),
        ({"Date": "today"}, None),
        ({}, None),
    ],
)
def test_issuers_clock_is_what_its_answer_says(headers: dict[str, str], expected: float | None) -> None:
    transport = httpx.MockTransport(lambda _: streamed(200, headers, b"{}"))
    assert Issuer("https://tenant.example.com/", ["RS256"], transport=transport).clock() == expected


def served(broken: Tenant, headers: dict[str, str], body: bytes | None = None, status: int = 200) -> FetchedKeys:
    """The keys of an answer."""
    keys = json.dumps(broken.key_set()).encode()
    with broken.running():
        broken.misbehave = at(KEYS, status, {**JSON, **headers}, keys if body is None else body)(broken)
        return issuer(broken).fetch_keys()


@pytest.mark.parametrize("encoding", ["", "identity", "Identity", " IDENTITY "])
def test_answer_that_is_not_encoded_may_say_so(broken: Tenant, encoding: str) -> None:
    assert served(broken, {"Content-Encoding": encoding}).keys


@pytest.mark.parametrize("encoding", ["gzip", "GZip", "x-gzip"])
def test_answer_may_be_encoded_although_nobody_has_asked_for_it(broken: Tenant, encoding: str) -> None:
    body = gzip.compress(json.dumps(broken.key_set()).encode())
    assert served(broken, {"Content-Encoding": encoding}, body).keys
    with pytest.raises(IssuerError, match="it ends too early"):
        served(broken, {"Content-Encoding": encoding}, body[:-12])


@pytest.mark.parametrize("media_type", ["application/jwk-set+json", "application/octet-stream"])
def test_key_set_may_be_of_any_media_type(broken: Tenant, media_type: str) -> None:
    assert served(broken, {"Content-Type": media_type}).keys


@pytest.mark.parametrize(
    ("age", "lifetime"), [("0", 900), ("100", 800), ("880", 60), ("9999", 60), ("-5", 900), ("x", 900), ("9" * 50, 900)]
)
def test_what_a_cache_has_held_is_kept_for_the_rest_of_its_lifetime(broken: Tenant, age: str, lifetime: int) -> None:
    assert served(broken, {"Cache-Control": "max-age=900", "Age": age}).lifetime == lifetime


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("said", ["120", "date"])
def test_issuer_says_for_how_long_it_wants_to_be_left_alone(broken: Tenant, status: int, said: str) -> None:
    value = formatdate(time.time() + 120, usegmt=True) if said == "date" else said
    with pytest.raises(IssuerError) as raised:
        served(broken, {"Retry-After": value}, b"", status)
    assert raised.value.retry_after is not None
    assert 118 < raised.value.retry_after <= 121


@pytest.mark.parametrize("said", ["", "soon", "-1", "1.5", "Mon, 99 Foo"])
def test_what_it_says_otherwise_is_nothing(broken: Tenant, said: str) -> None:
    with pytest.raises(IssuerError) as raised:
        served(broken, {"Retry-After": said}, b"", 503)
    assert raised.value.retry_after is None


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("SSL_CERT_FILE", "/nowhere.pem", "No such file or directory"),
        ("SSL_CERT_FILE", __file__, "SSL"),
        ("ALL_PROXY", "socks5://127.0.0.1:9", "SOCKS"),
        ("HTTPS_PROXY", "nonsense://127.0.0.1:9", "nonsense"),
        ("HTTPS_PROXY", "http://[::1", "Invalid port"),
    ],
)
def test_environment_that_is_no_good_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(IssuerError, match=says):
        Issuer("https://tenant.example.com/", ["RS256"]).metadata()


@pytest.mark.parametrize("known", [True, False])
def test_authority_of_ones_own_is_trusted_for_this_machine_too(
    broken: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    certificate = self_signed(tmp_path)
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with broken.running(context):
        if known:
            assert issuer(broken).fetch_keys().keys
        else:
            with pytest.raises(IssuerError, match="CERTIFICATE_VERIFY_FAILED"):
                issuer(broken).fetch_keys()


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(tz=UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    signed = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (path := folder / "certificate.pem").write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


def test_transport_for_tests_may_answer_as_a_whole() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        keys = {"keys": [rsa_key("k").as_dict(private=False)]}
        named = {"issuer": "https://t.example.com/", "jwks_uri": "https://t.example.com/keys"}
        return httpx.Response(200, json=keys if request.url.path == "/keys" else named)

    subject = Issuer("https://t.example.com/", ["RS256"], transport=httpx.MockTransport(answer))
    assert ("k", "RS256") in subject.fetch_keys().keys
