"""What windows remember, on disk: so that a crash costs no reading and changes no answer (ADR 10).

    hot thread   note ──► pending ──► turn: hand over      taken: inputs may be acknowledged
    worker                              write, fsync ──────►

An input that enters windows is acknowledged only once it stands here; until then the broker has
it. Each file begins with the states of all assets, a few a turn while inputs go on being noted, so
that no turn is long. With two such files that are whole, older ones are not needed.

A disk that fails stops the journal, not the predictions: inputs are acknowledged without it, which
is told, and a new file is tried from time to time.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, count, islice
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from agent.config.settings import Journal as JournalSettings
from agent.delivery.at_least_once import ALL_KEPT, Delivery
from agent.journal.files import JournalFile
from agent.journal.records import Acked, Header, Whole, encoded, noted
from agent.mqtt.packets import Received
from agent.streams.pipeline import Pipeline
from serving import log
from serving.worker import Worker

if TYPE_CHECKING:
    from agent.streams.state import State

SOON_INPUTS: Final = 10
"""Half of what Mosquitto keeps in flight by default: if more had to wait, it might wait for us."""
PACE_S: Final = 0.005
_STATES_A_TURN: Final = 100
_TICKS_TO_RETRY: Final = 10
_MAX_PENDING_BYTES: Final = 256 << 20


_Part = bytes | Received
"""A record, or a message whose record the worker makes: on the hot thread it would cost most."""


class _Job(NamedTuple):
    """What the worker writes: the rest of the old file, then perhaps a new one, and its content."""

    handed: int  # serial of the last message before these
    old: Sequence[_Part]
    begin: int  # number of the new file; 0 for none
    new: Sequence[_Part]
    drop_before: int  # number of the first file that is still needed; 0 drops none


class Journal:
    """Notes what enters windows, and lets `delivery` acknowledge what is on disk.

    Args:
        file: where it stands.
        settings: whether there is one, and how large a file of it gets.
        pipelines: whose windows it keeps.
        delivery: is told up to which input acknowledging is safe.
        worker: writes.

    Attributes:
        serial: of the last input noted; it goes on rising after a restart.
        number: of the file under way.
        errors: how often the disk failed.
        trouble: what is wrong in words; empty if nothing is.
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
        self._settings = settings
        self._pipelines = pipelines
        self._delivery = delivery
        self._worker = worker
        self._file = file
        self._is_on = False
        self._writing = False
        self._ticks_off = 0  # since the disk failed
        self._old: list[_Part] = []  # what still belongs into the file before
        self._pending: list[_Part] = []
        self._pending_bytes = 0
        self._begun = 0  # number of the file, as long as it has not been handed over
        self._states: Iterator[State] | None = None  # those still to be noted
        self._first = self._handed = self._marked = 0  # serials
        self._bytes = self._state_bytes = 0  # of the file so far; of its states
        self._whole: list[tuple[int, int]] = []  # files, and the serial at which they were whole
        self._drop_before = 0
        delivery.kept = ALL_KEPT

    def resume(self, serial: int, number: int, whole: Sequence[tuple[int, int]]) -> None:
        """Go on behind the files of an earlier run, and drop them when they are not needed."""
        self.serial, self.number, self._whole = serial, number, list(whole)

    def note(self, message: Received) -> int:
        """Keep a message that enters windows; returns its serial."""
        self.serial += 1
        if self._is_on:
            self._pending.append(message)
            self._pending_bytes += len(message.topic) + len(message.payload)
        return self.serial

    def begin(self) -> None:
        """Begin a new file with the states of now: the first, the next, or of other windows."""
        if not self._settings.enabled:
            return
        if not self._is_on:
            self._is_on = True
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
        """Hand over what it is time for; at the end of a turn, never blocks."""
        if not self._is_on:
            return
        if self._pending_bytes > _MAX_PENDING_BYTES:
            self._stop("the disk does not keep up")
        elif not self._writing:
            if self._states is not None:
                self._note_states(_STATES_A_TURN)
            elif self._is_long:
                self.begin()
            if self._begun or self._states or self.serial - self._handed >= SOON_INPUTS:
                self._hand_over()

    def tick(self) -> None:
        """Hand over whatever waits, and try a failed disk again; about once a second."""
        if not self._is_on:
            self._ticks_off += 1
            if self._ticks_off % _TICKS_TO_RETRY == 0:
                self.begin()
        elif not self._writing and (self._pending or self._marked != self._delivery.acked):
            self._hand_over()

    def close(self) -> None:
        """Hand over what waits; where nothing is open, the states of now are all that is kept."""
        if not self._is_on:
            return
        if self._delivery.idle:
            self.begin()
            self._note_states(None)
            self._drop_before = self.number
        self._hand_over()
        self._is_on = False

    @property
    def _is_long(self) -> bool:
        """Whether to begin anew: the longer the file, the longer the next start."""
        inputs = self.serial - self._first
        is_long = inputs >= self._settings.file_inputs or self._bytes >= self._settings.file_bytes
        return is_long and self._bytes >= 2 * self._state_bytes

    def _note_states(self, limit: int | None) -> None:
        assert self._states is not None  # noqa: S101  the caller has looked
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
        self._worker.submit(partial(self._write, job, written))

    def _forget_old_files(self) -> None:
        """Find what may be dropped: nothing open stands before the second newest whole file.

        One file more is kept than open inputs need: after a restart some may still come again.
        """
        if len(self._whole) > 2:  # noqa: PLR2004  as said
            oldest_open = self._delivery.oldest_noted
            if oldest_open is None or oldest_open > self._whole[1][1]:
                del self._whole[0]
                self._drop_before = self._whole[0][0]

    def _write(self, job: _Job, written: Callable[[], None]) -> Callable[[], None]:
        """On the worker."""
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
        # Each hand-over costs both threads some microseconds, so there are not too many.
        self._worker.stopping.wait(max(0.0, began_s + PACE_S - monotonic()))
        return written

    def _written(self, serial: int, *, is_whole: bool) -> None:
        self._writing = False
        if self._is_on:
            self._delivery.kept = serial
            if self.trouble and is_whole:
                self._end_trouble()

    def _end_trouble(self) -> None:
        """A crash costs nothing any more once all that came before the file is acknowledged."""
        oldest_open = self._delivery.oldest_noted
        if oldest_open is None or oldest_open > self._first:
            self.trouble = ""
            log.info("windows are kept on disk again")

    def _stop(self, reason: str) -> None:
        """Go on without."""
        self._writing = self._is_on = False
        self._delivery.kept = ALL_KEPT
        self._old, self._pending, self._pending_bytes = [], [], 0
        self._begun, self._states = 0, None
        self.errors += 1
        if not self.trouble:
            log.warning("journal stopped", reason=reason)
        self.trouble = f"windows are not kept on disk: {reason}; after a crash they begin anew"


def _records(parts: Sequence[_Part], serials: Iterator[int]) -> Sequence[bytes]:
    """The bytes of records, those of the messages under the next serials."""
    found: list[bytes] = []
    for part in parts:
        if isinstance(part, bytes):
            found.append(part)
        else:
            found += noted(next(serials), part)
    return found
