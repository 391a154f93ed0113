"""Messages as a gateway takes them in, as rows of a recording.

Topics, dialects and limits are those of the gateway, and so are the reasons to drop a message. What
depends on a model (a range, a reading that is late) is left to training.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import cast

from models.errors import ReadingError
from models.input.admission import EventTime, Refused, refusal
from models.input.codecs.reading import MISSING, Decoder, Reading
from models.input.limits import IntakeLimits
from models.input.pipeline import Pipeline
from models.input.quality import NAMES, Quality
from models.input.routes import Route, Routes
from trainer.broker import Message
from trainer.ingest.message_file import Row

MAX_TOPICS = 100_000
_MAX_KEPT_TOPIC = 256


class Intake:
    """Decodes the messages of one pipeline.

    Args:
        pipeline: topics, dialects and assets; its inputs are no blocks.
        signals: names of the values in a row, in their order.
        limits: of payloads and of times.

    Attributes:
        messages: how many came.
        dropped: readings of which no use can be made, by reason.
        examples: the topic on which each reason was met first, cut after 256 characters.
    """

    def __init__(self, pipeline: Pipeline, signals: Sequence[str], limits: IntakeLimits) -> None:
        self.messages = 0
        self.dropped: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self._signals = signals
        self._routes = Routes(pipeline, signals)
        self._known: dict[str, Route | None] = {}
        self._max_payload_bytes = limits.max_payload_bytes
        self._event_time = EventTime(limits.time_bounds)

    @property
    def assets(self) -> int:
        """Assets that were heard of, on the first `MAX_TOPICS` topics."""
        routes = [route for route in self._known.values() if route is not None]
        return len({route.asset for route in routes if not isinstance(route.decode, Refused)})

    def rows(self, message: Message) -> Iterator[Row]:
        """The rows of one message; what is of no use is counted."""
        self.messages += 1
        try:
            yield from self._taken(self._route(message.topic), message)
        except ReadingError as exc:
            self._drop(exc.reason, message)

    def _taken(self, route: Route | None, message: Message) -> Iterator[Row]:
        """Rows in the order of the readings; refusals in the order in which the agent refuses."""
        reason = refusal([route] if route else [], message, self._max_payload_bytes)
        if route is None or reason:
            raise ReadingError(reason)
        for reading in cast("Decoder", route.decode)(message.payload):
            try:
                time_ns = self._event_time.of(reading.time_ns, message)
            except ReadingError as exc:
                self._drop(exc.reason, message)
                continue
            values = self._values(route.channels, reading)
            yield Row(time_ns, route.asset, values, NAMES[reading.quality])

    def _route(self, topic: str) -> Route | None:
        if topic in self._known:
            return self._known[topic]
        route = self._routes.route(topic)
        if len(self._known) < MAX_TOPICS and len(topic) <= _MAX_KEPT_TOPIC:
            self._known[topic] = route
        return route

    def _values(self, channels: Sequence[int], reading: Reading) -> Sequence[float | None]:
        """One value a signal; windows make no use of those of a BAD reading, so none is kept."""
        values: list[float | None] = [None] * len(self._signals)
        for index, value in zip(channels, reading.values, strict=True):
            values[index] = MISSING if reading.quality is Quality.BAD else value
        return values

    def _drop(self, reason: str, message: Message) -> None:
        self.dropped[reason] += 1
        self.examples.setdefault(reason, message.topic[:_MAX_KEPT_TOPIC])
