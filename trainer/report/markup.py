"""Builds HTML from text; `markupsafe` escapes everything that is put in."""

from collections.abc import Iterable, Mapping
from itertools import islice

from markupsafe import Markup

MAX_ROWS = 100
"""Most rows of a table; the number of further rows is given below it."""

Cell = str | Markup


def paragraph(text: Cell) -> Markup:
    """One paragraph."""
    return Markup("<p>{}</p>").format(text)


def heading(text: str) -> Markup:
    """A heading within a section."""
    return Markup("<h3>{}</h3>").format(text)


def items(texts: Iterable[Cell]) -> Markup:
    """A list of points; nothing if there are none."""
    points = Markup("").join(Markup("<li>{}</li>").format(text) for text in texts)
    return Markup("<ul>{}</ul>").format(points) if points else Markup("")


def joined(parts: Iterable[Markup]) -> Markup:
    """Parts of a page, one after the other."""
    return Markup("").join(parts)


def side_by_side(pictures: Iterable[Markup]) -> Markup:
    """Narrow pictures in a row, or below each other on a narrow screen."""
    return Markup('<div class="row">{}</div>').format(joined(pictures))


def folded(summary: str, content: Markup) -> Markup:
    """Content that opens on a click, and is always printed."""
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, content)


def metric(name: str, value: str) -> Markup:
    """A metric as the manifest writes it, marked with its name."""
    return Markup('<span data-metric="{}">{}</span>').format(name, value)


def pairs(name: str, value: str, rows: Mapping[str, Cell]) -> Markup:
    """A table of names and values."""
    return table((name, value), rows.items())


def table(header: Iterable[str], rows: Iterable[Iterable[Cell]]) -> Markup:
    """A table of at most `MAX_ROWS` rows; the first cell of a row is its header."""
    names = list(header)
    left = iter(rows)
    lines = [_row(cells) for cells in islice(left, MAX_ROWS)]
    more = sum(1 for _ in left)
    if more:
        lines.append(Markup('<tr><td colspan="{}">and {} more</td></tr>').format(len(names), more))
    head = joined(Markup('<th scope="col">{}</th>').format(name) for name in names)
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table>'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(f"table: {', '.join(names)}", head, joined(lines))


def _row(cells: Iterable[Cell]) -> Markup:
    first, *others = cells
    rest = joined(Markup("<td>{}</td>").format(cell) for cell in others)
    return Markup('<tr><th scope="row">{}</th>{}</tr>').format(first, rest)
