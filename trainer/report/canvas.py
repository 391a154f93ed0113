"""Draws pictures by Matplotlib, as SVG within the page. Only this module configures Matplotlib.

Equal pictures are equal bytes: they contain no date and no version, their ids are hashes of their
titles, and the settings of the user are ignored. Text stays text, so that it can be read aloud and
searched.
"""

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import matplotlib.style
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

BLUE, ORANGE, RED, GREEN, GREY, BLACK = (
    "#0072b2",
    "#e69f00",
    "#c8360b",
    "#00704d",
    "#9aa0a6",
    "#1b1f24",
)
"""Colours near those of Okabe and Ito, safe for the colour-blind; never the only difference."""

Look = dict[str, Any]
"""Keyword arguments of Matplotlib that say how something is drawn."""

WIDE: Final = (9.0, 2.7)
NARROW: Final = (4.4, 3.2)
COLUMNS: Final = 500
"""Columns of a line; its minimum and maximum in each column are drawn."""

_LOOK: Final[Look] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a signal may be called $x$
    "axes.unicode_minus": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.formatter.useoffset": False,
    "axes.labelsize": 10,
    "font.size": 10,
    "grid.color": "#e3e6ea",
    "hatch.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.0,
    "date.converter": "concise",
    "figure.dpi": 72,
}
_NO_MARKS: Final = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_ROUNDED = re.compile(r"(\d\.\d)\d+")
_TAG = re.compile(r"<[^<>]*>")
_UNUSED = re.compile(r'(<g) id="[^"]*"|font-family: [^;"]*;? ?| transform="rotate\(-0 [^"]*\)"')


def picture(
    title: str,
    text: str | Markup,
    draw: Callable[[Figure], None],
    *,
    size: tuple[float, float] = WIDE,
) -> Markup:
    """Draw a picture, with its caption below it.

    Args:
        title: the title, which differs from those of the other pictures of the page.
        text: a description of what the picture shows, also read aloud by screen readers.
        draw: adds the axes to an empty Matplotlib figure.
        size: width and height in inches of 72 units.
    """
    look: Look = {**_LOOK, "svg.hashsalt": title}
    with matplotlib.style.context(["default", look], after_reset=True), warnings.catch_warnings():
        # Where Matplotlib's font lacks a script, the browser uses another font.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        written = io.BytesIO()
        # `Figure.savefig` would draw everything twice, the first time for the layout alone.
        FigureCanvasSVG(figure).print_svg(written, metadata=_NO_MARKS)
    return Markup(
        '<figure class="{}"><div class="scroll" tabindex="0" role="region" aria-label="{}">{}</div>'
        "<figcaption><strong>{}.</strong> {}</figcaption></figure>"
    ).format(
        "wide" if size[0] > NARROW[0] else "narrow",
        title,
        _inline(written.getvalue().decode(), title, _plain(text)),
        title,
        text,
    )


def thinned(x: NDArray[Any], y: NDArray[Any], columns: int = COLUMNS) -> NDArray[np.int64]:
    """Indices of the points that draw the same line: the minimum and maximum of each column.

    Args:
        x: numbers or times, ascending, `[n]`.
        y: values, `[n]`.
        columns: number of columns in the picture.
    """
    if len(x) <= 2 * columns:
        return np.arange(len(x))
    column = _columns(x, columns)
    order = np.lexsort((y, column))
    first = np.flatnonzero(np.diff(column[order], prepend=-1))
    last = np.append(first[1:], len(order)) - 1
    return np.unique(order[np.concatenate([first, last])])


@dataclass(frozen=True, slots=True)
class Bands:
    """A long line by columns.

    Attributes:
        x: first time or number of each column.
        low: minimum of each column.
        mean: mean of each column.
        high: maximum of each column.
    """

    x: NDArray[Any]
    low: NDArray[np.float64]
    mean: NDArray[np.float64]
    high: NDArray[np.float64]


def bands(x: NDArray[Any], y: NDArray[np.float64], columns: int) -> Bands:
    """Summarise a line by columns; arguments as for `thinned`."""
    first = np.flatnonzero(np.diff(_columns(x, columns), prepend=-1))
    count = np.diff(first, append=len(x))
    return Bands(
        x[first],
        np.minimum.reduceat(y, first),
        np.add.reduceat(y, first) / count,
        np.maximum.reduceat(y, first),
    )


def logarithmic(axes: Axes, linear: float) -> None:
    """Make the y-axis linear from 0 to `linear` and logarithmic above, with plain numbers."""
    axes.set_yscale("symlog", linthresh=linear)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_ylim(bottom=0)


def apart(x: NDArray[Any]) -> NDArray[np.int64]:
    """Indices before which a line is interrupted: after pauses of 20 times the usual step."""
    steps = np.diff(x).astype(np.float64)
    usual = np.median(steps) if len(steps) else 0.0
    return np.flatnonzero(steps > max(20 * usual, 0.0)) + 1


def _columns(x: NDArray[Any], columns: int) -> NDArray[np.int64]:
    """The column that each point is in; `x` is ascending."""
    passed = (x - x[0]).astype(np.float64)
    column: NDArray[np.int64] = (passed / (passed[-1] or 1.0) * columns).astype(np.int64)
    return np.minimum(column, columns - 1, out=column)


def _inline(svg: str, title: str, text: str) -> Markup:
    """Prepare an SVG for the page: no prologue, no namespaces, short numbers, unique ids."""
    svg = _TAG.sub(_short, svg[svg.index("<svg") :])
    svg = re.sub(r"(?m)^\s+|\n", "", svg.replace("xlink:href", "href"))
    svg = re.sub(r"<defs><style.*?</style></defs>", "", svg)
    box = re.search(r'viewBox="([^"]*)"', svg)
    if box is None:
        raise AssertionError("Matplotlib has written an SVG without a viewBox")
    mark = "p" + sha256(title.encode()).hexdigest()[:8]
    head = Markup(
        '<svg viewBox="{}" role="img" aria-labelledby="{}-t {}-d"><title id="{}-t">{}</title>'
        '<desc id="{}-d">{}</desc>'
    ).format(box[1], mark, mark, mark, title, mark, text)
    rest = svg[svg.index(">") + 1 :]
    return head + Markup(rest)  # noqa: S704  Matplotlib has escaped the text in it


def _short(tag: re.Match[str]) -> str:
    """A tag without unused attributes, its numbers rounded to a tenth of a unit."""
    return _ROUNDED.sub(r"\1", _UNUSED.sub(r"\1", tag[0])).replace("\n", " ")


def _plain(text: str | Markup) -> str:
    return text.striptags() if isinstance(text, Markup) else text
