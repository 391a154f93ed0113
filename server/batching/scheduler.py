"""Runs models: one batch at a time, of one version after the other.

    request ──► Waiting of its version ──┐
    request ──► Waiting of its version ──┴─► turn ──► one onnxruntime run ──► each gets its rows

A turn takes whatever has arrived while the model was busy, so that a batch is one request when the
line is quiet and many under load, with no timer. A quick model is run on the event loop's thread; a
slow one on a thread of its own, so that everything else goes on. Only one runs at a time: then no
version waits for more than a batch of another, and the page of what is under way tells the truth
should the process die (ADR 23).
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import monotonic, monotonic_ns
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.control.document import MAX_MESSAGE
from server.batching.job import Job, Outputs, Portion
from server.batching.measures import Measures
from server.batching.waiting import Waiting
from server.http.refusals import ModelError
from server.settings import Limits
from serving import log
from serving.errors import InferenceError
from serving.failure import Failure
from serving.incidents.under_way import UnderWay
from serving.model import Model
from serving.pace import Pace
from serving.time_limit import TimeLimit

QUICK_NS: Final = 2_000_000
"""A batch that is expected to take no longer, undisturbed, is run on the event loop's thread."""
TURN_NS: Final = 500_000_000
"""A batch has no more windows than a model is expected to answer in this time, and one at least."""


@dataclass(slots=True, eq=False)
class Version:
    """One version of a stream's model, and the requests that wait for it.

    Attributes:
        model: the model.
        waiting: the requests.
        measures: what requests take, of all versions of the stream.
        pace: how long the model takes for a window.
        failure: what the model fails with; None if it answered the last batch.
        batches: number of runs that were answered.
        windows: number of windows that were answered.
        run_ns: nanoseconds that the runs took.
        requests: number of requests that were answered.
        seq: number of the bundle, as clients name the version.
    """

    model: Model
    waiting: Waiting
    measures: Measures = field(default_factory=Measures)
    pace: Pace = field(default_factory=Pace)
    failure: Failure | None = None
    batches: int = 0
    windows: int = 0
    run_ns: int = 0
    requests: int = 0
    seq: str = field(init=False)

    def __post_init__(self) -> None:
        self.seq = str(self.model.manifest.seq)

    @property
    def statistics(self) -> Mapping[str, int]:
        """What it has answered so far, by name."""
        return {
            "requests": self.requests,
            "windows": self.windows,
            "batches": self.batches,
            "run_ns": self.run_ns,
        }


