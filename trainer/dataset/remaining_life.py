"""The remaining useful life (RUL) of each asset at every row.

A recording of a run to failure ends with the failure, so the RUL is the time until the last row.
For an asset that had not failed at its last row, a table gives the RUL there, or says that it is
unknown.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.errors import DataError, listed
from trainer.ingest import csv_file
from trainer.ingest.columns import Columns
from trainer.ingest.numerals import DecimalMark
from trainer.ingest.recording import Recording
from trainer.ingest.sources import open_once
from trainer.recipe.data_section import Source
from trainer.recipe.document import Regression
from trainer.recipe.time_section import UNIT_NS

_LISTED = 12


@dataclass(frozen=True, slots=True)
class Remaining:
    """The RUL at every row.

    Attributes:
        y: RUL at each row, in the unit of the target and at most its cap, `[rows]`; NaN where it
            is not known.
        digests: SHA-256 of the tables that were read, by name.
        notes: sentences on what the tables say.
    """

    y: NDArray[np.float64]
    digests: Mapping[str, str]
    notes: tuple[str, ...]


def remaining(recording: Recording, target: Regression, source: Source) -> Remaining:
    """Compute the RUL at every row.

    An asset whose end is not known has at least the RUL until its last row. Where that is the cap
    or more, the RUL is the cap; at later rows it is not known.

    Raises:
        DataError: a table cannot be read, or does not fit the recording.
    """
    tables = _Tables(recording, source)
    if isinstance(target.left, str):
        tables.read_by_name(Path(target.left))
    elif target.left is not None:
        for file, path in target.left.items():
            tables.read_by_order(Path(path), file)
    last = np.full(len(recording.assets), np.iinfo(np.int64).min)
    np.maximum.at(last, recording.asset, recording.times_ns)
    y = (last[recording.asset] - recording.times_ns) / UNIT_NS[target.remaining or "ns"]
    is_open = np.isnan(tables.left)[recording.asset]
    y += np.nan_to_num(tables.left)[recording.asset]
    cap = target.cap or np.inf
    y[is_open & (y < cap)] = np.nan
    return Remaining(np.minimum(y, cap), tables.digests, tuple(tables.notes))


class _Tables:
    """The tables of RUL for the assets of one recording.

    Attributes:
        left: RUL of each asset at its last row, `[assets]`; 0 if it failed there, NaN if unknown.
        digests: SHA-256 of each table, by name.
        notes: sentences on what the tables say.
    """

    def __init__(self, recording: Recording, source: Source) -> None:
        self.recording = recording
        self.source = source
        self.left = np.zeros(len(recording.assets))
        self.digests: dict[str, str] = {}
        self.notes: list[str] = []

    def read_by_name(self, path: Path) -> None:
        """Read a table of assets and RUL; assets that it does not name failed at the last row."""
        table = self._table(path, ("asset", "left"), path.name, header=True)
        named = table.names("asset")
        names, known = np.array(named.names)[named.codes], self.recording.assets
        again = np.ones(len(names), dtype=np.bool_)
        again[np.unique(names, return_index=True)[1]] = False
        if again.any():
            raise table.wrong("asset", again, "it is named in a line above, once is enough")
        strange = ~np.isin(names, known)
        if strange.any():
            raise table.wrong("asset", strange, _no_such(names[strange][0], known))
        self._take([known.index(name) for name in names], self._numbers(table), path)

    def read_by_order(self, path: Path, file: str) -> None:
        """Read a table of one RUL a line, in the order of the assets in a data file."""
        table = self._table(path, ("left",), f"{file}/{path.name}", header=False)
        assets, left = self._assets_of(file), self._numbers(table)
        if len(left) != len(assets):
            raise DataError(
                f"{path.name}: has {len(left)} numbers, but {file} has {len(assets)} assets; "
                "target.left needs one a line, NA where it is not known"
            )
        self._take(assets, left, path)

    def _take(self, assets: Sequence[int], left: NDArray[np.float64], path: Path) -> None:
        self.left[assets] = left
        alive, unknown = int(np.count_nonzero(left)), int(np.isnan(left).sum())
        said = f"{path.name}: {alive} of {len(self.left)} assets were alive at their last row"
        self.notes.append(f"{said}; of {unknown} the end is not known" if unknown else said)

    def _assets_of(self, file: str) -> list[int]:
        """The assets of a data file, in the order of their first rows."""
        recording = self.recording
        found = [i for i, f in enumerate(recording.files) if file in (f, f.rsplit("/", 1)[-1])]
        if len(found) != 1:
            what = "is none" if not found else f"fits {len(found)}"
            known = listed(recording.files, _LISTED, like=file)
            raise DataError(
                f"target.left: '{file}' {what} of the files {known}; "
                "name one, with its folder where that is needed"
            )
        inside = recording.file == found[0]
        rows = np.flatnonzero(inside)
        rows = rows[np.argsort(recording.line[rows], kind="stable")]
        assets, first = np.unique(recording.asset[rows], return_index=True)
        shared = np.intersect1d(assets, recording.asset[~inside])
        if len(shared):
            raise DataError(
                f"target.left: asset '{recording.assets[shared[0]]}' is in {file} and in other "
                "files, so that its last row may be elsewhere; set data.asset_from = 'file' if "
                "these are different assets"
            )
        in_order: list[int] = assets[np.argsort(first)].tolist()
        return in_order

    def _table(self, path: Path, columns: Sequence[str], said: str, *, header: bool) -> Columns:
        """Read a table, and record its digest."""
        source = self.source.of_table(() if header else tuple(columns))
        with open_once(path, f"target.left: {path}") as file:
            self.digests[f"target.left/{said}"] = file.sha256
            table = replace(file, name=path.name)
            blocks = list(csv_file.blocks(table, source, columns, self.notes.append))
        if not sum(map(len, blocks)):
            raise DataError(f"{path.name}: empty; target.left needs {' and '.join(columns)} in it")
        if len(blocks) > 1:
            raise DataError(f"{path.name}: has more than {len(blocks[0])} lines; is it the table?")
        marks = DecimalMark(source.decimal, source.thousands)
        return Columns(blocks[0], path.name, marks, source.na_values, {})

    def _numbers(self, table: Columns) -> NDArray[np.float64]:
        left: NDArray[Any] = table.numbers("left")
        self.notes.extend(table.marks.settle())
        if (left < 0).any():
            raise table.wrong("left", left < 0, "what is left is 0 or more")
        return left.astype(np.float64)


def _no_such(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    meant = f"; '{near[0]}' comes nearest" if near else ""
    return f"the data has no such asset, it has {listed(known, _LISTED, like=name)}{meant}"
