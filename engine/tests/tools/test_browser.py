"""A person in a browser reads the contract in Swagger UI, logs in, executes; a page of another origin calls the API.

Headless Chromium, driven by Playwright. The screenshots are kept in `artifacts/`.
"""

import http.server
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from resource_server.developing.issuer import DevelopmentIssuer, serve_in_background
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.api.test_outcomes import PRIVATE, PUBLIC, SCOPED
from tests.nodepeers import node
from tests.processes import ENGINE
from tests.sample import SPECIFICATION, create_app
from tests.tenant import AUDIENCE

CHROMIUM = Path("/usr/bin/chromium")
ARTIFACTS = ENGINE / "artifacts"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("this test needs a browser: install Debian's package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a fresh profile, of which the browser has nothing to complain: no violated policy, no failed script."""
    context = browser.new_context()
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        # A refused request is reported as well; what it was refused with is tested.
        if message.type == "error" and "the server responded with a status of" not in message.text:
            complaints.append(message.text)

    context.on("console", listen)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    page = context.new_page()
    page.set_default_timeout(15_000)
    yield page
    context.close()
    assert complaints == []


@contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with listening() as (listener, url):
        serve_in_background(listener, DevelopmentIssuer(url, lambda: ["read:messages"]))
        yield url


@pytest.fixture(scope="module", params=[("3.0.3", 4), ("3.0.3", 5), ("3.1.0", 5)], ids=str)
def api(request: pytest.FixtureRequest, issuer: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API, of either version of OpenAPI, in Swagger UI of either version."""
    openapi, version = request.param
    spec = tmp_path_factory.mktemp("browser") / "openapi.yaml"
    spec.write_text(SPECIFICATION.read_text().replace("openapi: 3.0.3", f"openapi: {openapi}"))
    settings = Settings(
        issuers=(issuer,),
        audience=AUDIENCE,
        client_id="browser",
        development=True,
        port=0,
        swagger_ui_version=version,
    )
    with in_background(create_app(settings, specification=spec)) as url:
        yield url


def authorize(page: Page) -> Page:
    """Open the dialog and press Authorize of the first flow, authorization code; returns the issuer's window."""
    page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".auth-container").first
    assert "authorizationCode" in dialog.inner_text()
    with page.expect_popup() as popup:
        dialog.locator("button").get_by_text("Authorize", exact=True).click()
    return popup.value


def finish(page: Page) -> None:
    page.locator(".auth-container").first.locator("button").get_by_text("Logout", exact=True).wait_for()
    page.locator(".modal-ux .btn-done").first.click()


def execute(page: Page, path: str) -> tuple[int, str]:
    """Execute an operation in the page; the status and body as a person reads them there."""
    operation = page.locator(".opblock").filter(has=page.locator(f'[data-path="{path}"]'))
    if "is-open" not in (operation.get_attribute("class") or ""):
        operation.locator(".opblock-summary").click()
        operation.get_by_role("button", name="Try it out").click()
    else:
        operation.get_by_role("button", name="Clear").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response")
    return int(answer.locator(".response-col_status").inner_text().split()[0]), answer.locator(
        ".microlight"
    ).first.inner_text()


def test_contract_is_read_and_operations_answer_without_login(page: Page, api: str) -> None:
    page.goto(api)
    page.get_by_role("heading", name="Messages API").wait_for()
    assert page.title() == "Messages API"
    assert page.locator(".opblock-summary-description").all_inner_texts() == [
        "Greet everybody",
        "Greet whoever is authenticated",
        "Greet whoever may read messages",
    ]
    status, body = execute(page, "/api/public")
    assert (status, PUBLIC in body) == (200, True)
    status, body = execute(page, "/api/private")
    assert (status, "missing_credentials" in body) == (401, True)


@pytest.mark.parametrize(("name", "scoped"), [("Ada", 200), ("Ben", 403)])
def test_sample_user_logs_in_and_executes_every_operation(page: Page, api: str, name: str, scoped: int) -> None:
    page.goto(f"{api}/ui/")
    window = authorize(page)
    assert "for this machine only" in window.inner_text("main")
    window.get_by_label(f"{name}, who").check()
    with window.expect_event("close"):
        window.get_by_role("button", name="Log in").click()
    finish(page)

    assert execute(page, "/api/public")[0] == 200
    status, body = execute(page, "/api/private")
    assert (status, PRIVATE in body) == (200, True)
    status, body = execute(page, "/api/private-scoped")
    assert (status, (SCOPED if scoped == 200 else "insufficient_scope") in body) == (scoped, True)

    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"swagger-ui-{name.lower()}.png", full_page=True)
    assert page.evaluate("() => localStorage.length + sessionStorage.length") == 0
    assert "eyJ" not in page.url


