"""The windows of one request, and what a model has answered to them so far."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Outputs = Mapping[str, NDArray[Any]]
"""Output tensors by name, each with the windows as its first axis."""


class Job:
    """Windows that wait for a model. Touched by the event loop's thread only.

    Args:
        windows: float32 `[n, length, channels]`, NaN = missing.
        deadline_s: monotonic seconds by which they must be answered.

    Attributes:
        windows: as given.
        deadline_s: as given.
        answered: gets the outputs of all windows, in their order, or an error.
        taken: how many of the windows were given to the model.
        run_ns: nanoseconds of the runs that some of them were part of.
    """

    __slots__ = ("_parts", "answered", "deadline_s", "run_ns", "taken", "windows")

    def __init__(self, windows: NDArray[np.float32], deadline_s: float) -> None:
        self.windows, self.deadline_s = windows, deadline_s
        self.answered: asyncio.Future[Outputs] = asyncio.get_running_loop().create_future()
        self.taken = self.run_ns = 0
        self._parts: list[Outputs] = []

    @property
    def left(self) -> int:
        """How many windows were not given to the model yet."""
        return len(self.windows) - self.taken

    def add(self, outputs: Outputs) -> None:
        """Take the outputs of the next windows; with the last of them the job is answered."""
        self._parts.append(outputs)
        parts = self._parts
        if sum(len(part["value"]) for part in parts) < len(self.windows) or self.answered.done():
            return
        if len(parts) == 1:
            self.answered.set_result(outputs)
            return
        names = outputs.keys()
        self.answered.set_result(
            {name: np.concatenate([part[name] for part in parts]) for name in names}
        )

    def fail(self, error: Exception) -> None:
        """End the job with an error, unless it has ended already."""
        if not self.answered.done():
            self.answered.set_exception(error)


class Portion(NamedTuple):
    """Some windows of a job, which go into one batch."""

    job: Job
    begin: int
    end: int
