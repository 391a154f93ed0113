"""Interrupts an inference that takes too long, from a thread of its own (ADR 28).

onnxruntime looks at the flag `terminate` of a run between any two operators, also in each pass of a
loop, and then ends the run with an error. Only a single operator cannot be interrupted: if one does
not end, the watchdog of systemd ends the process.
"""

import threading
from functools import partial
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

    The hot thread sets `under_way` before an inference and clears it afterwards. If the inference
    took longer than `doubtful_ns`, the flag may have been set, and the options must not be used
    again. So no lock is needed.

    Time is counted in looks of the watching thread, not by a clock, so that a process that was
    stopped, or a virtual machine that stood still, does not look like an inference without end.

    Args:
        limit_s: seconds that an inference may take.

    Attributes:
        doubtful_ns: nanoseconds that an inference takes at least before it is interrupted.
        under_way: when the inference under way began, in nanoseconds of the monotonic clock, and
            the options of its run; a new tuple each time, and None while there is none.
    """

    def __init__(self, limit_s: float) -> None:
        self.doubtful_ns = round(limit_s * 1e9) // 2
        self.under_way: tuple[int, Terminable] | None = None
        self._limit_s, self._look_s = limit_s, min(_LOOK_S, limit_s / 4)

    def watch(self, worker: Worker) -> None:
        """Have a worker watch until the process ends; it can do nothing else."""
        worker.submit(partial(self._watch, worker.stopping))

    def _watch(self, stopping: threading.Event) -> None:
        before, looks = None, 0
        while not stopping.wait(self._look_s):
            under_way = self.under_way
            looks = looks + 1 if under_way is before else 0
            before = under_way
            if under_way is not None and looks * self._look_s >= self._limit_s:
                under_way[1].terminate = True
