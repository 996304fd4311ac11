"""The image of a Dockerfile, built and run without a container engine: each command has a root directory of its own.

Linux namespaces keep it apart, as an engine's do: the command is process 1, finds no files but the image's, and runs
without capabilities. What stands for the base image is this machine's `/usr`, with this Python at `/usr/local`; what
the steps install with pip comes from a folder of packages.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from string import Template

BASE = ("/bin", "/lib", "/lib64", "/sbin")
"""What leads into `/usr`."""

_ENTER = """\
root=$1 python=$2 packages=$3 access=$4; shift 4
mount --bind "$root" "$root"
mount --bind /usr "$root/usr"; mount -o remount,bind,ro "$root/usr"
mount --bind "$python" "$root/usr/local"; mount -o remount,bind,ro "$root/usr/local"
mount --bind "$packages" "$root/mnt"; mount -o remount,bind,ro "$root/mnt"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
[ "$access" = rw ] || mount -o remount,bind,ro "$root"
[ "$access" != tmp ] || mount -t tmpfs tmpfs "$root/tmp"
exec chroot "$root" "$@"
"""


def missing() -> str | None:
    """What it takes to build images here, if something is missing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "this needs Linux, and root to enter a root directory"
    if not (Path(sys.base_prefix) / "bin" / "python").exists() or sys.base_prefix == "/usr":
        return f"this needs a Python that can be put in place of the base image's, and {sys.base_prefix} has none"
    namespaces = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False)  # noqa: S607
    return f"this needs namespaces: {namespaces.stderr.decode()}" if namespaces.returncode else None


