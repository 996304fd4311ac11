"""The command line, as a person uses it: real processes, real sockets, honest exit codes."""

import json
import os
import pty
import re
import shlex
import signal
import socket
from base64 import urlsafe_b64decode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from tests.processes import SAMPLE, api, run, running
from tests.serving import free_port, get, wait_until
from tests.tenant import AUDIENCE, Tenant


def test_run_prints_a_curl_line_that_works_as_it_stands() -> None:
    port = free_port()
    with running(api("run"), {"PORT": str(port)}) as process:
        curl = shlex.split(process.wait_for(r"(curl .*)\n")[1])
        answer = run([*curl, "--silent", "--write-out", " %{http_code}"])
        assert answer.stdout.endswith(" 200"), answer
        assert "Hello from a private endpoint!" in answer.stdout
        assert f"Swagger UI  http://127.0.0.1:{port}/ui/" in process.output
        assert get(f"http://127.0.0.1:{port}/ui/").status_code == 200


def test_run_ends_with_ctrl_c_and_leaves_no_process_behind() -> None:
    port = free_port()
    with running(api("run"), {"PORT": str(port)}) as process:
        process.wait_for("curl")
        assert get(f"http://127.0.0.1:{port}/api/public").status_code == 200
        assert process.end(signal.SIGINT) == 0
        wait_until(lambda: not process.left_behind())
        assert "Traceback" not in process.output
        for number in (port, port + 1):
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", number), timeout=1)


def test_token_command_prints_a_token_and_only_that() -> None:
    port = str(free_port())
    with running(api("run"), {"PORT": port}) as process:
        process.wait_for("curl")
        scoped, unscoped = (run(api("token", *args), {"PORT": port}) for args in ((), ("--scope", "")))
        url = f"http://127.0.0.1:{port}/api/private"
        for token, status in ((scoped, 200), (unscoped, 403)):
            assert (token.returncode, token.stderr, token.stdout.count("\n")) == (0, "", 1)
            assert get(url, token.stdout.strip()).status_code == 200
            assert get(f"{url}-scoped", token.stdout.strip()).status_code == status


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims


def shell(line: str) -> tuple[str, str]:
    """Run a line as a person pastes it; the answer's body and status."""
    answer = run(["bash", "-c", f"{line.strip()} --silent --write-out ' %{{http_code}}'"])
    body, _, status = answer.stdout.rpartition(" ")
    return body, status


@pytest.mark.parametrize(
    ("environ", "options", "path"),
    [
        ({}, (), "/api/private-scoped"),
        ({}, ("--url", "/api/private?a=b"), "/api/private?a=b"),
        ({"DPOP": "required", "DPOP_NONCE_SECRET": "s" * 32}, (), "/api/private-scoped"),
        ({"PUBLIC_URL": "https://api.example.com/messages"}, (), "/api/private-scoped"),
    ],
    ids=["default", "path", "required, with nonces", "another public URL"],
)
def test_token_command_prints_a_call_with_a_proof_that_works_once(
    environ: dict[str, str], options: tuple[str, ...], path: str
) -> None:
    port = str(free_port())
    environ = {"PORT": port, **environ}
    with running(api("run"), environ) as process:
        process.wait_for(r"Try .*\n")
        printed = run(api("token", "--dpop", *options), environ)
        assert (printed.returncode, printed.stderr, printed.stdout.count("\n")) == (0, "", 1)
        assert re.fullmatch(
            rf'curl -H "Authorization: DPoP [\w.-]+" -H "DPoP: [\w.-]+" \'?http://127.0.0.1:{port}{re.escape(path)}\'?\n',
            printed.stdout,
        )
        assert shell(printed.stdout)[1] == "200"
        again, status = shell(printed.stdout)
        assert (status, json.loads(again)["code"]) == ("401", "invalid_dpop_proof")


def test_proof_of_the_token_command_is_for_the_method_and_url_that_are_given() -> None:
    port = str(free_port())
    with running(api("run"), {"PORT": port}) as process:
        process.wait_for(r"Try .*\n")
        url = f"http://127.0.0.1:{port}/api/private"
        head = run(api("token", "--dpop", "--method", "head", "--url", url), {"PORT": port}).stdout
        assert shell(head)[1] == "200"
        other = run(api("token", "--dpop", "--url", f"{url}-scoped"), {"PORT": port}).stdout
        body, status = shell(other.replace("-scoped", ""))
        assert (status, json.loads(body)["code"]) == ("401", "invalid_dpop_proof")
        unscoped = run(api("token", "--dpop", "--scope", ""), {"PORT": port}).stdout
        assert shell(unscoped)[1] == "403"


