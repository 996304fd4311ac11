"""How Sphinx makes a site of the guides in docs/, which read well on their own, too: `make site`."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

ENGINE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ENGINE / "src"))  # the reference of Python's names is read from there

NAVIGATION = {
    "Start": ["start", "tutorial"],
    "Your API": ["your-api", "database", "testing", "contract-tests", "clients/README", "recipes/*"],
    "Production": ["auth0", "deploy", "performance", "upgrading", "proof"],
    "Reference": ["settings", "reference/*", "troubleshooting", "promises", "changelog"],
    "Explanations": ["outcomes", "design", "tokens", "dependencies", "comparison"],
    "Migration": ["migration/*"],
}
"""The pages of each section, as far as they are there. Sphinx warns of a page that is in none."""

project = html_title = "resource-server"
root_doc = "README"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
myst_heading_anchors = 4  # links to headings are written as for GitHub
highlight_language = "none"  # of blocks that name no other

default_role = "py:obj"  # of what stands in single backticks in docstrings
add_module_names = False
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
maximum_signature_line_length = 80
python_use_unqualified_type_names = True

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["index.html"]  # leads to the first page, which is called README.html
html_copy_source = False


def complete(app: Sphinx, name: str, source: list[str]) -> None:
    """Add the navigation to the first page, and lead to the changelog's page in place of its file."""
    source[0] = source[0].replace("](../CHANGELOG.md)", "](changelog.md)")
    if name != app.config.root_doc:
        return
    for caption, patterns in NAVIGATION.items():
        pages = "\n".join(pattern for pattern in patterns if any(Path(app.srcdir).glob(f"{pattern}.md")))
        source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {caption}\n\n{pages}\n```\n" if pages else ""


def setup(app: Sphinx) -> None:
    """Connect what completes the pages."""
    app.connect("source-read", complete)