@dataclass
class Image:
    """An image, and what its container is started with.

    Args:
        root: The folder with its files.
        packages: The folder that pip installs from.
    """

    root: Path
    packages: Path
    environ: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})
    labels: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = "0:0"
    ports: list[int] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    debian: list[str] = field(default_factory=list)

    def entering(self, command: list[str], environ: Mapping[str, str] | None = None, *, tmp: bool = False) -> list[str]:
        """The command that runs one in a container, on files to read only.

        Args:
            command: The command.
            environ: Variables on top of the image's.
            tmp: Whether `/tmp` can be written to.
        """
        user, _, group = self.user.partition(":")
        none = ["--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
        rights = ["setpriv", "--reuid", user, "--regid", group, *none]
        return self._entering("tmp" if tmp else "ro", rights, command, environ or {})

    def step(self, command: str, arguments: Mapping[str, str] | None = None) -> None:
        """Run a step that makes the image, with arguments below the image's variables."""
        environ = {**(arguments or {}), **self.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/mnt"}
        subprocess.run(self._entering("rw", [], ["sh", "-c", command], environ), check=True)  # noqa: S603

    def _entering(self, access: str, rights: list[str], command: list[str], environ: Mapping[str, str]) -> list[str]:
        variables = [f"{name}={value}" for name, value in {**self.environ, **environ}.items()]
        return [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", _ENTER, "sh"),
            *(str(self.root), sys.base_prefix, str(self.packages), access),
            *(*rights, "env", "-i", f"--chdir={self.directory}", *variables, *command),
        ]


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """The names and arguments of a Dockerfile's instructions."""
    lines = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^\s*#.*\n", "", dockerfile)).splitlines()
    return [(name.lower(), rest.strip()) for name, _, rest in (line.partition(" ") for line in lines if line)]


def build(context: Path, folder: Path, packages: Path, **arguments: str) -> Image:
    """Carry out a Dockerfile, with arguments in place of its defaults; its last stage is the image."""
    sent = folder / "context"
    for path in context_files(context):
        (sent / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(context / path, sent / path)
    builder = _Builder(sent, folder, packages, arguments)
    for name, rest in instructions((context / "Dockerfile").read_text()):
        step: Callable[[str], None] = getattr(builder, f"on_{name}")  # an instruction that isn't known here fails
        step(rest)
    return builder.image


def context_files(context: Path) -> Iterator[Path]:
    """The files that an engine is given: those that .dockerignore doesn't leave out."""
    lines = [line for line in (context / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    rules = [(_pattern(line.lstrip("!")), line.startswith("!")) for line in lines]
    kept = [line[1:] for line in lines if line.startswith("!")]

    def given(path: Path) -> bool:
        matching = [
            keep for rule, keep in rules if any(rule.fullmatch(str(part)) for part in [path, *path.parents][:-1])
        ]
        return matching[-1] if matching else True

    for folder, folders, files in os.walk(context):
        here = Path(folder).relative_to(context)
        folders[:] = [name for name in folders if given(here / name) or any(f"{here / name}/" in line for line in kept)]
        yield from (here / name for name in files if given(here / name))


def _pattern(line: str) -> re.Pattern[str]:
    parts = {r"\*\*/": "(?:.*/)?", r"\*\*": ".*", r"\*": "[^/]*", r"\?": "[^/]"}
    return re.compile(re.sub(r"\\\*\\\*/|\\\*\\\*|\\\*|\\\?", lambda found: parts[found[0]], re.escape(line)))


class _Builder:
    """What each instruction does."""

    image: Image

    def __init__(self, context: Path, folder: Path, packages: Path, given: Mapping[str, str]) -> None:
        self._context = context
        self._folder = folder
        self._packages = packages
        self._given = given
        self._stages: dict[str, Image] = {}
        self._for_bases: dict[str, str] = {}
        self._arguments = self._for_bases

    def on_arg(self, rest: str) -> None:
        name, equals, default = rest.partition("=")
        value = self._given.get(name, default if equals else self._for_bases.get(name))
        if value is not None:
            self._arguments[name] = value

    def on_from(self, rest: str) -> None:
        base, _, name = Template(rest).substitute(self._for_bases).partition(" AS ")
        self._arguments = {}  # a stage knows its own alone
        assert base.startswith("python:"), f"nothing here stands for {base}"
        root = self._folder / f"stage-{len(self._stages)}"
        for folder in ("usr", "mnt", "dev", "proc", "etc", "tmp"):
            (root / folder).mkdir(parents=True)
        for link in map(Path, BASE):
            if link.is_symlink():
                (root / link.name).symlink_to(link.readlink())
        (root / "tmp").chmod(0o1777)
        (root / "etc" / "ld.so.conf").write_text("/usr/local/lib\n")
        self.image = self._stages[name] = Image(root, self._packages)
        self.image.step("ldconfig")

    def on_label(self, rest: str) -> None:
        self.image.labels |= _pairs(rest)

    def on_env(self, rest: str) -> None:
        known = self.image.environ
        self.image.environ = known | {name: Template(value).substitute(known) for name, value in _pairs(rest).items()}

    def on_workdir(self, rest: str) -> None:
        self.image.directory = rest
        self._inside(rest).mkdir(parents=True, exist_ok=True)

    def on_copy(self, rest: str) -> None:
        rest = Template(rest).substitute(self._arguments)
        stage, words = re.fullmatch(r"(?:--from=(\S+) )?(.*)", rest).groups()  # type: ignore[union-attr]  # it matches
        *sources, destination = shlex.split(words)
        assert not words.startswith("--"), f"nothing here stands for {words}"
        origin = self._stages[stage].root if stage else self._context
        for source in (origin / source.lstrip("/") for source in sources):
            target = self._inside(destination)
            if destination.endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target / source.name if destination.endswith("/") else target)

    def on_run(self, rest: str) -> None:
        if rest.startswith("apt-get "):  # the base is this machine's, and read only
            self.image.debian.append(rest)
            return
        self.image.step(rest, self._arguments)

    def on_user(self, rest: str) -> None:
        self.image.user = rest

    def on_expose(self, rest: str) -> None:
        self.image.ports.append(int(rest))

    def on_healthcheck(self, rest: str) -> None:
        self.image.health = json.loads(rest.partition("CMD ")[2])

    def on_cmd(self, rest: str) -> None:
        self.image.command = json.loads(rest)

    def _inside(self, path: str) -> Path:
        return self.image.root / str(PurePosixPath(self.image.directory, path)).lstrip("/")


def _pairs(rest: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(rest))
