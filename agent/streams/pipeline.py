"""One stream's way from payloads to predictions: route, decode, window, infer, encode.

Everything here runs on the hot thread, on whatever arrived since the last turn: one message when
the line is quiet, hundreds under load. `take` is called for every message, `infer` once a turn.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from agent.config.settings import Limits
from agent.delivery.inputs import Input
from agent.delivery.outgoing import Outgoing
from agent.mqtt.packets import Received
from agent.streams.binding import Binder, fingerprint
from agent.streams.drift import DriftWatch
from agent.streams.ordering import Intake, Ordering, Origin, take_blocks, with_digests
from agent.streams.predictor import Predictor
from agent.streams.shedding import Backlog
from agent.streams.state import State
from models.bundle.manifest import Manifest
from models.errors import DecodeError, ReadingError
from models.input.admission import EventTime
from models.input.pipeline import Pipeline as PipelineSettings
from models.input.routes import Route
from models.input.topics import TopicTemplate
from models.windowing.blocks import Blocks
from models.windowing.windows import Windows
from serving.clock import SteadyClock
from serving.model import Model


class Pipeline:
    """What turns one stream's messages into predictions.

    Args:
        settings: topics, dialects and signals.
        limits: of assets and of time.
        clock: that messages are stamped with; one of its own if omitted.

    Attributes:
        model: what serves, None until one is activated.
        predictions: how many were made, by quality.
        is_stateful: whether a message can change what a later one is answered.
        failed_batches: batches in a row on which the model failed.
        batch_ns: how long a batch takes, an average that follows the last dozen.
        backlog: what waits to be taken, where some of it may be given up; else None.
    """

    def __init__(
        self, settings: PipelineSettings, limits: Limits, clock: SteadyClock | None = None
    ) -> None:
        self.settings = settings
        self.clock = clock or SteadyClock()
        self.stream = settings.stream
        self.model: Model | None = None
        self.predictions: Counter[str] = Counter()
        self.failed_batches = 0
        self.is_stateful = False
        self.batch_ns = 0.0
        self.backlog: Backlog | None = None
        if settings.overload != "block":
            self.backlog = Backlog(settings.overload, limits.max_batch)
        self._limits = limits
        self._event_time = EventTime(limits.time_bounds, self.clock)
        self._binder: Binder | None = None
        self._windows: Windows | Blocks | None = None
        self._ordering: Ordering | None = None
        self._intake: Intake | None = None  # where the plain way will not do
        self._predictor: Predictor | None = None
        self._origins: list[Origin] = []

    def activate(self, model: Model) -> bool:
        """Serve `model` from the next turn on.

        Windows under way are kept where the new model reads the same channels in the same windows.

        Returns:
            Whether they were kept; if not, the first prediction waits for a full window.

        Raises:
            IncompatibleBundleError: the model needs channels that no input carries.
        """
        return self.prepare(model)()

    def prepare(self, model: Model) -> Callable[[], bool]:
        """Check that the topics carry what a model reads; may be called on any thread.

        Returns:
            What activates the model, see `activate`; for the hot thread.

        Raises:
            IncompatibleBundleError: a channel that no input carries, or a signal without a channel.
        """
        return partial(self._swap, model, Binder(self.settings, model.manifest))

    @property
    def filters(self) -> Sequence[tuple[str, int]]:
        """Topic filter and QoS of every input."""
        return [(TopicTemplate(one.topic).filter, one.qos) for one in self.settings.inputs]

    @property
    def missing(self) -> Mapping[str, int]:
        """Samples in which a channel was missing, by channel."""
        return self._windows.missing if self._windows is not None else {}

    def awaited(self, asset: str) -> Sequence[str]:
        """Channels without which the asset's sample is not complete, where one was begun."""
        return self._windows.awaited(asset) if self._windows is not None else []

    @property
    def forgotten_assets(self) -> int:
        """Assets that were forgotten for others, since the model was activated."""
        return self._windows.forgotten if self._windows is not None else 0

    @property
    def due(self) -> int:
        """Windows that wait to be inferred."""
        return len(self._origins)

    @property
    def shed(self) -> int:
        """Messages that were given up because more came than could be answered."""
        return self.backlog.shed if self.backlog is not None else 0

    @property
    def disorder(self) -> Mapping[str, Any]:
        """Counters of readings that are put in order, by that name; none where that is not done."""
        return {"disorder": self._ordering.counters} if self._ordering is not None else {}

    @property
    def drift(self) -> Mapping[str, Any]:
        """Whether readings or scores drift, by that name; none where nothing says how to tell."""
        return {"drift": self.watch.snapshot()} if self.watch is not None else {}

    @property
    def watch(self) -> DriftWatch | None:
        """What watches the model's readings and scores for drift."""
        return self._predictor.drift if self._predictor is not None else None

    @property
    def fingerprint(self) -> str:
        """Of all that makes windows of messages; states of another fingerprint mean nothing."""
        return fingerprint(self.settings, self.model.manifest) if self.model is not None else ""

    def states(self) -> Iterator[State]:
        """What the windows remember of each asset, and in the end of the stream itself."""
        if self._windows is None or not self.is_stateful:
            return
        for asset, remembered in self._windows.states():
            yield State(self.stream, asset, remembered)
        yield State(self.stream, None, [self._event_time.last_arrival_ns])

    def restore(self, state: State) -> None:
        """Remember what `states` has told."""
        if self._windows is None:
            return
        if state.asset is not None:
            self._windows.restore(state.asset, state.remembered)
        else:
            (self._event_time.last_arrival_ns,) = state.remembered

    def discard(self) -> None:
        """Let go of the windows that are due: they have been answered."""
        self._origins.clear()
        if self._windows is not None:
            self._windows.discard()

    def route(self, topic: str) -> Route | None:
        """Where a topic leads in this pipeline, None if it is none of its own."""
        return self._binder.route(topic) if self._binder is not None else None

    def take(self, route: Route, message: Received, source: Input) -> None:
        """Decode a message into the windows of its asset.

        Raises:
            ReadingError: the message, or a reading in it, is of no use; the reason says why. The
                other readings of the message have been taken.
        """
        windows = self._windows
        if windows is None:
            raise DecodeError("no_model")
        if self._intake is not None:
            for origin in self._intake(source, route, message, self._event_time.of):
                self._origins.append(origin)  # one by one: a refusal comes at the end
            return
        push: Callable[..., int] = windows.push
        made, refusal = 0, None
        for time_ns, values, quality, position in route.decode(message.payload):
            try:
                at_ns = self._event_time.of(time_ns, message)
                due = push(route.asset, at_ns, route.channels, values, quality)
            except ReadingError as exc:
                refusal = exc
                continue
            for ordinal in range(made, made + due):
                origin = Origin(source, route, message, position, ordinal, message.payload)
                self._origins.append(origin)
            made += due
        if refusal is not None:
            raise refusal

    def _swap(self, model: Model, binder: Binder) -> bool:
        manifest = model.manifest
        before = self.model.manifest if self.model is not None else None
        cut = (manifest.window, manifest.channels)
        kept = before is not None and (before.window, before.channels) == cut
        if self._windows is None or not kept:
            self._windows = self._open_windows(manifest)
        self.model, self._binder, self.failed_batches = model, binder, 0
        self._predictor = Predictor(model, self.settings, self.clock)
        self.is_stateful = not (
            binder.is_whole and self._windows.is_stateless and self._ordering is None
        )
        return kept

    def _open_windows(self, manifest: Manifest) -> Windows | Blocks:
        """Choose once how readings become windows, so that no message has to ask."""
        max_assets = self._limits.max_assets
        self._intake = self._ordering = None
        if self.settings.is_of_blocks:
            blocks = Blocks(manifest.window, manifest.channels, max_assets)
            self._intake = partial(take_blocks, blocks)
            return blocks
        windows = Windows(manifest.window, manifest.channels, max_assets)
        if disorder_ms := self.settings.disorder_ms:
            self._ordering = Ordering(windows, disorder_ms, self._limits.max_waiting)
            self._intake = self._ordering.take
        return windows

    def infer(self, now_ns: Callable[[], int], *, again: bool = False) -> list[Outgoing]:
        """Answer every window that is due, in order, as publishes ready to be owed.

        Args:
            now_ns: the clock that the messages were stamped by.
            again: they may have been answered before a crash, and are not watched for drift.
        """
        outgoing: list[Outgoing] = []
        while self._origins and self._windows is not None and self._predictor is not None:
            batch = self._windows.take()
            origins, self._origins = self._origins, []
            if len(batch.assets) < len(origins):
                count = len(batch.assets)
                origins, self._origins = origins[:count], origins[count:]
            if self.settings.is_of_blocks:
                origins = list(with_digests(origins))
            began_ns = self.clock.monotonic_ns()
            outgoing += self._predictor.predict(
                batch, origins, now_ns, self.predictions, again=again
            )
            if self._predictor.has_failed is not None:
                self.failed_batches = self.failed_batches + 1 if self._predictor.has_failed else 0
            self.batch_ns += (self.clock.monotonic_ns() - began_ns - self.batch_ns) / 8
        return outgoing
