"""Inference of one model: complete windows become predictions, ready to be published.

Runs on the hot thread, once a turn for all windows of a stream, and blocks it for as long as the
model computes. Whatever is the same for a whole batch is done once for the batch, and the loop over
windows calls as little as possible: at 60,000 predictions a second, every call counts.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from math import isfinite
from typing import Any

from agent.delivery.inputs import Input
from agent.delivery.outgoing import Outgoing
from agent.streams.drift import DriftWatch
from agent.streams.encoding import Prediction, PredictionEncoder
from agent.streams.ordering import Origin
from models.input.pipeline import Pipeline as PipelineSettings
from models.input.quality import NAMES, Quality
from models.windowing.windows import Batch
from serving.clock import SteadyClock
from serving.errors import InferenceError
from serving.model import Model

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
_BAD = Quality.BAD  # a member's lookup costs 0.1 us in Python 3.11


class Predictor:
    """Answers windows with one model.

    Args:
        model: the model that answers the windows.
        settings: the pipeline's settings, of which its stream and its output count here.
        clock: the clock that stamps messages on arrival.

    Attributes:
        has_failed: whether the model failed on the last batch; None if it had no usable window.
        drift: watches the model's inputs and scores for drift; None where the bundle has no
            reference to compare them with.
    """

    def __init__(self, model: Model, settings: PipelineSettings, clock: SteadyClock) -> None:
        self.has_failed: bool | None = None
        manifest, stream = model.manifest, settings.stream
        output = manifest.outputs[0]
        self._session = model.session
        self.drift = DriftWatch(stream, model.reference) if model.reference is not None else None
        self._has_score = manifest.output("score") is not None
        self._clock = clock
        self._encoder = PredictionEncoder(
            stream=stream, version=manifest.version, seq=manifest.seq, unit=output.unit
        )
        self._labels: Mapping[Any, str] = dict(enumerate(output.classes))
        self._id = blake2b(f"{model.sha256}\0{stream}\0".encode(), digest_size=16)
        self._qos, self._has_scalars = settings.output.qos, settings.output.scalars

    def infer(self, batch: Batch) -> tuple[Sequence[Any], Sequence[Any]]:
        """Value and score of each window; None for a window without an answer.

        Windows of quality BAD are not given to the model: an answer to them must not be believed,
        and computing it would only delay the others.

        Raises nothing: a model that fails leaves the whole batch without answers, `has_failed` says
        so, and repeated failures let the agent roll back.
        """
        nothing: list[Any] = [None] * len(batch.qualities)
        every = _BAD not in batch.qualities
        usable = () if every else [i for i, q in enumerate(batch.qualities) if q is not _BAD]
        if not (every or usable):
            self.has_failed = None
            return nothing, nothing
        try:
            outputs = self._session.run(batch.values if every else batch.values[usable])
        except InferenceError:
            self.has_failed = True
            return nothing, nothing
        self.has_failed = False
        values = outputs["value"].ravel().tolist()
        scores = outputs["score"].ravel().tolist() if "score" in outputs else [None] * len(values)
        if every:
            return values, scores
        spread_values, spread_scores = list(nothing), list(nothing)
        for index, value, score in zip(usable, values, scores, strict=True):
            spread_values[index], spread_scores[index] = value, score
        return spread_values, spread_scores

    def predict(
        self,
        batch: Batch,
        origins: Sequence[Origin],
        now_ns: Callable[[], int],
        counted: Counter[str],
        *,
        again: bool = False,
    ) -> list[Outgoing]:
        """The publishes that answer a batch, in the order of its windows.

        Args:
            batch: the windows.
            origins: the origin of each window, in the same order.
            now_ns: returns the time by the clock that stamped the messages, nanoseconds since 1970.
            counted: number of predictions by quality, to which these are added.
            again: whether the windows may have been answered, and counted for drift, before a
                crash.
        """
        values, scores = self.infer(batch)
        at_ns = now_ns()
        if self.drift is not None and self.has_failed is False and not again:
            self.drift.note(batch, scores if self._has_score else values, at_ns)
        wall_ns = at_ns - self._clock.ahead_ns
        outgoing: list[Outgoing] = []
        for origin, time_ns, quality, value, score in zip(
            origins, batch.times_ns, batch.qualities, values, scores, strict=True
        ):
            source, route, message, *_ = origin
            if value is None or not isfinite(value) or (score is not None and not isfinite(score)):
                value = score = None  # noqa: PLW2901  NaN and infinities are no answers
                quality = _BAD  # noqa: PLW2901  as before
            counted[NAMES[quality]] += 1
            prediction = Prediction(
                value,
                score,
                self._labels.get(value),
                quality,
                time_ns // NS_PER_MS,
                self._identity(origin, time_ns),
                route.asset,
                (at_ns - message.at_ns) // NS_PER_US / 1_000,
                (wall_ns - time_ns) // NS_PER_MS,
            )
            topic, payload = route.output_topic, self._encoder.encode(prediction)
            outgoing.append(Outgoing(topic, payload, self._qos, source=source))
            if self._has_scalars:
                outgoing += self._scalars(prediction, topic, source)
        return outgoing

    def _identity(self, origin: Origin, time_ns: int) -> str:
        """The id of a prediction: the same whenever the same input meets the same bundle.

        A consumer recognises by it that a prediction was published twice, after a redelivery.
        """
        _, route, _, position, ordinal, content = origin
        identity = self._id.copy()
        identity.update(f"{route.asset}\0{position or time_ns}\0{ordinal}\0".encode() + content)
        return identity.hexdigest()

    def _scalars(self, prediction: Prediction, topic: str, source: Input) -> list[Outgoing]:
        return [
            Outgoing(f"{topic}/{level}", plain, self._qos, source=source)
            for level, plain in self._encoder.scalars(prediction)
        ]
