"""The requests that wait for one version of a model, in the order of their arrival."""

from collections import deque
from itertools import chain

from server.batching.job import Job, Portion
from server.http.refusals import LateError, OverloadError


class Waiting:
    """A queue that is bounded by its windows.

    Args:
        max_windows: windows that may wait at a time.

    Attributes:
        windows: how many windows wait.
    """

    def __init__(self, max_windows: int) -> None:
        self.windows = 0
        self._max_windows = max_windows
        self._jobs: deque[Job] = deque()
        self._again: deque[Portion] = deque()

    def __len__(self) -> int:
        """How many jobs and portions wait."""
        return len(self._jobs) + len(self._again)

    def add(self, job: Job) -> None:
        """Append a job.

        Raises:
            OverloadError: too many windows would wait.
        """
        if self.windows + len(job.windows) > self._max_windows:
            raise OverloadError(
                f"{self.windows} windows wait for the model, and with the {len(job.windows)} of "
                f"this request there would be more than {self._max_windows} "
                "(limits.max_waiting): try again later, or with fewer windows"
            )
        self._jobs.append(job)
        self.windows += len(job.windows)

    def try_alone(self, portions: list[Portion]) -> None:
        """Put portions of a batch that has failed first, each to be run by itself."""
        self._again.extendleft(reversed(portions))
        self.windows += sum(portion.end - portion.begin for portion in portions)

    def take(self, max_windows: int, now_s: float) -> list[Portion]:
        """Take out the windows of the next batch; jobs that are late or given up are dropped.

        Args:
            max_windows: windows of the batch, at least one.
            now_s: monotonic seconds.
        """
        while self._again:
            portion = self._again.popleft()
            self.windows -= portion.end - portion.begin
            if not portion.job.answered.done():
                return [portion]
        batch: list[Portion] = []
        room = max_windows
        while self._jobs and room > 0:
            job = self._jobs[0]
            if job.answered.done() or now_s > job.deadline_s:
                self._drop(job)
                continue
            count = min(room, job.left)
            batch.append(Portion(job, job.taken, job.taken + count))
            job.taken += count
            self.windows -= count
            room -= count
            if not job.left:
                self._jobs.popleft()
        return batch

    def end_late(self, now_s: float) -> None:
        """Refuse the jobs whose time has passed, wherever they stand."""
        for job in chain(self._jobs, (portion.job for portion in self._again)):
            if now_s > job.deadline_s:
                job.fail(_late())

    def clear(self, error: Exception) -> None:
        """Refuse all jobs with an error."""
        for job in chain(self._jobs, (portion.job for portion in self._again)):
            job.fail(error)
        self._jobs.clear()
        self._again.clear()
        self.windows = 0

    def _drop(self, job: Job) -> None:
        self._jobs.popleft()
        self.windows -= job.left
        job.fail(_late())


def _late() -> LateError:
    return LateError("the model did not get to the request within its time: try again later")
