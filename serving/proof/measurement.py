"""How long a graph takes for one window and for a batch, within a given time.

Other work of the machine can only add to a time, so the fastest of several rounds is nearest to
what the graph itself takes here. What is allowed for measuring is time of the processor, so that
other work does not keep the largest batch from being tried.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Final

import numpy as np
from numpy.typing import NDArray

Run = Callable[[NDArray[np.float32]], object]
"""Answers windows `[n, length, channels]`; what it returns is not used."""

_ROUNDS: Final = 5
_RUNS: Final = 100  # of one window in a round
_BATCH_RUNS: Final = 20  # of the largest batch, in all


@dataclass(frozen=True, slots=True)
class Times:
    """Times of calls of a graph.

    Attributes:
        p50_ms: median, milliseconds.
        p99_ms: 99th percentile, milliseconds.
    """

    p50_ms: float
    p99_ms: float


def time_single(run: Run, windows: NDArray[np.float32], allowed_s: float) -> Times:
    """The time for one window: the fastest of five rounds of a hundred calls.

    Args:
        run: answers windows.
        windows: float32 `[n, length, channels]` that are answered one by one, again and again.
        allowed_s: seconds of the processor after which no further call is begun; at least one is
            made.
    """
    ends_at = process_time() + allowed_s
    rounds: list[list[float]] = []
    while len(rounds) < _ROUNDS and (not rounds or process_time() < ends_at):
        taken = [_time(run, windows[:1])]
        while len(taken) < _RUNS and process_time() < ends_at:
            at = len(taken) % len(windows)
            taken.append(_time(run, windows[at : at + 1]))
        if not rounds or len(taken) == _RUNS:
            rounds.append(taken)
    return min(map(_times, rounds), key=lambda one: one.p99_ms)


def time_batch(
    run: Run,
    windows: NDArray[np.float32],
    batch: int,
    allowed_s: float,
    begin: Callable[[str], None],
) -> tuple[int, Times]:
    """The time for a batch, which is approached by doubling.

    Args:
        run: answers windows.
        windows: float32 `[n, length, channels]`, which are repeated to fill the batch.
        batch: number of windows in the batch.
        allowed_s: seconds of the processor; a batch that would end after them is not begun.
        begin: called before each larger batch with what is done then, in words.

    Returns:
        The number of windows in the largest batch that was answered, and the times for it.
    """
    ends_at = process_time() + allowed_s
    begun = process_time()
    size, taken = 1, [_time(run, windows[:1])]
    used_s = process_time() - begun
    while size < batch:
        following = min(2 * size, batch)
        begun = process_time()
        if begun + used_s * following / size > ends_at:
            break
        size = following
        begin(f"answering {size} windows at a time")
        taken = [_time(run, _repeated(windows, size))]
        used_s = process_time() - begun
    content = _repeated(windows, size)
    while len(taken) < _BATCH_RUNS and process_time() + used_s < ends_at:
        taken.append(_time(run, content))
    return size, _times(taken)


def _repeated(windows: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    return windows[np.arange(size) % len(windows)]


def _time(run: Run, windows: NDArray[np.float32]) -> float:
    begun = perf_counter()
    run(windows)
    return perf_counter() - begun


def _times(taken_s: list[float]) -> Times:
    p50_ms, p99_ms = (np.quantile(taken_s, [0.5, 0.99]) * 1e3).tolist()
    return Times(p50_ms, p99_ms)
