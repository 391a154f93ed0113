"""What every payload format decodes to, and what formats share: number, time, quality."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from models.errors import DecodeError
from models.input.quality import Quality

MISSING = float("nan")
TimeUnit = Literal["ns", "us", "ms", "s", "iso8601"]
NS_PER_UNIT = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_OPC_DA = {0xC0: Quality.GOOD, 0x40: Quality.UNCERTAIN, 0x00: Quality.BAD}
_OPC_DA_MAX = 0xFF
_SPARKPLUG_STALE = 500
_OPC_UA_MAX = 0xFFFF_FFFF
_OPC_UA_SEVERITY_SHIFT = 30


class Reading(NamedTuple):
    """Values of one asset at one moment.

    Attributes:
        time_ns: source time in nanoseconds since 1970, None where the payload has none.
        values: one a bound channel, NaN where the payload has none.
        quality: as the source states it, good where it states none.
        position: what tells this message apart from its neighbours where there is no source time.
    """

    time_ns: int | None
    values: Sequence[float]
    quality: Quality = Quality.GOOD
    position: str = ""


Decode = Callable[[bytes], Sequence[Reading]]
"""Turn a payload into readings, or raise DecodeError with a reason from a bounded set."""


def to_number(value: object) -> float:
    """A JSON number as float; null is a missing value.

    Raises:
        DecodeError: `not_a_number` for text, true and false, lists and objects (a quoted number
            is a mistake at the source, and guessing hides it); `not_finite` for an infinity.
    """
    if type(value) is float or type(value) is int:
        if not math.isfinite(value):
            raise DecodeError("not_finite")
        return float(value)
    if value is None:
        return MISSING
    raise DecodeError("not_a_number")


def to_time_ns(value: object, unit: TimeUnit) -> int:
    """A source time as nanoseconds since 1970.

    ISO 8601 without an offset is taken as UTC.

    Raises:
        DecodeError: `time_missing` if there is none, `time_malformed` if it cannot be read.
    """
    if value is None:
        raise DecodeError("time_missing")
    try:
        if unit == "iso8601":
            return _from_iso(value)
        if type(value) is int:
            return value * NS_PER_UNIT[unit]
        if type(value) is float:
            # A float holds today's time to a quarter of a microsecond: what is below is noise.
            return round(value * NS_PER_UNIT[unit] / 1_000) * 1_000
    except (ValueError, OverflowError) as exc:
        raise DecodeError("time_malformed") from exc
    raise DecodeError("time_malformed")


def to_quality(value: object) -> Quality:
    """Quality in the words and codes in use on plant floors.

    Text: good, uncertain or bad, or a longer name that begins so (`Good_Overload`). Numbers up to
    255: OPC DA, whose top two bits say it. 500: Sparkplug's stale. Larger: an OPC UA StatusCode,
    whose severity is bits 31-30 (OPC UA Part 4, 7.39). Absent: good, as everywhere. So 0 is the
    bad of OPC DA: OPC UA leaves its own good, also 0, out of a message.

    Raises:
        DecodeError: `quality_unknown`.
    """
    if value is None:
        return Quality.GOOD
    if isinstance(value, str):
        word = value.strip().lower()
        for quality in Quality:
            if word.startswith(quality.name.lower()):
                return quality
    elif type(value) is int and value >= 0:
        if value <= _OPC_DA_MAX:
            return _OPC_DA.get(value & 0xC0, Quality.BAD)
        if value == _SPARKPLUG_STALE:
            return Quality.UNCERTAIN
        if value <= _OPC_UA_MAX:
            return Quality(min(value >> _OPC_UA_SEVERITY_SHIFT, Quality.BAD))
    raise DecodeError("quality_unknown")


def to_position(value: object) -> str:
    """A sequence number, or whatever tells messages apart, as text.

    Raises:
        DecodeError: `sequence_missing` if there is none, `sequence_malformed` if it is no number
            and no text.
    """
    if value is None:
        raise DecodeError("sequence_missing")
    if type(value) not in (int, float, str):
        raise DecodeError("sequence_malformed")
    return str(value)


def at_path(document: Any, path: Sequence[str]) -> Any:  # noqa: ANN401  any JSON value
    """The value at a path of keys, None where the path ends early."""
    for key in path:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def _from_iso(value: object) -> int:
    if not isinstance(value, str):
        raise DecodeError("time_malformed")
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1_000


@dataclass(frozen=True, slots=True)
class Fields:
    """Where a payload states what holds for all its values; an empty path is not looked for.

    Attributes:
        timestamp: path of the source time.
        timestamp_unit: unit of the source time, or `iso8601` for text.
        quality: path of the quality.
        sequence: path of a number that tells messages apart.
    """

    timestamp: str = ""
    timestamp_unit: TimeUnit = "ms"
    quality: str = ""
    sequence: str = ""


class FieldsReader:
    """Reads time, quality and position of a payload; its dotted paths are split once."""

    def __init__(self, fields: Fields) -> None:
        self._time = _split(fields.timestamp)
        self._unit = fields.timestamp_unit
        self._quality = _split(fields.quality)
        self._sequence = _split(fields.sequence)

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


def _split(path: str) -> list[str]:
    return path.split(".") if path else []
