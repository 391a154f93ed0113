"""Recorded messages, which carry some signals each, as windows.

Whole rows are windowed in one step (`models.windowing.batch`). Which samples a message completes
depends on the messages before it, so messages go one by one through `models.windowing.windows`, as
on a gateway.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import Channel, WindowSpec
from models.errors import ReadingError
from models.input.quality import Quality
from models.windowing.known import Known
from models.windowing.windows import Windows
from trainer.ingest.recording import Recording

_BLOCK = 8192


class Replayed(NamedTuple):
    """The windows of recorded messages.

    Attributes:
        values: the windows, float32 `[n, length, channels]`, NaN for missing; without windows of
            BAD quality.
        rows: the recorded row that each window ends with, `[n]`.
        bad: number of windows of BAD quality.
        dropped: number of messages that were not used, by reason.
        missing: number of samples without a value, by channel.
        restarts: number of pauses longer than allowed, after which a window began anew.
    """

    values: NDArray[np.float32]
    rows: NDArray[np.int64]
    bad: int
    dropped: Mapping[str, int]
    missing: Mapping[str, int]
    restarts: int


def replay(
    recording: Recording,
    rows: NDArray[np.int64],
    spec: WindowSpec,
    channels: Sequence[Channel],
    advance: Callable[[int], object],
) -> Replayed:
    """Push rows as messages through a new `Windows`."""
    windows = Windows(spec, channels, max_assets=len(recording.assets))
    held = _Held(windows, recording.retained)
    dropped: Counter[str] = Counter()
    before: dict[int, int] = {}
    empty = np.empty((0, spec.length, len(channels)), dtype=np.float32)
    values, ends, bad = [empty], [np.empty(0, dtype=np.int64)], 0
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        pushed, earlier = _push(held, recording, block, dropped, before)
        batch = windows.take()
        # A window ends with the row that made it due. On a grid, and where the next message
        # closes a sample, it ends with the row before.
        is_earlier = np.array(batch.times_ns, dtype=np.int64) < recording.times_ns[pushed]
        sound = np.array([quality is not Quality.BAD for quality in batch.qualities], dtype=bool)
        values.append(batch.values[sound])
        ends.append(np.where(is_earlier, earlier, pushed)[sound])
        bad += int((~sound).sum())
        advance(len(block))
    missing = Counter(windows.missing)
    found = np.concatenate(values), np.concatenate(ends)
    return Replayed(*found, bad, dropped, missing, windows.restarts)


class _Held:
    """Windows that are given what retained messages say before the first row that is not older.

    They are given all of it, whichever rows are pushed: a gateway knows it, too.

    Attributes:
        windows: the windows.
    """

    def __init__(self, windows: Windows, retained: Recording | None) -> None:
        self.windows = windows
        self._retained, self._next = retained, 0

    def hold_until(self, time_ns: int) -> None:
        """Hold what was retained up to a time, nanoseconds since 1970."""
        rows = self._retained
        while rows is not None and self._next < len(rows) and rows.times_ns[self._next] <= time_ns:
            asset, said = rows.asset[self._next], Known(int(rows.times_ns[self._next]), 0.0)
            values = rows.values[self._next].tolist()
            self.windows.hold(rows.assets[asset], range(len(values)), values, said)
            self._next += 1


def _push(
    held: _Held,
    recording: Recording,
    rows: NDArray[np.int64],
    dropped: Counter[str],
    before: dict[int, int],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Push rows, and count those that are refused.

    Args:
        held: what the rows are pushed into.
        recording: the rows.
        rows: which of them to push.
        dropped: counts the refused rows by reason.
        before: the last row of each asset that was used; updated.

    Returns:
        For each window that became due, the row that made it due and the row of the asset before.
    """
    pushed: list[int] = []
    earlier: list[int] = []
    for row, asset, time_ns, reading in zip(
        rows.tolist(),
        recording.asset[rows].tolist(),
        recording.times_ns[rows].tolist(),
        _readings(recording, rows),
        strict=True,
    ):
        held.hold_until(time_ns)
        try:
            due = held.windows.push(recording.assets[asset], time_ns, *reading)
        except ReadingError as exc:
            dropped[exc.reason] += 1
            continue
        pushed += [row] * due
        earlier += [before.get(asset, row)] * due
        before[asset] = row
    return np.array(pushed, dtype=np.int64), np.array(earlier, dtype=np.int64)


def _readings(
    recording: Recording, rows: NDArray[np.int64]
) -> Iterator[tuple[tuple[int, ...], list[float]]]:
    """The signals and values that the message of each row carried."""
    order = tuple(range(recording.values.shape[1]))
    reported = recording.reported
    carries = np.ones((len(rows), len(order)), dtype=bool) if reported is None else reported[rows]
    for values, carried in zip(recording.values[rows].tolist(), carries.tolist(), strict=True):
        yield tuple(compress(order, carried)), list(compress(values, carried))
