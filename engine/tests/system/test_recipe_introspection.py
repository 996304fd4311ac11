"""The recipe for opaque tokens, carried out, with an introspection endpoint that isn't ours: Authlib's."""

import secrets
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import flask
import httpx
import pytest
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from werkzeug.serving import make_server

from tests.processes import Running, api, run, running
from tests.recipes import carried_out
from tests.serving import free_port, wait_until
from tests.tenant import AUDIENCE, Tenant

SECRET = secrets.token_urlsafe(32)


class Api(ClientMixin):  # type: ignore[misc]  # Authlib is not typed
    """The API, as a client of the authorization server."""

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return (method, endpoint) == ("client_secret_basic", "introspection")


class Token(dict[str, Any]):
    """One that the authorization server has issued: what it says of it while it is active."""

    def is_expired(self) -> bool:
        return bool(self.get("expired"))

    def is_revoked(self) -> bool:
        return bool(self.get("revoked"))


class Issuing:
    """An authorization server that issues opaque tokens, counts who asks, and fails when told to."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.tokens: dict[str, Token] = {}
        self.asked: Counter[str] = Counter()
        self.misbehave: Callable[[], Any] | None = None
        self.app = flask.Flask("issuing")
        issuing = self

        class Endpoint(IntrospectionEndpoint):  # type: ignore[misc]
            CLIENT_AUTH_METHODS = ("client_secret_basic",)

            def query_token(self, token_string: str, token_type_hint: str) -> Token | None:
                return issuing.tokens.get(token_string)  # of any kind: the hint is only one (RFC 7662, section 2.1)

            def check_permission(self, token: Token, client: Api, request: Any) -> bool:
                return True

            def introspect_token(self, token: Token) -> dict[str, Any]:
                return dict(token)

        server = AuthorizationServer(self.app, {"api": Api()}.get)
        server.register_endpoint(Endpoint)

        @self.app.post("/introspect")
        def introspect() -> Any:
            issuing.asked[flask.request.form["token"]] += 1
            if issuing.misbehave:
                return issuing.misbehave()
            return server.create_endpoint_response("introspection")

    def token(self, **changed: Any) -> str:
        """Issue an opaque token with these claims, or without those that are None."""
        text = secrets.token_urlsafe(24)
        claims = {
            "iss": self.issuer,
            "sub": "ada",
            "aud": AUDIENCE,
            "exp": int(time.time()) + 600,
            "scope": "read:messages",
            "token_type": "Bearer",
            **changed,
        }
        self.tokens[text] = Token({name: value for name, value in claims.items() if value is not None})
        return text

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve on a free port of 127.0.0.1; yields the endpoint's URL."""
        server = make_server("127.0.0.1", 0, self.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/introspect"
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return carried_out("introspection", tmp_path_factory.mktemp("recipe") / "house")


@pytest.fixture(scope="module")
def issuing(tenant: Tenant) -> Issuing:
    return Issuing(tenant.url)


@pytest.fixture(scope="module")
def endpoint(issuing: Issuing) -> Iterator[str]:
    with issuing.running() as url:
        yield url


CLIENT = httpx.Client(trust_env=False, limits=httpx.Limits(max_connections=100, max_keepalive_connections=0))


class Served(NamedTuple):
    """The API, served."""

    url: str
    process: Running

    def __call__(self, token: str, path: str = "/api/private-scoped") -> httpx.Response:
        """Call it with a token, anything that a header field can hold."""
        fields = [(b"Authorization", b"Bearer " + token.encode())]
        return CLIENT.get(f"{self.url}{path}", headers=fields, timeout=30)


def variables(issuer: str, url: str, **changed: str) -> dict[str, str]:
    return {
        "AUTH0_DOMAIN": issuer,
        "AUTH0_AUDIENCE": AUDIENCE,
        "PORT": str(free_port()),
        "INTROSPECTION_URL": url,
        "INTROSPECTION_CLIENT_ID": "api",
        "INTROSPECTION_CLIENT_SECRET": SECRET,
        "NO_PROXY": "127.0.0.1",
        **changed,
    }


@contextmanager
def served(house: Path, environ: dict[str, str]) -> Iterator[Served]:
    with running(api("serve"), environ, house) as process:
        process.wait_for("Started worker-1")
        yield Served(f"http://127.0.0.1:{environ['PORT']}", process)


@pytest.fixture(scope="module")
def always(house: Path, endpoint: str, tenant: Tenant) -> Iterator[Served]:
    with served(house, variables(tenant.url, endpoint)) as call:
        yield call


@pytest.fixture
def call(always: Served, issuing: Issuing) -> Served:
    issuing.misbehave = None
    issuing.asked.clear()
    return always


def test_token_is_asked_about_once_and_its_scopes_count(call: Served, issuing: Issuing) -> None:
    token, other = issuing.token(), issuing.token(scope="write:messages", aud=["https://another", AUDIENCE])
    assert [call(token).status_code for _ in range(3)] == [200] * 3
    assert call(other, "/api/private").status_code == 200
    refused = call(other)
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert issuing.asked == {token: 1, other: 1}


def test_what_has_the_form_of_a_jwt_goes_to_the_validator_alone_which_decides(
    call: Served, issuing: Issuing, tenant: Tenant
) -> None:
    good, bad = tenant.token(), tenant.token(aud="https://another")
    for each in (good, bad, "a.b.c", "a.b.c.d.e"):  # the endpoint would call each of them active
        issuing.tokens[each] = issuing.tokens[issuing.token()]
    assert [call(each).status_code for each in (good, bad, "a.b.c", "a.b.c.d.e")] == [200, 401, 401, 401]
    assert not issuing.asked


REFUSED: dict[str, dict[str, Any]] = {
    "that is unknown": {"active": False},
    "that has expired, as the server says": {"expired": True},
    "that is revoked": {"revoked": True},
    "that has expired, as the server doesn't say": {"exp": 1},
    "that never expires": {"exp": None},
    "whose expiry is a text": {"exp": "9999999999"},
    "whose expiry is no number": {"exp": float("nan")},
    "for another audience": {"aud": "https://another"},
    "for several others": {"aud": ["https://another", f"{AUDIENCE}/"]},
    "for an audience that contains ours": {"aud": f"{AUDIENCE} https://another"},
    "for no audience": {"aud": None},
    "of another issuer": {"iss": "https://evil.example.com/"},
    "of nobody": {"sub": None},
    "that is a refresh token by its type": {"token_type": "refresh_token"},
    "that is a refresh token by its use": {"token_use": "refresh_token"},
    "of a type that needs more than itself": {"token_type": "mac"},
    "that is bound to a key": {"token_type": "DPoP", "cnf": {"jkt": "x"}},
    "that is bound to a key, though called Bearer": {"cnf": {"jkt": "x"}},
    "that is bound to a certificate": {"cnf": {"x5t#S256": "x"}},
}


@pytest.mark.parametrize("changed", REFUSED.values(), ids=REFUSED)
def test_token_is_refused(call: Served, issuing: Issuing, changed: dict[str, Any]) -> None:
    token = issuing.token(**changed)
    for _ in range(2):
        refused = call(token)
        assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert issuing.asked == {token: 1}


@pytest.mark.parametrize("changed", [{"token_type": "bearer"}, {"token_type": None}, {"iss": None}], ids=str)
def test_what_an_answer_need_not_have_may_be_missing(call: Served, issuing: Issuing, changed: dict[str, Any]) -> None:
    assert call(issuing.token(**changed)).status_code == 200


@pytest.mark.parametrize("token", ["x" * 2_049, "x" * 30_000, "a;b", "a%20b", "ä", "=", '"x"', "x&active=true"])
def test_what_can_be_no_token_is_refused_unasked(call: Served, issuing: Issuing, token: str) -> None:
    assert call(token).status_code == 401
    assert not issuing.asked


def late(seconds: float, answer: Any) -> Any:
    time.sleep(seconds)
    return answer


FAILURES: dict[str, Callable[[], Any]] = {
    "an error": lambda: ("", 500),
    "an error that looks like an answer": lambda: ({"active": False}, 500),
    "another place": lambda: flask.redirect("http://127.0.0.1:1/"),
    "not who may ask": lambda: ({"error": "invalid_client"}, 401),
    "HTML": lambda: "<html>",
    "nothing": lambda: ("", 204),
    "a list": lambda: flask.jsonify(["active"]),
    "null": lambda: flask.Response("null", mimetype="application/json"),
    "depths": lambda: "[" * 100_000,
    "no text": lambda: b"\xff\xfe",
    "no active": lambda: {"sub": "ada"},
    "active, as a text": lambda: {"active": "true"},
    "active, as a number": lambda: {"active": 1},
    "too late": lambda: late(8, ""),
    "a little at a time": lambda: flask.Response((late(0.5, " ") for _ in range(20)), mimetype="text/plain"),
}


@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES)
def test_endpoint_that_fails_is_503_and_not_401(call: Served, issuing: Issuing, answer: Callable[[], Any]) -> None:
    token, kept = issuing.token(), issuing.token()
    assert call(kept).status_code == 200
    issuing.misbehave = answer
    begun = time.monotonic()
    refused = call(token)
    assert (refused.status_code, refused.json()["code"]) == (503, "issuer_unavailable")
    assert "www-authenticate" not in refused.headers
    assert int(refused.headers["retry-after"]) > 0
    assert time.monotonic() - begun < 7
    assert call(kept).status_code == 200
    issuing.misbehave = None
    assert call(token).status_code == 200


