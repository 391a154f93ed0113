"""Threads for work that blocks: downloads, building of sessions, golden vectors, disk, connecting.

Contract, for whoever writes a job:

- The hot thread calls `submit` and goes on at once. The job runs on the worker's thread, after the
  jobs that were submitted to the same worker before. It may block.
- A job must not touch what the hot thread uses. It returns a call instead (or None), which the hot
  thread makes between two turns, in `run_posted`; that call must not block. Nothing else is shared,
  so no lock is needed.
- A job catches the errors that it expects, and turns them into calls. Any other error is a bug: it
  is raised again on the hot thread and ends the process, and systemd restarts it.
- A job that takes long looks at `stopping`, and returns early when it is set.
"""

import queue
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

Job = Callable[[], Callable[[], None] | None]
"""Runs on the worker, and returns what the hot thread shall call afterwards, or None."""

MAX_JOBS = 1_000
"""Jobs that may wait for a worker. Their number is bounded by design, so more are a bug."""


class WakeUp:
    """A socket pair that ends a wait in `select` from another thread or a signal handler.

    `set` may be called from any thread. The hot thread waits on `fileno`, and calls `clear`.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.settimeout(0)

    def fileno(self) -> int:
        """File descriptor to wait on; readable once `set` was called."""
        return self._reader.fileno()

    def set(self) -> None:
        """End the wait of the hot thread, or the next one if it does not wait now. Never blocks."""
        # A full buffer has ended the wait already, and a closed socket has no one who waits.
        with suppress(OSError):
            self._writer.send(b"\0")

    def clear(self) -> None:
        """Forget the calls of `set` so far, before the work that they announce is done."""
        try:
            while self._reader.recv(4096):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close both ends."""
        self._reader.close()
        self._writer.close()


class Worker:
    """A named thread that runs jobs one after the other.

    Args:
        name: name of the thread, as `ps -T` and tracebacks show it.
        wake_up: ends the hot thread's wait when there are calls for it.

    Attributes:
        stopping: set when the process ends; jobs that take long look at it, and return early.
    """

    def __init__(self, name: str, wake_up: WakeUp) -> None:
        self.stopping = threading.Event()
        self._jobs: queue.Queue[Job | None] = queue.Queue(MAX_JOBS)
        self._calls: deque[Callable[[], None]] = deque()
        self._wake_up = wake_up
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job, from the hot thread; never blocks.

        Raises:
            queue.Full: `MAX_JOBS` jobs wait, which only a bug can bring about.
        """
        self._jobs.put_nowait(job)

    def post(self, call: Callable[[], None]) -> None:
        """From within a job, have the hot thread make a call before the job has ended."""
        self._calls.append(call)
        self._wake_up.set()

    def run_posted(self) -> None:
        """On the hot thread: make the calls that jobs have left."""
        while self._calls:
            self._calls.popleft()()

    def stop(self, timeout_s: float) -> None:
        """Finish the jobs that are queued, and end the thread; blocks for `timeout_s` at most.

        Queued jobs are not discarded: a model that serves already must be recorded as active. A job
        that does not end in time is abandoned: the thread is a daemon, and ends with the process.
        """
        self.stopping.set()
        self._jobs.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                call = job()
            except BaseException as exc:  # noqa: BLE001  the top of a thread: its death is fatal
                self.post(_raiser(exc))
                return
            if call is not None:
                self.post(call)


class Workers:
    """All workers of a program, and the wake-up that they share.

    Attributes:
        wake_up: ends the hot thread's wait when a worker has calls for it.
    """

    def __init__(self) -> None:
        self.wake_up = WakeUp()
        self._workers: list[Worker] = []

    def start(self, name: str) -> Worker:
        """Start one more worker, whose thread has this name."""
        worker = Worker(name, self.wake_up)
        self._workers.append(worker)
        return worker

    def run_posted(self) -> None:
        """On the hot thread: make the calls that jobs have left."""
        for worker in self._workers:
            worker.run_posted()

    def stop(self, deadline_s: float, clock: Callable[[], float]) -> None:
        """Have each worker finish what is queued, and end.

        Args:
            deadline_s: when to stop waiting for them, in seconds of `clock`.
            clock: monotonic time in seconds.
        """
        for worker in self._workers:
            worker.stop(max(0.1, deadline_s - clock()))
        self.wake_up.close()


def _raiser(error: BaseException) -> Callable[[], None]:
    def raise_on_hot_thread() -> None:
        raise error

    return raise_on_hot_thread
