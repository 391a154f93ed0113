"""Publishes what candidates have shown so far, and keeps it on disk."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from agent.shadow.place import KeptEvidence, Place, Trial
from models.control.rollout import Evidence
from models.files import write_atomically
from serving import log
from serving.worker import Worker

_KEEP_S: Final = 60.0
_Mark = tuple[str, str, str, int]
"""Identity of a comparison, its verdict, its gate, and how many windows it has seen."""


class Announcer(Protocol):
    """Publishes evidence."""

    def evidence(self, document: Evidence) -> None:
        """Publish what a candidate has shown."""

    def no_evidence(self, stream: str) -> None:
        """Take back what was published of a stream."""


class Evidences:
    """The evidence of all streams. Belongs to the hot thread, and never waits for the disk.

    Args:
        places: where candidates answer.
        announcer: publishes.
        worker: writes files.
        interval_s: seconds after which evidence that has changed is published again. A new verdict,
            and a gate that has tripped, are published at once.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        places: Sequence[Place],
        announcer: Announcer,
        worker: Worker,
        interval_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._places, self._announcer, self._worker = places, announcer, worker
        self._interval_s, self._clock = interval_s, clock
        self._said: dict[str, _Mark] = {}
        self._kept: dict[str, _Mark] = {}
        self._due_s: dict[str, float] = {}
        self._keep_s: dict[str, float] = {}

    def tick(self) -> None:
        """Publish and keep what is due; to be called about once a second."""
        for place in self._places:
            if place.shown is not None:
                self._say(place, place.shown)
            elif place.stream in self._said:
                del self._said[place.stream]
                self._kept.pop(place.stream, None)
                self._announcer.no_evidence(place.stream)
                self._worker.submit(partial(_remove, place.file))

    def announce(self) -> None:
        """Publish everything again, as after each connect."""
        self._said.update(dict.fromkeys(self._said, ("", "", "", 0)))
        self.tick()

    def close(self) -> None:
        """Keep what was counted, at a stop."""
        for place in self._places:
            self._keep(place)

    def _say(self, place: Place, trial: Trial) -> None:
        mark, stream = _mark(trial), place.stream
        before, now_s = self._said.get(stream), self._clock()
        is_news = before is None or before[:3] != mark[:3]
        if is_news or (before != mark and now_s >= self._due_s[stream]):
            self._said[stream], self._due_s[stream] = mark, now_s + self._interval_s
            self._announcer.evidence(_document(place, trial))
        if is_news or now_s >= self._keep_s.get(stream, 0.0):
            self._keep_s[stream] = now_s + _KEEP_S
            self._keep(place)

    def _keep(self, place: Place) -> None:
        """Have the counters written, if they have changed."""
        trial = place.shown
        if trial is None:
            return
        mark = _mark(trial)
        if self._kept.get(place.stream) == mark:
            return
        self._kept[place.stream] = mark
        kept = KeptEvidence(
            champion=trial.opponent.sha256,
            candidate=trial.ref.sha256,
            counters=trial.comparison.counters(),
        )
        self._worker.submit(partial(_write, place.file, kept.model_dump_json().encode()))


def _mark(trial: Trial) -> _Mark:
    comparison = trial.comparison
    code, _ = comparison.tripped or ("", "")
    identity = trial.opponent.sha256 + trial.ref.sha256
    return identity, comparison.verdict, code, comparison.count


def _document(place: Place, trial: Trial) -> Evidence:
    champion, candidate = trial.opponent.seq, trial.ref.seq
    found = trial.comparison.document(
        stream=place.stream,
        rollout=place.selection.rollout if place.selection is not None else "",
        champion=champion,
        candidate=candidate,
    )
    if place.labels is None:
        return found
    return found.model_copy(
        update={"gates": {**found.gates, **place.labels.gates(champion, candidate)}}
    )


def _write(file: Path, content: bytes) -> None:
    try:
        write_atomically(file, content, mode=0o600)
    except OSError as exc:
        log.warning("evidence cannot be kept", file=file, reason=exc.strerror)


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as exc:
        log.warning("evidence cannot be removed", file=file, reason=exc.strerror)
