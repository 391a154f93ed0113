"""Labels by rules: the first rule of `[[labels]]` that fits a row decides its label."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.dataset.label_spans import Span, spans_of
from trainer.errors import DataError
from trainer.ingest.recording import Recording
from trainer.recipe.data_section import Source
from trainer.recipe.label_section import LABEL, LabelRule, Rules
from trainer.recipe.selection.file_pattern import first_that_fits

_LISTED = 12


def with_labels(recording: Recording, rules: Rules, source: Source) -> Recording:
    """Add the column `label` that the rules make; the digests and notes of their tables, too.

    Args:
        recording: rows in time order, with the numbers of all `largest_of`.
        rules: the recipe's `[[labels]]`, at least one.
        source: the recipe's `[data]`.

    Raises:
        DataError: a table cannot be read or fits no row, or files that a rule names are not there.
    """
    made = _Labels(recording, source)
    for number, rule in enumerate(rules):
        made.apply(rule, f"labels[{number}]")
    return replace(
        recording,
        texts={**recording.texts, LABEL: made.labels},
        digests={**recording.digests, **made.digests},
        notes=(*recording.notes, *made.notes, made.summary()),
    )


class _Labels:
    """The labels of all rows so far.

    Attributes:
        labels: label of each row, object `[rows]`, "" where there is none.
        decided: mask of the rows that a rule has decided, `[rows]`.
        digests: SHA-256 of each table, by name.
        notes: sentences on what the rules found.
    """

    def __init__(self, recording: Recording, source: Source) -> None:
        self.recording = recording
        self.source = source
        self.labels: NDArray[Any] = np.full(len(recording), "", dtype=object)
        self.decided = np.zeros(len(recording), dtype=np.bool_)
        self.digests: dict[str, str] = {}
        self.notes: list[str] = []

    def apply(self, rule: LabelRule, place: str) -> None:
        """Give labels to the rows that the rule fits and no rule above has decided."""
        scope = ~self.decided & self._in_files(rule, place) & self._first_rows(rule, place)
        if rule.label is not None:
            found = np.full(len(scope), rule.label, dtype=object)
            told = np.ones(len(scope), dtype=np.bool_)
        elif rule.spans is not None:
            found, told = self._by_spans(Path(rule.spans))
        else:
            found, told = self._largest(rule.largest_of, scope, place)
        self.labels[scope & told] = found[scope & told]
        self.decided |= scope & told

    def summary(self) -> str:
        """How many rows have which label, and how many have none."""
        names, counts = np.unique(self.labels.astype(str), return_counts=True)
        told = dict(zip(names.tolist(), counts.tolist(), strict=True))
        bare = told.pop("", 0)
        shown = [f"'{name}' {told[name]}" for name in sorted(told, key=told.__getitem__)[::-1]]
        more = ", ..." if len(shown) > _LISTED else ""
        said = f"labels by rules, in rows: {', '.join(shown[:_LISTED]) or 'none'}{more}"
        return f"{said}; {bare} rows have no label" if bare else said

    def _in_files(self, rule: LabelRule, place: str) -> NDArray[np.bool_]:
        if not rule.files:
            return np.ones(len(self.recording), dtype=np.bool_)
        files = self.recording.files
        chosen = [i for i, name in enumerate(files) if first_that_fits(rule.files, name)]
        if not chosen:
            raise DataError(
                f"{place}.files: {', '.join(rule.files)} match none of the files "
                f"{', '.join(files[:_LISTED])}{', ...' if len(files) > _LISTED else ''}"
            )
        return np.isin(self.recording.file, chosen)

    def _first_rows(self, rule: LabelRule, place: str) -> NDArray[np.bool_]:
        if rule.until_row is None:
            return np.ones(len(self.recording), dtype=np.bool_)
        if not self.source.names_assets and len(self.recording.files) > 1:
            raise DataError(
                f"{place}.until_row counts the rows of each asset, but the rows of "
                f"{len(self.recording.files)} files name none; set data.asset_from = 'file' where "
                "each file is a run, or data.run = 'restart'"
            )
        return self.recording.rank() < rule.until_row

    def _by_spans(self, path: Path) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        recording = self.recording
        spans = spans_of(path, self.source, recording, self.digests)
        found = np.full(len(recording), "", dtype=object)
        line = np.zeros(len(recording), dtype=np.int64)
        empty = 0
        for span in spans:
            rows = self._within(span)
            other = rows[(line[rows] > 0) & (found[rows] != span.label)]
            if len(other):
                raise DataError(
                    f"{path.name} line {span.line}: '{span.label}' overlaps with "
                    f"'{found[other[0]]}' of line {line[other[0]]}, at {recording.place(other[0])};"
                    " a row has one label: correct the times"
                )
            found[rows], line[rows] = span.label, span.line
            empty += not len(rows)
        if empty == len(spans):
            first, last = recording.times_ns[[0, -1]].astype("M8[ns]").astype("M8[s]")
            raise DataError(
                f"{path.name}: no span has a row of the data, whose times are from {first}Z to "
                f"{last}Z; correct the times, or data.time.zone"
            )
        if empty:
            self.notes.append(f"{path.name}: {empty} of {len(spans)} spans have no row of the data")
        return found, line > 0

    def _within(self, span: Span) -> NDArray[np.int64]:
        low, high = np.searchsorted(self.recording.times_ns, (span.start_ns, span.end_ns))
        rows = np.arange(low, high)
        return rows if span.asset is None else rows[self.recording.asset[rows] == span.asset]

    def _largest(
        self, columns: tuple[str, ...], scope: NDArray[np.bool_], place: str
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        numbers = np.column_stack([self.recording.numbers[column] for column in columns])
        known = np.where(np.isnan(numbers), -np.inf, numbers)
        most = known.max(axis=1)
        told = np.isfinite(most) & ((known == most[:, None]).sum(axis=1) == 1)
        if open_rows := int((scope & ~told).sum()):
            row = int((scope & ~told).argmax())
            self.notes.append(
                f"{place}.largest_of: none of the columns is larger than all others in {open_rows} "
                f"rows, first at {self.recording.place(row)}: no label by this rule"
            )
        return np.array(columns, dtype=object)[known.argmax(axis=1)], told
