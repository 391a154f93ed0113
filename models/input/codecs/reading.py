"""What every payload format decodes to, and how its values are found in a document.

Nothing is guessed: a value that is not clearly of its type is refused with a reason, because a
wrong reading does more harm at a plant than a missing one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from models.errors import DecodeError
from models.input.codecs.paths import finder_of
from models.input.codecs.qualities import NamedMap, quality_reader
from models.input.codecs.times import TimeUnit, to_time_ns, zone_of
from models.input.codecs.values import Unread
from models.input.quality import Quality


class Reading(NamedTuple):
    """Values of one asset at one moment.

    Attributes:
        time_ns: source time, nanoseconds since 1970; None where the payload has none.
        values: one value for each bound signal, NaN where the payload has none.
        quality: the quality that the source states, GOOD where it states none.
        position: the source's sequence number as text, empty where it has none; it tells readings
            of the same time apart.
        unread: the signals whose values could not be read; they are NaN in `values`.
    """

    time_ns: int | None
    values: Sequence[float]
    quality: Quality = Quality.GOOD
    position: str = ""
    unread: Sequence[Unread] = ()


Decoder = Callable[[bytes], Sequence[Reading]]
"""Turns a payload into readings. Raises DecodeError with a reason out of `models.input.reasons`.

Is called for every message on the hot thread, so it keeps no state and logs nothing.
"""


def to_position(value: object) -> str:
    """A sequence number as text; text is taken as it is.

    Raises:
        DecodeError: `sequence_missing` for null, `sequence_malformed` if the value is neither a
            number nor text.
    """
    if value is None:
        raise DecodeError("sequence_missing")
    if type(value) not in (int, float, str):
        raise DecodeError("sequence_malformed")
    return str(value)


@dataclass(frozen=True, slots=True)
class Fields:
    """Where a payload has its time, quality and sequence number.

    Attributes:
        timestamp: path of the source time; empty if the payload has none.
        timestamp_unit: unit of the source time.
        quality: path of the quality; empty if the payload has none.
        sequence: path of the sequence number; empty if the payload has none.
        quality_map: how the quality is read, see `quality_reader`.
        timezone: name of the time zone of texts without an offset.
    """

    timestamp: str = ""
    timestamp_unit: TimeUnit = "ms"
    quality: str = ""
    sequence: str = ""
    quality_map: NamedMap | Mapping[str, str] | None = None
    timezone: str = "UTC"


class FieldsReader:
    """Reads the fields of a payload; paths are compiled once, not for every message."""

    def __init__(self, fields: Fields) -> None:
        self._time = finder_of(fields.timestamp)
        self._unit, self._zone = fields.timestamp_unit, zone_of(fields.timezone)
        self._quality = finder_of(fields.quality)
        self._to_quality = quality_reader(fields.quality_map)
        self._sequence = finder_of(fields.sequence)

    def __call__(self, document: dict[str, Any]) -> tuple[int | None, Quality, str]:
        """Time, quality and position, in the form in which a `Reading` has them.

        Raises:
            DecodeError: see `to_time_ns`, `QualityReader`, `to_position`.
        """
        time_ns, quality, position = None, Quality.GOOD, ""
        if self._time is not None:
            time_ns = to_time_ns(self._time(document), self._unit, self._zone)
        if self._quality is not None:
            quality = self._to_quality(self._quality(document))
        if self._sequence is not None:
            position = to_position(self._sequence(document))
        return time_ns, quality, position
