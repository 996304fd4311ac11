"""The command as a person runs it: the configuration, a token, a running API; and its exit code."""

import dataclasses
import json
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from joserfc.jwk import ECKey

from resource_server.command import cli
from resource_server.contract.loading import read_contract
from resource_server.doctor import command
from resource_server.doctor.calling import difference
from resource_server.doctor.configuration import configuration_findings
from resource_server.doctor.findings import Finding, Verdict
from resource_server.doctor.walk import walk
from resource_server.serving.background import in_background
from resource_server.serving.problems import DOCTOR
from resource_server.settings import Settings, lacks_final_slash
from resource_server.tokens.errors import Refusal
from tests.processes import TESTS, api, run, running
from tests.proofs import Prover
from tests.redis_server import RedisServer
from tests.sample import FACTORY, SPECIFICATION, create_app
from tests.tenant import AUDIENCE, METADATA, Tenant, streamed

SHOP = TESTS / "shop" / "openapi.yaml"


def examine(
    token: str | None, url: str | None, spec: Path | None, environ: dict[str, str], now: float
) -> command.Report:
    return command.examine(FACTORY, token, environ=environ, now=now, url=url, spec=spec or SPECIFICATION)


def environ(tenant: Tenant, **others: str) -> dict[str, str]:
    return {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, **others}


def configured(tenant: Tenant, **others: str) -> command.Report:
    """What is found out about a configuration."""
    return examine(None, None, None, environ(tenant, **others), time.time())


def found(report: command.Report, check: str) -> Finding:
    return next(finding for finding in report.findings if finding.check == check)


@pytest.fixture
def own() -> Tenant:
    """A tenant of the test's own, not yet running."""
    return Tenant()


def test_good_configuration_is_good(tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    report = configured(tenant, PUBLIC_URL="https://api.example.com", CORS_ORIGINS="https://app.example.com")
    assert [(finding.check, finding.verdict) for finding in report.findings] == [
        (check, Verdict.PASSED)
        for check in (
            *("settings", "audience", "issuer", "keys", "clock", "contract", "scopes"),
            *("used proofs", "public URL", "CORS", "proxies"),
        )
    ]
    assert (report.good, report.advice) == (True, "")


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ({"AUTH0_AUDIENCE": ""}, "AUTH0_AUDIENCE is not set."),
        ({"TOKEN_ALGORITHMS": "HS256"}, "TOKEN_ALGORITHMS names HS256."),
        ({"DPOP": "required"}, "DPOP is required, but proofs name the URL"),
    ],
)
def test_setting_that_cannot_be_used_is_what_is_found(tenant: Tenant, others: dict[str, str], says: str) -> None:
    report = configured(tenant, **others)
    assert not report.good
    assert [finding.check for finding in report.findings] == ["settings"]
    assert report.findings[0].found.startswith(says)


def test_kind_of_a_token_is_said_without_settings_too(tenant: Tenant) -> None:
    report = examine(tenant.token(nonce="n", scope=""), None, None, {"AUTH0_DOMAIN": tenant.url}, time.time())
    assert report.walk is not None
    assert (report.good, report.walk.kind.name) == (False, "id_token")
    assert [finding.check for finding in report.findings] == ["settings"]


def test_issuer_that_lacks_its_slash_is_told_to_have_one(tenant: Tenant) -> None:
    report = configured(tenant, AUTH0_DOMAIN=tenant.url.rstrip("/"))
    assert not report.good
    assert report.advice == f"Write AUTH0_DOMAIN={tenant.url}"


def test_tenant_of_auth0_without_its_slash_is_known_without_asking() -> None:
    environment = {"AUTH0_DOMAIN": "https://tenant.invalid.auth0.com", "AUTH0_AUDIENCE": AUDIENCE}
    report = examine(None, None, None, environment, time.time())
    assert not report.good
    assert report.advice == "Write AUTH0_DOMAIN=tenant.invalid.auth0.com"


