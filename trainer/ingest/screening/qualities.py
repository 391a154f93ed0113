"""Qualities in recorded data, read by the same maps as on the gateway.

A BAD value becomes a missing one that its row reported, as on the gateway. An UNCERTAIN value is
used, as there. Both are counted by signal.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import DecodeError
from models.input.codecs.qualities import NamedMap, allowed_qualities, quality_reader
from models.input.quality import Quality
from trainer.errors import DataError
from trainer.ingest.columns import Columns
from trainer.recipe.data_section import Signal, Source

_MAX_SHOWN = 10


class Qualities:
    """Reads the columns of qualities of all files.

    Attributes:
        columns: names of the columns that are needed.
    """

    def __init__(self, source: Source, signals: Sequence[Signal]) -> None:
        self._of = [_described(source, signal, number) for number, signal in enumerate(signals)]
        self.columns = tuple(dict.fromkeys(one.column for one in self._of if one is not None))
        self._names = [signal.name for signal in signals]
        self._counts: dict[Quality, Counter[str]] = {one: Counter() for one in Quality}

    def screen(self, columns: Columns, values: NDArray[np.floating]) -> None:
        """Set the BAD values of a block to NaN, in place.

        Args:
            columns: the rows.
            values: values of the signals, `[rows, channels]`.

        Raises:
            DataError: a row has something else than a quality in a column of qualities.
        """
        read: dict[tuple[str, str], NDArray[np.int8]] = {}
        for channel, (name, described) in enumerate(zip(self._names, self._of, strict=True)):
            if described is None:
                continue
            way = described.column, described.key
            if way not in read:
                read[way] = _read(columns, described)
            has_value = ~np.isnan(values[:, channel])
            for quality in (Quality.UNCERTAIN, Quality.BAD):
                count = int((has_value & (read[way] == quality)).sum())
                self._counts[quality][name] += count
            values[read[way] == Quality.BAD, channel] = np.nan

    def notes(self) -> Iterator[str]:
        """Sentences on the BAD and UNCERTAIN values of each signal, after the last file."""
        if told := _listed(self._counts[Quality.BAD]):
            yield f"values of quality BAD are missing ones, as on the gateway: {told}"
        if told := _listed(self._counts[Quality.UNCERTAIN]):
            yield f"values of quality UNCERTAIN are used, as on the gateway: {told}"


@dataclass(frozen=True, slots=True)
class _Described:
    """How the qualities of one signal are read.

    Attributes:
        column: the column with them.
        chosen: the map from what is written there to a quality.
        key: the key of the recipe that gives the map.
    """

    column: str
    chosen: NamedMap | Mapping[str, str] | None
    key: str


def _described(source: Source, signal: Signal, number: int) -> _Described | None:
    column = signal.quality or source.quality
    if column is None:
        return None
    if signal.quality_map is not None:
        return _Described(column, signal.quality_map, f"signals[{number}].quality_map")
    return _Described(column, source.quality_map, "data.quality_map")


def _read(columns: Columns, described: _Described) -> NDArray[np.int8]:
    """The quality of each row, as a number, `[rows]`."""
    read = quality_reader(described.chosen)
    codes, distinct = columns.distinct(described.column)
    found: list[int] = []
    for index, value in enumerate(distinct):
        try:
            found.append(read(value))
        except DecodeError as exc:
            raise _wrong(columns, described, codes == index, exc.reason) from exc
    return np.array([*found, read(None)], dtype=np.int8)[codes]


def _wrong(
    columns: Columns, described: _Described, bad: NDArray[np.bool_], reason: str
) -> DataError:
    if reason == "quality_ambiguous":
        remedy = (
            f"products disagree on whether this is good; set {described.key} to the map of the "
            "source: 'opc_da' and 'sparkplug' (192 is good), 'opc_ua' and 'zero_is_good' (0 is "
            "good), 'boolean' (1 is good), 'siemens_qc' (2 and 3 are good), or a table such as "
            '{ "0" = "BAD" }'
        )
    else:
        remedy = (
            f"allowed are {allowed_qualities(described.chosen)}; set {described.key} to the map of "
            'the source, or to a table of every value, such as { "running" = "GOOD" }'
        )
    return columns.wrong(described.column, bad, remedy)


def _listed(counts: Counter[str]) -> str:
    """Signals with their counts, the most first."""
    shown = [f"{name} {count}" for name, count in counts.most_common() if count]
    more = f" and {len(shown) - _MAX_SHOWN} more signals" if len(shown) > _MAX_SHOWN else ""
    return ", ".join(shown[:_MAX_SHOWN]) + more