def test_no_token_gets_into_the_log(call: Served, issuing: Issuing) -> None:
    token = issuing.token()
    issuing.misbehave = lambda: (token, 500)
    assert call(token).status_code == 503
    issuing.misbehave = lambda: token
    assert call(token).status_code == 503
    wait_until(lambda: "The introspection endpoint gave no answer" in call.process.output)
    assert not any(each in call.process.output for each in (*issuing.tokens, SECRET))


def test_a_hundred_requests_with_one_token_ask_once_though_the_first_client_leaves(
    call: Served, issuing: Issuing
) -> None:
    token = issuing.token()
    issuing.misbehave = lambda: late(1.5, {"active": True, **issuing.tokens[token]})
    with pytest.raises(httpx.ReadTimeout):
        CLIENT.get(f"{call.url}/api/private", headers={"Authorization": f"Bearer {token}"}, timeout=0.2)
    with ThreadPoolExecutor(99) as pool:
        answers = list(pool.map(lambda _: call(token).status_code, range(99)))
    assert answers == [200] * 99
    assert issuing.asked == {token: 1}


def test_request_that_is_cancelled_leaves_the_others_their_answer(house: Path, issuing: Issuing, endpoint: str) -> None:
    token = issuing.token()
    issuing.misbehave = lambda: late(1, {"active": True, **issuing.tokens[token]})
    program = f"""
import asyncio
from security.introspection import Introspection

async def main():
    asked = Introspection({endpoint!r}, ("api", {SECRET!r}), audience={AUDIENCE!r}, issuers=[{issuing.issuer!r}])
    first, second = (asyncio.create_task(asked.claims({token!r})) for _ in range(2))
    await asyncio.sleep(0.3)
    first.cancel()
    print((await second)["sub"])

asyncio.run(main())
"""
    told = run([sys.executable, "-c", program], {"NO_PROXY": "127.0.0.1"}, house)
    assert told.stdout == "ada\n", told.stderr