@pytest.mark.parametrize(
    ("issuer", "lacks"),
    [
        ("https://tenant.eu.auth0.com", True),
        ("https://tenant.eu.auth0.com/", False),
        ("https://tenant.eu.auth0.com/x", False),
        ("https://login.example.com", False),
        ("https://notauth0.com", False),
    ],
)
def test_final_slash_is_missed_at_tenants_of_auth0_only(issuer: str, *, lacks: bool) -> None:
    assert lacks_final_slash(issuer) is lacks


@pytest.mark.parametrize("command", ["serve", "run"])
def test_missing_slash_is_warned_of_at_the_start(command: str) -> None:
    settings = {"AUTH0_DOMAIN": "https://tenant.invalid.auth0.com", "AUTH0_AUDIENCE": AUDIENCE, "PORT": "0"}
    with running(api(command), settings) as process:
        process.wait_for(
            "AUTH0_DOMAIN: https://tenant.invalid.auth0.com lacks the final slash of Auth0's issuers, so every token "
            "is refused. Write tenant.invalid.auth0.com."
        )


def test_issuer_that_cannot_be_reached_fails() -> None:
    report = examine(None, None, None, {"AUTH0_DOMAIN": "http://127.0.0.1:9/", "AUTH0_AUDIENCE": "a"}, time.time())
    assert "can't be used" in found(report, "issuer").found
    assert report.advice.startswith("Nothing listens there: correct AUTH0_DOMAIN")


def test_issuer_without_tls_or_address_is_told_by_what_the_network_really_raises(own: Tenant) -> None:
    with own.running():
        plain = configured(own, AUTH0_DOMAIN=own.url.replace("http:", "https:"))
    assert plain.advice.startswith("What answers there speaks no TLS that fits")
    nowhere = configured(own, AUTH0_DOMAIN="tenant.invalid")
    assert nowhere.advice.startswith("Its host has no address")


def test_development_issuer_that_does_not_run_is_to_be_started() -> None:
    report = examine(None, None, None, {"PORT": "1"}, time.time())
    assert report.advice == "Start it with `make run`, or set AUTH0_DOMAIN and AUTH0_AUDIENCE."


def test_keys_for_other_algorithms_fail(own: Tenant) -> None:
    own.keys = [ECKey.generate_key("P-256", {"kid": "curve"})]
    with own.running():
        report = configured(own)
        some = configured(own, TOKEN_ALGORITHMS="RS256,ES256")
    assert found(report, "keys").meaning == "It publishes no key for RS256, but for ES256."
    assert report.advice == "Set TOKEN_ALGORITHMS to what the issuer signs with."
    assert found(some, "keys").verdict is Verdict.WARNING
    assert some.good


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> Settings:
    return Settings(issuers=("https://tenant.example.com/",), audience=AUDIENCE, transport=httpx.MockTransport(answer))


def raising(error: Exception, cause: Exception | None = None) -> Callable[[httpx.Request], httpx.Response]:
    """What a request ends with, and what httpx has made that of."""

    def answer(_: httpx.Request) -> httpx.Response:
        raise error from cause

    return answer


