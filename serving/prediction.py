"""Encodes predictions: one flat JSON object, and plain values for readers that cannot parse JSON.

The object is flat because many SCADA connectors address values by a key alone. `value` is always a
number or null: NaN is not JSON (RFC 8259, section 6), and strict parsers would refuse the message.
"""

from hashlib import blake2b
from typing import NamedTuple

import orjson

from models.input.quality import NAMES, Quality
from serving.explanation.explainer import Reasons


class Prediction(NamedTuple):
    """What a model has answered for one window, and how far to trust it.

    Attributes:
        value: the model's answer; None where there is none, and then the quality is BAD.
        score: probability or anomaly score; None where the model has none.
        label: name of the class; None for a regression.
        quality: the worst quality among the window's inputs.
        timestamp_ms: event time of the window's last sample, milliseconds since 1970.
        id: identity of the prediction, 32 hexadecimal digits; the same for the same input and
            bundle, so that a consumer recognises a prediction that is published twice.
        asset: key of the asset.
        latency_ms: time from the message's arrival at the socket to this encoding, milliseconds.
        input_age_ms: time from the event time to this encoding by this gateway's clock,
            milliseconds; negative where the source's clock is ahead.
        reason: why the quality is BAD, one of `models.input.reasons.BAD_REASONS`; empty with
            another quality.
        why: the signals that the answer is due to, as `Explainer.reasons` gives them; None where it
            is not explained.
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
    reason: str = ""
    why: Reasons | None = None


class Identity:
    """Makes the ids of the predictions of one bundle.

    An id is the same whenever the same input meets the same bundle, over MQTT and over HTTP. A
    consumer recognises by it that a prediction was published twice, after a redelivery.

    Args:
        sha256: digest of the bundle, 64 hexadecimal digits.
        stream: name of the stream.
    """

    def __init__(self, sha256: str, stream: str) -> None:
        self._begun = blake2b(f"{sha256}\0{stream}\0".encode(), digest_size=16)

    def of(self, asset: str, position: str | int, ordinal: int | str, content: bytes) -> str:
        """The id of a prediction, 32 hexadecimal digits.

        Args:
            asset: key of the asset.
            position: sequence number of the reading that completed the window; where it has none,
                event time of the window, nanoseconds since 1970.
            ordinal: number of the window among those that the reading has completed.
            content: the reading as its source has written it.
        """
        identity = self._begun.copy()
        identity.update(f"{asset}\0{position}\0{ordinal}\0".encode() + content)
        return identity.hexdigest()


class PredictionEncoder:
    """Encodes the predictions of one model.

    Args:
        stream: name of the stream.
        version: semantic version of the model.
        seq: sequence number of the model's bundle.
        unit: unit of the predicted value; empty where it has none.
    """

    def __init__(self, *, stream: str, version: str, seq: int, unit: str) -> None:
        self._constant = {"stream": stream, "version": version, "seq": seq}
        if unit:
            self._constant["unit"] = unit

    def encode(self, prediction: Prediction) -> bytes:
        """The JSON object that is published on the output topic."""
        value, score, label, quality, timestamp_ms, id_, asset, latency_ms, age_ms, reason, why = (
            prediction
        )
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
        if reason:
            fields["reason"] = reason
        if why is not None:
            fields["why"] = why
        # From release 3.12 on, the bytes that orjson returns occupy 4 kB however short they are
        # (home-assistant/core#181245). Thousands of predictions may wait for their confirmation,
        # so a copy of the right size is kept instead.
        return b"".join((orjson.dumps(fields), b""))

    def scalars(self, prediction: Prediction) -> list[tuple[str, bytes]]:
        """Plain values, each with the level that is added to the output topic.

        A value that is missing is published as an empty payload, which no reader can mistake for a
        number. The reason is published while the quality is BAD.
        """
        plain: list[tuple[str, object]] = [
            ("value", prediction.value),
            ("quality", NAMES[prediction.quality]),
            ("timestamp", prediction.timestamp_ms),
            ("seq", self._constant["seq"]),
        ]
        if prediction.score is not None:
            plain.append(("score", prediction.score))
        if prediction.reason:
            plain.append(("reason", prediction.reason))
        return [(name, b"" if value is None else str(value).encode()) for name, value in plain]
