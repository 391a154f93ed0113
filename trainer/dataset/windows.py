"""Recorded rows as the windows a gateway would see, made at once by `models.windowing.batch`.

Messages that carry some of the signals go through `trainer.dataset.message_windows`. On the gateway
`models.windowing.windows` makes the windows. A test holds the two against each other, so a feature
the model learned from is a feature it is served.
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
"""Of a grid, on which a few rows can come to many samples."""


@dataclass(frozen=True)
class Windowed:
    """Windows in the order in which they became due; those of BAD quality are left out.

    Attributes:
        series: float32 `[samples, channels]`, NaN = missing, asset by asset: what the windows
            overlap in.
        ends: where in it each window's last sample is, `[n]`.
        length: samples in a window.
        rows: the recording's row whose truth each window has, `[n]`: the one that completed it; on
            a grid the asset's last up to the window's end.
        asset: index of each window's asset, `[n]`.
        bad: windows left out because a required signal was missing.
        dropped: rows that were not used, by reason.
        missing: samples without a value, by channel.
        samples: rows that were used.
        restarts: how often a pause longer than allowed began the window anew.
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
        """How many windows there are."""
        return len(self.rows)

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """The windows, float32 `[n, length, channels]`, NaN = missing; not to be written.

        Where they follow one another at one distance they overlap in memory and take none;
        otherwise they are copied, once.
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
        """Some of the windows: a mask, or indices."""
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
    """Make windows of rows, each of them a message.

    Args:
        recording: in time order.
        rows: which of its rows, rising; a window never spans rows outside.
        spec: length, hop, gap.
        channels: the model's inputs.
        advance: is told how many rows there were when they are done.

    Raises:
        DataError: the windows would take more memory than is allowed.
    """
    whole = Replay(
        Rows(recording.asset, recording.times_ns, recording.values, rows), spec, channels
    )
    _check_size(whole.samples, spec, len(channels))
    if recording.reported is not None and not recording.reported[rows].all():
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
    """Windows that lie one after the other instead of overlapping."""
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
