"""Predictions to bytes: one flat JSON object, and plain scalars for readers that take no JSON.

Flat, so that a consumer which knows only keys can use it; `value` is always a number or null,
never NaN, so that a consumer with 32-bit floats or a strict parser can.
"""

from typing import NamedTuple

import orjson

from models.input.quality import NAMES, Quality


class Prediction(NamedTuple):
    """What the model said of one window, and how far to believe it.

    Attributes:
        value: the answer; None where there is none, and then the quality is bad.
        score: probability or anomaly score, None where the model has none.
        label: name of the class, None for a regression.
        quality: the worst of the window's inputs.
        timestamp_ms: event time of the window's last sample.
        id: the same for the same input and bundle, also after a redelivery.
        latency_ms: from the socket to this encoding.
        input_age_ms: from the event time to this encoding, by this gateway's clock.
    """

    value: float | int | None
    score: float | None
    label: str | None
    quality: Quality
    timestamp_ms: int
    id: str
    asset: str
    latency_ms: float
    input_age_ms: int


class PredictionEncoder:
    """Encoder of one model's predictions; what is the same in all of them is given once."""

    def __init__(self, *, stream: str, version: str, seq: int, unit: str) -> None:
        self._constant = {"stream": stream, "version": version, "seq": seq}
        if unit:
            self._constant["unit"] = unit

    def encode(self, prediction: Prediction) -> bytes:
        """The JSON object that goes to the prediction topic."""
        value, score, label, quality, timestamp_ms, id_, asset, latency_ms, age_ms = prediction
        fields = {
            "value": value,
            "quality": NAMES[quality],
            "timestamp": timestamp_ms,
            "asset": asset,
            **self._constant,
            "id": id_,
            "latency_ms": latency_ms,
            "input_age_ms": age_ms,
        }
        if score is not None:
            fields["score"] = score
        if label is not None:
            fields["label"] = label
        # What orjson returns takes 4 kB from release 3.12 on (home-assistant/core#181245), and what
        # waits for its confirmation is kept: a copy of the right size.
        return b"".join((orjson.dumps(fields), b""))

    def scalars(self, prediction: Prediction) -> list[tuple[str, bytes]]:
        """Plain values by the level that is added to the prediction topic.

        An answer that is not there is an empty payload, which no reader can mistake for a number.
        """
        plain: list[tuple[str, object]] = [
            ("value", prediction.value),
            ("quality", NAMES[prediction.quality]),
            ("timestamp", prediction.timestamp_ms),
            ("seq", self._constant["seq"]),
        ]
        if prediction.score is not None:
            plain.append(("score", prediction.score))
        return [(name, b"" if value is None else str(value).encode()) for name, value in plain]
