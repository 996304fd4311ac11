"""`make site` makes a site of the guides that is whole: each link leads somewhere, and each page is found."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import resource_server.flask
import resource_server.serving
import resource_server.testing
from resource_server.command import cli
from resource_server.settings import rows
from tests.api.test_troubleshooting import refusals
from tests.processes import DOCS, ENGINE, SAMPLE, run
from tests.unit.test_rooms import CONTRACT_TESTS

pytestmark = pytest.mark.timeout(300)

PYTHON = ENGINE.parent / ".venv-site" / "bin" / "python"
OFFLINE = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        sys.exit(f"the network is needed: {arguments}")

sys.addaudithook(refuse)
from sphinx.cmd.build import main
sys.exit(main(sys.argv[1:]))
"""
LOADED = {"audio", "embed", "iframe", "img", "input", "link", "object", "script", "source", "track", "video"}


@dataclass
class Page:
    """What a page of the site has."""

    text: str
    anchors: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    loaded: set[str] = field(default_factory=set)


def read(path: Path) -> Page:
    """Read a page."""
    page = Page(path.read_text())

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            for name, value in attrs:
                if name == "id":
                    page.anchors.add(value or "")
                elif name in ("data", "href", "poster", "src", "srcset"):
                    (page.loaded if tag in LOADED else page.links).add(value or "")

    Parser().feed(page.text)
    return page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not PYTHON.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("The site needs .venv-site: make site")
    folder = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--fail-on-warning", "--keep-going", "--jobs", "2", "--doctree-dir", str(folder / "doctrees")]
    options += ["--conf-dir", str(ENGINE / "site")]
    made = run([str(PYTHON), "-c", OFFLINE, *options, str(DOCS), str(folder / "html")], seconds=280)
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: read(path) for path in site.rglob("*.html")}


def targets(pages: dict[Path, Page]) -> Iterator[tuple[Path, str, Path, str]]:
    """The links within the site: the page, what is written there, and which file and anchor that is."""
    for path, page in pages.items():
        for link in page.links | page.loaded:
            url = urlsplit(link)
            if not url.scheme and not url.netloc:
                yield path, link, (path.parent / unquote(url.path)).resolve() if url.path else path, url.fragment


def test_links_lead_to_files_and_anchors(site: Path, pages: dict[Path, Page]) -> None:
    found = list(targets(pages))
    assert len(found) > 500
    assert [each for each in found if not (each[2].is_file() and each[2].is_relative_to(site))] == []
    assert [each for each in found if each[3] and unquote(each[3]) not in pages[each[2]].anchors] == []


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    assert [each for page in pages.values() for each in page.loaded if re.match(r"(\w+:)?//", each)] == []
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert re.findall(r"(?:@import|url\()\s*['\"]?(?:\w+:)?//[^'\")]*", styles) == []


def test_links_to_elsewhere_are_well_formed(pages: dict[Path, Page]) -> None:
    links = {link for page in pages.values() for link in page.links if urlsplit(link).scheme or link.startswith("//")}
    secure, here = r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(/[^\s<>\"]*)?", r"http://127\.0\.0\.1:\d+/\S*"
    assert links
    assert [link for link in links if not re.fullmatch(f"{secure}|{here}", link)] == []


def test_navigation_leads_to_every_guide(site: Path, pages: dict[Path, Page]) -> None:
    guides = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    sidebar = re.search(r'(?s)<div class="sidebar-tree">.*?</aside>', pages[site / "README.html"].text)
    assert sidebar
    assert guides - set(re.findall(r'href="([^"#]+)"', sidebar[0])) == {"README.html"}
    assert pages[site / "index.html"].links == {"README.html"}


def test_reference_has_every_public_name_and_command(site: Path, pages: dict[Path, Page]) -> None:
    names = {"resource_server.command.main", *(f"resource_server.testing.contract.{name}" for name in CONTRACT_TESTS)}
    for module in (resource_server, resource_server.flask, resource_server.serving, resource_server.testing):
        names |= {f"{module.__name__}.{name}" for name in module.__all__}
    assert names - pages[site / "reference" / "python-api.html"].anchors == set()
    options = {
        f"cmdoption-python-m-api-{name}-{option.removeprefix('--')}"
        for name, command in cli.commands.items()
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    }
    assert options - pages[site / "reference" / "command-line.html"].anchors == set()


def test_every_code_and_setting_is_explained(site: Path, pages: dict[Path, Page]) -> None:
    codes = {each.error for each in refusals() if "error" in vars(each)}
    troubleshooting, settings = (pages[site / f"{name}.html"].text for name in ("troubleshooting", "settings"))
    assert [code for code in codes if f">{code}<" not in troubleshooting] == []
    assert [setting.variable for setting in rows().values() if f">{setting.variable}<" not in settings] == []


def test_what_is_printed_first_is_as_in_the_readme() -> None:
    printed = re.search(r"(?s)```\n(Swagger UI.*?)```", (DOCS / "start.md").read_text())
    assert printed
    assert printed[1] in (SAMPLE / "README.md").read_text()