class Scheduler:
    """Gives models their batches. All methods belong to the event loop's thread.

    Args:
        limits: windows of a batch, and how often a failure is logged.
        under_way: notes which model infers, should the process die of it.
        time_limit: is told which inference is under way, and interrupts one that does not end.
    """

    def __init__(self, limits: Limits, under_way: UnderWay, time_limit: TimeLimit) -> None:
        self._max_batch = limits.max_batch
        self._under_way = under_way
        self._time_limit = time_limit
        self._ready: deque[Version] = deque()
        self._is_busy = False  # a turn is scheduled, or a batch is on the thread
        self._thread = ThreadPoolExecutor(1, "inference")
        self._log = log.Limited(limits.log_interval_s)

    def submit(self, version: Version, job: Job) -> asyncio.Future[Outputs]:
        """Have a version answer the windows of a job.

        Raises:
            OverloadError: too many windows wait for it.
        """
        version.waiting.add(job)
        self._want(version)
        return job.answered

    def close(self) -> None:
        """Wait for the batch under way, and end the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _want(self, version: Version) -> None:
        self._queue(version)
        if not self._is_busy:
            self._is_busy = True
            # After the requests that have arrived together with this one.
            asyncio.get_running_loop().call_soon(self._turn)

    def _queue(self, version: Version) -> None:
        """Have a version get a turn after the others; only once, or others would wait longer."""
        if version not in self._ready:
            self._ready.append(version)

    def _turn(self) -> None:
        """Run one batch of the version whose turn it is."""
        while self._ready:
            version = self._ready.popleft()
            room = max(1, version.pace.room(TURN_NS))
            portions = version.waiting.take(min(room, self._max_batch), monotonic())
            if portions:
                break
        else:
            self._is_busy = False
            return
        count = _count(portions)
        if 0 < version.pace.undisturbed_ns * count < QUICK_NS:
            self._finish(version, portions, *self._run(version.model, portions))
            return
        loop = asyncio.get_running_loop()
        run = loop.run_in_executor(self._thread, self._run, version.model, portions)
        run.add_done_callback(lambda done: self._finish(version, portions, *done.result()))

    def _run(self, model: Model, portions: list[Portion]) -> tuple[Outputs | Exception, int]:
        """Outputs or error of one run, and how many nanoseconds it took; on either thread."""
        began_ns = monotonic_ns()
        self._time_limit.under_way = began_ns, model.session.options
        self._under_way.infer(bytes.fromhex(model.sha256))
        try:
            outputs: Outputs | Exception = model.session.run(_joined(portions))
        except Exception as exc:  # noqa: BLE001  each request raises it, on the loop's thread
            outputs = exc
        finally:
            self._under_way.done()
            self._time_limit.under_way = None
        elapsed_ns = monotonic_ns() - began_ns
        if elapsed_ns >= self._time_limit.doubtful_ns:
            model.session.renew_options()  # the flag in the old ones may have been set
        return outputs, elapsed_ns

    def _finish(
        self,
        version: Version,
        portions: list[Portion],
        outputs: Outputs | Exception,
        elapsed_ns: int,
    ) -> None:
        """Hand out what a run has given, and go on with the next."""
        count = _count(portions)
        version.pace.note(count, elapsed_ns)
        version.measures.busy_ns += elapsed_ns
        for portion in portions:
            portion.job.run_ns += elapsed_ns
        if not isinstance(outputs, Exception):
            version.failure = None
            version.batches, version.windows = version.batches + 1, version.windows + count
            version.run_ns += elapsed_ns
            version.measures.batches.add(count)
            _hand_out(portions, outputs)
        elif len(portions) > 1:
            version.waiting.try_alone(portions)  # one request must not fail another
        else:
            self._fail(version, portions[0].job, outputs)
        if len(version.waiting):
            self._queue(version)
        asyncio.get_running_loop().call_soon(self._turn)

    def _fail(self, version: Version, job: Job, error: Exception) -> None:
        version.measures.failed += 1
        if not isinstance(error, InferenceError):
            job.fail(error)  # a bug, whose traceback is logged where it is raised
            return
        failed = version.failure.batches if version.failure is not None else 0
        version.failure = Failure(error, failed + 1)
        job.fail(ModelError(f"the model failed on the request ({error.code}): {error}"))
        self._log.warning(
            error.code,
            "model failed on a request",
            stream=version.model.manifest.stream,
            seq=version.model.manifest.seq,
            code=error.code,
            reason=str(error)[:MAX_MESSAGE],
        )


def _count(portions: list[Portion]) -> int:
    """How many windows are in a batch."""
    if len(portions) == 1:
        return portions[0].end - portions[0].begin
    return sum(portion.end - portion.begin for portion in portions)


def _joined(portions: list[Portion]) -> NDArray[np.float32]:
    if len(portions) == 1:
        job, begin, end = portions[0]
        return job.windows[begin:end]
    return np.concatenate([job.windows[begin:end] for job, begin, end in portions])


def _hand_out(portions: list[Portion], outputs: Outputs) -> None:
    if len(portions) == 1:
        portions[0].job.add(outputs)
        return
    at = 0
    for job, begin, end in portions:
        count = end - begin
        job.add({name: array[at : at + count] for name, array in outputs.items()})
        at += count
