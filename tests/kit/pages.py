"""A report as a reader finds it: its text, tables, metrics and pictures."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = frozenset(("meta", "br", "link", "img", "input", "hr"))


@dataclass
class Element:
    """A tag with its content."""

    tag: str
    attributes: dict[str, str]
    content: list["Element | str"] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text in it, with single blanks."""
        return " ".join("".join(texts(self)).split())

    def all(self, tag: str, **attributes: str) -> list["Element"]:
        """All elements in it with a tag and with these attributes, in order."""
        return [
            one
            for one in within(self)
            if one.tag == tag and attributes.items() <= one.attributes.items()
        ]


def within(element: Element) -> Iterator[Element]:
    """All elements in it, in order."""
    for part in element.content:
        if isinstance(part, Element):
            yield part
            yield from within(part)


def texts(element: Element) -> Iterator[str]:
    """The visible text of it, piece by piece."""
    for part in element.content:
        if isinstance(part, str):
            yield part
        elif part.tag not in ("style", "title", "desc"):
            yield from texts(part)
            yield " "


class Page(HTMLParser):
    """A parsed page; a tag that is not closed, or closed twice, raises AssertionError."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]
        self.feed(content.decode())
        self.close()
        assert self._open == [self.root], f"never closed: {[one.tag for one in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].content.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].content.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].content.append(data)

    def section(self, heading: str) -> Element:
        """The section with a heading."""
        found = [one for one in self.root.all("section") if one.all("h2")[0].text == heading]
        assert len(found) == 1, f"{len(found)} sections are called {heading}"
        return found[0]

    @property
    def headings(self) -> list[str]:
        """The headings of the sections, in order."""
        return [one.text for one in self.root.all("h2")]

    @property
    def metrics(self) -> dict[str, set[str]]:
        """All renderings of each metric of the manifest on the page."""
        found: dict[str, set[str]] = {}
        for one in self.root.all("span"):
            if "data-metric" in one.attributes:
                found.setdefault(one.attributes["data-metric"], set()).add(one.text)
        return found

    @property
    def pictures(self) -> dict[str, Element]:
        """The pictures by title."""
        return {
            "".join(str(part) for part in svg.all("title")[0].content): svg
            for svg in self.root.all("svg")
        }


def rows(element: Element) -> list[list[str]]:
    """The cells of the first table in an element, without its header."""
    body = element.all("tbody")[0]
    return [
        [cell.text for cell in row.content if isinstance(cell, Element)] for row in body.all("tr")
    ]