def test_token_command_speaks_for_anybody() -> None:
    port = str(free_port())
    url = f"http://127.0.0.1:{port}/api/private-scoped"
    said = ("--sub", "auth0|ada", "--acr", "gold", "--claims", '{"org_id": "org_1", "deep": {"a": [1]}}')
    with running(api("run"), {"PORT": port}) as process:
        process.wait_for(r"Try .*\n")
        token, machine = (run(api("token", *options), {"PORT": port}).stdout.strip() for options in (said, ()))
        called = shell(run(api("token", "--dpop", "--url", url, *said), {"PORT": port}).stdout)
        assert (get(url, token).status_code, called[1]) == (200, "200")
    claims, others = claims_of(token), claims_of(machine)
    assert (claims["sub"], claims["acr"]) == ("auth0|ada", "gold")
    assert (claims["org_id"], claims["deep"]) == ("org_1", {"a": [1]})
    assert abs(claims["auth_time"] - claims["iat"]) < 10
    assert others.keys() - claims.keys() == {"gty"}  # a user's token isn't a program's
    assert (others["gty"], claims["scope"]) == ("client-credentials", others["scope"])


@pytest.mark.parametrize("claims", ["", "{", "[]", "1", "org_id=org_1"])
def test_claims_that_are_none_are_refused(claims: str) -> None:
    answer = run(api("token", "--claims", claims))
    assert (answer.returncode, answer.stdout) == (2, "")
    assert f"Error: Invalid value for '--claims': {claims!r} is no JSON object." in answer.stderr


def test_make_token_prints_a_token_or_a_call(home: Path) -> None:
    port = str(free_port())
    with running(api("run"), {"PORT": port}) as process:
        process.wait_for(r"Try .*\n")
        token = run(["make", "-s", "token"], {"PORT": port}, cwd=home).stdout
        assert get(f"http://127.0.0.1:{port}/api/private-scoped", token.strip()).status_code == 200
        assert shell(run(["make", "-s", "token", "DPOP=1"], {"PORT": port}, cwd=home).stdout)[1] == "200"
        assert shell(run(["make", "-s", "token", "DPOP=1", "SCOPE="], {"PORT": port}, cwd=home).stdout)[1] == "403"
        asked = ["SUB=auth0|ada", "ACR=gold'", """CLAIMS={"org id": "it's `1`"}"""]
        said = claims_of(run(["make", "-s", "token", *asked], {"PORT": port}, cwd=home).stdout)
        assert (said["sub"], said["acr"], said["org id"]) == ("auth0|ada", "gold'", "it's `1`")


def test_line_that_run_prints_works_where_bound_tokens_are_required() -> None:
    environ = {"PORT": str(free_port()), "DPOP": "required"}
    with running(api("run"), environ) as process:
        line = process.wait_for(r"Try         (.*)\n")[1]
        for _ in range(2):
            assert "Hello from a private endpoint!" in run(["bash", "-c", line], environ).stdout


@pytest.mark.parametrize(
    ("options", "environ", "code", "sentence"),
    [
        (("--url", "/api/private"), {}, 2, "--url and --method are for --dpop."),
        (("--method", "POST"), {}, 2, "--url and --method are for --dpop."),
        (("--dpop", "--url", "api/private"), {}, 2, "--url must be a URL like"),
        (("--dpop",), {"DPOP": "disabled"}, 1, "The API takes no bound tokens"),
        (("--dpop",), {}, 1, "Is `make run` running"),
    ],
    ids=str,
)
def test_token_command_says_why_there_is_no_call(
    options: tuple[str, ...], environ: dict[str, str], code: int, sentence: str
) -> None:
    answer = run(api("token", *options), {"PORT": str(free_port()), **environ})
    assert (answer.returncode, answer.stdout) == (code, "")
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr


def test_scope_that_the_contract_does_not_declare_is_told() -> None:
    port = str(free_port())
    with running(api("run"), {"PORT": port}) as process:
        process.wait_for("curl")
        answer = run(api("token", "--scope", "read:messages write:x"), {"PORT": port})
        assert (answer.returncode, answer.stdout) == (1, "")
        assert "The contract declares no scope write:x, so none is granted." in answer.stderr


def test_taken_port_of_the_issuer_is_told_before_anything_is_announced() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port + 1)):
        answer = run(api("run"), {"PORT": str(port)})
    assert (answer.returncode, answer.stdout) == (1, "")
    assert f"127.0.0.1 can't be listened on at port {port + 1}, for the development issuer: " in answer.stderr


def test_run_with_a_domain_trusts_that_issuer_and_starts_none(tenant: Tenant) -> None:
    port = free_port()
    environ = {"PORT": str(port), "AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE}
    with running(api("run"), environ) as process:
        process.wait_for(f"Issuer      {tenant.url}")
        assert get(f"http://127.0.0.1:{port}/api/private", tenant.token()).status_code == 200
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port + 1), timeout=1)
        answer = run(api("token"), environ)
        assert answer.returncode == 1
        assert "AUTH0_DOMAIN is set, so there is no development issuer." in answer.stderr


