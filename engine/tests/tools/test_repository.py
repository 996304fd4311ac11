"""The files of the repository that only its host reads: they are what that takes, and name what there is."""

import json
import re
import subprocess
import sys

import pytest
import yaml

from tests.processes import ENGINE

ROOT = ENGINE.parent

pytestmark = pytest.mark.skipif(not (ROOT / ".github").exists(), reason="this house has no files for GitHub")


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        (".github/workflows/ci.yml", "vendor.github-workflows"),
        (".github/dependabot.yml", "vendor.dependabot"),
    ],
)
def test_host_takes_them(path: str, schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(ROOT / path)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert checked.returncode == 0, checked.stdout


def test_folders_whose_packages_are_renewed_have_some() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    folders = [folder for update in updates for folder in update.get("directories", [])]
    assert folders
    assert all((ROOT / folder.strip("/") / "package-lock.json").exists() for folder in folders)


def test_forms_ask_for_something() -> None:
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"):
        form = yaml.safe_load(path.read_text())
        assert {"name", "description", "body"} <= form.keys()
        assert [each for each in form["body"] if each["type"] != "markdown" and not each["attributes"]["label"]] == []


def test_commands_of_the_workflow_are_targets() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    rules = (ENGINE / "rules.mk").read_text()
    named = set(re.findall(r"(?:run: |\$ |`)make ([a-z-]+)", text))
    assert named
    assert {name for name in named if not re.search(rf"^(?:.* )?{name}(?: .*)?:", rules, re.MULTILINE)} == set()


def test_container_and_hooks_are_readable() -> None:
    assert json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())["image"]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert all((ROOT / hook["entry"].split()[0]).exists() for hook in hooks)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text()):
        assert (ROOT / target).exists(), target
