"""The results as a picture: bars show medians, whiskers the least and the most of all rounds.

The SVG has no scripts and no fonts of its own. `python -m benchmarks.report.plot RESULTS.json
PLOT.svg` draws the picture of an earlier run again.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.contenders.contender import MILLHAND, PLAIN

_WIDTH, _LABEL, _BAR, _ROW, _HEAD, _NUMBER = 760, 150, 460, 22, 46, 8
_COLOURS = {MILLHAND: "#c2410c"}
_OTHERS = "#94a3b8"
_FEW = 10


@dataclass(frozen=True, slots=True)
class _Panel:
    """One panel: the figure that it shows, of which measurements, and its title."""

    title: str
    experiment: str
    qos: int
    figure: str
    scale: float = 1.0
    case: str = ""
    without: tuple[str, ...] = ()


_FIXED = "1,000/s"
_PANELS = (
    _Panel("Messages a second, QoS 0 (more is better)", "throughput", 0, "messages_rate"),
    _Panel("Messages a second, QoS 1 (more is better)", "throughput", 1, "messages_rate"),
    *(
        _Panel(
            f"Median latency at 1,000 a second, QoS {qos}, ms (less is better); plain falls behind",
            "latency",
            qos,
            "p50_us",
            1e-3,
            _FIXED,
            (PLAIN,),
        )
        for qos in (0, 1)
    ),
    _Panel("Memory at full load, PSS, MB (less is better)", "memory", 1, "pss_bytes", 1e-6),
)


def plot(measurements: Sequence[dict[str, Any]]) -> str:
    """Return the picture of the measurements of a run, in the form of its JSON."""
    parts, y = [], _ROW // 2
    for panel in _PANELS:
        bars = _bars(panel, measurements)
        if bars:
            parts.append(_drawn(panel.title, bars, y))
            y += _HEAD + _ROW * len(bars)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" '
        f'height="{y}" font-family="sans-serif" font-size="13" fill="#0f172a">\n'
        f'<rect width="{_WIDTH}" height="{y}" fill="#ffffff"/>\n{"".join(parts)}</svg>\n'
    )


def _bars(panel: _Panel, measurements: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """Return the values of each contender, in the order in which they were measured."""
    bars: dict[str, list[float]] = {}
    wanted = (panel.experiment, panel.case, panel.qos)
    for one in measurements:
        name = one["contender"]
        if (one["experiment"], one["case"], one["qos"]) == wanted and name not in panel.without:
            bars.setdefault(name, []).append(one["figures"][panel.figure] * panel.scale)
    return bars


def _drawn(title: str, bars: dict[str, list[float]], y: int) -> str:
    """Return one panel below `y`; its axis starts at 0."""
    per_unit = _BAR / max(max(values) for values in bars.values())
    lines = [f'<text x="12" y="{y + 14}" font-weight="bold">{escape(title)}</text>\n']
    top = y + _NUMBER + 14
    for number, (name, values) in enumerate(bars.items()):
        lines.append(_bar(name, values, per_unit, top + number * _ROW))
    bottom = top + len(bars) * _ROW
    axis = f'<line x1="{_LABEL}" y1="{top}" x2="{_LABEL}" y2="{bottom}" stroke="#0f172a"/>\n'
    return "".join((*lines, axis))


def _bar(name: str, values: Sequence[float], per_unit: float, y: int) -> str:
    middle = median(values)
    x, least, most = (_LABEL + per_unit * v for v in (middle, min(values), max(values)))
    mid, colour = y + _ROW // 2, _COLOURS.get(name, _OTHERS)
    number = f"{middle:,.0f}" if middle >= _FEW else f"{middle:.2f}"
    return (
        f'<text x="{_LABEL - 8}" y="{mid + 4}" text-anchor="end">{escape(name)}</text>\n'
        f'<rect x="{_LABEL}" y="{y + 3}" width="{x - _LABEL:.1f}" height="{_ROW - 6}" '
        f'fill="{colour}"/>\n'
        f'<path d="M{least:.1f} {mid}H{most:.1f}M{least:.1f} {mid - 4}v8M{most:.1f} {mid - 4}v8" '
        f'stroke="#0f172a" fill="none"/>\n'
        f'<text x="{max(x, most) + 8:.1f}" y="{mid + 4}">{number}</text>\n'
    )


def main() -> None:
    """Draw the picture of a results file again."""
    results, picture = Path(sys.argv[1]), Path(sys.argv[2])
    picture.write_text(plot(json.loads(results.read_text())["measurements"]))


if __name__ == "__main__":
    main()
