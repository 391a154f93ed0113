"""Recorded files, CSV and Parquet, as one `Recording`.

Nothing is guessed silently. What was cleaned or found out is noted (a byte-order mark, a decimal
comma, the order of day and month, an empty file, rows out of order); what cannot be read safely is
a `DataError` with file, line and column. Files are read block by block, so that hardly more than
the recording itself is held.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.ingest import csv_file, parquet_file
from trainer.ingest.columns import Columns, Texts, joined
from trainer.ingest.message_file import reported
from trainer.ingest.numerals import DecimalMark
from trainer.ingest.recording import Recording
from trainer.ingest.rows import Block, Rows
from trainer.ingest.sources import PARQUET, find, readable, stem
from trainer.ingest.timestamps import Timestamps
from trainer.recipe import file_template
from trainer.recipe.data_section import Signal, Source


def load(
    source: Source,
    signals: Sequence[Signal],
    *,
    label: str | None = None,
    numeric_label: bool = False,
    opened: Callable[[str], object] = str,
) -> Recording:
    """Read all files into one recording in time order.

    Args:
        source: where and how.
        signals: which columns, in the order of the channels.
        label: a further column with the truth.
        numeric_label: whether the truth is numbers, or text.
        opened: is told each file's name as it is read.

    Raises:
        DataError: file, line, column, what was found, what to do.
    """
    reader = _Reader(source, tuple(signals), label, numeric_label=numeric_label)
    for name, path in find(source).items():
        opened(name)
        reader.read(path, name)
    return reader.recording()


class _Reader:
    """Reads files of one description, and collects what there is to say of them."""

    def __init__(
        self, source: Source, signals: Sequence[Signal], label: str | None, *, numeric_label: bool
    ) -> None:
        self.source = source
        self.signals = signals
        self.label = label
        self.numeric_label = numeric_label
        self.rows = Rows(tuple(signal.name for signal in signals))
        self.stamps = Timestamps(source.time)
        self.marks = DecimalMark(source.decimal)
        self.digests: dict[str, str] = {}
        self.known: dict[str, str] = {}
        self.assets: dict[str, str] = {}
        self.notes: dict[str, list[str]] = {}
        self.carried: NDArray[np.bool_] | None = None

    def read(self, path: Path, name: str) -> None:
        """Read one file; an empty one is noted."""
        with readable(name), path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._check_new(name, digest)
        said = self._said_by_name(path, name)
        before = self.stamps.rows
        self.carried = self._carried(path)
        for columns in self._blocks(path, name, said):
            self.rows.add(name, self._block(columns, path))
        self.digests[name] = digest
        if self.stamps.rows == before:
            self.note("empty: left out", name)
            return
        self.known[digest] = name
        if self.source.asset_from == "file":
            self._check_asset(path, name)

    def recording(self) -> Recording:
        """What was read."""
        if not self.stamps.rows:
            raise DataError(f"{', '.join(self.digests)}: empty; there is nothing to read")
        mark = self.marks.settle()
        recording, said = self.rows.recording(self.stamps)
        notes = (*self._told(), *([mark] if mark else []), *said)
        return replace(recording, digests=self.digests, notes=notes)

    def note(self, text: str, name: str) -> None:
        """Say something of a file; the same of many files is said once."""
        self.notes.setdefault(text, []).append(name)

    def _told(self) -> list[str]:
        """The notes as sentences that begin with the files they are about."""
        return [
            f"{names[0]}: {text}"
            if len(names) == 1
            else f"{names[0]} and {len(names) - 1} more files: {text}"
            for text, names in self.notes.items()
        ]

    def _check_new(self, name: str, digest: str) -> None:
        """Refuse a file whose rows would be counted twice; that empty ones are alike is no harm."""
        other = self.known.get(digest)
        if other is not None:
            raise DataError(
                f"{name}: has the same bytes as {other}, so that every row would count twice; "
                "leave one of them out of data.files"
            )

    def _check_asset(self, path: Path, name: str) -> None:
        other = self.assets.setdefault(stem(path), name)
        if other != name:
            raise DataError(
                f"data.asset_from is 'file', but {other} and {name} have the same name; rename "
                "them, or give a data.asset_column, which may come from a data.file_template"
            )

    def _said_by_name(self, path: Path, name: str) -> dict[str, str]:
        template = self.source.file_template
        return file_template.values(template, path, name) if template is not None else {}

    def _blocks(self, path: Path, name: str, said: dict[str, str]) -> Iterator[Columns]:
        """The columns that are needed, block by block."""
        wanted = [column for column in self._needed() if column not in said]
        if not wanted:
            raise DataError("data.file_template names every column; there is nothing to read")

        def note(text: str) -> None:
            self.note(text, name)

        if path.suffix.lower() == PARQUET:
            repeating = [*self.source.asset_columns, *([self.label] if self.label else [])]
            frames = parquet_file.blocks(path, name, wanted, note, repeating=repeating)
        else:
            frames = csv_file.blocks(path, name, self.source, wanted, note)
        for frame in frames:
            if len(frame):
                yield Columns(frame, name, self.marks, self.source.na_values, said)

    def _needed(self) -> list[str]:
        """Every column that must be there, once."""
        time = self.source.time.columns if self.source.time else ()
        signals = [signal.source for signal in self.signals]
        label = [] if self.label is None else [self.label]
        return list(dict.fromkeys([*time, *self.source.asset_columns, *signals, *label]))

    def _block(self, columns: Columns, path: Path) -> Block:
        values = np.column_stack([columns.numbers(s.source, s.codes) for s in self.signals])
        return Block(
            times=self.stamps.read(columns),
            assets=self._assets(columns, path),
            values=values,
            labels=self._labels(columns),
            lines=columns.lines,
            reported=self._reported(columns, values),
        )

    def _carried(self, path: Path) -> NDArray[np.bool_] | None:
        """Which signals each row of a Parquet file carried, if its rows are messages."""
        if path.suffix.lower() != PARQUET:
            return None
        return reported(path, [signal.source for signal in self.signals], self.source.rows)

    def _reported(self, columns: Columns, values: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Which signals the messages carried; None where rows are samples."""
        if self.carried is not None:
            return self.carried[columns.lines - 1]
        return ~np.isnan(values) if self.source.rows == "messages" else None

    def _assets(self, columns: Columns, path: Path) -> Texts:
        name = stem(path) if self.source.asset_from == "file" else "asset"
        if not self.source.asset_columns:
            return Texts(np.zeros(len(columns), dtype=np.int32), (name,))
        found = joined([columns.names(column) for column in self.source.asset_columns])
        if self.source.asset_from is None:
            return found
        return Texts(found.codes, tuple(f"{name}-{one}" for one in found.names))

    def _labels(self, columns: Columns) -> Texts | NDArray[Any] | None:
        if self.label is None:
            return None
        return columns.numbers(self.label) if self.numeric_label else columns.texts(self.label)
