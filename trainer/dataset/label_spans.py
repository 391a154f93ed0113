"""Tables of labels beside the recorded data: spans of time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.ingest import csv_file
from trainer.ingest.columns import Columns
from trainer.ingest.csv_dialect import SEPARATORS, fields
from trainer.ingest.dates.formats import ISO_SHAPE
from trainer.ingest.dates.timestamps import Timestamps
from trainer.ingest.numerals import DecimalMark
from trainer.ingest.recording import Recording
from trainer.ingest.sources import OpenFile, begin, open_once
from trainer.recipe.data_section import Source
from trainer.recipe.time_section import TimeAxis

_LISTED = 12
_START, _END, _LABEL, _ASSET = "from", "to", "label", "asset"


@dataclass(frozen=True, slots=True)
class Span:
    """A time with a label.

    Attributes:
        start_ns: its begin, nanoseconds since 1970, which is inside.
        end_ns: its end, which is outside.
        label: the label of the rows within.
        asset: index of the asset that it is of; None for all.
        line: its line in the table.
    """

    start_ns: int
    end_ns: int
    label: str
    asset: int | None
    line: int


def spans_of(
    path: Path, source: Source, recording: Recording, digests: dict[str, str]
) -> tuple[Span, ...]:
    """Read a table of spans; its digest is added to `digests`.

    Raises:
        DataError: the table cannot be read, a span ends before it begins, or an asset is unknown.
    """
    with open_once(path, f"labels.spans: {path}") as file:
        digests[f"labels.spans/{path.name}"] = file.sha256
        table = _columns(replace(file, name=path.name), source)
    start, end = (_times(table, column, source) for column in (_START, _END))
    if (start >= end).any():
        raise table.wrong(_END, start >= end, "a span ends after its begin, in 'from'")
    named = table.texts(_LABEL, words=True)
    labels = np.array(named.names, dtype=object)[named.codes]
    if (labels == "").any():
        raise table.wrong(_LABEL, labels == "", "every span needs its label")
    assets = _assets(table, recording)
    parts = zip(
        start.tolist(), end.tolist(), labels.tolist(), assets, table.lines.tolist(), strict=True
    )
    return tuple(Span(*part) for part in parts)


def _columns(file: OpenFile, source: Source) -> Columns:
    header = begin(file, source.encoding).lines
    has_asset = any(
        _ASSET in [field.strip() for field in fields(line, separator)]
        for line in header[:10]
        for separator in SEPARATORS
    )
    wanted = [_START, _END, _LABEL, *([_ASSET] if has_asset else [])]
    blocks = list(csv_file.blocks(file, source.of_table(), wanted, str))
    if not sum(map(len, blocks)):
        raise DataError(f"{file.name}: empty; labels.spans needs {', '.join(wanted)} in it")
    if len(blocks) > 1:
        raise DataError(f"{file.name}: has more than {len(blocks[0])} lines; is it the table?")
    marks = DecimalMark(source.decimal, source.thousands)
    return Columns(blocks[0], file.name, marks, source.na_values, {})


def _times(table: Columns, column: str, source: Source) -> NDArray[np.int64]:
    """Read a column of times, which are written in ISO 8601 or as those of the data."""
    axis = source.time
    if axis is None:
        raise AssertionError("the recipe was checked for data.time")
    is_iso = re.fullmatch(ISO_SHAPE, table.text(column).iloc[0]) is not None
    counts = axis.unit is not None and not is_iso
    own = TimeAxis(
        column=column,
        zone=axis.zone,
        unit=axis.unit if counts else None,
        origin=axis.origin,
        format=None if is_iso else axis.format,
        day_first=axis.day_first if isinstance(axis.day_first, bool) and not counts else None,
    )
    stamps = Timestamps(own)
    times = stamps.read(table)
    lines = table.lines
    return times[stamps.chosen(times, lambda row: f"{table.name} line {lines[row]}")]


def _assets(table: Columns, recording: Recording) -> Sequence[int | None]:
    if _ASSET not in table.frame:
        return [None] * len(table)
    named = table.names(_ASSET)
    names = np.array(named.names)[named.codes]
    strange = ~np.isin(names, recording.assets)
    if strange.any():
        known = ", ".join(recording.assets[:_LISTED])
        more = ", ..." if len(recording.assets) > _LISTED else ""
        raise table.wrong(_ASSET, strange, f"the data has no such asset, it has {known}{more}")
    index = {name: number for number, name in enumerate(recording.assets)}
    return [index[name] for name in names.tolist()]
