"""Recorded rows of any origin, in time order: what windows are built from and replay plays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.description import UNIT_NS, Source
from trainer.errors import DataError

LATE = "rows were not in time order: sorted"


@dataclass(frozen=True, slots=True)
class Recording:
    """Rows in time order; those of several assets are interleaved.

    Attributes:
        channels: name of each signal.
        assets: name of each asset.
        asset: index into `assets`, `[rows]`.
        times_ns: event time, nanoseconds since 1970, `[rows]`; without a time axis the row number.
        timed: whether there is a time axis.
        values: float64 `[rows, channels]` as recorded, NaN = no value.
        labels: text or float64 `[rows]`, if asked for; "" or NaN where there is none.
        files: name of each file, and `file` and `line`: where a row came from, `[rows]`.
        digests: sha256 of each file by its name.
        notes: what was cleaned, and what a reader should know.
        reported: whether the row's message carried the signal at all, with a value or without,
            `[rows, channels]`; None where every row is a sample, which has all of them.
    """

    channels: tuple[str, ...]
    assets: tuple[str, ...]
    asset: NDArray[np.int64]
    times_ns: NDArray[np.int64]
    timed: bool
    values: NDArray[np.float64]
    labels: NDArray[Any] | None
    files: tuple[str, ...]
    file: NDArray[np.int64]
    line: NDArray[np.int64]
    digests: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reported: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.times_ns)

    def place(self, row: int) -> str:
        """File and line of a row, as error messages name it."""
        return f"{self.files[self.file[row]]} line {self.line[row]}"

    def take(self, rows: NDArray[Any]) -> "Recording":
        """Some of the rows: a mask, or indices in rising order."""
        return replace(
            self,
            asset=self.asset[rows],
            times_ns=self.times_ns[rows],
            values=self.values[rows],
            labels=None if self.labels is None else self.labels[rows],
            file=self.file[rows],
            line=self.line[rows],
            reported=None if self.reported is None else self.reported[rows],
        )

    @property
    def rows_per_sample(self) -> int:
        """How many rows a sample takes at most: one, or a message of each signal."""
        is_whole = self.reported is None or bool(self.reported.all())
        return 1 if is_whole else len(self.channels)

    def rank(self) -> NDArray[np.int64]:
        """Each row's position among the rows of its asset, from 0."""
        order = np.argsort(self.asset, kind="stable")
        counts = np.bincount(self.asset, minlength=len(self.assets))
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        rank = np.empty(len(self), dtype=np.int64)
        rank[order] = np.arange(len(self)) - starts
        return rank

    def period_ms(self) -> float | None:
        """Median time between an asset's rows, whole milliseconds unless it is below one.

        Where rows are messages, that of the signal which comes least often: samples wait for it.
        None without a time axis, or where the rows have no time between them.
        """
        if not self.timed:
            return None
        carrying = [slice(None)] if self.reported is None else list(self.reported.T)
        period = max(self._median_step_ns(rows) for rows in carrying) / 1e6
        return (round(period) if period >= 1 else period) or None

    def _median_step_ns(self, rows: Any) -> float:  # noqa: ANN401  whatever indexes an array
        asset, times_ns = self.asset[rows], self.times_ns[rows]
        order = np.argsort(asset, kind="stable")
        steps = np.diff(times_ns[order])[np.diff(asset[order]) == 0]
        return float(np.median(steps)) if len(steps) else 0.0


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one file, in its order; fields as those of `Recording`.

    Attributes:
        name: of the file.
        assets: the asset's name in each row.
        lines: where each row is in the file, from 1.
        reported: None where the file's rows are samples.
    """

    name: str
    times_ns: NDArray[np.int64]
    assets: NDArray[Any]
    values: NDArray[np.float64]
    labels: NDArray[Any] | None
    lines: NDArray[np.int64]
    reported: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.lines)


def join(parts: Sequence[Part], source: Source, channels: tuple[str, ...]) -> Recording:
    """Put the files together, in time order; rows of the same time keep the order of the files.

    Raises:
        DataError: two files would be the same asset.
    """
    if source.asset_from == "file":
        _check_names_differ(parts)
    assets, asset = np.unique(np.concatenate([part.assets for part in parts]), return_inverse=True)
    labels = [part.labels for part in parts if part.labels is not None]
    recording = Recording(
        channels=channels,
        assets=tuple(map(str, assets)),
        asset=asset.astype(np.int64),
        times_ns=_times(parts, source),
        timed=source.time is not None,
        values=np.concatenate([part.values for part in parts]),
        labels=np.concatenate(labels) if labels else None,
        files=tuple(part.name for part in parts),
        file=np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        line=np.concatenate([part.lines for part in parts]),
        reported=_reported(parts),
    )
    notes = []
    late = _late(recording)
    if late:
        notes.append(f"{late} {LATE}")
    order = np.argsort(recording.times_ns, kind="stable")
    # A message without a single value is dropped by gateways, so its row must not count here.
    silent = np.isnan(recording.values[order]).all(axis=1)
    if recording.reported is not None:
        silent &= ~recording.reported[order].any(axis=1)
    if silent.any():
        notes.append(f"{int(silent.sum())} rows have no value of any signal: left out")
    return replace(recording.take(order[~silent]), notes=tuple(notes))


def _reported(parts: Sequence[Part]) -> NDArray[np.bool_] | None:
    """Of files some of which may have samples for rows, which carry everything."""
    if all(part.reported is None for part in parts):
        return None
    return np.concatenate(
        [
            np.ones(part.values.shape, dtype=np.bool_) if part.reported is None else part.reported
            for part in parts
        ]
    )


def _check_names_differ(parts: Sequence[Part]) -> None:
    names = [str(part.assets[0]) for part in parts]
    twice = [part.name for part in parts if names.count(str(part.assets[0])) > 1]
    if twice:
        raise DataError(
            f"data.asset_from is 'file', but {' and '.join(twice[:3])} have the same name; rename "
            "them, or give a data.asset_column"
        )


def _times(parts: Sequence[Part], source: Source) -> NDArray[np.int64]:
    """Event times; those of rows without a time column follow from their order."""
    axis = source.time
    if axis is not None and axis.column is not None:
        return np.concatenate([part.times_ns for part in parts])
    number = np.arange(sum(map(len, parts)), dtype=np.int64)
    if axis is None or axis.unit is None:
        return number
    return number * UNIT_NS[axis.unit] + round(axis.origin.timestamp()) * 10**9


def _late(recording: Recording) -> int:
    """How many rows are older than the one before of the same asset."""
    order = np.argsort(recording.asset, kind="stable")
    steps = np.diff(recording.times_ns[order])[np.diff(recording.asset[order]) == 0]
    return int((steps < 0).sum())