def test_run_reloads_when_a_source_or_the_contract_changes(tmp_path: Path) -> None:
    contract = house(tmp_path) / "openapi.yaml"
    port = free_port()
    with running(api("run"), {"PORT": str(port)}, cwd=tmp_path) as process:
        url = process.wait_for(r"(http://\S+)/ui/")[1]
        token = process.wait_for('Bearer ([^"]+)')[1]
        assert get(f"{url}/api/private", token).status_code == 200

        handlers = tmp_path / "api" / "handlers.py"
        handlers.write_text(handlers.read_text().replace("Hello from a public", "Changed: from a public"))
        wait_until(lambda: "Changed" in get(f"{url}/api/public").text)

        contract.write_text(contract.read_text().replace("/api/public:", "/api/open:"))
        wait_until(lambda: get(f"{url}/api/open").status_code == 200)
        # The issuer has kept its key, so the token from before is still good.
        assert get(f"{url}/api/private", token).status_code == 200

        good = contract.read_text()
        contract.write_text(good.replace("api.handlers.private_scoped", "api.handlers.scoped"))
        wait_until(lambda: get(f"{url}/api/open").status_code == 503)
        problem = get(f"{url}/api/open").json()
        assert problem["code"] == "contract_error"
        assert "operationId 'api.handlers.scoped' can't be imported" in problem["detail"]
        assert "Traceback" not in process.output

        # The issuer grants the scopes of the contract as it is now.
        contract.write_text(good.replace("read:messages", "read:letters"))
        wait_until(lambda: get(f"{url}/api/private-scoped", token).status_code == 403)
        letters = run(api("token", "--scope", "read:letters"), {"PORT": str(port)}, cwd=tmp_path).stdout.strip()
        assert get(f"{url}/api/private-scoped", letters).status_code == 200

        (tmp_path / ".env").write_text("AUTH0_AUDIENCE=https://other.example.com\n")
        wait_until(lambda: get(f"{url}/api/private", letters).status_code == 401)


def house(folder: Path) -> Path:
    """A house to change something in."""
    for name in ("api", "security"):
        copytree(SAMPLE / name, folder / name)
    (folder / "openapi.yaml").write_text((SAMPLE / "openapi.yaml").read_text())
    return folder


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


MISTAKES = [
    ("api/handlers.py", "def public(:", "invalid syntax"),
    ("api/handlers.py", "import nothing_of_this_name", "nothing_of_this_name"),
    ("api/handlers.py", "raise SystemExit(3)", "SystemExit"),
    ("api/handlers.py", "def f(): f()\nf()", "recursion"),
    ("api/app.py", "1 / 0", "division by zero (api/app.py, line 1)"),
    ("api/__init__.py", "\udcff", "(__init__.py, line 1)"),
    ("security/__init__.py", "x = ", "invalid syntax"),
    ("openapi.yaml", "a: [", "can't be read as YAML"),
    ("openapi.yaml", None, "there is no such file"),
    (".env", "MAX_REQUESTS=many", "MAX_REQUESTS"),
    (".env", "AUTH0_AUDIENCE='https://api.example.com", ".env, line 1, can't be read"),
]


def test_run_goes_on_after_every_kind_of_mistake(tmp_path: Path) -> None:
    (house(tmp_path) / ".env").touch()
    with running(api("run"), {"PORT": str(free_port())}, tmp_path) as process:
        url = process.wait_for(r"(http://\S+)/ui/")[1] + "/api/public"
        wait_until(lambda: get(url).status_code == 200)
        for name, text, says in MISTAKES:
            file = tmp_path / name
            good = file.read_bytes()
            if text is None:
                file.unlink()
            else:
                file.write_bytes(text.encode("utf-8", "surrogateescape") + b"\n" + good)
            wait_until(lambda says=says: says in get(url).json().get("detail", ""), seconds=20)
            file.write_bytes(good)
            wait_until(lambda: get(url).status_code == 200, seconds=20)
        assert "Traceback" not in process.output


@pytest.mark.parametrize("definition", ["def", "async def"])
def test_breakpoint_works_under_run(tmp_path: Path, definition: str) -> None:
    change(house(tmp_path) / "api" / "handlers.py", "def public", f"{definition} public")
    change(tmp_path / "api" / "handlers.py", "    return", "    answer = 6 * 7\n    breakpoint()\n    return")
    terminal, its = pty.openpty()
    with running(api("run"), {"PORT": str(free_port())}, tmp_path, stdin=its) as process:
        url = process.wait_for(r"(http://\S+)/ui/")[1]
        with ThreadPoolExecutor() as pool:
            answered = pool.submit(get, f"{url}/api/public")
            process.wait_for("-> (return|breakpoint)")  # Python 3.13 stops before the next line
            os.write(terminal, b"p 'it is', answer\nc\n")
            assert answered.result().status_code == 200
        process.wait_for(r"\('it is', 42\)")
    os.close(terminal)
    os.close(its)


