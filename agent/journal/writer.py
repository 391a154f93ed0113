"""Keeps the content of windows on disk, so that a crash costs no reading and no answer (ADR 10).

    hot thread   note ──► pending ──► turn: hand over      written: inputs may be acknowledged
    worker                              write, fsync ──────►

An input that enters windows is acknowledged to the broker only once it is on disk; until then the
broker has it. Each file begins with the states of all assets. These are written a few a turn, while
inputs go on being noted, so that no turn takes long. Once two files have all states, older files
are removed.

What waits is handed over together: after ten inputs, or a second. Where the broker has as many
messages in flight as it sends ahead, it waits for an acknowledgement and nothing more can come, so
that everything is handed over at once (`agent.delivery.broker_window`).

Threads: all public methods belong to the hot thread, and none of them waits for the disk. Only the
worker writes, one hand-over at a time; its result is taken by the hot thread between two turns.

Errors: a disk that fails stops the journal and not the predictions. Nothing is raised: inputs are
then acknowledged without being on disk, `trouble` and the log say so, and every ten ticks a new
file is tried. Until all that came before the new file is acknowledged, a crash costs windows.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, count, islice
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from agent.config.settings import Journal as JournalSettings
from agent.delivery.at_least_once import ALL_KEPT, Delivery
from agent.delivery.broker_window import BrokerWindow
from agent.journal.files import JournalFile
from agent.journal.records import Acked, Header, Whole, encoded, noted
from agent.streams.pipeline import Pipeline
from serving import log
from serving.mqtt.packets import Received
from serving.worker import Worker

if TYPE_CHECKING:
    from agent.streams.state import State

SOON_INPUTS: Final = 10
"""So many inputs are written at once, without waiting for the next tick.

