"""Which metrics the predictions of a model are, for each asset that has some."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from models.bundle.manifest import Manifest
from models.input.quality import Quality
from models.sparkplug.datatype import DataType
from models.sparkplug.payload import NO_PROPERTIES, Property, Value
from serving.prediction import Prediction

_STALE: Final = {"Quality": Property(DataType.INT32, 500)}
QUALITIES: Final[Mapping[Quality, Mapping[str, Property]]] = {
    Quality.GOOD: NO_PROPERTIES,
    Quality.UNCERTAIN: _STALE,
    Quality.BAD: {"Quality": Property(DataType.INT32, 0)},
}
"""The property `Quality`, which is there only where it is not good (Sparkplug 3.0.0, 6.4.12)."""


class Kind(NamedTuple):
    """One metric of every asset.

    Attributes:
        name: its name below that of the stream.
        datatype: number of its data type.
        value: its value in a prediction; None where the prediction has none.
        properties: what its birth says of it: unit and range.
        has_quality: whether it is part of the answer, and so has the quality of the prediction.
        is_transient: whether it is worth no record.
    """

    name: str
    datatype: DataType
    value: Callable[[Prediction], Value]
    properties: Mapping[str, Property] = NO_PROPERTIES
    has_quality: bool = True
    is_transient: bool = False


def kinds_of(manifest: Manifest) -> tuple[Kind, ...]:
    """The metrics of a model, in the order of their aliases."""
    output, score = manifest.outputs[0], manifest.output("score")
    kinds = [Kind("value", DataType.DOUBLE, _value, _described(output.unit, len(output.classes)))]
    if score is not None:
        described = _described(score.unit, 0)
        if score.threshold is not None:
            described = {**described, "threshold": Property(DataType.DOUBLE, score.threshold)}
        kinds.append(Kind("score", DataType.DOUBLE, _score, described))
    if output.classes:
        kinds.append(Kind("label", DataType.STRING, _label))
    if any(one.threshold is not None for one in manifest.outputs):
        kinds.append(Kind("alarm", DataType.BOOLEAN, _alarm))
    kinds += [
        Kind("quality_reason", DataType.STRING, _reason, has_quality=False),
        Kind(
            "latency_ms",
            DataType.DOUBLE,
            _latency_ms,
            _described("ms", 0),
            has_quality=False,
            is_transient=True,
        ),
    ]
    return tuple(kinds)


def _described(unit: str, classes: int) -> Mapping[str, Property]:
    """Unit and range as properties, by the names that Ignition has for them."""
    described: dict[str, Property] = {}
    if unit:
        described["engUnit"] = Property(DataType.STRING, unit)
    if classes:
        described["engLow"] = Property(DataType.DOUBLE, 0.0)
        described["engHigh"] = Property(DataType.DOUBLE, float(classes - 1))
    return described


def _value(prediction: Prediction) -> Value:
    return None if prediction.value is None else float(prediction.value)


def _score(prediction: Prediction) -> Value:
    return prediction.score


def _label(prediction: Prediction) -> Value:
    return prediction.label


def _alarm(prediction: Prediction) -> Value:
    return None if prediction.value is None else prediction.value == 1


def _reason(prediction: Prediction) -> Value:
    return prediction.reason


def _latency_ms(prediction: Prediction) -> Value:
    return prediction.latency_ms
