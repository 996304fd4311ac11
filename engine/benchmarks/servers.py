"""What `benchmarks.throughput` compares, each started as its documentation says, with one process that serves."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from tests.nodepeers import PEERS as NODE_PEERS
from tests.nodepeers import missing_node
from tests.processes import ENGINE, SAMPLE

PEERS = Path(__file__).parent / "peers"
PEERS_PYTHON = ENGINE.parent / ".venv-bench" / "bin" / "python"
_GO_PEER = PEERS_PYTHON.with_name("go-peer")
_GO_PACKAGES = Path("/usr/share/gocode/src/github.com/golang-jwt/jwt")  # where Debian has it
_VERSIONS = """import json, platform, sys; from importlib.metadata import version
print(json.dumps({"python": platform.python_version()} | {name: version(name) for name in sys.argv[1:]}))"""


@dataclass(frozen=True)
class Server:
    """A server to be timed.

    Args:
        name: What the command line and the results call it.
        title: What it is made of, for people.
        kind: `limit` looks at no token: what its framework could do at most. `outside` isn't compared with peers.
        command: The program and its arguments, with the fields `{port}`, `{issuer}` and `{audience}`.
        folder: Where it is started.
        packages: Those whose versions matter.
        https_issuer: It accepts the tokens of https issuers only.
        without_token: What it answers then; RFC 6750 says 401, Auth0's own SDKs say 400.
        settings: Environment variables of its own.
        optional: Where it is missing, the others are timed without it.
    """

    name: str
    title: str
    kind: Literal["ours", "peer", "outside", "limit"]
    command: tuple[str, ...]
    folder: Path
    packages: tuple[str, ...]
    https_issuer: bool = False
    without_token: int = 401
    settings: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False

    def arguments(self, **fields: object) -> list[str]:
        """The command line."""
        return [part.format(**fields) for part in self.command]

    def with_arguments(self, *arguments: str) -> "Server":
        """The same with more arguments."""
        return replace(self, command=(*self.command, *arguments))

    @property
    def has_workers(self) -> bool:
        """Whether it takes `--workers`, as the servers of Python do."""
        return self.command[0] in (sys.executable, str(PEERS_PYTHON))

    def missing(self) -> str | None:
        """What to install first; what is there is built."""
        if self.command[0] == "node":
            return missing_node(NODE_PEERS)
        if self.command[0] == str(_GO_PEER):
            return _build_go()
        return None if Path(self.command[0]).exists() else "it is installed by `make .venv-bench/installed`"

    def versions(self) -> dict[str, str]:
        """The versions of its language and packages."""
        if self.command[0] == "node":
            package = {name: NODE_PEERS / "node_modules" / name / "package.json" for name in self.packages}
            found = {name: json.loads(path.read_text())["version"] for name, path in package.items()}
            return {"node": _output(["node", "--version"]).removeprefix("v"), **found}
        if self.command[0] == str(_GO_PEER):
            return {"go": _output(["go", "env", "GOVERSION"]).removeprefix("go")}
        return dict(json.loads(_output([self.command[0], "-c", _VERSIONS, *self.packages])))


def environ(issuer: str, audience: str) -> dict[str, str]:
    """The settings of them all."""
    ours = {"AUTH0_DOMAIN": issuer, "AUTH0_AUDIENCE": audience}
    return {"ISSUER": issuer, "AUDIENCE": audience, "NODE_ENV": "production", **ours}


def _output(arguments: list[str]) -> str:
    return subprocess.check_output(arguments, text=True).strip()  # noqa: S603  # the benchmark's own commands


def _build_go() -> str | None:
    if not shutil.which("go") or not _GO_PACKAGES.is_dir():
        return "it needs Debian's golang-go and golang-github-golang-jwt-jwt-dev"
    build = ["go", "build", "-mod=mod", "-o", str(_GO_PEER), "."]
    subprocess.run(build, cwd=PEERS / "go", env={**os.environ, "GOPROXY": "off"}, check=True)  # noqa: S603  # built once
    return None


def _uvicorn(python: object, app: str, *options: str) -> tuple[str, ...]:
    log = "--no-access-log"
    return (str(python), "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", "{port}", log, *options)


_OURS = Server(
    "ours",
    "this API",
    "ours",
    (sys.executable, "-m", "api", "serve", "--host", "127.0.0.1", "--port", "{port}"),
    SAMPLE,
    ("connexion", "flask", "authlib", "joserfc", "uvicorn"),
)

_ALL = (
    _OURS,
    # The others log nothing, either.
    replace(_OURS, name="ours-quiet", title="this API, without its log", settings={"LOG_REQUESTS": "false"}),
    Server(
        "connexion",
        "Connexion on uvicorn",
        "peer",
        _uvicorn(PEERS_PYTHON, "connexion_app:app"),
        PEERS,
        ("connexion", "flask", "joserfc", "uvicorn"),
    ),
    Server(
        "flask-authlib",
        "Flask + Authlib on gunicorn",
        "peer",
        (
            # Threads keep connections alive; they serve more requests than gunicorn's default does.
            *(str(PEERS_PYTHON), "-m", "gunicorn", "--threads", "4", "--bind", "127.0.0.1:{port}"),
            'quickstart:create_app("{issuer}", "{audience}")',
        ),
        NODE_PEERS,
        ("flask", "authlib", "joserfc", "gunicorn"),
    ),
    Server(
        "fastapi",
        "FastAPI + auth0-fastapi-api on uvicorn",
        "peer",
        _uvicorn(PEERS_PYTHON, "fastapi_app:app"),
        PEERS,
        ("fastapi", "auth0-fastapi-api", "auth0-api-python", "authlib", "uvicorn"),
        https_issuer=True,
        without_token=400,
    ),
    Server(
        "express",
        "Express + express-oauth2-jwt-bearer",
        "peer",
        ("node", "express.mjs", "--port", "{port}", "--issuer", "{issuer}", "--audience", "{audience}"),
        NODE_PEERS,
        ("express", "express-oauth2-jwt-bearer"),
    ),
    Server(
        "go",
        "outside Python: Go's net/http + golang-jwt",
        "outside",
        (str(_GO_PEER), "--port", "{port}", "--issuer", "{issuer}", "--audience", "{audience}"),
        PEERS,
        (),
        optional=True,
    ),
    Server(
        "bare-flask",
        "limit: bare Flask on granian",
        "limit",
        (
            *(str(PEERS_PYTHON), "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}"),
            "bare_flask:app",
        ),
        PEERS,
        ("flask", "granian"),
    ),
    Server(
        "bare-asgi",
        "limit: bare ASGI on uvicorn",
        "limit",
        _uvicorn(sys.executable, "bare_asgi:app"),
        PEERS,
        ("uvicorn",),
    ),
)
SERVERS: Mapping[str, Server] = {server.name: server for server in _ALL}