def test_token_that_is_kept_ends_when_it_expires(call: Served, issuing: Issuing) -> None:
    token = issuing.token(exp=time.time() + 2)
    assert call(token).status_code == 200
    wait_until(lambda: call(token).status_code == 401)
    assert time.time() >= issuing.tokens[token]["exp"]


@pytest.fixture(scope="module")
def briefly(house: Path, endpoint: str, tenant: Tenant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The API that keeps little, and not for long."""
    made = tmp_path_factory.mktemp("briefly") / "house"
    shutil.copytree(house, made, symlinks=True)
    module = made / "security" / "introspection.py"
    module.write_text(module.read_text().replace("KEPT = 60, 5", "KEPT = 2, 1").replace("MOST = 10_000", "MOST = 3"))
    with served(made, variables(tenant.url, endpoint)) as call:
        yield call


def test_token_that_becomes_good_or_bad_is_so_when_it_is_kept_no_longer(briefly: Served, issuing: Issuing) -> None:
    issuing.misbehave = None
    token = issuing.token(active=False)
    assert briefly(token).status_code == 401
    del issuing.tokens[token]["active"]
    assert briefly(token).status_code == 401
    wait_until(lambda: briefly(token).status_code == 200)
    issuing.tokens[token]["revoked"] = True
    assert briefly(token).status_code == 200
    wait_until(lambda: briefly(token).status_code == 401)


def test_made_up_tokens_push_out_no_good_one(briefly: Served, issuing: Issuing) -> None:
    issuing.misbehave = None
    token = issuing.token()
    assert briefly(token).status_code == 200
    assert {briefly(f"made-up-{number}").status_code for number in range(10)} == {401}
    assert briefly(token).status_code == 200
    assert issuing.asked[token] == 1


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"INTROSPECTION_CLIENT_SECRET": "wrong"}, 503),
        ({"INTROSPECTION_URL": f"http://127.0.0.1:{free_port()}/"}, 503),  # where nothing listens
        ({"INTROSPECTION_URL": ""}, 401),
        ({"DPOP": "required", "PUBLIC_URL": "https://api.example.com"}, 401),
        ({"MTLS": "required", "CLIENT_CERTIFICATE_HEADER": "Client-Cert", "TRUSTED_PROXIES": "127.0.0.1"}, 401),
    ],
    ids=["wrong secret", "endpoint down", "not set", "tokens bound to keys", "tokens bound to certificates"],
)
def test_setting_decides(house: Path, issuing: Issuing, endpoint: str, changed: dict[str, str], status: int) -> None:
    with served(house, variables(issuing.issuer, endpoint, **changed)) as call:
        issuing.misbehave = None
        assert call(issuing.token()).status_code == status


def test_endpoint_without_tls_stops_the_start(house: Path, tenant: Tenant) -> None:
    ended = run(api("serve"), variables(tenant.url, "http://localhost.example.com/introspect"), house)
    assert ended.returncode == 1
    assert "Set it to an https URL" in ended.stdout + ended.stderr


def test_recipe_is_written_as_a_house_is(house: Path) -> None:
    for command in (["ruff", "check", "security"], ["ruff", "format", "--check", "security"], ["mypy", "security"]):
        told = run([sys.executable, "-m", *command], cwd=house)
        assert told.returncode == 0, told.stdout + told.stderr
