"""The start after a crash: messages in the journal are replayed, which restores the windows.

To the delivery the crash looks like a lost connection. Inputs that were not acknowledged are
awaited: the broker delivers them again and they are recognised. Their windows wait in the pipelines
and are answered by the hot loop, with the same ids: a slow model may take minutes. Messages take
the same way as on arrival (`Pipeline.take`), so that the windows are those that the agent had
before the crash. What was refused before it reached a window (`models.input.admission.refusal`) is
not in the journal.
"""

import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from agent.delivery.at_least_once import Delivery
from agent.delivery.inputs import Input
from agent.journal.files import numbered
from agent.journal.records import Acked, Header, Noted, Record, Whole, records
from agent.streams.pipeline import Pipeline
from agent.streams.router import resolved
from agent.streams.state import State
from models.errors import ReadingError
from models.input.codecs.reading import Reading
from models.input.routes import Route
from serving import log


class Recovery:
    """Replays a journal, once, before the agent connects. Reads files, so it blocks.

    Args:
        folder: the folder with the journal's files.
        pipelines: the pipelines whose windows are restored. One whose fingerprint has changed, or
            that has no model, starts with empty windows.
        delivery: the delivery that is given the inputs that were not acknowledged, and their
            predictions.

    Attributes:
        serial: serial of the last input in the journal.
        number: number of the last file; 0 if there is none.
        whole: number of each file that has the states of all assets, and the serial at which it
            had them.
        inputs: how many messages were replayed.
        open: how many of these were not acknowledged.
        unanswered: those, in order of arrival. The caller settles each of them with the delivery
            once its windows, which are complete in the pipelines, are answered.
    """

    def __init__(self, folder: Path, pipelines: Sequence[Pipeline], delivery: Delivery) -> None:
        self.serial = self.number = self.inputs = self.open = 0
        self.whole: list[tuple[int, int]] = []
        self._files = numbered(folder)
        self._pipelines = {one.stream: one for one in pipelines if one.model is not None}
        self._delivery = delivery
        self._routes: dict[str, Sequence[tuple[Pipeline, Route]]] = {}
        self._restorable: frozenset[str] = frozenset()  # streams whose fingerprint the file has
        # Stream and asset of the windows that are known after a gap; None: all of them are.
        self._known: set[tuple[str, str | None]] | None = None
        self.unanswered: list[Input] = []
        self._acked = 0

    def run(self, max_age_s: float, now_s: Callable[[], float] = time.time) -> None:
        """Restore windows and inputs, unless the broker has ended the agent's session since.

        A file that cannot be read counts up to there, as if the agent had stopped then; a warning
        is logged. Nothing is raised: without a journal the agent serves with empty windows.

        Args:
            max_age_s: the session expiry interval, seconds. A journal that was last written longer
                ago is not replayed: the broker will not deliver the open inputs again.
            now_s: returns the time of day, seconds since 1970.
        """
        if not self._files:
            return
        self.number, newest = self._files[-1]
        if newest.stat().st_mtime < now_s() - max_age_s:
            log.warning("journal is too old, windows start empty", max_age_s=max_age_s)
            return
        self._acked = next((serial for serial in map(_acked, reversed(self._files)) if serial), 0)
        for number, path in self._files:
            for record in _read(path):
                self._take(number, record)
        for pipeline in self._pipelines.values():
            pipeline.replayed()
        self._delivery.restored(self._acked)
        log.info("windows restored", messages=self.inputs, unacknowledged=self.open)

    def _take(self, number: int, record: Record) -> None:
        if isinstance(record, Noted):
            self._replay(record)
        elif isinstance(record, State) and record.stream in self._restorable:
            self._pipelines[record.stream].restore(record)
            if self._known is not None:
                self._known.add((record.stream, record.asset))
        elif isinstance(record, Header):
            if record.serial > self.serial:  # the disk had failed, and messages were not noted
                self._forget_windows()
            self.serial = max(self.serial, record.serial)
            self._restorable = frozenset(
                stream
                for stream, pipeline in self._pipelines.items()
                if record.windows.get(stream) == pipeline.fingerprint
            )
        elif isinstance(record, Whole):
            self.whole.append((number, self.serial))
            self._known = None

    def _replay(self, noted: Noted) -> None:
        message = noted.message
        self.serial = noted.serial
        routes = [
            (pipeline, known)
            for pipeline, route in self._resolve(message.topic)
            if (known := self._known_part(pipeline, route, message.payload)) is not None
        ]
        if not any(pipeline.stream in self._restorable for pipeline, _ in routes):
            return  # if the broker delivers it again, it is a new message to the new windows
        self.inputs += 1
        is_open = bool(message.packet_id) and noted.serial > self._acked
        if is_open:
            source = self._delivery.arrived(*message[:3], repeated=False)
            assert source is not None  # noqa: S101  only a repeated message may have no input
            self.open += 1
            self.unanswered.append(source)
        else:
            self._set_aside()
            source = Input(message.packet_id, (message.topic, message.payload))
            routes = [found for found in routes if found[0].stream in self._restorable]
        source.serial = noted.serial
        for pipeline, route in routes:
            try:
                if message.retained:
                    pipeline.holding.take(route, message)
                else:
                    pipeline.take(route, message, source)
            except ReadingError as exc:
                source.drop(exc.reason)
        if not is_open:
            self._pass(source, routes)

    def _known_part(self, pipeline: Pipeline, route: Route, payload: bytes) -> Route | None:
        """The route of the assets whose windows are those that the message met; None without any.

        The windows of other assets are from before a gap in the journal.
        """
        if self._known is None or pipeline.stream not in self._restorable:
            return route  # nothing of this stream is restored, so nothing of it can be too old
        known = {asset for stream, asset in self._known if stream == pipeline.stream}
        split, assets = route.split, set(route.assets(payload))
        if split is not None and assets <= known:
            return route  # also what only says how later messages are to be read
        if not assets & known:
            return None
        if split is None:
            return route

        def split_known(payload: bytes) -> Iterator[tuple[Route, Reading]]:
            return ((part, reading) for part, reading in split(payload) if part.asset in known)

        return replace(route, split=split_known)

    def _forget_windows(self) -> None:
        """Start with empty windows: their states follow, and what came in between is not known."""
        self._known = set()
        for pipeline in self._pipelines.values():
            pipeline.forget()

    def _pass(self, source: Input, routes: Sequence[tuple[Pipeline, Route]]) -> None:
        """Drop the windows that an input completed, as it was answered and acknowledged."""
        for pipeline, _ in routes:
            pipeline.discard()
        # It may have been acknowledged and the acknowledgement lost: then it comes once more.
        if source.packet_id:
            source.waiting = 0
            self._delivery.answered(source)

    def _set_aside(self) -> None:
        """Keep the windows of inputs that were not acknowledged from being passed over."""
        for pipeline in self._pipelines.values() if self.unanswered else ():
            pipeline.set_aside()

    def _resolve(self, topic: str) -> Sequence[tuple[Pipeline, Route]]:
        found = self._routes.get(topic)
        if found is None:
            found = self._routes[topic] = resolved(topic, self._pipelines.values())
        return found


def _acked(file: tuple[int, Path]) -> int:
    return max((one.serial for one in _read(file[1]) if isinstance(one, Acked)), default=0)


def _read(path: Path) -> Iterator[Record]:
    try:
        yield from records(path.read_bytes())
    except (OSError, ValueError, struct.error) as exc:
        log.warning("journal cannot be read further", file=path.name, reason=str(exc))
