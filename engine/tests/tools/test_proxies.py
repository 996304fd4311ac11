"""A proxy that is set as the guide says: what a client writes into the fields of proxies is nobody's word."""

import os
import re
import shutil
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import httpx
import pytest

from resource_server.tokens.errors import Refusal
from tests.certificates import Certificate
from tests.processes import DOCS, Running, api, running
from tests.serving import free_port, listens, wait_until
from tests.tenant import AUDIENCE, Tenant

CONFIGURATION = """
daemon off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{ listen 127.0.0.1:{port}{tls}; location / {{ proxy_pass http://127.0.0.1:{behind}; {fields} }} }}
}}
"""


HEADER = "X-Client-Certificate"


@pytest.fixture
def served(tenant: Tenant, tmp_path: Path) -> Iterator[tuple[str, Running]]:
    """The API behind nginx: where it is, and the process that serves it."""
    fields, _ = guide()
    with behind_nginx(tenant, tmp_path, fields) as (port, process):
        wait_until(lambda: answers(f"http://127.0.0.1:{port}"))
        yield f"http://127.0.0.1:{port}", process


@pytest.fixture
def served_with_tls(tenant: Tenant, tmp_path: Path) -> Iterator[tuple[str, Path, Running]]:
    """The API behind nginx, which asks for client certificates: its URL, its own certificate and the API's process."""
    certificate, key = Certificate("localhost").write(tmp_path, "server")
    tls = f" ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_verify_client optional_no_ca"
    environ = {"CLIENT_CERTIFICATE_HEADER": HEADER}
    with behind_nginx(tenant, tmp_path, "".join(guide()), tls, environ) as (port, process):
        wait_until(lambda: listens(port))
        yield f"https://localhost:{port}", certificate, process


def guide() -> list[str]:
    """What the guide has nginx set: the fields that are always believed, and the certificate."""
    return re.findall(r"(?s)```nginx\n(.*?)```", (DOCS / "deploy.md").read_text())


@contextmanager
def behind_nginx(
    tenant: Tenant, folder: Path, fields: str, tls: str = "", more: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[int, Running]]:
    if not shutil.which("nginx"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("this needs the Debian package nginx-light")
    port, behind = free_port(), free_port()
    fields = fields.replace("3010", str(behind))
    configuration = CONFIGURATION.format(folder=folder, port=port, behind=behind, fields=fields, tls=tls)
    (folder / "nginx.conf").write_text(configuration)
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "PORT": str(behind), "LOG_FORMAT": "text"}
    with (
        running(api("serve"), {**environ, "TRUSTED_PROXIES": "127.0.0.0/8", **more}) as process,
        running(["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]),
    ):
        process.wait_for("Serving on")
        wait_until(lambda: answers(f"http://127.0.0.1:{behind}"))
        yield port, process


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_what_a_client_writes_is_not_believed(served: tuple[str, Running]) -> None:
    url, process = served
    forged = {
        "X-Forwarded-For": "10.9.8.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example.com",
        "X-Forwarded-Prefix": "/evil",
        "X_Forwarded_Prefix": "/evil",
        "X-Request-Id": "chosen",
    }
    contract = httpx.get(f"{url}/openapi.json", headers=forged, trust_env=False)
    assert contract.headers["x-request-id"] != "chosen"
    assert "evil" not in contract.text
    assert httpx.get(url, headers=forged, trust_env=False).headers["location"] == "/ui/"
    assert httpx.get(f"{url}/api/public", headers=forged, trust_env=False).status_code == 200
    line = process.wait_for(r".*request_id=([0-9a-f]{32}) client=(\S+) .*path=/api/public .*")
    assert line[2] == "127.0.0.1"


def test_bound_token_needs_the_certificate_of_the_connection(
    served_with_tls: tuple[str, Path, Running], tenant: Tenant, tmp_path: Path
) -> None:
    url, authority, process = served_with_tls
    own, other = Certificate(), Certificate()
    bound, unbound = tenant.token(cnf=own.cnf), tenant.token()
    written = {each: each.write(tmp_path, f"client{number}") for number, each in enumerate((own, other))}

    def ask(certificate: Certificate | None, token: str, headers: Mapping[str, str] = MappingProxyType({})) -> str:
        context = ssl.create_default_context(cafile=authority)
        if certificate:
            context.load_cert_chain(*written[certificate])
        given = {"Authorization": f"Bearer {token}", **headers}
        with httpx.Client(verify=context, trust_env=False) as client:
            answer = client.get(f"{url}/api/private-scoped", headers=given)
        assert answer.status_code == (401 if "detail" in answer.json() else 200), answer.text
        return str(answer.json().get("detail", ""))

    forged = [{name: own.nginx} for name in (HEADER, HEADER.lower(), HEADER.replace("-", "_"))]
    for _ in range(2):  # the second time the token is remembered
        assert ask(own, bound) == ""
        assert ask(other, bound) == Refusal.OTHER_CERTIFICATE
        assert ask(None, bound) == Refusal.NO_CERTIFICATE
        assert ask(None, unbound) == ask(own, unbound) == ""
        for headers in forged:
            assert ask(other, bound, headers) == Refusal.OTHER_CERTIFICATE
            assert ask(None, bound, headers) == Refusal.NO_CERTIFICATE
            assert ask(own, bound, dict.fromkeys(headers, other.nginx)) == ""
    assert own.nginx[40:80] not in process.output
