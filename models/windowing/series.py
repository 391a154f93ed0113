"""The samples of one asset at a fixed rate, and the windows in them.

    samples  ─┬──────────────┬──────────────┬──────►
              │◄── length ──►│   window 1
              │◄─ hop ─►│◄── length ──►│   window 2

Samples are appended many at a time (a run). Those that the next window needs are kept as float32,
in one buffer. The windows that a run completes are views of a single copy of that buffer, in which
they overlap: copied one by one they would take `length / hop` times the memory.
"""

from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from models.input.quality import Quality

_NEVER = -(2**62)
_GOOD, _UNCERTAIN, _BAD = Quality


@dataclass(frozen=True, slots=True)
class Grid:
    """How the windows of a model lie; all its series share it.

    Attributes:
        length: number of samples in a window.
        hop: number of samples from the start of one window to that of the next.
        width: number of signals.
        period_ns: nanoseconds from one sample to the next; may be a fraction.
        max_gap_ns: nanoseconds of the longest pause that does not restart the window.
    """

    length: int
    hop: int
    width: int
    period_ns: float
    max_gap_ns: int

    @property
    def row_bytes(self) -> int:
        """Bytes of a sample."""
        return 4 * self.width

    def span_ns(self, samples: int) -> int:
        """Nanoseconds from the first to the last of so many samples."""
        return round((samples - 1) * self.period_ns)


class Due(NamedTuple):
    """Windows that became due together.

    Attributes:
        times_ns: event time of each window's last sample, nanoseconds since 1970.
        qualities: worst quality among each window's samples.
        values: float32 of shape `[windows, length, channels]`. The windows overlap in memory, so
            the array must not be written to.
    """

    times_ns: list[int]
    qualities: list[Quality]
    values: NDArray[np.float32]

    def split(self, at: int) -> "tuple[Due, Due]":
        """The first `at` windows, and the others."""
        times_ns, qualities, values = self
        return (
            Due(times_ns[:at], qualities[:at], values[:at]),
            Due(times_ns[at:], qualities[at:], values[at:]),
        )


class Series:
    """The samples of one asset. The attributes are its whole state.

    Attributes:
        start_ns: event time of the first sample of the last run, nanoseconds since 1970; far in
            the past before the first run.
        last_ns: event time of the last sample, likewise.
        count: number of samples since the last gap.
        uncertain_at: `count` at the last sample of quality UNCERTAIN; 0 if there was none.
        bad_at: `count` at the last sample of quality BAD; 0 if there was none.
        samples: samples from the start of the next window on, float32 `[n, channels]` as bytes.
    """

    __slots__ = ("bad_at", "count", "last_ns", "samples", "start_ns", "uncertain_at")

    def __init__(self) -> None:
        self.start_ns = self.last_ns = _NEVER
        self.count = self.uncertain_at = self.bad_at = 0
        self.samples = bytearray()

    def dump(self) -> list[Any]:
        """The state as JSON can carry it, samples in base64."""
        numbers = [self.start_ns, self.last_ns, self.count, self.uncertain_at, self.bad_at]
        return [*numbers, b2a_base64(self.samples, newline=False).decode()]

    @classmethod
    def load(cls, dumped: Sequence[Any]) -> Self:
        """The series that `dump` has described."""
        series = cls()
        series.start_ns, series.last_ns, series.count, series.uncertain_at, series.bad_at = dumped[
            :5
        ]
        series.samples = bytearray(a2b_base64(dumped[5]))
        return series

    def restart_after(self, start_ns: int, grid: Grid) -> bool:
        """Discard the samples if the pause before `start_ns` is too long; returns whether it is."""
        if not self.count or start_ns - self.last_ns <= grid.max_gap_ns:
            return False
        self.count = self.uncertain_at = self.bad_at = 0
        self.samples.clear()
        return True

    def extend(
        self,
        start_ns: int,
        values: NDArray[np.float32],
        flawed: tuple[NDArray[np.intp], NDArray[np.intp]],
        grid: Grid,
    ) -> Due | None:
        """Append a run of samples.

        Args:
            start_ns: event time of the first sample, nanoseconds since 1970.
            values: float32 `[n, channels]` with at least one sample, NaN = missing.
            flawed: indices of the samples that are UNCERTAIN or BAD, and of the BAD ones; each in
                rising order.
            grid: how windows lie.

        Returns:
            The windows that the run completes; None if it completes none.
        """
        before, last_ns = self.count, self.last_ns
        kept_from = before - len(self.samples) // grid.row_bytes
        self.samples += np.ascontiguousarray(values).data
        self.count += len(values)
        self.start_ns, self.last_ns = start_ns, start_ns + grid.span_ns(len(values))
        passed = max(0, before - grid.length + grid.hop) // grid.hop
        ends = range(grid.length + passed * grid.hop, self.count + 1, grid.hop)
        uncertain, bad = (before + 1 + indices for indices in flawed)
        due = None
        if ends:
            # A sensor's clock may jitter by half a block (ADR 11): times are held rather than
            # going back, since event time never decreases within an asset.
            times_ns = [
                max(start_ns + round((end - before - 1) * grid.period_ns), last_ns) for end in ends
            ]
            qualities = self._qualities(ends, uncertain, bad, grid.length)
            windows = self._cut(ends[0] - grid.length - kept_from, len(ends), grid)
            due = Due(times_ns, qualities, windows)
        if len(uncertain):
            self.uncertain_at = int(uncertain[-1])
        if len(bad):
            self.bad_at = int(bad[-1])
        next_start = ends.start + len(ends) * grid.hop - grid.length
        del self.samples[: max(0, next_start - kept_from) * grid.row_bytes]
        return due

    def _cut(self, first: int, count: int, grid: Grid) -> NDArray[np.float32]:
        """Cut `count` windows, one each hop; the first begins at the kept sample `first`."""
        row = grid.row_bytes
        return np.ndarray(
            (count, grid.length, grid.width),
            np.float32,
            bytes(self.samples),  # a copy, since the buffer goes on
            offset=first * row,
            strides=(grid.hop * row, row, 4),
        )

    def _qualities(
        self, ends: range, uncertain: NDArray[Any], bad: NDArray[Any], length: int
    ) -> list[Quality]:
        """The worst quality in each window. Windows and samples are numbered by `count`."""
        is_uncertain = _any_within(ends, length, uncertain, self.uncertain_at)
        is_bad = _any_within(ends, length, bad, self.bad_at)
        return [
            _BAD if worst else _UNCERTAIN if worse else _GOOD
            for worst, worse in zip(is_bad, is_uncertain, strict=True)
        ]


def _any_within(ends: range, length: int, counts: NDArray[Any], before: int) -> list[bool]:
    """Whether each window contains one of the samples `counts`, or `before`, the one before them.

    It suffices to look at the last such sample up to the end of each window.
    """
    if not len(counts) and before <= ends[0] - length:
        return [False] * len(ends)
    known = np.concatenate(([before], counts))
    newest = known[np.searchsorted(known, ends, side="right") - 1]
    within: list[bool] = (newest > np.array(ends) - length).tolist()
    return within