Half of what Mosquitto has in flight by default (`max_inflight_messages 20`): if more had to wait
for the disk, the broker would wait for their acknowledgements.
"""
PACE_S: Final = 0.005
"""Shortest time from one write to the next: more of them would cost the hot thread hand-overs."""
MAX_WHOLE: Final = 20
"""Files with all states that are kept, should the agent be started again and again."""
_STATES_A_TURN: Final = 100
_TICKS_TO_RETRY: Final = 10
# Half of the service's MemoryMax (systemd/); a disk so far behind will not catch up.
_MAX_PENDING_BYTES: Final = 256 << 20


_Part = bytes | Received
"""The bytes of a record, or a message that the worker encodes: that takes longest of all here."""


class _Job(NamedTuple):
    """What the worker writes in one go: the rest of a file, then perhaps the next file.

    Attributes:
        handed: serial of the last message that was handed over before.
        old: records that still belong to the file that is open.
        begin: number of the file to begin after those; 0 to go on with the open one.
        new: records for the file that is open then.
        drop_before: number of the oldest file that is still needed; 0 to remove none.
    """

    handed: int
    old: Sequence[_Part]
    begin: int
    new: Sequence[_Part]
    drop_before: int


class Journal:
    """Notes messages that enter windows, and lets the delivery acknowledge those on disk.

    Args:
        file: the file that the worker appends to.
        settings: whether a journal is kept, and how large one file may become.
        pipelines: the pipelines whose windows are kept.
        delivery: acknowledges inputs up to `delivery.kept`, which is set here.
        worker: the thread that writes.

    Attributes:
        serial: serial of the last input that was noted; it goes on rising after a restart.
        number: number of the current file.
        is_on: whether messages are noted: not before `begin`, nor while the disk fails.
        errors: how often the disk has failed.
        trouble: what is wrong and what it means, in words for the operator; empty if all is well.
        window: how many messages the broker sends ahead of the acknowledgements.
    """

    def __init__(
        self,
        file: JournalFile,
        settings: JournalSettings,
        pipelines: Sequence[Pipeline],
        delivery: Delivery,
        worker: Worker,
    ) -> None:
        self.serial = self.number = self.errors = 0
        self.trouble = ""
        self.window = BrokerWindow()
        self._looked = 0  # serial of the last input when the window was looked at
        self._settings = settings
        self._pipelines = pipelines
        self._delivery = delivery
        self._worker = worker
        self._file = file
        self.is_on = False
        self._writing = False
        self._ticks_off = 0  # since the disk failed
        self._old: list[_Part] = []  # what still belongs into the file before
        self._pending: list[_Part] = []
        self._pending_bytes = 0
        self._begun = 0  # number of the file, as long as it has not been handed over
        self._states: Iterator[State] | None = None  # those still to be noted
        self._first = 0  # serial before the current file
        self._handed = 0  # serial of the last input that was handed over
        self._marked = 0  # serial in the last ACKED record
        self._bytes = self._state_bytes = 0  # size of the current file; of the states in it
        self._whole: list[tuple[int, int]] = []  # files with all states, and the serial of those
        self._resumed = 0  # number of the last file of earlier runs
        self._drop_before = 0
        delivery.kept = ALL_KEPT

    def resume(self, serial: int, number: int, whole: Sequence[tuple[int, int]]) -> None:
        """Go on after the files of an earlier run; to be called before `begin`.

        Args:
            serial: serial of the last input in them.
            number: number of the last of them; 0 if there is none.
            whole: number of each file with all states, and the serial of these states. They are
                removed like this run's own, once they are not needed.
        """
        self.serial, self.number, self._whole = serial, number, list(whole)
        self._resumed = number

    def note(self, message: Received) -> int:
        """Note a message that has entered windows.

        Returns:
            Its serial, by which the delivery knows whether it is on disk (`delivery.kept`).
        """
        self.serial += 1
        if self.is_on:
            self._pending.append(message)
            self._pending_bytes += len(message.topic) + len(message.payload)
        return self.serial

    def begin(self) -> None:
        """Begin a new file with the present states, and turn the journal on if it is off.

        To be called at the start, and whenever a model is activated: the windows in the header
        must be those that the states and inputs below are for. Does nothing where the settings
        disable the journal.
        """
        if not self._settings.enabled:
            return
        if not self.is_on:
            self.is_on = True
            self._delivery.kept = self.serial
            self._handed = self.serial
        self._old += self._pending
        self.number += 1
        self._begun = self.number
        windows = {one.stream: one.fingerprint for one in self._pipelines if one.is_stateful}
        self._pending = [encoded(Header(self.serial, windows))]
        self._states = chain.from_iterable(one.states() for one in self._pipelines)
        self._first, self._bytes, self._state_bytes = self.serial, 0, 0

    def turn(self) -> None:
        """Hand over what is to be written; to be called at the end of every turn, never blocks."""
        if not self.is_on:
            return
        if self.serial != self._looked:
            self._looked = self.serial
            self.window.arrived(self._delivery.unacknowledged, monotonic())
        if self._pending_bytes > _MAX_PENDING_BYTES:
            self._stop("the disk does not keep up")
        elif not self._writing:
            if self._states is not None:
                self._note_states(_STATES_A_TURN)
            elif self._is_long:
                self.begin()
            if self._begun or self._states or self._is_due:
                self._hand_over()

    def tick(self) -> None:
        """Hand over whatever waits, and try a failed disk again; to be called once a second.

        So an input of a quiet line is acknowledged after a second at most.
        """
        if not self.is_on:
            self._ticks_off += 1
            if self._ticks_off % _TICKS_TO_RETRY == 0:
                self.begin()
        elif not self._writing and (self._pending or self._marked != self._delivery.acked):
            self._hand_over()

    def close(self, *, is_read: bool) -> None:
        """Hand over what waits; to be called before the worker stops, which writes it first.

        Where the broker will deliver nothing again, one file with the present states replaces all
        others.

        Args:
            is_read: whether the broker is known to have read every acknowledgement that was sent.
        """
        if not self.is_on:
            return
        if is_read and self._delivery.is_done:
            self.begin()
            self._note_states(None)
            self._drop_before = self.number
        self._hand_over()
        self.is_on = False

    @property
    def _is_due(self) -> bool:
        """Whether to write now what waits: many inputs, or all that the broker sends ahead."""
        waiting = self.serial - self._handed
        if waiting >= SOON_INPUTS:
            return True
        return waiting > 0 and self._delivery.unacknowledged >= self.window.size

    @property
    def _is_long(self) -> bool:
        """Whether to begin a new file: the longer this one, the longer the next start takes.

        At least half of a file are inputs; otherwise ten thousand assets would write nothing but
        states.
        """
        inputs = self.serial - self._first
        is_long = inputs >= self._settings.file_inputs or self._bytes >= self._settings.file_bytes
        return is_long and self._bytes >= 2 * self._state_bytes

    def _note_states(self, limit: int | None) -> None:
        assert self._states is not None  # noqa: S101  the caller has checked it
        some = [encoded(state) for state in islice(self._states, limit)]
        if limit is None or len(some) < limit:
            self._states = None
            some.append(encoded(Whole()))
            self._whole.append((self.number, self.serial))
        state_bytes = sum(map(len, some))
        self._state_bytes += state_bytes
        self._pending_bytes += state_bytes
        self._pending += some

    def _hand_over(self) -> None:
        self._marked = self._delivery.acked
        self._pending.append(encoded(Acked(self._marked)))
        self._forget_old_files()
        job = _Job(self._handed, self._old, self._begun, self._pending, self._drop_before)
        self._bytes += self._pending_bytes
        self._old, self._begun, self._pending, self._pending_bytes = [], 0, [], 0
        self._drop_before = 0
        self._handed = self.serial
        self._writing = True
        written = partial(self._written, self.serial, is_whole=self._states is None)
        # A broker that sends less than a batch ahead waits for each write: none is put off then.
        pace_s = PACE_S if self.window.size >= SOON_INPUTS else 0.0
        self._worker.submit(partial(self._write, job, written, pace_s))

    def _forget_old_files(self) -> None:
        """Find the files that may be removed: all before the second newest with all states.

        That is one file more than the open inputs need. An acknowledgement may be lost with the
        connection, and the input is then recognised by its record.
        """
        own = sum(number > self._resumed for number, _ in self._whole)
        if len(self._whole) > 2 and (own > 1 or len(self._whole) > MAX_WHOLE):  # noqa: PLR2004  the second newest is kept
            oldest_open = self._delivery.oldest_noted
            if oldest_open is None or oldest_open > self._whole[1][1]:
                del self._whole[0]
                self._drop_before = self._whole[0][0]

    def _write(self, job: _Job, written: Callable[[], None], pace_s: float) -> Callable[[], None]:
        """Write a job on the worker; returns what the hot thread is to call afterwards."""
        began_s = monotonic()
        serials = count(job.handed + 1)
        try:
            self._file.append(_records(job.old, serials))
            if job.begin:
                self._file.begin(job.begin)
            self._file.append(_records(job.new, serials))
            if job.drop_before:
                self._file.drop_before(job.drop_before)
        except OSError as exc:
            return partial(self._stop, exc.strerror or str(exc))
        # Each hand-over costs both threads some microseconds, so the worker is not done too soon. A
        # stop ends the wait.
        self._worker.stopping.wait(max(0.0, began_s + pace_s - monotonic()))
        return written

    def _written(self, serial: int, *, is_whole: bool) -> None:
        self._writing = False
        if self.is_on:
            self.window.released(self._delivery.unacknowledged, monotonic())
            self._delivery.kept = serial
            if self.trouble and is_whole:
                self._end_trouble()

    def _end_trouble(self) -> None:
        """End the trouble once the windows in the file are those that every open input has met."""
        oldest_open, (_, serial) = self._delivery.oldest_noted, self._whole[-1]
        if oldest_open is None or oldest_open > serial:
            self.trouble = ""
            log.info("windows are kept on disk again")

    def _stop(self, reason: str) -> None:
        """Turn the journal off, and let the delivery acknowledge inputs without it."""
        self._writing = self.is_on = False
        self._delivery.kept = ALL_KEPT
        self._old, self._pending, self._pending_bytes = [], [], 0
        self._begun, self._states = 0, None
        self.errors += 1
        if not self.trouble:
            log.warning("journal stopped, a crash now costs windows", reason=reason)
        self.trouble = f"windows are not kept on disk: {reason}; after a crash they start empty"


def _records(parts: Sequence[_Part], serials: Iterator[int]) -> Sequence[bytes]:
    """The bytes of records; messages are given the next serials."""
    found: list[bytes] = []
    for part in parts:
        if isinstance(part, bytes):
            found.append(part)
        else:
            found += noted(next(serials), part)
    return found
