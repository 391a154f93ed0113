"""Every link between the Markdown files leads somewhere, and decisions are recorded in order."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECISIONS = sorted((ROOT / "docs/adr").glob("0*.md"))
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
_PATH = re.compile(r"`((?:agent|models|serving|trainer|tests|docs|config|systemd)/[\w/.-]*)`")

_ROW = re.compile(r"^\| (\d+) \| \[(.+)\]\((.+\.md)\) \| .+ \| ([\d-]+) \|$", re.MULTILINE)


@cache
def pages() -> tuple[str, ...]:
    """The Markdown files of the repository: those in git and those that could be."""
    listing = subprocess.run(
        ["/usr/bin/git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(name for name in listing.stdout.splitlines() if (ROOT / name).is_file())


@cache
def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text())


@cache
def anchors(page: Path) -> set[str]:
    """The anchors that a code host makes of the headings."""
    plain = (re.sub(r"[`*]|\]\([^)]*\)", "", heading) for heading in _HEADING.findall(prose(page)))
    return {re.sub(r"[^\w -]", "", text.lower()).strip().replace(" ", "-") for text in plain}


@pytest.mark.parametrize("name", pages())
def test_links_of_a_page_resolve(name: str) -> None:
    page = ROOT / name
    broken = []
    for link in _LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        if path.startswith(("http:", "https:", "mailto:")):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.resolve())):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_files_that_a_page_names_exist(name: str) -> None:
    named = set(_PATH.findall(prose(ROOT / name)))
    assert named
    assert {path for path in named if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_decision_has_a_status_and_a_date(decision: Path) -> None:
    title, blank, status, date, *_ = decision.read_text().splitlines()
    assert title.startswith(f"# {int(decision.name[:4])}. ")
    assert blank == ""
    assert re.fullmatch(r"- Status: (proposed|accepted|superseded)\b.*", status)
    assert re.fullmatch(r"- Date: \d{4}-\d\d-\d\d", date)


def test_index_lists_every_decision_with_its_title_and_date() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    rows = _ROW.findall(index)
    assert [f"# {number}. {title}" for number, title, _, _ in rows] == [
        decision.read_text().splitlines()[0] for decision in DECISIONS
    ]
    assert [(file, f"- Date: {date}") for _, _, file, date in rows] == [
        (decision.name, decision.read_text().splitlines()[3]) for decision in DECISIONS
    ]
