"""One stream's way from payloads to predictions: route, decode, window, infer, encode.

Everything here runs on the hot thread, on whatever arrived since the last turn: one message when
the line is quiet, hundreds under load. `take` is called for every message, `infer` once a turn.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import isfinite
from typing import Any, NamedTuple

from agent.backlog import Backlog
from agent.binding import Binder, Route
from agent.clock import SteadyClock
from agent.codecs.prediction import Prediction, PredictionCodec
from agent.codecs.reading import Reading, TimeBounds
from agent.delivery import Input, Outgoing
from agent.errors import DecodeError, InferenceError
from agent.frames import Received
from agent.session import Session
from agent.settings import Limits
from agent.settings import Pipeline as PipelineSettings
from agent.topics import TopicTemplate
from models.errors import ReadingError
from models.manifest import Manifest
from models.quality import NAMES, Quality
from models.windows import Batch, Windows

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
_UNCERTAIN, _BAD = Quality.UNCERTAIN, Quality.BAD  # a member's lookup costs 0.1 us in Python 3.11


@dataclass(frozen=True, slots=True)
class Model:
    """A model that has proven itself and may serve."""

    session: Session
    sha256: str

    @property
    def manifest(self) -> Manifest:
        """What the model says of itself."""
        return self.session.manifest


class _Origin(NamedTuple):
    """Which message made a window due, and as which of those that it made due."""

    source: Input
    route: Route
    message: Received
    position: str
    ordinal: int


class Pipeline:
    """What turns one stream's messages into predictions.

    Args:
        settings: topics, dialects and signals.
        limits: of assets and of time.
        clock: that messages are stamped with; one of its own if omitted.

    Attributes:
        model: what serves, None until one is activated.
        predictions: how many were made, by quality.
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
        self.batch_ns = 0.0
        self.backlog: Backlog | None = None
        if settings.overload != "block":
            self.backlog = Backlog(settings.overload, limits.max_batch)
        self._limits = limits
        self._bounds = TimeBounds(
            earliest_ns=round(limits.earliest.timestamp() * 1e9),
            max_future_ns=round(limits.max_future_s * 1e9),
        )
        self._assets = frozenset(settings.assets)
        self._binder: Binder | None = None
        self._windows: Windows | None = None
        self._codec: PredictionCodec
        self._classes: tuple[str, ...] = ()
        self._id = blake2b(digest_size=16)
        self._qos = settings.output.qos
        self._origins: list[_Origin] = []
        self._arrival_ns = 0

    def activate(self, model: Model) -> bool:
        """Serve `model` from the next turn on.

        Windows under way are kept where the new model reads the same channels in the same windows.

        Returns:
            Whether they were kept; if not, the first prediction waits for a full window.

        Raises:
            IncompatibleBundleError: the model needs channels that no input carries.
        """
        manifest = model.manifest
        binder = Binder(self.settings, manifest)
        before = self.model.manifest if self.model is not None else None
        kept = before is not None and (before.window, before.channels) == (
            manifest.window,
            manifest.channels,
        )
        if not kept:
            self._windows = Windows(manifest.window, manifest.channels, self._limits.max_assets)
        self.model, self._binder, self.failed_batches = model, binder, 0
        output = manifest.outputs[0]
        self._codec = PredictionCodec(
            stream=self.stream, version=manifest.version, seq=manifest.seq, unit=output.unit
        )
        self._classes = output.classes
        self._id = blake2b(f"{model.sha256}\0{self.stream}\0".encode(), digest_size=16)
        return kept

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

    def route(self, topic: str) -> Route | None:
        """Where a topic leads in this pipeline, None if it is none of its own."""
        return self._binder.route(topic) if self._binder is not None else None

    def take(
        self, route: Route, message: Received, source: Input, *, follows_gap: bool = False
    ) -> None:
        """Decode a message into the windows of its asset.

        Args:
            route: of the message's topic.
            message: as it came.
            source: what the predictions belong to.
            follows_gap: whether messages before it were given up, so that its readings are
                UNCERTAIN at best.

        Raises:
            ReadingError: the message, or a reading in it, is of no use; the reason says why. The
                other readings of the message have been taken.
        """
        windows = self._windows
        if windows is None:
            raise DecodeError("no_model")
        if self._assets and route.asset not in self._assets:
            raise DecodeError("unknown_asset")
        if not route.channels:
            raise DecodeError("unbound_signal")
        made, refusal = 0, None
        readings = route.decode(message.payload)
        if follows_gap:
            readings = [one._replace(quality=max(one.quality, _UNCERTAIN)) for one in readings]
        for reading in readings:
            try:
                due = self._push(windows, route, message, reading)
            except ReadingError as exc:
                refusal = exc
                continue
            for ordinal in range(made, made + due):
                self._origins.append(_Origin(source, route, message, reading.position, ordinal))
            made += due
        if refusal is not None:
            raise refusal

    def _push(self, windows: Windows, route: Route, message: Received, reading: Reading) -> int:
        time_ns = reading.time_ns
        if time_ns is None:
            # One block has one time: arrivals are in order all the same.
            time_ns = self._arrival_ns = max(message.at_ns, self._arrival_ns + 1)
        else:
            self._bounds.check(time_ns, message.at_ns - self.clock.ahead_ns)
        return windows.push(route.asset, time_ns, route.channels, reading.values, reading.quality)

    def infer(self, now_ns: Callable[[], int]) -> list[Outgoing]:
        """Answer every window that is due, in order, as publishes ready to be owed."""
        if not self._origins or self._windows is None:
            return []
        batch, origins = self._windows.take(), self._origins
        self._origins = []
        started_ns = self.clock.monotonic_ns()
        values, scores = self._answers(batch)
        self.batch_ns += (self.clock.monotonic_ns() - started_ns - self.batch_ns) / 8
        encoded_ns = now_ns()
        outgoing: list[Outgoing] = []
        for origin, time_ns, quality, value, score in zip(
            origins, batch.times_ns, batch.qualities, values, scores, strict=True
        ):
            prediction = self._prediction(origin, time_ns, quality, (value, score), encoded_ns)
            self.predictions[NAMES[prediction.quality]] += 1
            self._publish(prediction, origin, outgoing)
        return outgoing

    def _answers(self, batch: Batch) -> tuple[list[Any], list[Any]]:
        """Value and score a window; None where there is none."""
        assert self.model is not None  # noqa: S101  windows exist only with a model
        nothing: list[Any] = [None] * len(batch.qualities)
        every = _BAD not in batch.qualities
        usable = () if every else [i for i, q in enumerate(batch.qualities) if q is not _BAD]
        if not (every or usable):
            return nothing, nothing
        try:
            outputs = self.model.session.run(batch.values if every else batch.values[usable])
        except InferenceError:
            self.failed_batches += 1
            return nothing, nothing
        self.failed_batches = 0
        values = outputs["value"].ravel().tolist()
        scores = outputs["score"].ravel().tolist() if "score" in outputs else [None] * len(values)
        if every:
            return values, scores
        spread_values, spread_scores = list(nothing), list(nothing)
        for index, value, score in zip(usable, values, scores, strict=True):
            spread_values[index], spread_scores[index] = value, score
        return spread_values, spread_scores

    def _prediction(
        self,
        origin: _Origin,
        time_ns: int,
        quality: Quality,
        answer: tuple[Any, Any],
        now_ns: int,
    ) -> Prediction:
        _, route, message, position, ordinal = origin
        value, score = answer
        if value is None or not isfinite(value) or (score is not None and not isfinite(score)):
            value, score, quality = None, None, _BAD
        label = None
        if value is not None and 0 <= value < len(self._classes):
            label = self._classes[int(value)]
        identity = self._id.copy()
        identity.update(f"{route.asset}\0{position or time_ns}\0{ordinal}\0".encode())
        identity.update(message.payload)
        return Prediction(
            value,
            score,
            label,
            quality,
            timestamp_ms=time_ns // NS_PER_MS,
            id=identity.hexdigest(),
            asset=route.asset,
            latency_ms=(now_ns - message.at_ns) // NS_PER_US / 1_000,
            input_age_ms=(now_ns - self.clock.ahead_ns - time_ns) // NS_PER_MS,
        )

    def _publish(self, prediction: Prediction, origin: _Origin, to: list[Outgoing]) -> None:
        topic, source, qos = origin.route.output_topic, origin.source, self._qos
        to.append(Outgoing(topic, self._codec.encode(prediction), qos, source=source))
        if self.settings.output.scalars:
            to += [
                Outgoing(f"{topic}/{level}", plain, qos, source=source)
                for level, plain in self._codec.scalars(prediction)
            ]
