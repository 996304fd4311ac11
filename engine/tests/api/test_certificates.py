"""Certificate-bound tokens over a socket (RFC 8705, section 3), where the test is the proxy, or only says so."""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.middleware.proxy_fix import ProxyFix

from resource_server import Auth0JWTBearerTokenValidator, MutualTLS
from resource_server.doctor.configuration import configuration_findings
from resource_server.flask import ResourceProtector
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from resource_server.tokens.errors import Refusal
from tests.certificates import Certificate
from tests.proofs import Prover
from tests.sample import FACTORY, create_app
from tests.serving import free_port, raw_request
from tests.tenant import AUDIENCE, Tenant

HEADER, PATH = "X-Client-Certificate", b"/api/private-scoped"
OWN, OTHER = Certificate(), Certificate()
NONE, BAD, WRONG = Refusal.NO_CERTIFICATE, Refusal.BAD_CERTIFICATE, Refusal.OTHER_CERTIFICATE
HERE, ELSEWHERE = (tuple(map(ipaddress.ip_network, each)) for each in (["127.0.0.0/8"], ["10.0.0.0/8", "::1"]))

Fields = list[tuple[str, str]]


@contextmanager
def serving(tenant: Tenant, **changed: Any) -> Iterator[str]:
    options = {"trusted_proxies": HERE, "client_certificate_header": HEADER, **changed}
    port = free_port()
    settings = Settings(issuers=(tenant.url,), audience=AUDIENCE, port=port, **options)
    with in_background(create_app(settings), port) as url:
        yield url


@pytest.fixture(scope="module")
def url(tenant: Tenant) -> Iterator[str]:
    with serving(tenant) as url:
        yield url


def answer(url: str, token: str, fields: Fields = [], scheme: str = "Bearer") -> tuple[int, str, str]:  # noqa: B006
    """Status, detail and challenge."""
    headers = [("Authorization", f"{scheme} {token}"), *fields]
    response = raw_request(url, PATH, [(name.encode(), value.encode("latin-1")) for name, value in headers])
    detail = httpx.Response(200, content=response.body).json().get("detail", "")
    return response.status, detail, response.headers.get("www-authenticate", "")


def refused(refusal: Refusal) -> tuple[int, str, str]:
    return 401, refusal, f'Bearer error="invalid_token", error_description="{refusal}"'


GOOD = (200, "", "")


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ([(HEADER, OWN.nginx)], None),
        ([(HEADER, OWN.alb)], None),
        ([(HEADER.lower(), OWN.nginx)], None),
        ([(HEADER, OWN.nginx), ("X-Forwarded-For", "9.9.9.9")], None),  # believed of the peer, who isn't the client
        ([(HEADER, OWN.nginx), ("X-Forwarded-For", "127.0.0.1")], None),
        ([], NONE),
        ([(HEADER, "")], NONE),
        ([(HEADER, OTHER.nginx)], WRONG),
        ([(HEADER, "x")], BAD),
        ([(HEADER, "\xff")], BAD),
        ([(HEADER, OWN.nginx), (HEADER, OWN.nginx)], BAD),
        ([(HEADER, OTHER.nginx), (HEADER.lower(), OWN.nginx)], BAD),
        ([(HEADER, "x" * 20_000)], BAD),
        ([("X_Client_Certificate", OWN.nginx)], NONE),
        ([("Client-Cert", OWN.rfc9440)], NONE),
        ([("X-Forwarded-Client-Cert", OWN.envoy)], NONE),
        ([(HEADER, OTHER.nginx), ("X_Client_Certificate", OWN.nginx)], WRONG),
    ],
)
def test_bound_token_needs_its_certificate(url: str, tenant: Tenant, fields: Fields, refusal: Refusal | None) -> None:
    token = tenant.token(cnf=OWN.cnf)
    for _ in range(2):  # the second time it is remembered
        found = answer(url, token, fields)
        assert found == (refused(refusal) if refusal else GOOD)
        assert OWN.thumbprint not in "".join(map(str, found))


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Forwarded-Client-Cert", OWN.envoy),
        ("Client-Cert", OWN.rfc9440),
        ("X-Amzn-Mtls-Clientcert", OWN.alb + OTHER.alb),
        ("X-Amzn-Mtls-Clientcert-Leaf", OWN.alb),
    ],
)
def test_name_of_the_field_says_its_form(tenant: Tenant, header: str, value: str) -> None:
    with serving(tenant, client_certificate_header=header) as url:
        assert answer(url, tenant.token(cnf=OWN.cnf), [(header, value)]) == GOOD
        assert answer(url, tenant.token(cnf=OTHER.cnf), [(header, value)]) == refused(WRONG)
        assert answer(url, tenant.token(cnf=OWN.cnf), [(header, value), (header, value)]) == refused(BAD)


