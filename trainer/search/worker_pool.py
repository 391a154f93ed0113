"""Processes that try candidates, each of which can be ended at any moment.

A fit cannot be interrupted from within, and one of a slow family may take as long as all others
together. So a candidate that is beyond its limit is ended with its process, and another process is
started in its place; and all are ended when the time of the search is over, or by Ctrl-C. Nothing
of this process is changed: no hook, no signal mask, no warning filter.
"""

import math
import pickle
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from models.files import write_atomically
from serving.child import command
from trainer.errors import DataError
from trainer.estimators.crossval import CrossValidation, FoldLosses
from trainer.search.worker import READY, Job

_MODULE = "trainer.search.worker"
DIED = "its process was ended from outside, as it is where memory runs out"
"""The reason of a candidate whose process died."""
_MOST_UNREADY = 5
"""Processes in a row that may end before they are ready."""
Limit = Callable[[int], float]
Result = tuple[int, FoldLosses | None]
"""The index of a candidate, and its result; None where it was ended because of its limit."""


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker process, and what it does.

    Attributes:
        child: the process.
        connection: our end of its connection.
        ready: whether it waits for a job.
        job: index of the job that it is at; None if there is none.
        began_s: when it began the job, by the monotonic clock.
        late_s: from when on the job is beyond its limit, by the same clock.
    """

    child: subprocess.Popen[bytes]
    connection: Any
    ready: bool = False
    job: int | None = None
    began_s: float = 0.0
    late_s: float = math.inf

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self.child.kill()
        self.child.wait()
        self.connection.close()


class WorkerPool:
    """At most `count` processes; they are started when there is work, and end with the context.

    Args:
        count: number of processes.
        validation: what all candidates are measured on.
        folder: a folder that stays for as long as the pool; the workers read files in it.
    """

    def __init__(self, count: int, validation: CrossValidation, folder: Path) -> None:
        self._count = count
        self._validation = folder / "validation.pickle"
        write_atomically(self._validation, pickle.dumps(validation))
        self._workers: list[_Worker] = []
        self._unready = 0

    def __enter__(self) -> Self:
        """The pool, without a process yet."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        """End all processes."""
        while self._workers:
            self._workers.pop().end()

    def results(
        self, jobs: Sequence[Job], *, limit_s: Limit | None, ends_s: float | None
    ) -> Iterator[Result]:
        """Try candidates, and yield each result with the candidate's index as soon as it is there.

        The result is None where a candidate was ended because of its limit. The iterator ends early
        at `ends_s`; then the processes of what was not finished are ended.

        Args:
            jobs: the candidates.
            limit_s: gives the seconds that a candidate may take when it is begun, from the number
                of candidates that are not begun yet; None without a limit.
            ends_s: time of the monotonic clock at which all ends; None without an end.

        Raises:
            DataError: processes end before they have begun a job.
        """
        waiting, left = deque(range(len(jobs))), len(jobs)
        while left:
            self._begin(jobs, waiting, limit_s)
            ended = [self._read(one) for one in self._heard(ends_s)]
            ended += [self._stopped(one) for one in self._late()]
            for result in ended:
                if result is not None:
                    left -= 1
                    yield result
            if left and ends_s is not None and monotonic() >= ends_s:
                for worker in [one for one in self._workers if not one.ready]:
                    self._stopped(worker)
                return

    def _begin(self, jobs: Sequence[Job], waiting: deque[int], limit_s: Limit | None) -> None:
        """Start the processes that are missing, and give each that is ready a job."""
        busy = sum(one.job is not None for one in self._workers)
        while len(self._workers) < min(self._count, len(waiting) + busy):
            self._workers.append(self._started())
        for worker in self._workers:
            if worker.ready and waiting:
                worker.began_s = monotonic()
                if limit_s is not None:
                    worker.late_s = worker.began_s + limit_s(len(waiting))
                worker.job, worker.ready = waiting.popleft(), False
                with suppress(OSError):  # a process that has ended shows at the next look
                    worker.connection.send(jobs[worker.job])

    def _started(self) -> _Worker:
        ours, theirs = Pipe()
        with theirs:
            child = subprocess.Popen(  # noqa: S603  our own interpreter and code, no shell
                command(_MODULE, str(theirs.fileno()), str(self._validation)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        return _Worker(child, ours)

    def _heard(self, ends_s: float | None) -> list[_Worker]:
        """The processes that have sent something or have ended, until a limit or the end."""
        until_s = min(
            [math.inf if ends_s is None else ends_s]
            + [one.late_s for one in self._workers if one.job is not None]
        )
        left_s = None if until_s == math.inf else max(0.0, until_s - monotonic())
        by_connection = {one.connection: one for one in self._workers}
        return [by_connection[one] for one in wait([*by_connection], left_s)]

    def _late(self) -> list[_Worker]:
        """The processes that are at a candidate beyond its limit."""
        now = monotonic()
        return [one for one in self._workers if one.job is not None and now >= one.late_s]

    def _read(self, worker: _Worker) -> Result | None:
        """What a worker has sent: a result, or None where it has become ready for its first job."""
        try:
            said = worker.connection.recv()
        except (EOFError, OSError):
            return self._lost(worker)
        if isinstance(said, Exception):
            raise said
        worker.ready, self._unready = True, 0
        if worker.job is None or said == READY:
            return None
        index, worker.job = worker.job, None
        return index, said

    def _lost(self, worker: _Worker) -> Result | None:
        """The failure of the candidate whose process has ended, if it had begun one."""
        found = self._stopped(worker)
        if found is not None:
            return found[0], FoldLosses((), monotonic() - worker.began_s, reason=DIED)
        self._unready += 1
        if self._unready > _MOST_UNREADY:
            raise DataError(
                "search: its processes end before they have begun a candidate; is there enough "
                "memory for search.jobs of them?"
            )
        return None

    def _stopped(self, worker: _Worker) -> Result | None:
        """End a process: the candidate that it was at, without a result; None if it had none."""
        self._workers.remove(worker)
        worker.end()
        return None if worker.job is None else (worker.job, None)
