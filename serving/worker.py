"""One thread for everything slow: downloads, sessions, golden vectors, disk.

The hot thread submits a job and goes on; the result comes back as a call that the hot thread makes
between two turns. Nothing else is shared. An error that a job is not known to raise is a bug: it
is raised again on the hot thread and ends the process.
"""

import queue
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

Job = Callable[[], Callable[[], None] | None]
"""Runs on the worker; returns what the hot thread shall call afterwards."""

MAX_JOBS = 1_000


class WakeUp:
    """A socket pair that ends a wait in `select` from another thread or a signal handler."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.settimeout(0)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._reader.fileno()

    def set(self) -> None:
        """End the wait; a full pipe means that it has been ended already, a closed one for good."""
        with suppress(OSError):
            self._writer.send(b"\0")

    def clear(self) -> None:
        """Take in all wake-ups so far."""
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

    Attributes:
        stopping: set when the process ends; long jobs look at it.
    """

    def __init__(self, name: str, wake_up: WakeUp) -> None:
        self.stopping = threading.Event()
        self._jobs: queue.Queue[Job | None] = queue.Queue(MAX_JOBS)
        self._calls: deque[Callable[[], None]] = deque()
        self._wake_up = wake_up
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; raises queue.Full beyond `MAX_JOBS`, which only a bug can reach."""
        self._jobs.put_nowait(job)

    def post(self, call: Callable[[], None]) -> None:
        """From within a job: have the hot thread call something."""
        self._calls.append(call)
        self._wake_up.set()

    def run_posted(self) -> None:
        """On the hot thread: make the calls that jobs have left."""
        while self._calls:
            self._calls.popleft()()

    def stop(self, timeout_s: float) -> None:
        """Do what is queued and end: a swap that was made is recorded, whatever comes next.

        A job that waits for others looks at `stopping`; one that does not end in time is left.
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
        wake_up: ends the hot thread's wait when a worker has a result.
    """

    def __init__(self) -> None:
        self.wake_up = WakeUp()
        self._workers: list[Worker] = []

    def start(self, name: str) -> Worker:
        """Start one more worker."""
        worker = Worker(name, self.wake_up)
        self._workers.append(worker)
        return worker

    def run_posted(self) -> None:
        """On the hot thread: make the calls that jobs have left."""
        for worker in self._workers:
            worker.run_posted()

    def stop(self, deadline_s: float, clock: Callable[[], float]) -> None:
        """Have each worker do what is queued and end, until `deadline_s` of the clock at most."""
        for worker in self._workers:
            worker.stop(max(0.1, deadline_s - clock()))
        self.wake_up.close()


def _raiser(error: BaseException) -> Callable[[], None]:
    def raise_on_hot_thread() -> None:
        raise error

    return raise_on_hot_thread