def test_unbound_token_is_taken_with_any_certificate_or_none(url: str, tenant: Tenant) -> None:
    for fields in ([], [(HEADER, OWN.nginx)], [(HEADER, "x")], [(HEADER, "x"), (HEADER, "y")]):
        assert answer(url, tenant.token(), fields) == GOOD


@pytest.mark.parametrize(
    "more",
    [
        [],
        [("X-Forwarded-For", "10.0.0.1")],
        [("Forwarded", "for=10.0.0.1")],
        [("X-Forwarded-For", "10.0.0.1"), ("X-Real-IP", "10.0.0.1"), ("X-Forwarded-Proto", "https")],
    ],
)
def test_field_counts_for_nothing_from_anybody_else(tenant: Tenant, more: Fields) -> None:
    with serving(tenant, trusted_proxies=ELSEWHERE) as url:
        assert answer(url, tenant.token(cnf=OWN.cnf), [(HEADER, OWN.nginx), *more]) == refused(NONE)
        assert answer(url, tenant.token(), [(HEADER, OWN.nginx), *more]) == GOOD


@pytest.mark.parametrize("off", [{"client_certificate_header": None}, {"mtls": "disabled"}])
def test_bound_token_is_refused_where_certificates_are_not_looked_at(tenant: Tenant, off: Any) -> None:
    with serving(tenant, **off) as url:
        found = answer(url, tenant.token(cnf=OWN.cnf), [(HEADER, OWN.nginx)])
    assert found == refused(Refusal.SENDER_CONSTRAINED)


def test_every_token_has_to_be_bound_where_that_is_required(tenant: Tenant) -> None:
    with serving(tenant, mtls="required") as url:
        assert answer(url, tenant.token(cnf=OWN.cnf), [(HEADER, OWN.nginx)]) == GOOD
        assert answer(url, tenant.token(), [(HEADER, OWN.nginx)]) == refused(Refusal.NO_CERTIFICATE_BINDING)
        assert httpx.get(f"{url}/api/public", trust_env=False).status_code == 200


def test_token_that_is_bound_to_both_needs_both(tenant: Tenant) -> None:
    prover, port = Prover(), free_port()
    token = tenant.token(cnf={**prover.cnf, **OWN.cnf})
    with serving(tenant, public_url=f"http://127.0.0.1:{port}") as url:

        def status(fields: Fields, **changed: str) -> int:
            proof = prover.headers(f"http://127.0.0.1:{port}{PATH.decode()}", token)["DPoP"]
            return answer(url, token, [("DPoP", proof), *fields], **{"scheme": "DPoP", **changed})[0]

        assert status([(HEADER, OWN.nginx)]) == 200
        assert status([(HEADER, OTHER.nginx)]) == 401
        assert status([]) == 401
        assert status([(HEADER, OWN.nginx)], scheme="Bearer") == 401
        assert answer(url, token, [(HEADER, OWN.nginx)], "DPoP")[0] == 401


