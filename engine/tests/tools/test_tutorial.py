"""docs/tutorial.md, carried out from an empty folder: each command prints what the page shows."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.houses import borrowed_environment, house
from tests.image import Image, build, missing
from tests.postgres import Postgres, postgres
from tests.processes import DOCS, run, running
from tests.serving import free_port, listens, wait_until
from tests.tenant import Tenant

pytestmark = pytest.mark.timeout(600)
BLOCKS: list[tuple[str, str]] = re.findall(r"(?ms)^```(\w+)\n(.*?)^```$", (DOCS / "tutorial.md").read_text())
NGINX = "daemon off; pid {0}/pid; error_log stderr; events {{}}\nhttp {{ access_log off; include {0}/*.conf; }}\n"


def pattern(shown: str) -> str:
    """What is shown, where `…` stands for anything in a line or, alone in one, for any lines."""
    lines = ["(?s:.*)" if line == "…" else re.escape(line).replace("…", ".*") for line in shown.splitlines()]
    return "\n".join(lines)


class Reader:
    """Whoever follows the page: in a shell, with a server that runs until the next one does.

    Args:
        folder: Where, which is empty.
        other: Where other files go.
        tenant: The issuer that stands for Auth0.
        database: What stands for the container of PostgreSQL.
        packages: What images are made of.
    """

    def __init__(self, folder: Path, other: Path, tenant: Tenant, database: Postgres, packages: Path) -> None:
        self.folder, self.other, self.packages = folder, other, packages
        self.port, self.web, metrics = free_port(), free_port(), free_port()
        self.here = {
            "https://tenant.eu.auth0.com/": tenant.url,
            "tenant.eu.auth0.com": tenant.url,
            "https://example.com/auth0-openapi-flask.git": str(other / "upstream"),
            "postgresql+psycopg://orders@127.0.0.1/orders": database.url,
            "TOKEN=eyJ…": f"TOKEN={tenant.token(scope='read:orders write:orders')}",
            "3010": str(self.port),
            "3011": str(self.port + 1),
            "9464": str(metrics),
            "localhost": f"127.0.0.1:{self.web}",
            "listen 80": f"listen 127.0.0.1:{self.web}",
            "/etc/nginx/conf.d": str(other),
        }
        # What is installed is this environment's; the linters, which CI has, aren't a reader's.
        self.environ = {"PORT": str(self.port), "MAKEFLAGS": "PIP_INSTALL=true", "CI": ""}
        self.state = other / "state"
        self.state.write_text(f"cd {folder}\n")
        self.server, self.proxy = ExitStack(), ExitStack()
        self.image: Image | None = None
        self.others: dict[str, Callable[[str, str], None]] = {
            "make -s run": lambda command, shown: self.serve(["bash", "-c", f". {self.state}\n{command}"], shown),
            "docker run -d --name orders-db": lambda _, __: None,
            "docker build": lambda _, __: self.build(),
            "git -C ../sample pull": self.pull,
            "docker run": self.contain,
            "sudo nginx": lambda _, __: self.reload(),
        }

    def follow(self, language: str, content: str) -> None:
        """Do what a block says."""
        for there, here in self.here.items():
            content = content.replace(there, here)
        if language != "console":
            name, _, text = content.removeprefix("# ").partition("\n")
            (self.folder / name).write_text(text)
            return
        for command, shown in re.findall(r"(?m)^\$ (.*)\n((?:(?!\$ ).*\n)*)", content):
            do = next((do for begin, do in self.others.items() if command.startswith(begin)), self.type)
            do(command, shown)

    def type(self, command: str, shown: str) -> None:
        """Run a command to its end in the shell, whose folder and variables stay."""
        kept = "echo cd $PWD; set | grep -E '^(API|ADA|READER|JSON|TOKEN)='"
        script = f". {self.state}\n{command}\nstatus=$?\n{{ {kept}; }} > {self.state}\nexit $status"
        if command.endswith("/readyz"):  # a person takes longer than the first keys do
            wait_until(lambda: "ready" in run(["bash", "-c", f"{command} | grep ready"], self.environ).stdout, 30)
        ended = run(["bash", "-c", script], self.environ, seconds=120)
        assert ended.returncode == 0, (command, ended.stdout[-9_000:], ended.stderr[-3_000:])
        printed = ended.stdout.strip()
        assert not shown or re.fullmatch(pattern(shown), printed), (command, shown, printed[-3_000:])
        self.folder = Path(self.state.read_text().splitlines()[0].removeprefix("cd "))
        if command.startswith(("git clone", "cd ")) and not (self.folder / ".venv").exists():
            borrowed_environment(self.folder)

    def serve(self, command: list[str], shown: str) -> None:
        """Start a server in place of the one before."""
        self.server.close()
        process = self.server.enter_context(running(command, self.environ, self.folder))
        process.wait_for(pattern(shown), seconds=60)

    def pull(self, command: str, shown: str) -> None:
        """Get what has been committed upstream meanwhile."""
        (self.other / "upstream" / "engine" / "later").touch()
        commit(self.other / "upstream")
        self.type(command, shown)

    def build(self) -> None:
        """Carry out the Dockerfile."""
        more = ["download", "-q", "--no-deps", "--require-hashes", "-r", "requirements.txt", "-d", str(self.packages)]
        downloaded = run([sys.executable, "-m", "pip", *more], cwd=self.folder)
        assert downloaded.returncode == 0, downloaded.stderr
        self.image = build(self.folder, self.other / "image", self.packages)

    def contain(self, command: str, shown: str) -> None:
        """Run a container's command."""
        assert self.image
        options, _, words = command.partition(" orders ")
        environ = dict(line.split("=", 1) for line in (self.folder / ".env").read_text().splitlines())
        entering = self.image.entering(shlex.split(words), {**environ, "PORT": str(self.port)}, tmp=True)
        if "--rm" not in options:
            self.serve(entering, shown)
            return
        ended = subprocess.run(entering, capture_output=True, text=True, check=False)  # noqa: S603
        assert ended.returncode == 0, ended.stderr
        assert re.fullmatch(pattern(shown), ended.stdout.strip()), ended.stdout

    def reload(self) -> None:
        """Start nginx, with the page's part of its configuration."""
        (self.other / "nginx").write_text(NGINX.format(self.other))
        self.proxy.enter_context(running(["nginx", "-c", str(self.other / "nginx"), "-p", str(self.other)]))
        wait_until(lambda: listens(self.web))


def commit(folder: Path, *first: str) -> None:
    """Commit all that is in a folder."""
    for command in (*first, "add -A", "-c user.name=x -c user.email=x@example.com commit -qm x"):
        ended = run(["git", *shlex.split(command)], cwd=folder)
        assert ended.returncode == 0, ended.stderr


def test_whoever_follows_the_page_serves_orders_in_production(
    tmp_path: Path, tenant: Tenant, engine_packages: Path
) -> None:
    if why := missing():
        pytest.skip(why)
    other = tmp_path / "other"
    upstream = house(other / "upstream")
    commit(upstream, "init -q")
    packages = other / "packages"
    shutil.copytree(engine_packages, packages)
    (tmp_path / "empty").mkdir()
    with postgres(tmp_path / "postgres").running() as database:
        reader = Reader(tmp_path / "empty", other, tenant, database, packages)
        with reader.server, reader.proxy:
            for language, content in BLOCKS:
                reader.follow(language, content)
    assert (reader.folder / "engine" / "later").exists()
