"""Turns the plant's messages into rows of a recording, in the way in which a gateway reads them.

Topics, payload formats and limits are the gateway's own settings, and the decision whether to take
a message is the same code (`models.input.admission`). So a model is trained on what it will be
given. What depends on a model (valid ranges, readings that are late) is left to training.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from models.errors import ReadingError
from models.input.admission import EventTime, refusal
from models.input.codecs.reading import Reading
from models.input.codecs.values import MISSING, Unread
from models.input.limits import IntakeLimits
from models.input.pipeline import Pipeline
from models.input.quality import NAMES, Quality
from models.input.retained import Retained, retained
from models.input.routes import Route, Routes
from models.states import Codes
from trainer.broker import Message
from trainer.ingest.message_file import Row

MAX_TOPICS = 100_000
"""Topics of which the route is kept, so that a plant with random topics cannot fill the memory."""
_MAX_KEPT_TOPIC = 256
_NO_CODES: Mapping[str, Codes] = {}


class Intake:
    """Turns the messages of one pipeline into rows.

    Args:
        pipeline: topics, payload formats and assets; inputs of blocks are not supported.
        signals: names of the values in a row, in the order of the row.
        limits: the longest payload, and which source times are plausible.
        codes: the numbers of the states of each signal of states, by its name.

    Attributes:
        messages: how many messages have arrived.
        dropped: how many readings were dropped, by reason.
        unread: how often the value of a signal could not be read, which the row then lacks, by
            signal and reason.
        examples: the first topic on which each reason occurred, cut after 256 characters.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        signals: Sequence[str],
        limits: IntakeLimits,
        codes: Mapping[str, Codes] = _NO_CODES,
    ) -> None:
        self.messages = 0
        self.dropped: Counter[str] = Counter()
        self.unread: Counter[tuple[str, str]] = Counter()
        self.examples: dict[str, str] = {}
        self._signals = signals
        self._routes = Routes(pipeline, signals, codes)
        self._assets: set[str] = set()
        self._known: dict[str, Route | None] = {}
        self._max_payload_bytes = limits.max_payload_bytes
        self._event_time = EventTime(limits.time_bounds)

    @property
    def assets(self) -> int:
        """How many assets have sent readings; beyond `MAX_TOPICS` no more are counted."""
        return len(self._assets)

    def rows(self, message: Message) -> Iterator[Row]:
        """The rows of one message; readings that are dropped are counted."""
        self.messages += 1
        try:
            yield from self._taken(self._route(message.topic), message)
        except ReadingError as exc:
            self._drop(exc.reason, message)

    def _taken(self, route: Route | None, message: Message) -> Iterator[Row]:
        """Rows in the order of the readings, checked in the order of `models.input.admission`."""
        reason = refusal([route] if route else [], message, self._max_payload_bytes)
        if route is not None and reason == "retained":
            yield from self._held(route, message)
            return
        if route is None or reason:
            raise ReadingError(reason)
        for part, reading in route.readings(message.payload):
            try:
                time_ns = self._event_time.of(reading.time_ns, message)
            except ReadingError as exc:
                self._drop(exc.reason, message)
                continue
            self._note(part, reading.unread)
            values = self._values(part.channels, reading)
            yield Row(time_ns, part.asset, values, NAMES[reading.quality])

    def _held(self, route: Route, message: Message) -> Iterator[Row]:
        """Rows of a retained message, as far as a gateway may hold its values."""
        if route.is_knowledge:
            for _ in route.readings(message.payload):
                pass  # there are none: reading it is what teaches the input
            return
        if not route.takes_retained or len(message.payload) > self._max_payload_bytes:
            raise ReadingError("retained")
        for found in retained(route, message, self._event_time.of):
            self._note(found.route, found.unread)
            values = self._values(found.route.channels, found)
            yield Row(found.time_ns, found.route.asset, values, NAMES[found.quality], retained=True)

    def _note(self, route: Route, unread: Sequence[Unread]) -> None:
        """Count the asset of a reading, and its signals that could not be read."""
        for place, unreadable, _ in unread:
            self.unread[self._signals[route.channels[place]], unreadable] += 1
        if len(self._assets) < MAX_TOPICS:
            self._assets.add(route.asset)

    def _route(self, topic: str) -> Route | None:
        if topic in self._known:
            return self._known[topic]
        route = self._routes.route(topic)
        if len(self._known) < MAX_TOPICS and len(topic) <= _MAX_KEPT_TOPIC:
            self._known[topic] = route
        return route

    def _values(
        self, channels: Sequence[int], reading: Reading | Retained
    ) -> Sequence[float | None]:
        """One value for each signal, None where the message does not carry it.

        Windows treat the values of a BAD reading as missing, so they are recorded as missing.
        """
        values: list[float | None] = [None] * len(self._signals)
        for index, value in zip(channels, reading.values, strict=True):
            values[index] = MISSING if reading.quality is Quality.BAD else value
        return values

    def _drop(self, reason: str, message: Message) -> None:
        self.dropped[reason] += 1
        self.examples.setdefault(reason, message.topic[:_MAX_KEPT_TOPIC])
