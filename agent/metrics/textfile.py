"""Writes the metrics of a gateway into a file, which node_exporter's textfile collector reads.

    hot thread   tick: take what was counted ─► worker: write, fsync, rename ─► hot thread: note it

So the agent opens no port and no request can reach it. The file has no times, which the collector
refuses: how old it is, `node_textfile_mtime_seconds` says. No name begins with `process_`, since
node_exporter has such metrics of its own, and answers nothing at all where one is there twice.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from agent.control import Control
from models.control.documents import Metrics
from models.control.exposition import Exposition
from models.control.families import FAMILIES
from models.control.series import Said, samples
from models.files import write_atomically
from serving.worker import Worker


class Textfile:
    """Writes the file from time to time; all methods belong to the hot thread.

    Args:
        path: the file, whose folder must be there: it is node_exporter's.
        control: what was published of the streams.
        counted: reads the counters.
        is_up: whether the agent is connected to the broker.
        worker: the thread that writes. While it does, nothing more is handed to it.

    Attributes:
        failures: tries that have failed since the start.
        trouble: why the last try has failed; empty if it has not.
    """

    def __init__(
        self,
        path: Path,
        control: Control,
        counted: Callable[[], Metrics],
        is_up: Callable[[], bool],
        worker: Worker,
    ) -> None:
        self.failures = 0
        self.trouble = ""
        self._path = path
        self._control = control
        self._counted = counted
        self._is_up = is_up
        self._worker = worker
        self._is_writing = False

    def tick(self) -> None:
        """Have the file written; a slow disk leaves out tries, and holds up nothing."""
        if not self._is_writing:
            self._is_writing = True
            self._worker.submit(partial(_write, self._path, self._said(), self._done))

    def _said(self) -> Said:
        control = self._control
        started = {"since": control.started}
        return Said(
            control.topics.gateway,
            online=self._is_up(),
            release=control.release,
            metrics=self._counted().model_copy(update=started),
            current=dict(control.told),
            outcomes=dict(control.outcomes),
            evidence=dict(control.compared),
        )

    def _done(self, trouble: str) -> None:
        self._is_writing = False
        self.trouble = trouble
        self.failures += bool(trouble)


def rendered(said: Said) -> bytes:
    """The content of the file."""
    exposition = Exposition(FAMILIES)
    exposition.add(samples(said))
    return exposition.text()


def _write(path: Path, said: Said, done: Callable[[str], None]) -> Callable[[], None]:
    """On the worker: write the file; returns what the hot thread is told."""
    try:
        path.parent.stat()  # else the folder would be made, and nothing would read it
        # node_exporter is another user, and the umask of the service shuts out all others.
        write_atomically(path, rendered(said), umask="ignored")
    except OSError as exc:
        return partial(done, f"the metrics cannot be written to {path}: {exc.strerror}")
    return partial(done, "")