@pytest.mark.parametrize("command", ["run", "serve"])
def test_every_line_goes_through_the_log_from_the_first_on(tmp_path: Path, tenant: Tenant, command: str) -> None:
    app = house(tmp_path) / "api" / "app.py"
    change(
        app, "    # Here is", "    app.app.logger.info('made')\n    warnings.warn('old', stacklevel=1)\n    # Here is"
    )
    change(app, '"""\n\n', '"""\n\nimport logging\nimport warnings\n\nlogging.getLogger("own").info("imported")\n')
    change(tmp_path / "api" / "handlers.py", "    return", "    flask.current_app.logger.info('called')\n    return")
    change(tmp_path / "api" / "handlers.py", '"""\n\n\n', '"""\n\nimport flask\n\n\n')
    port = free_port()
    environ = {"PORT": str(port), "AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "LOG_FORMAT": "json"}
    with running(api(command), environ, tmp_path) as process:
        process.wait_for(f"Serving on|Issuer .*{tenant.url}")
        wait_until(lambda: get(f"http://127.0.0.1:{port}/api/public").status_code == 200)
        process.wait_for('"status": 200')
    printed = process.output.splitlines()
    lines = [json.loads(line) for line in printed if command == "serve" or line.startswith("{")]
    assert [line["message"] for line in lines][:2] == ["imported", "made"]
    assert "UserWarning: old" in lines[2]["message"]
    called = next(line for line in lines if line["message"] == "called")
    assert called["request_id"] == lines[-1]["request_id"]


@pytest.mark.parametrize("command", [("run",), ("serve",)])
def test_invalid_contract_is_told_in_a_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    spec = tmp_path / "openapi.yaml"
    spec.write_text((SAMPLE / "openapi.yaml").read_text().replace("api.handlers.private_scoped", "api.handlers.scoped"))
    environ = {"AUTH0_DOMAIN": "tenant.example.com", "AUTH0_AUDIENCE": AUDIENCE, "PORT": str(free_port())}
    answer = run(api(*command, "--spec", str(spec)), environ)
    assert answer.returncode == 1
    assert f"Error: {spec}: GET /api/private-scoped: operationId 'api.handlers.scoped' can't be" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [({}, "AUTH0_DOMAIN is not set."), ({"AUTH0_DOMAIN": "tenant.example.com"}, "AUTH0_AUDIENCE is not set.")],
)
def test_production_does_not_start_without_its_settings(tmp_path: Path, environ: dict[str, str], sentence: str) -> None:
    answer = run(api("serve"), {"PYTHONPATH": str(SAMPLE), **environ}, cwd=tmp_path)
    assert answer.returncode == 2
    assert sentence in answer.stderr


def test_development_issuer_is_refused_on_another_address() -> None:
    answer = run(api("run"), {"HOST": "0.0.0.0"})  # noqa: S104  # it is refused
    assert answer.returncode == 2
    assert "it is for this machine only" in answer.stderr


@pytest.mark.parametrize("command", ["run", "serve"])
def test_taken_port_is_told_in_a_sentence(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = run(api(command), {"PORT": port, "AUTH0_DOMAIN": "t.example.com", "AUTH0_AUDIENCE": AUDIENCE})
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert port in answer.stderr


def test_token_without_a_running_issuer_says_what_to_start() -> None:
    answer = run(api("token"), {"PORT": str(free_port())})
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "Is `make run` running" in answer.stderr


def test_token_in_a_query_is_not_logged(tenant: Tenant) -> None:
    port = free_port()
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE, "PORT": str(port)}
    with running(api("serve"), environ) as process:
        process.wait_for("Started worker-1")
        assert get(f"http://127.0.0.1:{port}/api/private?access_token=a-secret", "another-secret").status_code == 400
        process.wait_for('"path": "/api/private", "status": 400')
        assert "secret" not in process.output


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_serves_and_ends_when_told_to(tenant: Tenant, workers: str) -> None:
    port = free_port()
    environ = {"AUTH0_DOMAIN": tenant.url, "AUTH0_AUDIENCE": AUDIENCE}
    command = api("serve", "--host", "127.0.0.1", "--port", str(port), "--workers", workers)
    with running(command, environ) as process:
        process.wait_for("Started worker-1")
        response = get(f"http://127.0.0.1:{port}/api/private-scoped", tenant.token())
        assert response.status_code == 200
        assert "server" not in response.headers
        assert process.end(signal.SIGTERM) in (0, -signal.SIGTERM)
        wait_until(lambda: not process.left_behind())
