"""Recorded rows as the windows that a gateway would see, made by `models.windowing.batch`.

Messages that carry only some of the signals go through `trainer.dataset.message_windows`. On the
gateway `models.windowing.windows` makes the windows. A test proves that both give the same, so that
a model is served the same features that it was trained on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.bundle.manifest import Channel, WindowSpec
from models.windowing.batch import Replay, Rows
from trainer.dataset.message_windows import Replayed, replay
from trainer.errors import DataError
from trainer.ingest.recording import Recording

MAX_BYTES = 4 << 30
MAX_POINTS = 1 << 26
"""Most samples on a grid, where a few rows can give many samples."""


@dataclass(frozen=True)
class Windowed:
    """Windows in the order in which they became due, without those of BAD quality.

    Attributes:
        series: the samples that the windows share, asset by asset, float32 `[samples, channels]`,
            NaN for missing.
        ends: index in `series` of the last sample of each window, `[n]`.
        length: number of samples in a window.
        rows: the row of the recording whose truth each window has, `[n]`: the row that completed
            it, or on a grid the last row of the asset up to the end of the window.
        asset: index of the asset of each window, `[n]`.
        bad: number of windows that were left out because a required signal was missing.
        dropped: number of rows that were not used, by reason.
        missing: number of samples without a value, by channel.
        samples: number of rows that were used.
        restarts: number of pauses longer than allowed, after which a window began anew.
    """

    series: NDArray[np.float32]
    ends: NDArray[np.int64]
    length: int
    rows: NDArray[np.int64]
    asset: NDArray[np.int64]
    bad: int
    dropped: Mapping[str, int]
    missing: Mapping[str, int]
    samples: int
    restarts: int

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.rows)

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """The windows, float32 `[n, length, channels]`, NaN for missing; do not write to them.

        Windows at equal distances are a view of `series` and take no memory of their own; others
        are copied once.
        """
        if not len(self):
            return np.empty((0, self.length, self.series.shape[1]), dtype=np.float32)
        windows = sliding_window_view(self.series, self.length, axis=0).transpose(0, 2, 1)
        starts = self.ends - (self.length - 1)
        steps = np.diff(starts)
        step = int(steps[0]) if len(steps) else 1
        if step > 0 and (steps == step).all():
            return windows[starts[0] : starts[-1] + 1 : step]
        return windows[starts]

    def take(self, chosen: NDArray[Any]) -> "Windowed":
        """Select windows by a mask or by indices."""
        return replace(
            self,
            ends=self.ends[chosen],
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
    """Make windows of recorded rows.

    Args:
        recording: rows in time order.
        rows: indices of the rows to use, ascending; a window contains no other rows.
        spec: length, hop and longest pause of the windows.
        channels: the model's inputs.
        advance: called with the number of rows when they are done, for a progress bar.

    Raises:
        DataError: the windows would take more memory than is allowed.
    """
    whole = Replay(
        Rows(recording.asset, recording.times_ns, recording.values, rows), spec, channels
    )
    _check_size(whole.samples, spec, len(channels))
    is_whole = recording.reported is None or recording.reported[rows].all()
    if not is_whole or recording.retained is not None:
        return _of_messages(recording, replay(recording, rows, spec, channels, advance), len(rows))
    cut = whole.cut()
    sound = ~cut.is_bad
    advance(len(rows))
    return Windowed(
        series=cut.samples,
        ends=cut.ends[sound],
        length=spec.length,
        rows=cut.rows[sound],
        asset=recording.asset[cut.rows[sound]],
        bad=len(sound) - int(np.count_nonzero(sound)),
        dropped=whole.dropped,
        missing=cut.missing,
        samples=len(rows) - whole.dropped.total(),
        restarts=whole.restarts,
    )


def _of_messages(recording: Recording, found: Replayed, count: int) -> Windowed:
    """Windows that lie one after the other in memory instead of overlapping."""
    length, channels = found.values.shape[1:]
    return Windowed(
        series=found.values.reshape(-1, channels),
        ends=np.arange(1, len(found.rows) + 1) * length - 1,
        length=length,
        rows=found.rows,
        asset=recording.asset[found.rows],
        bad=found.bad,
        dropped=found.dropped,
        missing=found.missing,
        samples=count - sum(found.dropped.values()),
        restarts=found.restarts,
    )


def _check_size(samples: int, spec: WindowSpec, channels: int) -> None:
    size = samples // spec.hop * spec.length * channels * 4
    if size > MAX_BYTES:
        raise DataError(
            f"{samples} samples in windows of {spec.length} with a hop of {spec.hop} take "
            f"{size / 2**30:.0f} GiB, at most {MAX_BYTES >> 30} are used; set window.hop to "
            f"{-(-size * spec.hop // MAX_BYTES)} or more"
        )
    if spec.is_on_grid and samples > MAX_POINTS:
        raise DataError(
            f"the rows come to {samples} samples at {spec.sample_period_ms:g} ms, at most "
            f"{MAX_POINTS} are used; raise window.period_s, or lower window.max_gap_s"
        )
