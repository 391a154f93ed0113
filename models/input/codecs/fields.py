"""What a JSON payload says of all its values at once: time, quality and position."""

from dataclasses import dataclass
from typing import Any

from models.input.codecs.reading import TimeUnit, at_path, to_position, to_quality, to_time_ns
from models.input.quality import Quality


@dataclass(frozen=True, slots=True)
class Fields:
    """Where time, quality and position stand in a payload; empty paths are not looked for."""

    timestamp: str = ""
    timestamp_unit: TimeUnit = "ms"
    quality: str = ""
    sequence: str = ""


class FieldsReader:
    """Reads them; dotted paths are parted once."""

    def __init__(self, fields: Fields) -> None:
        self._time = _parted(fields.timestamp)
        self._unit = fields.timestamp_unit
        self._quality = _parted(fields.quality)
        self._sequence = _parted(fields.sequence)

    def __call__(self, document: dict[str, Any]) -> tuple[int | None, Quality, str]:
        """Time, quality and position as a `Reading` has them.

        Raises:
            DecodeError: see `to_time_ns`, `to_quality`, `to_position`.
        """
        time_ns, quality, position = None, Quality.GOOD, ""
        if self._time:
            time_ns = to_time_ns(at_path(document, self._time), self._unit)
        if self._quality:
            quality = to_quality(at_path(document, self._quality))
        if self._sequence:
            position = to_position(at_path(document, self._sequence))
        return time_ns, quality, position


def _parted(path: str) -> list[str]:
    return path.split(".") if path else []
