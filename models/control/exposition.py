"""Samples of families as the text that Prometheus reads, in version 0.0.4 of its format.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/. There are no times in
it. No library writes it, so that the agent installs none.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import Final

from models.control.families import Family
from models.control.series import Buckets, Sample

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of the text."""


class Exposition:
    """Collects samples, and writes them by family, as the format demands.

    Args:
        families: the families that samples may be of, in the order in which they are written.
    """

    def __init__(self, families: Sequence[Family]) -> None:
        self._lines: dict[Family, list[str]] = {family: [] for family in families}

    def add(self, samples: Iterable[Sample]) -> None:
        """Add samples, no two of which may have the same family and the same labels."""
        for family, labels, value in samples:
            pairs = zip(family.labels, map(_escaped, labels), strict=True)
            shown = [f'{name}="{text}"' for name, text in pairs]
            lines = self._lines[family]
            if not isinstance(value, Buckets):
                lines.append(_line(family.name, shown, value))
                continue
            for bound, count in value.cumulative:
                within = "+Inf" if bound == inf else repr(bound)
                lines.append(_line(f"{family.name}_bucket", [*shown, f'le="{within}"'], count))
            lines.append(_line(f"{family.name}_sum", shown, value.total))
            lines.append(_line(f"{family.name}_count", shown, value.cumulative[-1][1]))

    def text(self) -> bytes:
        """The text, without the families that have no sample."""
        return "".join(self._written()).encode()

    def _written(self) -> Iterator[str]:
        for family, lines in self._lines.items():
            if lines:
                # Types of OpenMetrics alone, such as info, are not known to this format.
                kind = "gauge" if family.kind == "info" else family.kind
                yield f"# HELP {family.name} {family.meaning}\n# TYPE {family.name} {kind}\n"
                yield from lines


def _line(name: str, labels: Sequence[str], value: float) -> str:
    braced = f"{{{','.join(labels)}}}" if labels else ""
    return f"{name}{braced} {float(value)!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
