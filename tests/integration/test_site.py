"""The site of the documentation: it is built strictly, hangs together and needs no network."""

import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.kit.browser import browser
from tests.kit.waiting import eventually

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """What a page refers to.

    Attributes:
        ids: its anchors.
        links: what a reader may follow.
        parts: what the browser loads with the page.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.parts: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        links = self.links if tag == "a" else self.parts
        links |= {found[name] for name in ("href", "src") if name in found}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; the command fails at the first warning of Sphinx."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        ["/usr/bin/make", "--assume-old=.venv/installed", "docs", f"SITE={folder}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_every_link_of_the_site_resolves_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 50
    broken = [
        f"{path.relative_to(site)}: {link}"
        for path, page in pages.items()
        for link in (*page.links, *page.parts)
        if not resolves(link, path, pages, is_part=link in page.parts)
    ]
    assert broken == []


def resolves(link: str, page: Path, pages: dict[Path, Page], *, is_part: bool) -> bool:
    address = urlsplit(link)
    if address.scheme or address.netloc:
        return address.scheme == "data" or not is_part
    target = (page.parent / unquote(address.path)).resolve() if address.path else page
    if not address.fragment or target not in pages:
        return target.is_file()
    return unquote(address.fragment) in {*pages[target].ids, "top"}


def test_search_works_from_disk_and_asks_nobody(site: Path, tmp_path: Path) -> None:
    titles = "[...document.querySelectorAll('#search-results li a')].map(a => a.textContent)"
    with browser(tmp_path) as chromium:
        chromium.open(f"{(site / 'search.html').as_uri()}?q=thingsboard", 1400)
        eventually(lambda: "Topics and payloads" in chromium.evaluate(titles))
        asked = chromium.requests
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