def test_log_out_forgets_the_token(page: Page, api: str) -> None:
    page.goto(f"{api}/ui/")
    window = authorize(page)
    with window.expect_event("close"):
        window.get_by_role("button", name="Log in").click()
    finish(page)
    assert execute(page, "/api/private")[0] == 200
    page.get_by_role("button", name="Authorize").first.click()
    page.locator(".auth-container").first.locator("button").get_by_text("Logout", exact=True).click()
    page.locator(".modal-ux .btn-done").first.click()
    assert execute(page, "/api/private")[0] == 401


def test_login_page_is_usable_with_the_keyboard(page: Page, api: str) -> None:
    page.goto(f"{api}/ui/")
    window = authorize(page)
    window.wait_for_load_state()
    window.keyboard.press("Tab")
    window.keyboard.press("ArrowDown")
    assert window.evaluate("() => document.activeElement.value") == "auth0|ben"
    with window.expect_event("close"):
        window.keyboard.press("Enter")
    finish(page)
    assert execute(page, "/api/private-scoped")[0] == 403


@pytest.mark.parametrize(("name", "scoped"), [("ada", 200), ("ben", 403)])
def test_login_at_an_issuer_that_nobody_here_wrote(page: Page, name: str, scoped: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    redirect = f"http://127.0.0.1:{port}/ui/oauth2-redirect.html"
    with node("tenant.mjs", "--redirect-uri", redirect) as peer:
        settings = Settings(issuers=(peer["issuer"],), audience=AUDIENCE, client_id="spa", development=True, port=0)
        with in_background(create_app(settings), port=port) as url:
            page.goto(f"{url}/ui/")
            window = authorize(page)
            window.locator("[name=username]").fill(name)
            with window.expect_event("close"):
                window.get_by_role("button", name="Log in").click()
            finish(page)
            statuses = [execute(page, f"/api/{path}")[0] for path in ("public", "private", "private-scoped")]
            assert statuses == [200, 200, scoped]


@pytest.fixture
def other_origin() -> Iterator[str]:
    """A page of another origin, with nothing on it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><link rel=icon href=data:><title>Other</title>")

        def log_message(self, *_: object) -> None:
            """Not logged."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


FETCH = """async ([url, token]) => {
  const response = await fetch(url, {headers: token ? {Authorization: `Bearer ${token}`} : {}});
  return [response.status, (await response.json()).code ?? "ok", response.headers.get("WWW-Authenticate")];
}"""


def test_page_of_another_origin_calls_every_operation(page: Page, issuer: str, other_origin: str) -> None:
    settings = Settings(issuers=(issuer,), audience=AUDIENCE, cors_origins=(other_origin,), development=True, port=0)
    with in_background(create_app(settings)) as url:
        page.goto(other_origin)
        request = {"grant_type": "client_credentials", "client_id": "development", "client_secret": "development"}
        answer = page.request.post(f"{issuer}oauth/token", form={**request, "audience": AUDIENCE})
        token = answer.json()["access_token"]
        calls = [(name, given) for name in ("public", "private", "private-scoped") for given in ("", token)]
        assert [page.evaluate(FETCH, [f"{url}/api/{name}", given]) for name, given in calls] == [
            [200, "ok", None],
            [200, "ok", None],
            [401, "missing_credentials", f'Bearer realm="{AUDIENCE}"'],
            [200, "ok", None],
            [401, "missing_credentials", f'Bearer realm="{AUDIENCE}"'],
            [403, "insufficient_scope", 'Bearer error="insufficient_scope", scope="read:messages"'],
        ]


def test_page_of_an_origin_that_is_not_configured_reads_nothing(browser: Browser, api: str, other_origin: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(other_origin)
    assert page.evaluate("(url) => fetch(url).then(() => 'read', () => 'refused')", f"{api}/api/public") == "refused"
    context.close()
