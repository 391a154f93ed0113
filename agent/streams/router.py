"""The middle of the hot loop: from the messages of a turn to the predictions that they trigger.

The router belongs to the hot thread and never blocks, except for inference in `answer`. A topic is
parsed once and afterwards found in a dictionary. A message that cannot be used is counted, logged
and acknowledged like any other; no message can disturb another one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

from agent.config.settings import TURNS_GATHERED, Limits
from agent.delivery.at_least_once import Delivery
from agent.delivery.inputs import Input, Outcome
from agent.streams.pipeline import Pipeline
from agent.streams.shedding import Backlog, doubted
from models.errors import DecodeError, ReadingError
from models.input.admission import refusal
from models.input.routes import Route
from serving.log import Limited
from serving.mqtt.packets import MAX_KEPT_TOPIC, Received, Skipped

_by_batch_ns = attrgetter("inference.batch_ns")


class Router:
    """Hands messages to the pipelines that have an input for them.

    Args:
        pipelines: the pipelines by name of their stream.
        command: is given a message on a new topic; returns whether it was for the gateway itself,
            and then has dealt with it. Must not block.
        delivery: takes predictions, and acknowledges messages once these are confirmed.
        limits: limits of payloads, topics and log lines.
        note: writes a message that has entered windows to the journal; returns its serial.

    Attributes:
        received: how many messages have arrived, without commands and without redeliveries of
            messages that are still being worked on.
        sheds: whether some pipeline may drop messages when more arrive than it can answer.
        refused: how many messages a stream could make no use of, by stream and reason.
        labels: is given a message on a new topic and its input; returns whether it is a late label,
            which it then settles once more. None where no stream takes any.
        heard: is told of each reading that a stream may use: its name, the route and the message.
        is_behind: whether the last `answer` has left windows for the next, as a slow model needs.
    """

    def __init__(
        self,
        pipelines: Mapping[str, Pipeline],
        command: Callable[[Received], bool],
        delivery: Delivery,
        limits: Limits,
        note: Callable[[Received], int],
    ) -> None:
        self.received = 0
        self.refused = {stream: Counter[str]() for stream in pipelines}
        self.is_behind = False
        self.heard: Callable[[str, Route, Received], None] | None = None
        self.labels: Callable[[Received, Input], bool] | None = None
        self._pipelines = list(pipelines.values())
        self.sheds = any(one.backlog is not None for one in self._pipelines)
        self._sources: list[Input] = []
        self._command = command
        self._delivery = delivery
        self._note = note
        self._limits, self._max_payload_bytes = limits, limits.max_payload_bytes
        self._log = Limited(limits.log_interval_s)
        self._routes: dict[str, Sequence[tuple[Pipeline, Route]]] = {}
        # Each model has the same share of a turn, so that no slow one takes that of another.
        self._share_ns = limits.turn_s * 1e9 / len(self._pipelines)
        self._doubt = ""

    def doubt(self, reason: str) -> None:
        """Take no reading for GOOD from now on, nor any window that has one of these.

        Args:
            reason: code of the reason, which stands in `Pipeline.doubt`; empty ends the doubt.
        """
        self._doubt = reason
        for pipeline in self._pipelines:
            pipeline.doubt = reason
        self._routes.clear()

    def forget_routes(self) -> None:
        """Parse topics anew; to be called whenever a pipeline has another model."""
        self._routes.clear()
        for pipeline in self._pipelines:
            for one in pipeline.backlog.reroute(pipeline.route) if pipeline.backlog else ():
                self._drop(one.source, one.message, "no_pipeline")

    @property
    def is_gathering(self) -> bool:
        """Whether messages were received that have not been answered yet."""
        return bool(self._sources)

    @property
    def answer_s(self) -> float:
        """How long an answer has taken on average, seconds, over all pipelines."""
        return sum(pipeline.inference.batch_ns for pipeline in self._pipelines) / 1e9

    @property
    def has_room(self) -> bool:
        """Whether to receive more before answering, so that it is known how many messages wait.

        Only where messages may be shed: the oldest are dropped, so the newest must have been read.
        """
        most = self._limits.max_batch
        return (
            self.sheds
            and not self.is_behind
            and 0 < len(self._sources) < TURNS_GATHERED * most
            and max(pipeline.due for pipeline in self._pipelines) < most
        )

    def handle(self, messages: Sequence[Received], now_ns: Callable[[], int] | None = None) -> None:
        """Receive the messages of a turn and answer them; see `receive` and `answer`."""
        self.receive(messages)
        self.answer(now_ns)

    def resume(self, sources: Sequence[Input]) -> None:
        """Have inputs of the run before answered, whose windows the pipelines already have."""
        self.received += len(sources)
        self._sources += sources
        self.is_behind = bool(sources)

    def receive(self, messages: Sequence[Received]) -> None:
        """Take messages into windows, in order of arrival. Each must be followed by an `answer`."""
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
        """Infer complete windows, and settle the messages whose windows are all answered.

        That takes about `limits.turn_s`; windows for which there is no time are left for the next
        call, in order. The quickest model answers first, so that its predictions do not wait for a
        slower one.

        Args:
            now_ns: returns the time, nanoseconds since 1970; each pipeline's own clock if omitted.
            between: is called before each further model, to send what has been answered so far.
        """
        has_answered = self.is_behind = False
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
            for outgoing in pipeline.infer(now_ns or pipeline.clock, within_ns=self._share_ns):
                self._delivery.post(outgoing)
            self.is_behind = self.is_behind or pipeline.due > 0 or bool(pipeline.backlog)
        sources, self._sources = self._sources, []
        if self.is_behind:
            unanswered = {one for pipeline in ordered for one in pipeline.waiting_inputs()}
            self._sources = [source for source in sources if source in unanswered]
            sources = [source for source in sources if source not in unanswered]
        self._delivery.settle(sources)

    def _take(self, message: Received, source: Input) -> None:  # noqa: C901  a further call costs time
        routes = self._routes.get(message.topic)
        if routes is None:
            # Commands come first: an input as wide as {site}/{line}/{asset}/{signal} matches their
            # topics too. They are rare and never kept as routes, so no reading pays for the test.
            if self._command(message):
                source.outcome = Outcome.COMMAND
                return
            if self.labels is not None and self.labels(message, source):
                return
            routes = self._resolve(message.topic)
        self.received += 1
        reason = refusal(routes, message, self._max_payload_bytes)
        if reason or (self.is_behind and (reason := self._overflow(routes, message))):
            self._set_apart(routes, message, source, reason)
            return
        is_shed = True
        for pipeline, route in routes:
            if self.heard is not None:
                self.heard(pipeline.stream, route, message)
            if pipeline.backlog is not None:
                pipeline.backlog.add(route, message, source)
                continue
            is_shed = False
            try:
                pipeline.take(route, message, source)
            except ReadingError as exc:
                self._refused(pipeline, source, message, exc.reason)
                if isinstance(exc, DecodeError):
                    continue  # nothing of it has entered a window
            if pipeline.is_stateful and not source.serial:
                source.serial = self._note(message)
        if is_shed:
            # The broker sends only so many messages ahead of the acknowledgements (MQTT 5, 3.3.4
            # and 4.9): one that it still had to keep would hide newer ones from the policy.
            source.is_ack_deferred = False

    def _set_apart(
        self,
        routes: Sequence[tuple[Pipeline, Route]],
        message: Received,
        source: Input,
        reason: str,
    ) -> None:
        """Drop a message for a reason, unless it is a retained one that a pipeline holds."""
        is_held = False
        if reason == "retained" and len(message.payload) <= self._max_payload_bytes:
            for pipeline, route in routes:
                try:
                    pipeline.holding.take(route, message)
                    is_held = True
                except ReadingError as exc:
                    reason = exc.reason
                    self.refused[pipeline.stream][reason] += 1
        if is_held:
            source.serial = self._note(message)
            return
        is_skipped = reason == "payload_too_large" and isinstance(message.payload, Skipped)
        self._drop(source, message, Skipped.REASON if is_skipped else reason)

    def _overflow(self, routes: Sequence[tuple[Pipeline, Route]], message: Received) -> str:
        """The reason to drop a message at QoS 0 because too many wait for a slow model; else empty.

        Nothing else bounds their number. At QoS 1 Receive Maximum does, and in a backlog the policy
        of the pipeline.
        """
        is_bounded = all(pipeline.backlog is not None for pipeline, _ in routes)
        is_full = len(self._sources) > TURNS_GATHERED * self._limits.max_batch
        if is_bounded or message.packet_id or not is_full:
            return ""
        return "backlog_full"

    def _take_backlog(self, pipeline: Pipeline, backlog: Backlog) -> None:
        if pipeline.due:  # a slow model is behind: what to drop is decided by all that wait later
            if len(backlog) >= TURNS_GATHERED * self._limits.max_batch:
                backlog.thin()
            return
        for route, message, source, follows_gap in backlog.take():
            try:
                pipeline.take(doubted(route) if follows_gap else route, message, source)
            except ReadingError as exc:
                self._refused(pipeline, source, message, exc.reason)
                if isinstance(exc, DecodeError):
                    continue  # as above
            if pipeline.is_stateful and not source.serial:
                # A message that was acknowledged early does not come again after a crash: packet
                # id 0 has the journal not wait for it.
                source.serial = self._note(
                    message if source.is_ack_deferred else message._replace(packet_id=0)
                )

    def _resolve(self, topic: str) -> Sequence[tuple[Pipeline, Route]]:
        routes = resolved(topic, self._pipelines)
        if self._doubt:
            routes = [(pipeline, doubted(route)) for pipeline, route in routes]
        # Beyond these bounds a topic is parsed for every message: slower, but memory stays bounded.
        if len(self._routes) < self._limits.max_topics and len(topic) <= MAX_KEPT_TOPIC:
            self._routes[topic] = routes
        return routes

    def _refused(self, pipeline: Pipeline, source: Input, message: Received, reason: str) -> None:
        self.refused[pipeline.stream][reason] += 1
        self._drop(source, message, reason)

    def _drop(self, source: Input, message: Received, reason: str) -> None:
        source.drop(reason)
        self._log.warning(
            reason,
            "message dropped",
            reason=reason,
            topic=message.topic[:256],  # a topic may have 65,535 bytes
            payload_bytes=len(message.payload),
        )


def resolved(topic: str, pipelines: Iterable[Pipeline]) -> Sequence[tuple[Pipeline, Route]]:
    """The pipelines that have an input for a topic, each with what the topic means to it.

    Where none of them can answer, those are returned that have no model yet: the message is dropped
    by their reason.
    """
    pipelines = list(pipelines)
    found = [(pipeline, pipeline.route(topic)) for pipeline in pipelines]
    if not any(route for _, route in found):
        found = [(pipeline, pipeline.without_model(topic)) for pipeline in pipelines]
    return [(pipeline, route) for pipeline, route in found if route is not None]
