"""Source times: numbers since 1970 and texts of ISO 8601 become nanoseconds since 1970."""

from datetime import UTC, datetime
from typing import Literal

from models.errors import DecodeError

TimeUnit = Literal["ns", "us", "ms", "s", "iso8601"]
NS_PER_UNIT = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


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


def _from_iso(value: object) -> int:
    if not isinstance(value, str):
        raise DecodeError("time_malformed")
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1_000
