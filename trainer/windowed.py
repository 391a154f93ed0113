"""Recorded rows as the windows a gateway would see: replayed through `models.windows`.

No other code makes windows, so a feature the model learned from is a feature it is served.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ReadingError
from models.hold import NS_PER_MS
from models.manifest import Channel, WindowSpec
from models.quality import Quality
from models.windows import Windows
from trainer.errors import DataError
from trainer.recording import Recording

MAX_BYTES = 4 << 30
_BLOCK = 8192


@dataclass(frozen=True, slots=True)
class Windowed:
    """Windows in the order in which they became due; those of BAD quality are left out.

    Attributes:
        values: float32 `[n, length, channels]`, NaN = missing.
        rows: the recording's row whose truth each window has, `[n]`: the one that completed it; on
            a grid the asset's last up to the window's end.
        asset: index of each window's asset, `[n]`.
        bad: windows left out because a required signal was missing.
        dropped: rows that were not used, by reason.
        missing: samples without a value, by channel.
        samples: rows that were used.
        restarts: how often a pause longer than allowed began the window anew.
    """

    values: NDArray[np.float32]
    rows: NDArray[np.int64]
    asset: NDArray[np.int64]
    bad: int
    dropped: Mapping[str, int]
    missing: Mapping[str, int]
    samples: int
    restarts: int

    def __len__(self) -> int:
        """How many windows there are."""
        return len(self.rows)

    def take(self, chosen: NDArray[Any]) -> "Windowed":
        """Some of the windows: a mask, or indices."""
        return replace(
            self,
            values=self.values[chosen],
            rows=self.rows[chosen],
            asset=self.asset[chosen],
        )


def window_rows(
    recording: Recording,
    rows: NDArray[np.int64],
    spec: WindowSpec,
    channels: Sequence[Channel],
    *,
    advance: Callable[[int], object] = int,
) -> Windowed:
    """Replay rows, as the messages they are, through a `Windows` of their own.

    Args:
        recording: in time order.
        rows: which of its rows, rising; a window never spans rows outside.
        spec: length, hop, gap.
        channels: the model's inputs.
        advance: is told how many rows were replayed since the last call.

    Raises:
        DataError: the windows would take more memory than is allowed.
    """
    _check_size(_samples(recording, rows, spec), spec, len(channels))
    windows = Windows(spec, channels, max_assets=len(recording.assets))
    dropped: Counter[str] = Counter()
    values, ends, bad = [], [], 0
    before: dict[int, int] = {}
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        pushed, earlier = _push(windows, recording, block, dropped, before)
        batch = windows.take()
        # A window ends with the row that made it due, or with the one before: where time or a
        # signal that reports again closes the sample, and on a grid.
        is_earlier = np.array(batch.times_ns, dtype=np.int64) < recording.times_ns[pushed]
        completed = np.where(is_earlier, earlier, pushed)
        sound = np.array([quality is not Quality.BAD for quality in batch.qualities], dtype=bool)
        values.append(batch.values[sound])
        ends.append(completed[sound])
        bad += int((~sound).sum())
        advance(len(block))
    last = np.concatenate([np.empty(0, dtype=np.int64), *ends])
    empty = np.empty((0, spec.length, len(channels)), dtype=np.float32)
    return Windowed(
        values=np.concatenate([empty, *values]),
        rows=last,
        asset=recording.asset[last],
        bad=bad,
        dropped=dropped,
        missing=Counter(windows.missing),
        samples=len(rows) - dropped.total(),
        restarts=windows.restarts,
    )


def _push(
    windows: Windows,
    recording: Recording,
    rows: NDArray[np.int64],
    dropped: Counter[str],
    before: dict[int, int],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Push rows, count those that are refused, and return two rows for each window that came due.

    They are the one that made it due, and the asset's row before that; `before` has each asset's
    last row that was used.
    """
    order = tuple(range(len(windows.channels)))
    pushed: list[int] = []
    earlier: list[int] = []
    for row, asset, time_ns, reading in zip(
        rows.tolist(),
        recording.asset[rows].tolist(),
        recording.times_ns[rows].tolist(),
        _readings(recording, rows, order),
        strict=True,
    ):
        try:
            due = windows.push(recording.assets[asset], time_ns, *reading)
        except ReadingError as exc:
            dropped[exc.reason] += 1
            continue
        pushed += [row] * due
        earlier += [before.get(asset, row)] * due
        before[asset] = row
    return np.array(pushed, dtype=np.int64), np.array(earlier, dtype=np.int64)


def _readings(
    recording: Recording, rows: NDArray[np.int64], order: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], list[float]]]:
    """Channels and values that each row's message carried."""
    whole = recording.values[rows].tolist()
    if recording.reported is None:
        yield from zip(repeat(order), whole, strict=False)
        return
    for values, carried in zip(whole, recording.reported[rows].tolist(), strict=True):
        channels = tuple(compress(order, carried))
        yield channels, list(compress(values, carried))


def _samples(recording: Recording, rows: NDArray[np.int64], spec: WindowSpec) -> int:
    """How many samples the rows come to, at most."""
    if not spec.is_on_grid:
        return len(rows)
    by_asset = rows[np.argsort(recording.asset[rows], kind="stable")]
    pauses = np.diff(recording.times_ns[by_asset])[np.diff(recording.asset[by_asset]) == 0]
    period_ns, max_gap_ns = (
        (ms or 0) * NS_PER_MS for ms in (spec.sample_period_ms, spec.max_gap_ms)
    )
    return len(rows) + int((pauses[pauses <= max_gap_ns] // period_ns).sum())


def _check_size(samples: int, spec: WindowSpec, channels: int) -> None:
    size = samples // spec.hop * spec.length * channels * 4
    if size > MAX_BYTES:
        raise DataError(
            f"{samples} samples in windows of {spec.length} with a hop of {spec.hop} take "
            f"{size / 2**30:.0f} GiB, at most {MAX_BYTES >> 30} are used; set window.hop to "
            f"{-(-size * spec.hop // MAX_BYTES)} or more"
        )
