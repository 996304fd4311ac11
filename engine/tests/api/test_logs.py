"""A line for each request: what an operator asks for, nothing of a token, and nothing that a client could forge."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resource_server.serving.background import in_background
from resource_server.serving.exchange import BUSY
from resource_server.serving.logs import REQUESTS, JsonLines, TextLines, log_request, logging_config
from resource_server.settings import Settings
from tests.sample import create_app
from tests.serving import raw_request
from tests.tenant import AUDIENCE, Tenant


class Kept(logging.Handler):
    """Keeps the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []
        self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """The lines of requests."""
    kept, logger = Kept(), logging.getLogger(REQUESTS)
    logger.addHandler(kept)
    logger.setLevel(logging.INFO)
    yield kept.lines
    logger.removeHandler(kept)
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def served(tenant: Tenant) -> Iterator[str]:
    trusted = (ip_network("127.0.0.0/8"),)
    with in_background(create_app(Settings(issuers=(tenant.url,), audience=AUDIENCE, trusted_proxies=trusted))) as url:
        yield url


FACTS = ("method", "path", "operation", "status", "subject", "client_id", "code", "cause")


@pytest.mark.parametrize(
    ("path", "claims", "facts"),
    [
        ("/api/public", None, ("GET", "/api/public", "api.handlers.public", 200, None, None, None, None)),
        (
            "/api/private?access=1",
            {},
            ("GET", "/api/private", "api.handlers.private", 200, "auth0|ada", "client", None, None),
        ),
        (
            "/api/private",
            {"aud": "other"},
            ("GET", "/api/private", "api.handlers.private", 401, None, None, "invalid_token", "audience"),
        ),
        (
            "/api/private-scoped",
            {"scope": ""},
            ("GET", "/api/private-scoped", "api.handlers.private_scoped", 403, None, None, "insufficient_scope", None),
        ),
        ("/nowhere", None, ("GET", "/nowhere", None, 404, None, None, "not_found", None)),
    ],
)
def test_line_says_what_an_operator_asks_for(  # noqa: PLR0917  # fixtures
    served: str,
    tenant: Tenant,
    lines: list[dict[str, Any]],
    path: str,
    claims: dict[str, Any] | None,
    facts: tuple[Any, ...],
) -> None:
    headers = {} if claims is None else {"Authorization": f"Bearer {tenant.token(**claims)}"}
    answer = httpx.get(served + path, headers=headers, trust_env=False)
    (line,) = lines
    assert tuple(line.get(name) for name in FACTS) == facts
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["milliseconds"] > 0
    assert line["client"] == "127.0.0.1"
    assert "eyJ" not in json.dumps(lines)


def test_health_is_not_logged(served: str, lines: list[dict[str, Any]]) -> None:
    for path in ("/healthz", "/readyz"):
        httpx.get(served + path, trust_env=False)
    assert lines == []


@pytest.mark.parametrize(
    ("brought", "taken"),
    [(b"abc-123", True), (b"a" * 128, True), (b"a" * 129, False), (b"", False), (b"a\xe9", False), (b"a\tb", False)],
)
def test_id_of_a_trusted_proxy_is_taken_over_if_it_is_one(
    served: str, lines: list[dict[str, Any]], brought: bytes, *, taken: bool
) -> None:
    answer = raw_request(served, b"/api/public", [(b"X-Request-Id", brought)])
    assert (answer.headers["x-request-id"] == brought.decode("latin-1")) is taken
    assert lines[0]["request_id"] == answer.headers["x-request-id"]


def test_id_and_address_of_anybody_else_are_not_believed(url: str) -> None:
    answer = raw_request(url, b"/api/public", [(b"X-Request-Id", b"forged"), (b"X-Forwarded-For", b"1.2.3.4")])
    assert answer.headers["x-request-id"] != "forged"


def test_address_is_the_one_that_the_proxy_names(served: str, lines: list[dict[str, Any]]) -> None:
    raw_request(served, b"/api/public", [(b"X-Forwarded-For", b"6.6.6.6, 192.0.2.1")])
    assert lines[0]["client"] == "192.0.2.1"


RECORD = {"request_id": "1", "client": None, "method": "GET", "path": "/", "status": 200, "seconds": 0.1}


@given(st.text(), st.sampled_from([JsonLines(), TextLines()]))
def test_nothing_that_a_client_sends_makes_a_line_of_its_own(text: str, formatter: logging.Formatter) -> None:
    kept: list[str] = []
    handler, logger = Kept(), logging.getLogger(REQUESTS)
    handler.emit = lambda record: kept.append(formatter.format(record))  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        log_request({**RECORD, "path": text, "subject": text, "request_id": text})
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    (line,) = kept
    assert line.isascii()
    assert line.isprintable()
    if isinstance(formatter, JsonLines):
        assert json.loads(line)["subject"] == text
    elif " status=" not in text:
        assert line.count(" status=") == 1


def test_failure_is_logged_with_its_traceback_in_one_line_of_json() -> None:
    try:
        raise ValueError("a\nb")  # noqa: TRY301  # it is what is logged
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed %s", ("\n",), sys.exc_info())
    line = JsonLines().format(record)
    assert line.isprintable()
    assert "ValueError" in json.loads(line)["exception"]
    assert TextLines().format(record).splitlines()[0].endswith('"failed \\n"')


def test_lines_of_requests_can_be_left_out() -> None:
    assert logging_config("json", requests=False)["loggers"][REQUESTS]["level"] == "WARNING"


@pytest.mark.parametrize("path", ["/x/{}", "/{}/y", "/x%2F{}", "/x;{}"])
def test_token_in_a_path_is_not_logged(served: str, lines: list[dict[str, Any]], tenant: Tenant, path: str) -> None:
    token = tenant.token()
    httpx.get(served + path.format(token))
    httpx.get(served + path.format(token[:60]))
    assert len(lines) == 2
    assert not [line for line in lines for part in token.split(".") if part[3:30] in json.dumps(line)]
    assert all("eyJ" in line["path"] for line in lines)


def test_refusals_for_want_of_room_have_a_line_each_second(lines: list[dict[str, Any]]) -> None:
    record = {"path": "/x", "seconds": 0.0, "status": 503, "cause": BUSY}
    for _ in range(50):
        log_request(dict(record))
    assert len(lines) <= 1
    with patch("resource_server.serving.logs.time.monotonic", lambda: time.time() + 10**9):
        log_request(dict(record))
    assert (lines[-1]["others"], lines[-1]["cause"]) == (49 if len(lines) == 2 else 50, BUSY)
    log_request({**record, "cause": None})
    assert lines[-1]["cause"] is None