CONNECTING = httpx.ConnectError("")


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (lambda _: httpx.Response(401), "Something in front of the issuer wants credentials"),
        (lambda _: httpx.Response(403), "Something in front of the issuer, or a proxy on the way, forbids it"),
        (lambda _: httpx.Response(404), "Nothing is there: correct AUTH0_DOMAIN, or say with METADATA_URL"),
        (lambda _: httpx.Response(406), "It has no JSON for programs that accept application/json"),
        (lambda _: httpx.Response(429), "It is asked too often"),
        (lambda _: httpx.Response(500), "It fails, or what is in front of it"),
        (lambda _: httpx.Response(503), "The issuer is overloaded"),
        (lambda _: httpx.Response(200, text="<html>Log in"), "What answers is no issuer, a login page"),
        (lambda _: httpx.Response(200, json=[]), "What answers is no issuer, a login page"),
        (lambda _: streamed(200, {"Content-Encoding": "br"}, b"x"), "Its answer is compressed, which nobody asked for"),
        (lambda _: streamed(200, {"Content-Encoding": "gzip"}, b"x"), "Its answer is damaged on the way"),
        (lambda _: httpx.Response(200, content=b" " * 600_000), "Its answer is longer than 512 KiB"),
        (
            lambda _: httpx.Response(302, headers={"Location": "https://b.example.com/"}),
            "It redirects to another host, or in circles: ask your provider",
        ),
        (
            lambda _: httpx.Response(200, json={"issuer": "https://b.example.com/"}),
            "Write AUTH0_DOMAIN as the",
        ),
        (raising(CONNECTING, ssl.SSLCertVerificationError("self-signed")), "Its certificate isn't valid here"),
        (raising(CONNECTING, ssl.SSLError("WRONG_VERSION_NUMBER")), "What answers there speaks no TLS that fits"),
        (raising(CONNECTING, socket.gaierror(socket.EAI_NONAME, "")), "Its host has no address: correct"),
        (raising(CONNECTING, socket.gaierror(socket.EAI_AGAIN, "")), "Its host has no address now"),
        (raising(CONNECTING, ConnectionRefusedError()), "Nothing listens there"),
        (raising(CONNECTING), "Correct AUTH0_DOMAIN, or let this machine reach it"),
        (raising(httpx.ConnectTimeout("timed out")), "Nobody answers in time"),
        (raising(httpx.ProxyError("407 Proxy Authentication Required")), "The proxy refuses it"),
        (raising(OSError("no such file")), "Correct the environment"),
        (
            raising(ImportError("Using SOCKS proxy")),
            "Correct the environment",
        ),
        (raising(RecursionError()), "Correct AUTH0_DOMAIN, or let this machine reach it"),
    ],
)
def test_issuer_that_cannot_be_had_gets_advice_that_fits(
    answer: Callable[[httpx.Request], httpx.Response], advice: str
) -> None:
    settings = answering(answer)
    findings = {each.check: each for each in configuration_findings(FACTORY, settings, time.time())}
    assert findings["issuer"].failed
    assert findings["issuer"].advice.startswith(advice)
    walked = walk(Tenant().token(iss=settings.issuers[0]), settings, time.time())
    assert walked.failed is not None
    assert (walked.failed.check, walked.advice) == ("key", findings["issuer"].advice)


@pytest.mark.parametrize(
    "variables",
    [
        {"SSL_CERT_FILE": "/nowhere.pem"},
        {"SSL_CERT_DIR": "/nowhere"},
        {"ALL_PROXY": "socks5://127.0.0.1:9"},
        {"HTTPS_PROXY": "http://127.0.0.1:9"},
        {"HTTPS_PROXY": "nonsense://x"},
        {"HTTPS_PROXY": "::::"},
        {"NO_PROXY": "[", "HTTPS_PROXY": "http://127.0.0.1:9"},
        {"PORT": "x"},
        {"AUTH0_AUDIENCE": "a b"},
        {"AUTH0_DOMAIN": "https://["},
        {"AUTH0_DOMAIN": "tenant.example.com "},
        {"PUBLIC_URL": "ftp://x"},
        {"TMPDIR": "/nowhere"},
        {"METADATA_URL": "http://example.com/"},
        {"REDIS_URL": "redis://["},
    ],
    ids=str,
)
@pytest.mark.parametrize("arguments", [(), ("DPoP \udcff",), ("token",)], ids=["settings", "bytes", "token"])
def test_no_environment_makes_it_crash(variables: dict[str, str], arguments: tuple[str, ...]) -> None:
    elsewhere = {"AUTH0_DOMAIN": "tenant.invalid", "AUTH0_AUDIENCE": AUDIENCE, "PUBLIC_URL": "https://a.example.com"}
    result = CliRunner().invoke(cli, ["doctor", *arguments], env={**elsewhere, **variables})
    assert (result.exit_code, result.exception.__class__) in ((1, SystemExit), (2, SystemExit))
    assert "Traceback" not in result.output


