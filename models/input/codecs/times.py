"""Source times: numbers since 1970 and texts of ISO 8601 become nanoseconds since 1970."""

import re
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import cache
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator

from models.errors import DecodeError

TimeUnit = Literal["ns", "us", "ms", "s", "iso8601"]
NS_PER_UNIT: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"-?[0-9]{1,19}(?:\.[0-9]{1,18})?")
_SLASHES = re.compile(r"\A([0-9]{4})/([0-9]{2})/([0-9]{2})")
_UTC = re.compile(r"(?: ?UTC|z)\Z")


@cache
def zone_of(name: str) -> tzinfo:
    """The time zone of a name of the IANA database, such as `Europe/Berlin`.

    It is read once: a program that has started goes on with the rules that it has checked.

    Raises:
        ValueError: there is no such zone, or this machine has no time zones at all.
    """
    if name == "UTC":
        return UTC  # is there on a machine without time zones too
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError) as exc:
        if not available_timezones():
            raise ValueError(
                "this machine has no time zones: install tzdata, a package of the system and of "
                "Python, or leave out the zone where the times are in UTC"
            ) from exc
        raise ValueError("no such time zone; a name such as 'Europe/Berlin' is needed") from exc


def _known_zone(name: str) -> str:
    zone_of(name)
    return name


ZoneName = Annotated[str, AfterValidator(_known_zone)]
"""Name of a time zone that this machine knows."""


def to_time_ns(value: object, unit: TimeUnit, zone: tzinfo = UTC) -> int:
    """A source time in nanoseconds since 1970.

    Args:
        value: a number in the unit, also as text, or a text of ISO 8601. Digits below the
            nanosecond are cut off.
        unit: the unit of a number, or `iso8601` for text.
        zone: the time zone of a text without an offset. Of the hour that a zone has twice in
            autumn, the first is taken. A time of the hour that it skips in spring is read as if
            the clock had not been put forward yet.

    Raises:
        DecodeError: `time_missing` for null, `time_malformed` if the value cannot be read.
    """
    if value is None:
        raise DecodeError("time_missing")
    try:
        if type(value) is int:
            return value * NS_PER_UNIT[unit]
        if type(value) is str:
            return _from_iso(value, zone) if unit == "iso8601" else _from_digits(value, unit)
        if type(value) is float:
            # A float64 has 53 bits: seconds since 1970 are exact to a quarter of a microsecond
            # today, and what is below a microsecond is noise.
            return round(value * NS_PER_UNIT[unit] / 1_000) * 1_000
    except (KeyError, ValueError, OverflowError) as exc:  # KeyError: a number is no iso8601
        raise DecodeError("time_malformed") from exc
    raise DecodeError("time_malformed")


def _from_digits(text: str, unit: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise DecodeError("time_malformed")
    return int(Decimal(text) * NS_PER_UNIT[unit])


def _from_iso(text: str, zone: tzinfo) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.fromisoformat(_in_usual_form(text))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    passed = moment - _EPOCH
    time_ns = (passed.days * 86_400 + passed.seconds) * 1_000_000_000 + passed.microseconds * 1_000
    # A text of seven digits behind the second has the seventh at one of both places.
    if (text[26:27].isdigit() and text[20:26].isdigit()) or (
        text[22:23].isdigit() and text[16:22].isdigit()
    ):
        time_ns += _below_microsecond(text)
    return time_ns


def _below_microsecond(text: str) -> int:
    """Nanoseconds of the seventh to ninth digit behind the second, which datetime passes over."""
    has_usual_form = text[19] in ".,"  # 2025-10-09T08:53:20.1234567
    digits = text[26:29] if has_usual_form else text.replace(",", ".").partition(".")[2][6:9]
    while digits and not digits.isdigit():
        digits = digits[:-1]
    return int(digits.ljust(3, "0"))


def _in_usual_form(text: str) -> str:
    """A time with `2025/10/09`, ` UTC` or a lower-case z, in the form that datetime reads.

    The year comes first. What begins with day or month is left as it is, and refused: nobody can
    tell which of both `09/10/2025` means.
    """
    return _UTC.sub("Z", _SLASHES.sub(r"\1-\2-\3", text))
