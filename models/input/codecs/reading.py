"""What every payload format decodes to, and the values they share: number, time, quality.

Nothing is guessed: a value that is not clearly of its type is refused with a reason, because a
wrong reading does more harm at a plant than a missing one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from models.errors import DecodeError
from models.input.codecs.paths import finder_of
from models.input.quality import Quality

MISSING = float("nan")
"""How windows and graphs write a value that is not there."""
TimeUnit = Literal["ns", "us", "ms", "s", "iso8601"]
NS_PER_UNIT = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
# The quality bits of OPC Data Access, bits 7-6 of a byte; larger numbers are OPC UA StatusCodes.
_OPC_DA = {0xC0: Quality.GOOD, 0x40: Quality.UNCERTAIN, 0x00: Quality.BAD}
_OPC_DA_MAX = 0xFF
_SPARKPLUG_STALE = 500  # Sparkplug 3.0, property Quality: 0 bad, 192 good, 500 stale
_OPC_UA_MAX = 0xFFFF_FFFF
_OPC_UA_SEVERITY_SHIFT = 30


class Reading(NamedTuple):
    """Values of one asset at one moment.

    Attributes:
        time_ns: source time, nanoseconds since 1970; None where the payload has none.
        values: one value for each bound signal, NaN where the payload has none.
        quality: the quality that the source states, GOOD where it states none.
        position: the source's sequence number as text, empty where it has none; it tells readings
            of the same time apart.
    """

    time_ns: int | None
    values: Sequence[float]
    quality: Quality = Quality.GOOD
    position: str = ""


Decoder = Callable[[bytes], Sequence[Reading]]
"""Turns a payload into readings. Raises DecodeError with a reason out of `models.input.reasons`.

Is called for every message on the hot thread, so it keeps no state and logs nothing.
"""


def to_number(value: object) -> float:
    """A JSON number as a float; null becomes NaN, a missing value.

    Raises:
        DecodeError: `not_a_number` for text, true, false, a list or an object; `not_finite` for
            an infinity. A quoted number is refused too: to read it would hide a mistake at the
            source.
    """
    if type(value) is float or type(value) is int:
        if not math.isfinite(value):
            raise DecodeError("not_finite")
        return float(value)
    if value is None:
        return MISSING
    raise DecodeError("not_a_number")


def to_time_ns(value: object, unit: TimeUnit) -> int:
    """A source time in nanoseconds since 1970.

    ISO 8601 text without an offset is taken as UTC.

    Raises:
        DecodeError: `time_missing` for null, `time_malformed` if the value cannot be read.
    """
    if value is None:
        raise DecodeError("time_missing")
    try:
        if unit == "iso8601":
            return _from_iso(value)
        if type(value) is int:
            return value * NS_PER_UNIT[unit]
        if type(value) is float:
            # A float64 has 53 bits: seconds since 1970 are exact to a quarter of a microsecond
            # today, and what is below a microsecond is noise.
            return round(value * NS_PER_UNIT[unit] / 1_000) * 1_000
    except (ValueError, OverflowError) as exc:
        raise DecodeError("time_malformed") from exc
    raise DecodeError("time_malformed")


def to_quality(value: object) -> Quality:
    """A quality, from the words and codes that plants use.

    - Text: good, uncertain or bad, or a longer name that begins with one of them
      (`Good_Overload`).
    - A number up to 255 is an OPC DA quality; its top two bits count.
    - 500 is Sparkplug's stale.
    - A larger number is an OPC UA StatusCode, whose severity is bits 31-30 (OPC UA Part 4, 7.39).
    - Null, or no quality at all, is good, as in all of these.

    So 0 is the bad of OPC DA. The good of OPC UA is 0 as well, but its encodings leave a good
    status out of the message.

    Raises:
        DecodeError: `quality_unknown` for anything else.
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
    """Where a payload has its time, quality and sequence number.

    Attributes:
        timestamp: path of the source time; empty if the payload has none.
        timestamp_unit: unit of the source time.
        quality: path of the quality; empty if the payload has none.
        sequence: path of the sequence number; empty if the payload has none.
    """

    timestamp: str = ""
    timestamp_unit: TimeUnit = "ms"
    quality: str = ""
    sequence: str = ""


class FieldsReader:
    """Reads the fields of a payload; paths are compiled once, not for every message."""

    def __init__(self, fields: Fields) -> None:
        self._time = finder_of(fields.timestamp)
        self._unit = fields.timestamp_unit
        self._quality = finder_of(fields.quality)
        self._sequence = finder_of(fields.sequence)

    def __call__(self, document: dict[str, Any]) -> tuple[int | None, Quality, str]:
        """Time, quality and position, in the form in which a `Reading` has them.

        Raises:
            DecodeError: see `to_time_ns`, `to_quality`, `to_position`.
        """
        time_ns, quality, position = None, Quality.GOOD, ""
        if self._time is not None:
            time_ns = to_time_ns(self._time(document), self._unit)
        if self._quality is not None:
            quality = to_quality(self._quality(document))
        if self._sequence is not None:
            position = to_position(self._sequence(document))
        return time_ns, quality, position