def test_metadata_without_a_key_set_fails(own: Tenant) -> None:
    own.misbehave = lambda path: (
        (200, {}, json.dumps({"issuer": own.url}).encode()) if path == METADATA else (404, {}, b"")
    )
    with own.running():
        report = configured(own)
    assert "names no https jwks_uri" in found(report, "keys").found
    assert not report.good


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(0, Verdict.PASSED), (5, Verdict.PASSED), (60, Verdict.WARNING), (-60, Verdict.WARNING), (-900, Verdict.FAILED)],
)
def test_clock_is_compared_with_the_issuers(tenant: Tenant, seconds: int, verdict: Verdict) -> None:
    report = examine(None, None, None, environ(tenant), time.time() + seconds)
    assert found(report, "clock").verdict is verdict


def test_audience_that_is_a_client_id_is_doubted(tenant: Tenant) -> None:
    report = configured(tenant, AUTH0_AUDIENCE="AbCdEfGhIjKlMnOpQrStUvWxYz012345")
    assert found(report, "audience").verdict is Verdict.WARNING
    assert report.advice == "Set AUTH0_AUDIENCE to your API's identifier."


def test_contract_that_cannot_be_served_fails(tenant: Tenant, tmp_path: Path) -> None:
    spec = tmp_path / "openapi.yaml"
    spec.write_text(SPECIFICATION.read_text().replace("api.handlers.private\n", "nowhere_to_be_found.private\n"))
    report = examine(None, None, spec, environ(tenant), time.time())
    assert "can't be imported" in found(report, "contract").found


def test_used_proofs_are_remembered_in_redis_that_answers(tenant: Tenant, redis: RedisServer) -> None:
    report = configured(tenant, PUBLIC_URL="https://api.example.com", REDIS_URL=redis.url)
    assert found(report, "used proofs").found == "remembered in Redis"
    assert report.good


def test_redis_that_does_not_answer_fails_without_its_password(tenant: Tenant) -> None:
    report = configured(tenant, PUBLIC_URL="https://a.example.com", REDIS_URL="redis://:secret@127.0.0.1:9/0")
    assert found(report, "used proofs").verdict is Verdict.FAILED
    assert "secret" not in repr(report)


def doctor(tenant: Tenant, *arguments: str, piped: str | None = None, **others: str) -> Any:
    """Run the command here; its result."""
    return CliRunner().invoke(cli, ["doctor", *arguments], input=piped, env=environ(tenant, **others))


def test_good_token_is_good_and_says_what_it_opens(tenant: Tenant) -> None:
    result = doctor(tenant, tenant.token())
    assert result.exit_code == 0
    assert "This is an access token of Auth0, sent as Bearer." in result.output
    assert "yes     GET /api/private-scoped  read:messages" in result.output
    assert result.output.endswith("\nNothing is wrong.\n")
    assert "\x1b" not in result.output


def test_token_is_read_from_standard_input(tenant: Tenant) -> None:
    assert doctor(tenant, "-", piped=f"{tenant.token()}\r\n").exit_code == 0
    assert doctor(tenant, "-", piped="").exit_code == 1


def test_what_a_refused_token_says_stands_beside_what_is_expected(tenant: Tenant) -> None:
    result = doctor(tenant, tenant.token(aud="https://other.example.com", exp=1_700_000_000))
    assert result.exit_code == 1
    assert 'FAILED  audience    "https://other.example.com"; expected: "https://api.example.com"' in result.output
    assert "FAILED  expiry      1700000000, 2023-11-14 22:13:20 UTC" in result.output
    assert " years ago; expected: later than " in result.output
    assert Refusal.AUDIENCE in result.output
    assert "no      GET /api/private" in result.output
    assert "yes     GET /api/public" in result.output


