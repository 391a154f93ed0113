"""From the outputs of a model to predictions: the objects that MQTT would publish."""

from math import isfinite
from time import time_ns
from typing import Any, Final

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
from serving.prediction import Identity, Prediction, PredictionEncoder

_NS_PER_US: Final = 1_000
_BAD: Final = Quality.BAD


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

    def write(self, cut: Cut, outputs: Outputs | None, received_ns: int) -> Answer:
        """The answer to a request: a prediction for each window, and the rows that are not used.

        Args:
            cut: the windows.
            outputs: what the model gave for those that are not BAD; None where all are.
            received_ns: when the request was there, nanoseconds since 1970.
        """
        at_ns = time_ns()
        latency_ms = (at_ns - received_ns) // _NS_PER_US / 1_000
        values, scores = self._answers(cut.batch, outputs)
        written = []
        for origin, window_ns, quality, value, score in zip(
            cut.origins, cut.batch.times_ns, cut.batch.qualities, values, scores, strict=True
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
            )
            written.append(self._encoder.encode(prediction))
        return Answer(200, b'{"predictions":[' + b",".join(written) + b"]" + _dropped(cut) + b"}")

    def _answers(self, batch: Batch, outputs: Outputs | None) -> tuple[list[Any], list[Any]]:
        """Value and score of each window; None for those that were not given to the model."""
        count = len(batch.qualities)
        if outputs is None:
            return [None] * count, [None] * count
        given: list[Any] = outputs["value"].ravel().tolist()
        scored = outputs["score"].ravel().tolist() if self._has_score else [None] * len(given)
        if len(given) == count:
            return given, scored
        left = iter(zip(given, scored, strict=True))
        pairs = [(None, None) if one is _BAD else next(left) for one in batch.qualities]
        return [value for value, _ in pairs], [score for _, score in pairs]


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
