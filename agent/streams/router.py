"""From what arrived in a turn to what is owed to the broker: the middle of the hot loop.

A topic is parsed once and then found by a dictionary. Whatever happens to a message, it costs that
message only, and it is counted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

from agent.config.settings import TURNS_GATHERED, Limits
from agent.delivery.at_least_once import Delivery
from agent.delivery.inputs import Input, Outcome
from agent.mqtt.packets import MAX_KEPT_TOPIC, Received
from agent.streams.pipeline import Pipeline
from agent.streams.shedding import Backlog, doubted
from models.errors import ReadingError
from models.input.admission import refusal
from models.input.routes import Route
from serving.log import Limited

_by_batch_ns = attrgetter("batch_ns")


class Router:
    """Hands messages to the pipelines that want them.

    Args:
        pipelines: by stream.
        command: takes a message on the gateway's own topics; says whether it was one.
        delivery: keeps what must be confirmed and acknowledged.
        limits: of payloads, topics and log lines.
        note: keeps a message that enters windows, and says under which serial.

    Attributes:
        received: messages that arrived, redeliveries of those at work not counted again.
        sheds: whether some pipeline gives messages up when more come than it can answer.
    """

    def __init__(
        self,
        pipelines: Mapping[str, Pipeline],
        command: Callable[[str, bytes], bool],
        delivery: Delivery,
        limits: Limits,
        note: Callable[[Received], int],
    ) -> None:
        self.received = 0
        self._pipelines = list(pipelines.values())
        self.sheds = any(one.backlog is not None for one in self._pipelines)
        self._sources: list[Input] = []
        self._command = command
        self._delivery = delivery
        self._note = note
        self._limits, self._max_payload_bytes = limits, limits.max_payload_bytes
        self._log = Limited(limits.log_interval_s)
        self._routes: dict[str, Sequence[tuple[Pipeline, Route]]] = {}

    def forget_routes(self) -> None:
        """Resolve topics anew, because a pipeline has another model."""
        self._routes.clear()

    @property
    def is_gathering(self) -> bool:
        """Whether messages were received that are not answered."""
        return bool(self._sources)

    @property
    def answer_s(self) -> float:
        """How long an answer takes, by experience."""
        return sum(pipeline.batch_ns for pipeline in self._pipelines) / 1e9

    @property
    def has_room(self) -> bool:
        """Whether more may be received before it is answered, so that it is seen what waits."""
        most = self._limits.max_batch
        return (
            self.sheds
            and 0 < len(self._sources) < TURNS_GATHERED * most
            and max(pipeline.due for pipeline in self._pipelines) < most
        )

    def handle(self, messages: Sequence[Received], now_ns: Callable[[], int] | None = None) -> None:
        """Take a turn's messages all the way to the predictions they trigger; see `answer`."""
        self.receive(messages)
        self.answer(now_ns)

    def receive(self, messages: Sequence[Received]) -> None:
        """Take messages in, in order of arrival; `answer` brings them to an end."""
        arrived, sources, take = self._delivery.arrived, self._sources, self._take
        for message in messages:
            topic, payload, packet_id, _, repeated, _ = message
            source = arrived(topic, payload, packet_id, repeated=repeated)
            if source is not None:
                sources.append(source)
                take(message, source)

    def answer(
        self,
        now_ns: Callable[[], int] | None = None,
        between: Callable[[], None] | None = None,
    ) -> None:
        """Bring what was received to its end: a prediction, a place in a window, or a drop.

        The quickest models answer first, so that none waits for a slower one.

        Args:
            now_ns: nanoseconds since 1970; each pipeline's own clock if omitted.
            between: sends what has been answered, before a slower model begins.
        """
        sources, self._sources = self._sources, []
        has_answered = False
        ordered = self._pipelines
        if len(ordered) > 1:
            ordered = sorted(ordered, key=_by_batch_ns)
        for pipeline in ordered:
            if pipeline.backlog is not None:
                self._take_backlog(pipeline, pipeline.backlog)
            if not pipeline.due:
                continue
            if has_answered and between is not None:
                between()
            has_answered = True
            for outgoing in pipeline.infer(now_ns or pipeline.clock):
                self._delivery.post(outgoing)
        self._delivery.settle(sources)

    def _take(self, message: Received, source: Input) -> None:
        routes = self._routes.get(message.topic)
        if routes is None:
            # Commands first: a wide input, {site}/{line}/{asset}/{signal}, describes them too.
            if self._command(message.topic, message.payload):
                source.outcome = Outcome.COMMAND
                return
            routes = self._resolve(message.topic)
        self.received += 1
        if reason := refusal(routes, message, self._max_payload_bytes):
            self._drop(source, message, reason)
            return
        is_shed = True
        for pipeline, route in routes:
            if pipeline.backlog is not None:
                pipeline.backlog.add(route, message, source)
                continue
            is_shed = False
            if pipeline.is_stateful and not source.serial:
                source.serial = self._note(message)
            try:
                pipeline.take(route, message, source)
            except ReadingError as exc:
                self._drop(source, message, exc.reason)
        if is_shed:
            source.is_ack_deferred = False  # at the broker it would keep newer ones from being seen

    def _take_backlog(self, pipeline: Pipeline, backlog: Backlog) -> None:
        for route, message, source, follows_gap in backlog.take():
            if pipeline.is_stateful and not source.serial:
                # What the broker does not hold is not awaited from it after a crash.
                source.serial = self._note(
                    message if source.is_ack_deferred else message._replace(packet_id=0)
                )
            try:
                pipeline.take(doubted(route) if follows_gap else route, message, source)
            except ReadingError as exc:
                self._drop(source, message, exc.reason)

    def _resolve(self, topic: str) -> Sequence[tuple[Pipeline, Route]]:
        routes = resolved(topic, self._pipelines)
        if len(self._routes) < self._limits.max_topics and len(topic) <= MAX_KEPT_TOPIC:
            self._routes[topic] = routes
        return routes

    def _drop(self, source: Input, message: Received, reason: str) -> None:
        source.drop(reason)
        self._log.warning(
            reason,
            "message dropped",
            reason=reason,
            topic=message.topic[:256],
            payload_bytes=len(message.payload),
        )


def resolved(topic: str, pipelines: Iterable[Pipeline]) -> Sequence[tuple[Pipeline, Route]]:
    """The pipelines that a topic is an input of, each with what the topic means to it."""
    found = [(pipeline, pipeline.route(topic)) for pipeline in pipelines]
    return [(pipeline, route) for pipeline, route in found if route is not None]
