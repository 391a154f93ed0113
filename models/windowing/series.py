"""The samples of one asset at a fixed rate, and the windows in them.

    samples  ─┬──────────────┬──────────────┬──────►
              │◄── length ──►│   window 1
              │◄─ hop ─►│◄── length ──►│   window 2

Samples come many at a time. Kept is what the next window needs, as float32 in one run of bytes; the
windows that a run completes are cut from one copy of it, in which they overlap.
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
    """What all series of a model have in common.

    Attributes:
        length: samples in a window.
        hop: samples from one window to the next.
        width: channels.
        period_ns: from one sample to the next.
        max_gap_ns: a longer pause begins the windows anew.
    """

    length: int
    hop: int
    width: int
    period_ns: float
    max_gap_ns: int

    @property
    def row_bytes(self) -> int:
        """A sample's."""
        return 4 * self.width

    def span_ns(self, samples: int) -> int:
        """From the first to the last of so many samples."""
        return round((samples - 1) * self.period_ns)


class Due(NamedTuple):
    """Windows that became due together.

    Attributes:
        times_ns: of each window's last sample, `[n]`.
        qualities: the worst of each window's samples, `[n]`.
        values: float32 `[n, length, channels]`, overlapping in memory and not to be written.
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
    """One asset's samples. The attributes are its whole state.

    Attributes:
        start_ns: event time of the first sample of the last run; far in the past before any.
        last_ns: of the last sample.
        count: samples since the last gap.
        uncertain_at: `count` at the last UNCERTAIN sample, 0 if there was none.
        bad_at: likewise BAD.
        samples: the last ones, from where the next window begins, float32 `[n, channels]`.
    """

    __slots__ = ("bad_at", "count", "last_ns", "samples", "start_ns", "uncertain_at")

    def __init__(self) -> None:
        self.start_ns = self.last_ns = _NEVER
        self.count = self.uncertain_at = self.bad_at = 0
        self.samples = bytearray()

    def dump(self) -> list[Any]:
        """All of it as JSON can carry it."""
        numbers = [self.start_ns, self.last_ns, self.count, self.uncertain_at, self.bad_at]
        return [*numbers, b2a_base64(self.samples, newline=False).decode()]

    @classmethod
    def load(cls, dumped: Sequence[Any]) -> Self:
        """The series that said this of itself."""
        series = cls()
        series.start_ns, series.last_ns, series.count, series.uncertain_at, series.bad_at = dumped[
            :5
        ]
        series.samples = bytearray(a2b_base64(dumped[5]))
        return series

    def restart_after(self, start_ns: int, grid: Grid) -> bool:
        """Begin anew if the pause before `start_ns` is too long; says whether it was."""
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
            start_ns: event time of the first.
            values: float32 `[n, channels]`, at least one.
            flawed: indices of those that are UNCERTAIN, and of those that are BAD, rising.
            grid: how windows lie.

        Returns:
            The windows that are complete now, None if there is none.
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
            # Where a block's clock jitters, time stands still rather than going back.
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
        """`count` windows, one each hop, the first from the kept sample `first` on."""
        row = grid.row_bytes
        return np.ndarray(
            (count, grid.length, grid.width),
            np.float32,
            bytes(self.samples),
            offset=first * row,
            strides=(grid.hop * row, row, 4),
        )

    def _qualities(
        self, ends: range, uncertain: NDArray[Any], bad: NDArray[Any], length: int
    ) -> list[Quality]:
        """The worst sample of each window; windows and samples are told by the count there."""
        is_uncertain = _any_within(ends, length, uncertain, self.uncertain_at)
        is_bad = _any_within(ends, length, bad, self.bad_at)
        return [
            _BAD if worst else _UNCERTAIN if worse else _GOOD
            for worst, worse in zip(is_bad, is_uncertain, strict=True)
        ]


def _any_within(ends: range, length: int, counts: NDArray[Any], before: int) -> list[bool]:
    """For each window whether one of the samples `counts`, or the one `before` them, is in it."""
    if not len(counts) and before <= ends[0] - length:
        return [False] * len(ends)
    known = np.concatenate(([before], counts))
    newest = known[np.searchsorted(known, ends, side="right") - 1]
    within: list[bool] = (newest > np.array(ends) - length).tolist()
    return within