def test_report_for_programs_is_json(tenant: Tenant) -> None:
    result = doctor(tenant, "--json", tenant.token(scope="openid"))
    report = json.loads(result.output)
    assert (result.exit_code, report["good"]) == (0, True)
    assert (report["token"]["kind"], report["token"]["claims"]["scope"]) == ("access_token", "openid")
    verdicts = {each["check"]: each["verdict"] for each in report["operations"]}
    assert verdicts == {"GET /api/public": "passed", "GET /api/private": "passed", "GET /api/private-scoped": "failed"}
    assert report["advice"].startswith("Request scope=read:messages")


def test_proof_is_walked_through_with_a_token_from_standard_input(tenant: Tenant) -> None:
    prover, others = Prover(), {"PUBLIC_URL": "https://api.example.com"}
    token = tenant.token(cnf=prover.cnf)
    proof = prover.forged("GET", "https://api.example.com/api/private", token)
    result = doctor(tenant, "-", "--proof", proof, piped=f"DPoP {token}\n", **others)
    assert (result.exit_code, "proof's claims" in result.output) == (0, True)
    assert doctor(tenant, "-", "--proof", proof, piped=f"{token}\n", **others).exit_code == 2


@pytest.mark.parametrize("url", ["http://[::1", "https://[::1", "ftp://x", "", "x"])
def test_url_that_is_none_is_told(tenant: Tenant, url: str) -> None:
    result = doctor(tenant, "--url", url, tenant.token())
    assert result.exception.__class__ in (SystemExit, None.__class__)
    assert "Traceback" not in result.output


def test_colours_are_for_terminals() -> None:
    result = CliRunner().invoke(cli, ["doctor", "x"], env={"PORT": "1"}, color=True)
    assert "\x1b[31mFAILED" in result.output


@pytest.mark.parametrize(
    "arguments", [["--url", "http://127.0.0.1:1"], ["--url", "http://api.example.com", "x"], ["--nothing"]]
)
def test_wrong_usage_ends_with_2(tenant: Tenant, arguments: list[str]) -> None:
    assert doctor(tenant, *arguments).exit_code == 2


def test_token_is_sent_nowhere_but_keys_are_fetched(own: Tenant) -> None:
    with own.running():
        doctor(own, own.token())
    assert set(own.fetches) == {"/.well-known/openid-configuration", "/.well-known/jwks.json"}


def test_command_runs_in_a_process_of_its_own(tenant: Tenant) -> None:
    ended = run(api("doctor", tenant.token()), environ(tenant))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_running_api_is_called_and_accepts_the_token(tenant: Tenant, url: str) -> None:
    result = doctor(tenant, "--url", url, tenant.token())
    assert result.exit_code == 0
    assert f"ok      GET {url}/api/private" in result.output


def test_challenge_of_a_running_api_is_shown_and_explained(tenant: Tenant, url: str) -> None:
    result = doctor(tenant, "--url", url, tenant.token(aud=f"{AUDIENCE}/"))
    assert result.exit_code == 1
    assert '401, WWW-Authenticate: Bearer error="invalid_token", error_description="' in result.output
    assert result.output.rstrip().endswith("ask for the audience exactly as AUTH0_AUDIENCE has it.")


def test_api_of_other_settings_is_told_from_this_one(tenant: Tenant, url: str) -> None:
    result = doctor(tenant, "--url", url, tenant.token(), AUTH0_AUDIENCE="https://other.example.com")
    assert "The API has other settings than these." in result.output
    assert "Compare AUTH0_AUDIENCE there and here." in result.output
    refused = doctor(tenant, "--url", url, tenant.token(aud="b"), AUTH0_AUDIENCE="b")
    assert refused.exit_code == 1
    assert "Compare AUTH0_AUDIENCE there and here." in refused.output


