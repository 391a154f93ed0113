"""Where the time of a stream's requests goes, and how large its batches are."""

from time import perf_counter_ns
from typing import Final

from serving.histogram import Histogram

BATCHES: Final = tuple(2**power for power in range(13))
"""Windows of a batch: 1, 2, 4, ... 4,096."""


class Stage:
    """A part of the work on requests that never waits; `with` measures it.

    Attributes:
        total_ns: nanoseconds that were spent in it.
    """

    __slots__ = ("_began_ns", "total_ns")

    def __init__(self) -> None:
        self.total_ns = self._began_ns = 0

    def __enter__(self) -> None:
        """Begin to measure."""
        self._began_ns = perf_counter_ns()

    def __exit__(self, *_: object) -> None:
        """End to measure, also where the work has ended by an error."""
        self.total_ns += perf_counter_ns() - self._began_ns


class Measures:
    """What the requests of one stream have taken, over all versions of its model.

    Attributes:
        decode: from the body of a request to windows.
        encode: from outputs to the body of an answer.
        waited_ns: nanoseconds that requests have waited for the model, and for their turn.
        ran_ns: nanoseconds in which requests were in a batch that ran; a run of a batch with ten
            requests counts ten times.
        busy_ns: nanoseconds in which the model ran.
        batches: windows of the batches that were answered.
        failed: runs that have failed.
        explained: predictions whose reasons were given.
        unexplained: predictions that were to have reasons and have none.
    """

    __slots__ = (
        "batches",
        "busy_ns",
        "decode",
        "encode",
        "explained",
        "failed",
        "ran_ns",
        "unexplained",
        "waited_ns",
    )

    def __init__(self) -> None:
        self.decode, self.encode = Stage(), Stage()
        self.waited_ns = self.ran_ns = self.busy_ns = self.failed = 0
        self.explained = self.unexplained = 0
        self.batches = Histogram(BATCHES)

    def note(self, total_ns: int, run_ns: int) -> None:
        """Note a request that has ended.

        Args:
            total_ns: nanoseconds since it was handed over.
            run_ns: nanoseconds of the runs that it was part of.
        """
        self.ran_ns += run_ns
        self.waited_ns += total_ns - run_ns
