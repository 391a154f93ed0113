"""Interrupts an inference that takes too long, from a thread of its own (ADR 28).

onnxruntime looks at the flag `terminate` of a run between any two operators, also in each pass of a
loop, and then ends the run with an error. Only a single operator cannot be interrupted: if one does
not end, the watchdog of systemd ends the process.
"""

import threading
from functools import partial
from time import monotonic_ns
from typing import Final, Protocol

from serving.worker import Worker

_LOOK_S: Final = 1.0


class Terminable(Protocol):
    """The part of onnxruntime's `RunOptions` that is needed here.

    Attributes:
        terminate: set by another thread while a run is under way, it ends the run.
    """

    terminate: bool


class TimeLimit:
    """Knows which inference is under way on the hot thread, and interrupts it in time.

    The hot thread sets `under_way` before an inference and clears it afterwards. If more than
    `limit_ns` have passed by a time that it reads after that, the flag may have been set, and the
    options must not be used again. No lock is needed: the watching thread reads the time first.

    Args:
        limit_s: seconds that an inference may take.

    Attributes:
        limit_ns: the same in nanoseconds.
        under_way: when the inference under way began, in nanoseconds of the monotonic clock, and
            the options of its run; None while there is none.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_ns = round(limit_s * 1e9)
        self.under_way: tuple[int, Terminable] | None = None
        self._look_s = min(_LOOK_S, limit_s / 4)

    def watch(self, worker: Worker) -> None:
        """Have a worker watch until the process ends; it can do nothing else."""
        worker.submit(partial(self._watch, worker.stopping))

    def _watch(self, stopping: threading.Event) -> None:
        while not stopping.wait(self._look_s):
            now_ns = monotonic_ns()
            under_way = self.under_way
            if under_way is not None and now_ns - under_way[0] >= self.limit_ns:
                under_way[1].terminate = True
