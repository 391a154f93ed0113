"""Reads recorded files, or the rows of a query, into one `Recording`.

Nothing is guessed silently. What was cleaned or found out becomes a note (a byte-order mark, a
decimal comma, the order of day and month, an empty file, rows out of order); what cannot be read
safely is a `DataError` with file, line and column. Files are read block by block, so that little
more memory is used than the recording itself takes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.ingest import csv_file, parquet_file
from trainer.ingest.beside import ColumnsBeside
from trainer.ingest.columns import Columns, Texts, joined
from trainer.ingest.databases.query import NAME, Query
from trainer.ingest.dates.timestamps import Times, Timestamps
from trainer.ingest.formats import matlab, workbook
from trainer.ingest.formats.long_table import Tags
from trainer.ingest.numerals import DecimalMark
from trainer.ingest.recording import Recording
from trainer.ingest.rows import Block, Rows
from trainer.ingest.runs import told_apart
from trainer.ingest.screening.filtered import Filtered
from trainer.ingest.screening.qualities import Qualities
from trainer.ingest.sources import PARQUET, OpenFile, find, open_once, stem
from trainer.recipe.data_section import Signal, Source
from trainer.recipe.selection import file_template


def load(  # noqa: PLR0913  what to read of the files, and whom to tell
    source: Source,
    signals: Sequence[Signal],
    *,
    texts: Sequence[str] = (),
    numbers: Sequence[str] = (),
    opened: Callable[[str], object] = str,
    copies: bool = False,
) -> Recording:
    """Read all files into one recording in time order, each file once.

    Args:
        source: the recipe's `[data]`: which files, and how to read them.
        signals: the signals to read, in the order of the channels.
        texts: further columns to read as text, such as a class or the part of a split; a word such
            as `None` is a text in them.
        numbers: further columns to read as numbers, such as the target of a regression.
        opened: called with each file's name before it is read.
        copies: whether a second file with the same bytes is read too, instead of being refused.

    Raises:
        DataError: names file, line, column, what was found and what to do.
    """
    reader = _Reader(source, signals, texts, numbers)
    reader.copies = copies
    if source.sql is not None:
        reader.read_query(Query(source), opened)
        return reader.recording()
    for name, path in find(source).items():
        opened(name)
        with open_once(path, name) as file:
            reader.read(file)
    return reader.recording()


class _Reader:
    """Reads files one by one, and collects their rows and notes."""

    def __init__(
        self,
        source: Source,
        signals: Sequence[Signal],
        texts: Sequence[str],
        numbers: Sequence[str],
    ) -> None:
        self.source = source
        self.signals = signals
        self.texts = texts
        self.numbers = numbers
        self.copies = False
        self.rows = Rows(tuple(one.name for one in signals), long=source.long is not None)
        self.tags = Tags(source.long, [*(one.source for one in signals), *numbers, *texts])
        self.stamps = Timestamps(source.time)
        self.marks = DecimalMark(source.decimal, source.thousands)
        self.filtered = Filtered(source.row_filter)
        self.qualities = Qualities(source, signals)
        self.digests: dict[str, str] = {}
        self.tables: dict[str, str] = {}
        self.known: dict[str, str] = {}
        self.assets: dict[str, str] = {}
        self.notes: dict[str, list[str]] = {}

    def read(self, opened: OpenFile) -> None:
        """Read one file; an empty file gives a note."""
        path, name, digest = opened.path, opened.name, opened.sha256
        self._check_new(name, digest)
        said = self._said_by_name(path, name)
        before = self.stamps.rows
        if self.stamps.order.must_be_proved and (axis := self.source.time) is not None:
            self.stamps.order.prove(name, self._blocks(opened, said, told=str), axis)
        for columns in self._blocks(opened, said):
            self._add(columns, path, name)
        self.digests[name] = digest
        if self.stamps.rows == before:
            self.note("empty: left out", name)
            return
        self.known[digest] = name
        if self.source.asset_from == "file":
            self._check_asset(path, name)

    def read_query(self, query: Query, progress: Callable[[str], object]) -> None:
        """Read the rows of a query as if they were a file."""
        progress(NAME)
        for frame in query.blocks(self._needed(), progress):
            self._add(Columns(frame, NAME, self.marks, self.source.na_values, {}), Path(NAME), NAME)
        self.digests[NAME] = query.sha256

    def _add(self, columns: Columns, path: Path, name: str) -> None:
        """Add the rows of a block that meet the condition of the recipe."""
        times = self.stamps.read(columns)
        kept = self.filtered.kept(columns)
        if kept is not None:
            columns.keep(kept)
            times = {form: stamps[kept] for form, stamps in times.items()}
        long = self.tags.read(columns, self.source.na_values)
        if long is not None:
            times = {form: stamps[long.wanted] for form, stamps in times.items()}
            long.keep(long.wanted)
            columns = long
        if len(columns):
            self.rows.add(name, self._block(columns, path, times))

    def recording(self) -> Recording:
        """All rows that were read, with the notes on them."""
        if not self.stamps.rows:
            raise DataError(f"{', '.join(self.digests)}: empty; there is nothing to read")
        self.filtered.check()
        self.tags.check()
        marks = self.marks.settle()
        named = bool(self.source.asset_columns) or self.source.asset_from is not None
        apart = partial(told_apart, named=named) if self.source.run else None
        recording, said = self.rows.recording(self.stamps, apart)
        screened = (*self.filtered.notes(), *self.qualities.notes())
        notes = (*self._sentences(), *marks, *screened, *said)
        return replace(recording, digests={**self.digests, **self.tables}, notes=notes)

    def note(self, text: str, name: str) -> None:
        """Add a note on a file; the same note on many files is given once."""
        self.notes.setdefault(text, []).append(name)

    def _sentences(self) -> list[str]:
        """The notes as sentences, each beginning with the file or files that it is about."""
        return [
            f"{names[0]}: {text}"
            if len(names) == 1
            else f"{names[0]} and {len(names) - 1} more files: {text}"
            for text, names in self.notes.items()
        ]

    def _separated(self, separator: str) -> None:
        """Remember what separates the columns: beside a comma, a point is a decimal one."""
        self.marks.separator = separator

    def _check_new(self, name: str, digest: str) -> None:
        """Refuse a second file with the same bytes, whose rows would count twice."""
        other = None if self.copies else self.known.get(digest)
        if other is not None:
            raise DataError(
                f"{name}: has the same bytes as {other}, so that every row would count twice; "
                "leave one of them out of data.files, or to train on both all the same, set "
                'checks.allow = ["duplicated-files"]'
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

    def _blocks(
        self,
        opened: OpenFile,
        said: dict[str, str],
        *,
        told: Callable[[str], object] | None = None,
    ) -> Iterator[Columns]:
        """The columns that the recipe needs, block by block; `told` takes the notes on them."""
        beside = ColumnsBeside(self.source, opened.name, {*self._needed()} - {*said})
        self.tables |= beside.digests
        given = {*said, *beside.columns}
        wanted = [column for column in self._needed() if column not in given]
        if not wanted:
            raise DataError(
                "data.file_template and data.beside name every column; there is nothing to read"
            )
        note: Callable[[str], object] = told or partial(self.note, name=opened.name)
        self._separated(",")
        if opened.path.suffix.lower() == PARQUET:
            long = [] if self.source.long is None else [self.source.long.name]
            repeating = [*self.source.asset_columns, *self.texts, *long]
            rows = self.source.rows
            read = parquet_file.blocks(opened, rows, wanted, note, repeating=repeating)
            frames = ((one, carried, opened.name) for one, carried in read)
        elif opened.path.suffix.lower() == matlab.SUFFIX:
            vectors = matlab.blocks(opened, wanted, note)
            frames = ((one, None, opened.name) for one in vectors)
        elif opened.path.suffix.lower() in workbook.SUFFIXES:
            sheet = workbook.blocks(opened, self.source, wanted, note)
            frames = ((one, None, place) for one, place in sheet)
        else:
            lines = csv_file.blocks(opened, self.source, wanted, note, separated=self._separated)
            frames = ((one, None, opened.name) for one in lines)
        count, na_values = 0, self.source.na_values
        for frame, carried, place in frames:
            if len(frame):
                whole = beside.added(frame, count)
                columns = Columns(whole, place, self.marks, na_values, said)
                columns.carried = carried
                count += len(frame)
                yield columns
        beside.check(count)

    def _needed(self) -> list[str]:
        """The names of all columns that must be there, each once."""
        time = self.source.time.columns if self.source.time else ()
        screening = [*self.filtered.columns, *self.qualities.columns]
        named = [*time, *self.source.asset_columns, *self.tags.columns, *screening]
        return list(dict.fromkeys(named))

    def _block(self, columns: Columns, path: Path, times: Times) -> Block:
        values = np.column_stack([columns.numbers(s.source, s.codes) for s in self.signals])
        reported = self._reported(columns, values)
        had_value = ~np.isnan(values).all(axis=1)
        self.qualities.screen(columns, values)
        if reported is None and (np.isnan(values).all(axis=1) & had_value).any():
            # A BAD value is reported all the same, so that its row counts as on the gateway.
            reported = np.tile(had_value[:, None], values.shape[1])
        return Block(
            times=times,
            assets=self._assets(columns, path),
            values=values,
            texts={column: columns.texts(column, words=True) for column in self.texts},
            numbers={column: columns.numbers(column) for column in self.numbers},
            lines=columns.lines,
            reported=reported,
        )

    def _reported(self, columns: Columns, values: NDArray[np.floating]) -> NDArray[np.bool_] | None:
        """Which signals the messages carried; None where rows are samples."""
        if columns.carried is not None:
            # A signal that the file's name gives is carried by every row.
            sources = [signal.source for signal in self.signals]
            return columns.carried.reindex(columns=sources, fill_value=True).to_numpy()
        return ~np.isnan(values) if self.source.rows == "messages" else None

    def _assets(self, columns: Columns, path: Path) -> Texts:
        name = stem(path) if self.source.asset_from == "file" else "asset"
        if not self.source.asset_columns:
            return Texts(np.zeros(len(columns), dtype=np.int32), (name,))
        found = joined([columns.names(column) for column in self.source.asset_columns])
        if self.source.asset_from is None:
            return found
        return Texts(found.codes, tuple(f"{name}-{one}" for one in found.names))
