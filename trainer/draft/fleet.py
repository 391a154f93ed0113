"""Which asset each row is of: by a column, by the file, or by parts of the files' names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainer.draft.clock import Clock
from trainer.draft.column import Column, texts_of
from trainer.draft.naming import named
from trainer.draft.table import Table
from trainer.ingest.sources import stem

_NAMES: Final = re.compile(
    r"(.*(machine|maschine|asset|engine|pump|device|motor|turbine|station|anlage|equipment|linie"
    r"|batch|charge|serial|experiment)|(.*[\W_])?(unit|line|run|lot))(s|n|en)?"
    r"([\W_]*(id|nr|no|num|number|nummer|name|code|key|tag|index|idx|sn))?[\W_\d]*",
    re.IGNORECASE,
)
"""What an asset is called, with nothing behind it that is measured of one: not `Pump speed`."""
_ROWS: Final = 10
_RARE: Final = 0.002
_SIGNS: Final = re.compile(r"[_\- .]")


@dataclass(frozen=True)
class Fleet:
    """The assets of the rows.

    Attributes:
        keys: keys of `[data]` that name the assets; none if all rows are of one asset.
        asset: number of the asset of each row, `[rows]`.
        file: number of the file of each row, `[rows]`.
        columns: the columns that name them.
        behind: a comment on them.
        doubts: sentences on what is unsure.
    """

    keys: Mapping[str, Any]
    asset: NDArray[np.int64]
    file: NDArray[np.int64]
    columns: tuple[str, ...] = ()
    behind: str = ""
    doubts: tuple[str, ...] = ()

    @property
    def piece(self) -> NDArray[np.int64]:
        """A number for the rows of one asset in one file, `[rows]`."""
        return self.asset * (int(self.file.max(initial=0)) + 1) + self.file

    @property
    def count(self) -> int:
        """The number of assets."""
        return int(self.asset.max()) + 1 if len(self.asset) else 0


def fleet_of(
    tables: Sequence[Table], columns: Mapping[str, Column], clock: Clock, target: str | None
) -> Fleet:
    """Find what tells the assets apart."""
    file = np.repeat(np.arange(len(tables)), [len(table.frame) for table in tables])
    column = _column(tables, columns, clock, file, target)
    if column is None:
        return _by_files(tables, clock, file)
    own = _numbered(texts_of(tables, column))
    count = int(own.max()) + 1
    behind = f"{count} assets, told apart by this column"
    keys: dict[str, Any] = {"asset_column": column}
    if len(tables) > 1 and clock.axis is not None and _back(clock.times_ns, own) > 0:
        keys["asset_from"] = "file"
        own = _numbered(pd.Series(own * len(tables) + file))
        behind = f"{int(own.max()) + 1} assets: their names start again in each file"
    return Fleet(keys, own, file, (column,), behind)


def _column(
    tables: Sequence[Table],
    columns: Mapping[str, Column],
    clock: Clock,
    file: NDArray[np.int64],
    target: str | None,
) -> str | None:
    """The column that names the asset: by its name, or because times only go on within it."""
    rows = len(file)
    few = [
        one
        for one in columns.values()
        if one.name != target and one.name not in clock.columns and not one.missing
        if one.kind in ("state", "text") or one.is_whole
        if 2 <= one.distinct <= rows / _ROWS  # noqa: PLR2004  assets to tell apart
    ]
    is_timed = clock.axis is not None and bool(clock.columns)
    goes_back = is_timed and _back(clock.times_ns, file) > _RARE
    for one in sorted(few, key=lambda found: (not _is_named(found), found.distinct)):
        is_named = _is_named(one)
        if not is_named and not goes_back:
            continue
        own = _numbered(texts_of(tables, one.name))
        if not is_timed or _back(clock.times_ns, own * len(tables) + file) <= _RARE:
            return one.name
    return None


def _is_named(column: Column) -> bool:
    """Whether the name of a column says that it holds assets; one with a unit is measured."""
    name, unit = named(column.name)
    return not (unit or column.unit) and _NAMES.fullmatch(name) is not None


def _back(times_ns: NDArray[np.int64], group: NDArray[np.int64]) -> float:
    """The share of rows that are not later than the row before them of the same group."""
    order = np.argsort(group, kind="stable")
    steps = np.diff(times_ns[order])[np.diff(group[order]) == 0]
    return float(np.mean(steps <= 0)) if len(steps) else 0.0


def _by_files(tables: Sequence[Table], clock: Clock, file: NDArray[np.int64]) -> Fleet:
    one = np.zeros(len(file), dtype=np.int64)
    if len(tables) == 1:
        return Fleet({}, one, file)
    overlapping = bool(clock.columns) and _overlap(clock.times_ns, file)
    if template := _template(tables):
        return _by_template(template, tables, file, clock)
    stems = [stem(table.path) for table in tables]
    bases = {re.sub(r"\d+", "", text).strip("_-. ") for text in stems}
    if not overlapping and (len(bases) == 1 or clock.axis is None):
        said = "the files are taken as parts of one recording, because they follow each other"
        if not clock.columns:
            said = "the files are taken as parts of one recording, in the order of their names"
        return Fleet(
            {}, one, file, doubts=(f"{said}; if each is a machine, set asset_from = 'file'",)
        )
    if len(set(stems)) < len(stems):
        keys = {"file_template": "{folder}/{file}.csv", "asset_column": ["folder", "file"]}
        if all(table.path.name.endswith(".csv") for table in tables):
            return Fleet(keys, file, file, (), f"{len(tables)} assets, one a file of each folder")
    why = "their times overlap" if overlapping else "their names differ"
    return Fleet(
        {"asset_from": "file"}, file, file, (), f"{len(tables)} assets, one a file, because {why}"
    )


def _overlap(times_ns: NDArray[np.int64], file: NDArray[np.int64]) -> bool:
    spans = sorted(
        (int(times_ns[file == one].min()), int(times_ns[file == one].max()))
        for one in np.unique(file)
    )
    return any(later[0] <= earlier[1] for earlier, later in pairwise(spans))


@dataclass(frozen=True, slots=True)
class _Template:
    """A template of the files' names.

    Attributes:
        text: the template, with a part in braces wherever the names differ.
        parts: the texts of each such part, by its name, one a file.
        lettered: names of the parts with letters in them, which may be names of machines.
    """

    text: str
    parts: Mapping[str, Sequence[str]]
    lettered: Sequence[str]


def _template(tables: Sequence[Table]) -> _Template | None:
    """A template such as `{part1}_{part2}.csv`; None if the names have not as many parts."""
    stems = [stem(table.path) for table in tables]
    suffixes = {table.path.name[len(text) :] for table, text in zip(tables, stems, strict=True)}
    marks = {tuple(_SIGNS.findall(text)) for text in stems}
    if len(suffixes) != 1 or len(marks) != 1:
        return None
    columns = list(zip(*(_SIGNS.split(text) for text in stems), strict=True))
    varied = {f"part{i}": texts for i, texts in enumerate(columns, 1) if len(set(texts)) > 1}
    lettered = [name for name, texts in varied.items() if any(map(_has_letter, texts))]
    if len(varied) < 2 or not lettered:  # noqa: PLR2004  a machine and a run
        return None
    fields = [
        f"{{part{i}}}" if f"part{i}" in varied else texts[0] for i, texts in enumerate(columns, 1)
    ]
    signs = (*next(iter(marks)), next(iter(suffixes)))
    text = "".join(f"{a}{b}" for a, b in zip(fields, signs, strict=True))
    return _Template(text, varied, lettered)


def _has_letter(text: str) -> bool:
    return re.search("[A-Za-z]", text) is not None


def _by_template(
    template: _Template, tables: Sequence[Table], file: NDArray[np.int64], clock: Clock
) -> Fleet:
    """Take the part of the names within which times go on for the machine; else every file."""
    unsure = ("what the parts of the files' names mean is a guess: the asset is taken from them",)
    for part in sorted(template.lettered, key=lambda name: len(set(template.parts[name]))):
        own = _numbered(pd.Series(list(template.parts[part])))[file]
        groups = (own == one for one in np.unique(own))
        if clock.columns and any(_overlap(clock.times_ns[g], file[g]) for g in groups):
            continue
        names = list(dict.fromkeys(template.parts[part]))
        keys: dict[str, Any] = {
            "file_template": template.text.replace(f"{{{part}}}", "{machine}"),
            "asset_column": "machine",
        }
        behind = f"{len(names)} assets, named by the files: {', '.join(names)[:60]}"
        return Fleet(keys, own, file, (), behind, unsure)
    keys = {"file_template": template.text, "asset_column": list(template.parts)}
    behind = f"{len(tables)} assets, one a file: their times overlap"
    return Fleet(keys, file, file, (), behind, unsure)


def _numbered(texts: "pd.Series[Any]") -> NDArray[np.int64]:
    codes, _ = pd.factorize(texts)
    return codes.astype(np.int64)
