"""A proxy that is set as the guide says: what a client writes into the fields of proxies is nobody's word."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.processes import DOCS, Running, api, running
from tests.serving import free_port, wait_until
from tests.tenant import AUDIENCE, Tenant

CONFIGURATION = """
daemon off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{behind}; {fields} }} }}
}}
"""


@pytest.fixture
def served(tenant: Tenant, tmp_path: Path) -> Iterator[tuple[str, Running]]:
    """The API behind nginx: where it is, and the process that serves it."""
    if not shutil.which("nginx"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("this needs the Debian package nginx-light")
    (fields,) = re.findall(r"(?s)```nginx\n(.*?)```", (DOCS / "deploy.md").read_text())
    port, behind = free_port(), free_port()
    (tmp_path / "nginx.conf").write_text(
        CONFIGURATION.format(folder=tmp_path, port=port, behind=behind, fields=fields.replace("3010", str(behind)))
    )
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "PORT": str(behind), "LOG_FORMAT": "text"}
    url = f"http://127.0.0.1:{port}"
    with (
        running(api("serve"), {**environ, "TRUSTED_PROXIES": "127.0.0.0/8"}) as process,
        running(["nginx", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)]),
    ):
        process.wait_for("Serving on")
        wait_until(lambda: answers(url))
        yield url, process


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