@pytest.mark.parametrize("on", [True, False])
def test_metadata_says_whether_bound_tokens_are_taken(tenant: Tenant, *, on: bool) -> None:
    with serving(tenant, public_url="https://api.example.com", mtls=None if on else "disabled") as url:
        metadata = httpx.get(f"{url}/.well-known/oauth-protected-resource", trust_env=False).json()
    assert metadata.get("tls_client_certificate_bound_access_tokens", False) is on


def test_certificate_is_not_logged(tenant: Tenant, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(0), serving(tenant) as url:
        for value in (OWN.nginx, OTHER.nginx, OWN.nginx[:-9]):
            answer(url, tenant.token(cnf=OWN.cnf), [(HEADER, value)])
    said = str([vars(record) for record in caplog.records])
    assert "/api/private-scoped" in said
    assert OWN.nginx[40:80] not in said
    assert OTHER.nginx[40:80] not in said


def test_doctor_says_what_is_taken(tenant: Tenant) -> None:
    def found(**settings: Any) -> list[str]:
        given = Settings(issuers=(tenant.url,), audience=AUDIENCE, trusted_proxies=HERE, **settings)
        findings = configuration_findings(FACTORY, given, 0)
        return [f"{each.found}: {each.meaning}" for each in findings if each.check == "certificates"]

    assert found() == []
    (allowed,), (required,) = (
        found(client_certificate_header=HEADER),
        found(client_certificate_header=HEADER, mtls="required"),
    )
    assert allowed.startswith("in X-Client-Certificate: Tokens that are bound to a client certificate are taken")
    assert "certificate are required" in required


# A Flask app of somebody's own, whose WSGI server says who has sent a request.


@pytest.fixture
def app(tenant: Tenant) -> Flask:
    mtls = MutualTLS(HEADER, ["10.0.0.0/8"])
    require_auth = ResourceProtector(Auth0JWTBearerTokenValidator(tenant.url, AUDIENCE, mtls=mtls), "https://a.example")
    app = Flask(__name__)
    app.add_url_rule("/", view_func=require_auth("read:messages")(lambda: {"detail": ""}), endpoint="root")
    require_auth.init_app(app)
    return app


def asked(client: FlaskClient, token: str, peer: str, headers: dict[str, str]) -> str:
    given = {"Authorization": f"Bearer {token}", **headers}
    response = client.get("/", headers=given, environ_base={"REMOTE_ADDR": peer})
    detail = str((response.json or {})["detail"])
    assert response.status_code == (401 if detail else 200)
    return detail


def test_flask_believes_its_proxies_only(app: Flask, tenant: Tenant) -> None:
    client, token = app.test_client(), tenant.token(cnf=OWN.cnf)
    assert asked(client, token, "10.0.0.1", {HEADER: OWN.nginx}) == ""
    assert asked(client, token, "10.0.0.1", {HEADER: OTHER.nginx}) == WRONG
    assert asked(client, token, "10.0.0.1", {HEADER: f"{OWN.nginx},{OWN.nginx}"}) == BAD
    assert asked(client, token, "10.0.0.1", {}) == NONE
    for peer in ("11.0.0.1", "127.0.0.1", "", "unix:", "::1", "10.0.0.1 "):  # a Unix socket has no address
        assert asked(client, token, peer, {HEADER: OWN.nginx}) == NONE
        assert asked(client, tenant.token(), peer, {HEADER: OWN.nginx}) == ""


def test_flask_is_not_deceived_by_whom_a_client_claims_to_be(app: Flask, tenant: Tenant) -> None:
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)  # type: ignore[method-assign]
    client, token = app.test_client(), tenant.token(cnf=OWN.cnf)
    fields = {HEADER: OWN.nginx, "X-Forwarded-For": "10.0.0.1"}
    assert asked(client, token, "9.9.9.9", fields) == NONE
    assert asked(client, token, "10.0.0.1", {**fields, "X-Forwarded-For": "9.9.9.9"}) == ""


def test_flask_has_metadata_that_say_it(app: Flask) -> None:
    metadata = app.test_client().get("/.well-known/oauth-protected-resource").json
    assert metadata
    assert metadata["tls_client_certificate_bound_access_tokens"] is True
