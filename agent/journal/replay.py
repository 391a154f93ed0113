"""The start after a crash: the journal is gone through again, and the agent is where it was.

It is made to look like a connection that was lost. Inputs that were not acknowledged are orphans:
the broker delivers them again, they are recognised, and their predictions, made again here under
the same ids, are owed. Messages take the way they took when they came (`Pipeline.take`), so that
the windows cannot differ from those that the crash has ended.
"""

import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from agent.delivery.at_least_once import Delivery
from agent.delivery.inputs import Input
from agent.journal.files import numbered
from agent.journal.records import Acked, Header, Noted, Record, Whole, records
from agent.streams.pipeline import Pipeline
from agent.streams.router import resolved
from agent.streams.state import State
from models.errors import ReadingError
from models.input.routes import Route
from serving import log


class Recovery:
    """Goes through a journal, once.

    Args:
        folder: of the journal's files.
        pipelines: get their windows back, where these are still made in the same way.
        delivery: gets the inputs back that were not acknowledged.

    Attributes:
        serial: of the last input in the journal.
        number: of the last file; 0 if there is none.
        whole: files with all states, and the serial at which they had them.
        inputs: how many messages were gone through.
        open: how many of them were not acknowledged.
    """

    def __init__(self, folder: Path, pipelines: Sequence[Pipeline], delivery: Delivery) -> None:
        self.serial = self.number = self.inputs = self.open = 0
        self.whole: list[tuple[int, int]] = []
        self._files = numbered(folder)
        self._pipelines = {one.stream: one for one in pipelines if one.model is not None}
        self._delivery = delivery
        self._routes: dict[str, Sequence[tuple[Pipeline, Route]]] = {}
        self._sound: frozenset[str] = frozenset()  # streams to which the file still means something
        self._unsettled: list[Input] = []
        self._acked = 0

    def run(self, max_age_s: float, now_s: Callable[[], float] = time.time) -> None:
        """Bring back what the journal holds, unless the broker has forgotten us since.

        Of a damaged file the part before the damage counts, as if the agent had stopped there.
        """
        if not self._files:
            return
        self.number, newest = self._files[-1]
        if newest.stat().st_mtime < now_s() - max_age_s:
            log.warning("the journal is too old, windows begin anew", max_age_s=max_age_s)
            return
        self._acked = next((serial for serial in map(_acked, reversed(self._files)) if serial), 0)
        for number, path in self._files:
            for record in _read(path):
                self._take(number, record)
        self._settle()
        self._delivery.restored(self._acked)
        log.info("windows restored", messages=self.inputs, unacknowledged=self.open)

    def _take(self, number: int, record: Record) -> None:
        if isinstance(record, Noted):
            self._take_input(record)
        elif isinstance(record, State) and record.stream in self._sound:
            self._pipelines[record.stream].restore(record)
        elif isinstance(record, Header):
            self.serial = max(self.serial, record.serial)
            self._sound = frozenset(
                stream
                for stream, pipeline in self._pipelines.items()
                if record.windows.get(stream) == pipeline.fingerprint
            )
        elif isinstance(record, Whole):
            self.whole.append((number, self.serial))

    def _take_input(self, noted: Noted) -> None:
        message = noted.message
        self.serial = noted.serial
        routes = self._resolve(message.topic)
        if not any(pipeline.stream in self._sound for pipeline, _ in routes):
            return  # if it comes again, it is new to the windows of now
        self.inputs += 1
        if message.packet_id and noted.serial > self._acked:
            source = self._delivery.arrived(*message[:3], repeated=False)
            assert source is not None  # noqa: S101  as it is not repeated
            self.open += 1
            self._unsettled.append(source)
        else:
            self._settle()
            source = Input(message.packet_id, (message.topic, message.payload))
            routes = [found for found in routes if found[0].stream in self._sound]
        source.serial = noted.serial
        for pipeline, route in routes:
            try:
                pipeline.take(route, message, source)
            except ReadingError as exc:
                source.drop(exc.reason)
        if not self._unsettled:
            self._pass(source, routes)

    def _pass(self, source: Input, routes: Sequence[tuple[Pipeline, Route]]) -> None:
        """Leave an input that was answered and acknowledged."""
        for pipeline, _ in routes:
            pipeline.discard()
        if source.packet_id:
            source.waiting = 0
            self._delivery.answered(source)

    def _settle(self) -> None:
        """Owe the predictions of the inputs that were not acknowledged."""
        if not self._unsettled:
            return
        for pipeline in self._pipelines.values():
            for outgoing in pipeline.infer(time.time_ns, again=True):
                self._delivery.post(outgoing)
        self._delivery.settle(self._unsettled)
        self._unsettled.clear()

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
