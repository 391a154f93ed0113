"""Inference of one model: complete windows become predictions, ready to be published.

Runs on the hot thread, once a turn for all windows of a stream, and blocks it for as long as the
model computes. Whatever is the same for a whole batch is done once for the batch, and the loop over
windows calls as little as possible: at 60,000 predictions a second, every call counts.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agent.delivery.inputs import Input
from agent.delivery.outgoing import Outgoing
from agent.streams.drift import DriftWatch
from agent.streams.explaining import Explaining, Explanations
from agent.streams.ordering import Origin
from models.input.pipeline import Pipeline as PipelineSettings
from models.input.quality import NAMES, Quality
from models.input.reasons import INPUT_MISSING
from models.windowing.windows import Batch
from serving.clock import SteadyClock
from serving.errors import InferenceError, ModelFailedError, NotFiniteError
from serving.histogram import Histogram
from serving.model import Model
from serving.prediction import Identity, Prediction, PredictionEncoder

if TYPE_CHECKING:
    from agent.shadow.candidate import Candidate
    from agent.streams.poison import Suspects
    from serving.explanation.explainer import Reasons

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
DURATIONS_US = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
AGES_MS = (1, 10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000)
_BAD = Quality.BAD  # a member's lookup costs 0.1 us in Python 3.11


@dataclass(frozen=True, slots=True)
class Counted:
    """Predictions of a stream, counted since the start.

    Attributes:
        predictions: how many were made, by quality.
        bad: how many of them are BAD, by reason.
        explanations: how many were explained, and how many more may be in this turn.
        durations_us: microseconds of the model for one window, for each that it has answered.
        ages_ms: milliseconds from the time of a reading to its prediction; 0 for one of the future.
    """

    predictions: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    explanations: Explanations = field(default_factory=Explanations)
    durations_us: Histogram = field(default_factory=partial(Histogram, DURATIONS_US))
    ages_ms: Histogram = field(default_factory=partial(Histogram, AGES_MS))


class Predictor:
    """Answers windows with one model.

    Args:
        model: the model that answers the windows.
        settings: the pipeline's settings, of which its stream and its output count here.
        clock: the clock that stamps messages on arrival.
        max_assets: assets whose alarms are followed, to explain the first answer of each.

    Attributes:
        session: session of onnxruntime that answers the windows.
        has_run: whether the last batch had a window that was given to the model.
        answered: windows of the last batch that the session has answered.
        took_ms: milliseconds that the session took for one window of the last batch it answered.
        error: what the model failed with on the last batch that it was given; None if it answered.
        is_given_up: whether windows are answered BAD without asking the model, as after a failure.
        drift: watches the model's inputs and scores for drift; None where the bundle has no
            reference to compare them with.
        suspects: what is known of the inputs that the agent has died of with this model; None if
            nothing.
        digest: SHA-256 of the model's bundle, 32 bytes.
        manifest: manifest of the model's bundle.
        tap: is given each prediction; see `agent.streams.inference`.
        shadow: is offered the windows that were answered; see `agent.streams.inference`.
    """

    def __init__(
        self, model: Model, settings: PipelineSettings, clock: SteadyClock, max_assets: int
    ) -> None:
        self.has_run = self.is_given_up = False
        self.answered, self.took_ms = 0, 0.0
        self.error: InferenceError | None = None
        self.suspects: Suspects | None = None
        self.tap: Callable[[Prediction], None] | None = None
        self.shadow: Candidate | None = None
        self.digest = bytes.fromhex(model.sha256)
        self.manifest = manifest = model.manifest
        stream = settings.stream
        output = manifest.outputs[0]
        self.session, self._name = model.session, f"{stream}#{manifest.seq}"
        self.drift = DriftWatch(stream, model.reference) if model.reference is not None else None
        self._has_score = manifest.output("score") is not None
        self._clock = clock
        self._explaining: Explaining | None = None
        if model.explainer is not None and model.explainer.is_unasked:
            self._explaining = Explaining(model.session, model.explainer, max_assets)
        self._encoder = PredictionEncoder(
            stream=stream, version=manifest.version, seq=manifest.seq, unit=output.unit
        )
        self._labels: Mapping[Any, str] = dict(enumerate(output.classes))
        self._identity = Identity(model.sha256, stream)
        self._qos, self._has_scalars = settings.output.qos, settings.output.scalars

    def infer(self, batch: Batch) -> tuple[Sequence[Any], Sequence[Any]]:
        """Value and score of each window; None for a window without an answer.

        Windows of quality BAD are not given to the model: an answer to them must not be believed,
        and computing it would only delay the others.

        Raises nothing: a model that fails leaves the whole batch without answers, `error` says why,
        and repeated failures let the agent roll back.
        """
        nothing: list[Any] = [None] * len(batch.qualities)
        every = _BAD not in batch.qualities
        usable = () if every else [i for i, q in enumerate(batch.qualities) if q is not _BAD]
        self.has_run, self.answered = bool(every or usable) and not self.is_given_up, 0
        if not self.has_run:
            return nothing, nothing
        try:
            values, scores = self._run(batch.values if every else batch.values[usable])
        except InferenceError as exc:
            self.error = exc
            return nothing, nothing
        self.error = None
        if every:
            return values, scores
        spread_values, spread_scores = list(nothing), list(nothing)
        for index, value, score in zip(usable, values, scores, strict=True):
            spread_values[index], spread_scores[index] = value, score
        return spread_values, spread_scores

    def _run(self, windows: NDArray[np.float32]) -> tuple[list[Any], list[Any]]:
        """Value and score of each window, as the model gives them.

        Raises:
            InferenceError: the model fails, or does not give one number for each window.
        """
        count, began_ns = len(windows), self._clock.monotonic_ns()
        outputs = self.session.run(windows)
        self.answered = count
        self.took_ms = (self._clock.monotonic_ns() - began_ns) / count / NS_PER_MS
        values = outputs["value"].ravel().tolist()
        scores = outputs["score"].ravel().tolist() if self._has_score else [None] * count
        if len(values) != count or len(scores) != count:
            shapes = {name: list(array.shape) for name, array in outputs.items()}
            raise ModelFailedError(f"{self._name}: outputs have the shapes {shapes}")
        return values, scores

    def predict(
        self,
        batch: Batch,
        origins: Sequence[Origin],
        now_ns: Callable[[], int],
        counted: Counted,
        *,
        again: bool = False,
    ) -> list[Outgoing]:
        """The publishes that answer a batch, in the order of its windows.

        Args:
            batch: the windows.
            origins: the origin of each window, in the same order.
            now_ns: returns the time by the clock that stamped the messages, nanoseconds since 1970.
            counted: numbers of predictions, to which these are added.
            again: whether the windows may have been answered, and counted for drift, before a
                crash.
        """
        values, scores = self.infer(batch)
        whys: Iterable[Reasons | None] = repeat(None, len(values))
        if self._explaining is not None and self.has_run and self.error is None:
            whys = self._explaining.reasons(batch, values, counted.explanations) or whys
        at_ns = now_ns()
        if self.drift is not None and self.has_run and self.error is None and not again:
            self.drift.note(batch, scores if self._has_score else values, at_ns)
        wall_ns = at_ns - self._clock.ahead_ns
        outgoing: list[Outgoing] = []
        not_finite, predictions, aged = 0, counted.predictions, counted.ages_ms.add
        for origin, time_ns, quality, value, score, why in zip(
            origins, batch.times_ns, batch.qualities, values, scores, whys, strict=True
        ):
            source, route, message, position, ordinal, content = origin
            reason = ""
            if value is None or not isfinite(value) or (score is not None and not isfinite(score)):
                value = score = None  # noqa: PLW2901  NaN and infinities are no answers
                reason = self._reason(quality)
                quality = _BAD  # noqa: PLW2901  as before
                counted.bad[reason] += 1
                not_finite += reason == NotFiniteError.code
            predictions[NAMES[quality]] += 1
            aged(max(0, age_ms := (wall_ns - time_ns) // NS_PER_MS))
            prediction = Prediction(
                value,
                score,
                self._labels.get(value),
                quality,
                time_ns // NS_PER_MS,
                self._identity.of(route.asset, position or time_ns, ordinal, content),
                route.asset,
                (at_ns - message.at_ns) // NS_PER_US / 1_000,
                age_ms,
                reason,
                why,
            )
            if self.tap is not None:
                self.tap(prediction)
            topic, payload = route.output_topic, self._encoder.encode(prediction)
            outgoing.append(Outgoing(topic, payload, self._qos, source=source))
            if self._has_scalars:
                outgoing += self._scalars(prediction, topic, source)
        if not_finite and self.error is None:
            self._judge(batch, not_finite)
        if self.shadow is not None and not again:
            self.shadow.offer(batch, values, scores)
        return outgoing

    def _reason(self, quality: Quality) -> str:
        """Why a window of this quality has no usable answer."""
        if quality is _BAD:
            return INPUT_MISSING
        return self.error.code if self.error is not None else NotFiniteError.code

    def _judge(self, batch: Batch, not_finite: int) -> None:
        """Take the batch for failed if no answer in it was a number.

        Single answers that are not finite are not the model's failure: their inputs may be extreme.
        """
        asked = sum(quality is not _BAD for quality in batch.qualities)
        if not_finite == asked:
            self.error = NotFiniteError(
                f"{self._name}: all answers to {asked} windows are NaN or infinite"
            )

    def _scalars(self, prediction: Prediction, topic: str, source: Input) -> list[Outgoing]:
        return [
            Outgoing(f"{topic}/{level}", plain, self._qos, source=source)
            for level, plain in self._encoder.scalars(prediction)
        ]
