"""How Sphinx builds the site of the documentation (docs/adr/0020-sphinx-builds-the-site.md).

`make docs` copies the Markdown files into a folder of their own and keeps their paths, so that a
link works on the site as it does in a checkout. The guides hold no directive of Sphinx: what the
site needs beside them is added here.
"""

import posixpath
import re
from importlib.metadata import version as installed
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]

project = "millhand"
version = release = installed("millhand")
copyright = "the contributors to millhand. Licence: Apache-2.0"  # noqa: A001  Sphinx reads this name

extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/README"
exclude_patterns = ["docs/api/*/modules.rst"]
myst_heading_anchors = 4
default_role = "code"  # docstrings put names between single backticks

html_theme = "furo"
html_title = f"millhand {release}"
html_extra_path = ["site"]  # the site's first page leads to docs/README.html
html_copy_source = False
html_show_sphinx = False

apidoc_modules = [
    {"path": "../models", "destination": "docs/api/models", "max_depth": 2},
    {"path": "../serving", "destination": "docs/api/serving", "max_depth": 2},
]
apidoc_separate_modules = False
apidoc_module_first = True
apidoc_automodule_options = {"members", "show-inheritance"}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

SIDEBAR = {
    "Everybody": ["README", "docs/install", "CHANGELOG", "SECURITY"],
    "ML engineer": [
        "docs/draft",
        "docs/recipe",
        "docs/estimators",
        "docs/report",
        "docs/drift",
        "docs/pack",
        "docs/data",
    ],
    "Gateway operator": [
        "docs/learn",
        "docs/registry",
        "docs/security",
        "docs/reliability",
        "docs/performance",
        "docs/metrics",
        "docs/api",
        "docs/console",
        "docs/rollouts",
        "docs/retraining",
        "docs/shadow",
        "docs/large-models",
    ],
    "SCADA engineer": [
        "docs/topics",
        "docs/sparkplug",
        "docs/sparkplug-statements",
        "docs/home-assistant",
    ],
    "Developer": [
        "docs/architecture",
        "docs/api/models/models",
        "docs/api/serving/serving",
        "docs/adr/README",
        "CONTRIBUTING",
        "RELEASE",
    ],
}
"""Captions of the sidebar, and the pages below each."""

_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)([^)#]+)(#[^)]*)?\)")
_MARKUP = re.compile(r"(`[^`]*`)|[|*]|(?<=\w)_(?!\w)")
_SHOWN = {".md", ".svg", ".png"}


def setup(app: Sphinx) -> None:
    """Register what is done with each page and each docstring before it is parsed."""
    app.connect("source-read", _prepare)
    app.connect("autodoc-process-docstring", _plain_text, priority=400)  # before napoleon's at 500


def _prepare(_app: Sphinx, page: str, content: list[str]) -> None:
    """Complete one page.

    Args:
        page: path of the page without its suffix.
        content: the text of the page as the only element; it is replaced.
    """
    folder = posixpath.dirname(page)
    text = _LINK.sub(lambda link: _shown(link, folder), content[0])
    if page == root_doc:
        text += "".join(map(_toctree, SIDEBAR, SIDEBAR.values()))
    if page == "docs/adr/README":
        records = sorted(path.stem for path in (ROOT / "docs/adr").glob("0*.md"))
        text += _toctree("", [f"docs/adr/{name}" for name in (*records, "template")])
    content[0] = text


def _shown(link: re.Match[str], folder: str) -> str:
    """Keep a link to a page or a picture; name the path where it leads to code or to a folder."""
    path = posixpath.normpath(posixpath.join(folder, link[2]))
    if not (ROOT / path).exists() or Path(path).suffix in _SHOWN:
        return link[0]
    return f"`{path}`" if link[1] == path else f"{link[1]} (`{path}`)"


def _toctree(caption: str, pages: list[str]) -> str:
    options = ":hidden:\n" + (f":caption: {caption}\n" if caption else "")
    entries = "\n".join(f"/{page}" for page in pages)
    return f"\n\n```{{toctree}}\n{options}\n{entries}\n```\n"


def _plain_text(_app: Sphinx, what: str, _name: str, *rest: object) -> None:
    """Keep the signs of a docstring that reStructuredText would take for markup.

    Args:
        what: kind of the object, such as "module" or "class".
        rest: the object, its options, and the lines of its docstring, which are replaced.
    """
    lines: list[str] = rest[-1]  # type: ignore[assignment]  # Sphinx hands over its list of lines
    kept = [_MARKUP.sub(lambda found: found[1] or f"\\{found[0]}", line) for line in lines]
    lines[:] = _drawings(kept, lines) if what == "module" else kept


def _drawings(text: list[str], original: list[str]) -> list[str]:
    """Make a literal block of what a module's docstring indents, such as a tree of errors."""
    done: list[str] = []
    for line, raw in zip(text, original, strict=True):
        if raw.startswith("  ") and not (done and done[-1].startswith("  ")):
            done += ["", "::", ""]
        elif done and done[-1].startswith("  ") and raw and not raw.startswith(" "):
            done.append("")
        done.append(raw if raw.startswith("  ") else line)
    return done