@pytest.mark.parametrize("aud", [AUDIENCE, "https://other.example.com"])
def test_api_without_an_operation_to_call_is_not_called(tenant: Tenant, url: str, tmp_path: Path, aud: str) -> None:
    """Neither wrong usage nor another verdict on the token."""
    contract = read_contract(SPECIFICATION)
    contract["paths"] = {"/api/public": contract["paths"]["/api/public"]}
    spec = tmp_path / "openapi.json"
    spec.write_text(json.dumps(contract))
    token = tenant.token(aud=aud)
    result, without = (doctor(tenant, *more, "--spec", str(spec), token) for more in (["--url", url], []))
    assert result.exit_code == without.exit_code == int(aud != AUDIENCE)
    said = result.output.replace(without.output.partition("\n\nOperations")[0], "")
    assert "not called\n" in said
    assert "The contract has no operation that needs a token and no input.\n" in said
    assert "settings" not in result.output
    assert result.output.splitlines()[-1] == without.output.splitlines()[-1]
    calls = json.loads(doctor(tenant, "--json", "--url", url, "--spec", str(spec), token).output)["findings"]
    assert (calls[0]["check"], calls[0]["verdict"], calls[0]["found"]) == ("call", "not checked", "not called")


def judged(check: str, refusal: str | None) -> Finding:
    """What has come of a check: nothing, or a refusal."""
    return Finding(Verdict.FAILED if refusal else Verdict.PASSED, check, meaning=refusal or "")


@pytest.mark.parametrize(
    ("theirs", "ours", "meaning", "advice"),
    [
        (None, None, "", ""),
        (Refusal.EXPIRED, Refusal.EXPIRED, "", ""),
        (Refusal.AUDIENCE, Refusal.EXPIRED, "Both refuse it, for different reasons.", "Compare AUTH0_AUDIENCE"),
        (Refusal.UNKNOWN_KEY, None, "The API holds other keys", "It looks again within a minute"),
        (None, Refusal.UNKNOWN_KEY, "The API holds other keys", "It looks again within a minute"),
        (None, Refusal.SIGNATURE, "The API holds other keys", "It looks again within a minute"),
        (Refusal.EXPIRED, None, "The API's clock is another", "Compare the clocks"),
        (None, Refusal.NOT_YET_VALID, "The API's clock is another", "Compare the clocks"),
        (Refusal.ISSUER, None, "The API has other settings", "Compare AUTH0_DOMAIN"),
        (None, Refusal.CLAIMS, "The API has other settings", "Compare TOKEN_SUBJECT"),
        (None, Refusal.NOT_ACCEPTED, "The API has other settings", "Compare AUTH0_DOMAIN, AUTH0_AUDIENCE, the other"),
        ("No such problem.", None, "These settings accept it", ""),
        ("No such problem.", Refusal.EXPIRED, "", ""),
    ],
)
def test_difference_to_a_running_api_is_explained(
    theirs: str | None, ours: str | None, meaning: str, advice: str
) -> None:
    found = list(difference(judged("GET /", theirs), [judged("form", None), judged("it", ours)]))
    assert len(found) == bool(meaning)
    assert all(each.meaning.startswith(meaning) and each.advice.startswith(advice) for each in found)


def test_server_that_does_not_answer_is_no_api_and_is_told_no_token_in_errors(tenant: Tenant) -> None:
    token = f"{tenant.token()}\n"
    for url in ("http://127.0.0.1:9", tenant.url):
        result = doctor(tenant, "--url", url, token)
        assert result.exit_code == 1
        assert token.rpartition(".")[2].strip() not in result.output
    assert "something in front of it has answered" in doctor(tenant, "--url", tenant.url, tenant.token()).output


def test_refusals_point_to_the_doctor_in_development_only(tenant: Tenant, settings: Settings) -> None:
    details = {}
    for development in (True, False):
        app = create_app(dataclasses.replace(settings, development=development))
        with in_background(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
            refusals = [
                client.get("/api/private", headers={"Authorization": "Bearer x"}),
                client.get("/api/private-scoped", headers={"Authorization": f"Bearer {tenant.token(scope='')}"}),
            ]
            assert client.get("/api/private").json()["detail"].endswith("<token>'.")
        assert all("doctor" not in refusal.headers["www-authenticate"] for refusal in refusals)
        details[development] = [refusal.json()["detail"] for refusal in refusals]
    assert details[True] == [detail.removesuffix(".") + "." + DOCTOR for detail in details[False]]
    assert DOCTOR not in "".join(details[False])
