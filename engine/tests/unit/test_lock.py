"""`make lock` says what it does while nothing else is to be seen."""

import sys
from pathlib import Path

import pytest

from resource_server.developing.lock import lock

COMPILER = [sys.executable, "-c", "import sys; open(sys.argv[-1], 'w').write('added==1\\n')"]


def test_each_file_is_named_before_it_is_resolved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[dependency-groups]\ndev = []\n")
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / "engine").mkdir(exist_ok=True)
        (tmp_path / "engine" / name).write_text("")
    lock(tmp_path / "engine", COMPILER)
    said = capfd.readouterr()
    assert said.err == "Resolving requirements.txt …\nResolving requirements-dev.txt …\n"
    assert said.out == ""
    assert (tmp_path / "requirements.txt").read_text().endswith("added==1\n")
