"""What a JSON payload states once for all its values: time, quality and sequence number."""

from dataclasses import dataclass
from typing import Any

from models.input.codecs.reading import TimeUnit, at_path, to_position, to_quality, to_time_ns
from models.input.quality import Quality


@dataclass(frozen=True, slots=True)
class Fields:
    """Where a payload has its time, quality and sequence number.

    Attributes:
        timestamp: dotted path of the source time; empty if the payload has none.
        timestamp_unit: unit of the source time.
        quality: dotted path of the quality; empty if the payload has none.
        sequence: dotted path of the sequence number; empty if the payload has none.
    """

    timestamp: str = ""
    timestamp_unit: TimeUnit = "ms"
    quality: str = ""
    sequence: str = ""


class FieldsReader:
    """Reads the fields of a payload; dotted paths are split once, not for every message."""

    def __init__(self, fields: Fields) -> None:
        self._time = _parted(fields.timestamp)
        self._unit = fields.timestamp_unit
        self._quality = _parted(fields.quality)
        self._sequence = _parted(fields.sequence)

    def __call__(self, document: dict[str, Any]) -> tuple[int | None, Quality, str]:
        """Time, quality and position, in the form in which a `Reading` has them.

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
