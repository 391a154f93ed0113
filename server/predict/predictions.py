"""From the outputs of a model to predictions: the objects that MQTT would publish."""

from collections.abc import Sequence
from math import isfinite
from time import time_ns
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from models.bundle.manifest import Manifest
from models.input.quality import Quality
from models.input.reasons import INPUT_MISSING
from models.windowing.asset_state import NS_PER_MS
from models.windowing.windows import Batch
from server.batching.job import Outputs
from server.http.answer import Answer
from server.predict.cut import Cut
from serving.errors import NotFiniteError
from serving.explanation.explainer import Reasons
from serving.prediction import Identity, Prediction, PredictionEncoder

_NS_PER_US: Final = 1_000
_BAD: Final = Quality.BAD


class Answers(NamedTuple):
    """What a model gave for the windows of a request.

    Attributes:
        values: value of each window; None where there is none.
        scores: score of each window, in the same order; None as before.
    """

    values: Sequence[Any]
    scores: Sequence[Any]


class Predictions:
    """Writes the predictions of one version of a model.

    Args:
        manifest: manifest of the version.
        sha256: digest of its bundle.
    """

    def __init__(self, manifest: Manifest, sha256: str) -> None:
        output = manifest.outputs[0]
        self._encoder = PredictionEncoder(
            stream=manifest.stream, version=manifest.version, seq=manifest.seq, unit=output.unit
        )
        self._identity = Identity(sha256, manifest.stream)
        self._labels: dict[Any, str] = dict(enumerate(output.classes))
        self._has_score = manifest.output("score") is not None

    def write(
        self,
        cut: Cut,
        answers: Answers,
        received_ns: int,
        explained: tuple[Sequence[Reasons | None], int],
    ) -> Answer:
        """The answer to a request: a prediction for each window, and the rows that are not used.

        Args:
            cut: the windows.
            answers: what the model gave for each.
            received_ns: when the request was there, nanoseconds since 1970.
            explained: signals that each prediction is due to, None where it is not explained; and
                the number of those that were to be explained and are not.
        """
        at_ns = time_ns()
        latency_ms = (at_ns - received_ns) // _NS_PER_US / 1_000
        reasons, unexplained = explained
        batch, (values, scores) = cut.batch, answers
        written = []
        for origin, window_ns, quality, value, score, why in zip(
            cut.origins, batch.times_ns, batch.qualities, values, scores, reasons, strict=True
        ):
            (asset, _, _, content), ordinal = origin
            reason = ""
            if value is None or not isfinite(value) or (score is not None and not isfinite(score)):
                reason = INPUT_MISSING if quality is _BAD else NotFiniteError.code
                value, score, quality = None, None, _BAD  # noqa: PLW2901  NaN is no answer
            prediction = Prediction(
                value,
                score,
                self._labels.get(value),
                quality,
                window_ns // NS_PER_MS,
                self._identity.of(asset, window_ns, ordinal, content),
                asset,
                latency_ms,
                (at_ns - window_ns) // NS_PER_MS,
                reason,
                why,
            )
            written.append(self._encoder.encode(prediction))
        more = _dropped(cut) + (b',"unexplained":%d' % unexplained if unexplained else b"")
        return Answer(200, b'{"predictions":[' + b",".join(written) + b"]" + more + b"}")

    def answers(self, batch: Batch, outputs: Outputs | None) -> Answers:
        """Value and score of each window; None for those that were not given to the model.

        Args:
            batch: the windows.
            outputs: what the model gave for those that are not BAD; None where all are.
        """
        count = len(batch.qualities)
        if outputs is None:
            return Answers([None] * count, [None] * count)
        given: list[Any] = outputs["value"].ravel().tolist()
        scored = outputs["score"].ravel().tolist() if self._has_score else [None] * len(given)
        if len(given) == count:
            return Answers(given, scored)
        left = iter(zip(given, scored, strict=True))
        pairs = [(None, None) if one is _BAD else next(left) for one in batch.qualities]
        return Answers([value for value, _ in pairs], [score for _, score in pairs])


def usable(batch: Batch) -> NDArray[np.float32]:
    """The windows that a model is given: all that are not BAD, as the agent does."""
    if _BAD not in batch.qualities:
        return batch.values
    return batch.values[[one is not _BAD for one in batch.qualities]]


def _dropped(cut: Cut) -> bytes:
    if not cut.dropped:
        return b""
    rows = [{"row": number, "reason": reason} for number, reason in cut.dropped]
    return b',"dropped":' + orjson.dumps(rows)
