"""Whether HTTP answers as MQTT does: the same readings, posted, must give the same prediction.

Now and then the readings before a prediction are kept. They are posted to the server, for the
version that made the prediction, and every field that the model and its input decide must be equal.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

KEPT: Final = 40
"""Predictions that are compared; the newest ones are kept."""
_EVERY: Final = 25
_FIELDS: Final = ("value", "label", "score", "quality", "timestamp", "version", "seq", "asset")

Readings = Sequence[Mapping[str, Any]]
Predict = Callable[[int, Readings], Mapping[str, Any]]
"""Has a version, by its number, answer the last of some readings over HTTP."""


class Asked(NamedTuple):
    """A prediction that came over MQTT, and the readings that led to it."""

    prediction: Mapping[str, Any]
    readings: Readings


class Agreement:
    """Keeps predictions with their readings, and compares them with those over HTTP.

    Args:
        length: readings in a window.

    Attributes:
        compared: number of predictions that were compared.
        differing: each difference in words.
    """

    def __init__(self, length: int) -> None:
        self.compared = 0
        self.differing: list[str] = []
        # A signal that is missing for long is taken from readings before the window.
        self._recent = 2 * length
        self._length = length
        self._readings: dict[str, deque[Mapping[str, Any]]] = {}
        self._kept: deque[Asked] = deque(maxlen=KEPT)
        self._seen = 0

    def sent(self, asset: str, timestamp_ms: int, signals: Mapping[str, float]) -> None:
        """Note a reading.

        Args:
            asset: key of the asset.
            timestamp_ms: event time, milliseconds since 1970.
            signals: values of the signals that the reading has.
        """
        recent = self._readings.setdefault(asset, deque(maxlen=self._recent))
        recent.append({"time": timestamp_ms, "asset": asset, **signals})

    def received(self, prediction: Mapping[str, Any]) -> None:
        """Keep a prediction now and then, with the readings up to its time."""
        self._seen += 1
        if self._seen % _EVERY:
            return
        until = prediction["timestamp"]
        recent = self._readings.get(prediction["asset"], ())
        readings = [one for one in recent if one["time"] <= until]
        if len(readings) > self._length:
            self._kept.append(Asked(prediction, readings))

    def compare(self, predict: Predict) -> None:
        """Have each kept prediction made again over HTTP."""
        while self._kept:
            prediction, readings = self._kept.popleft()
            found = predict(prediction["seq"], readings)
            self.compared += 1
            self.differing += [
                f"{name} of {prediction['asset']} at {prediction['timestamp']}: "
                f"{prediction.get(name)} over MQTT, {found.get(name)} over HTTP"
                for name in _FIELDS
                if prediction.get(name) != found.get(name)
            ]
