"""Which value of a payload is its source time, in which unit, and how it stands to the arrival."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path as File
from statistics import median
from typing import Any, Final
from zoneinfo import available_timezones

from models.errors import DecodeError
from models.input.codecs.times import TimeUnit, to_time_ns, zone_of

_NS_PER_S: Final = 1_000_000_000
_EARLIEST_NS: Final = 946_684_800 * _NS_PER_S  # 2000-01-01, the default of limits.earliest
_LATEST_NS: Final = 4_102_444_800 * _NS_PER_S  # 2100-01-01
_NAMES: Final = (
    *("timestamp", "timestamp_ms", "ts", "time", "datetime", "sourcetimestamp", "t", "timestamp_s"),
    *("timestamp_us", "timestamp_ns", "time_ms", "event_time", "eventtime", "source_time", "date"),
    *("last_seen", "updated", "created", "created_at", "measured_at", "at", "when", "epoch"),
)
"""Keys that times have in practice, the most likely first."""
_NEAR_S: Final = 86_400.0
_QUARTER_S: Final = 900
_LONGEST: Final = 40
_SLACK_S: Final = 300.0
_LONGEST_OFFSET_S: Final = 14 * 3_600
_OFFSET: Final = re.compile(r"(?:[zZ]| ?UTC|[+-][0-9]{2}:?(?:[0-9]{2})?)\Z")
_DIGITS: Final = re.compile(r"[0-9]{9,19}(?:\.[0-9]+)?")
_UNITS: Final[tuple[TimeUnit, ...]] = ("s", "ms", "us", "ns")


@dataclass(frozen=True, slots=True)
class Clock:
    """A source time.

    Attributes:
        unit: its unit, as `timestamp_unit` has it.
        ahead_s: how much it is ahead of the arrival, a median in seconds; negative if it is behind.
        has_offset: whether a text says its offset from UTC; True for numbers.
        rank: how likely it is the time; the lowest is the most likely.
    """

    unit: TimeUnit
    ahead_s: float
    has_offset: bool
    rank: int

    @property
    def zone(self) -> str:
        """The zone of texts without an offset, by how far they are from the arrival.

        Empty for UTC; a zone of whole hours without summer time where this machine is in another.
        """
        if self.has_offset or self.offset_s == 0:
            return ""
        here = _zone_here()
        if here and datetime.now(zone_of(here)).utcoffset() == timedelta(seconds=self.offset_s):
            return here
        hours, rest = divmod(abs(self.offset_s), 3_600)
        # Zones of this kind count to the west (IANA database, file etcetera).
        name = f"Etc/GMT{'-' if self.offset_s > 0 else '+'}{hours}"
        return name if not rest and name in available_timezones() else ""

    @property
    def offset_s(self) -> int:
        """By which offset from UTC the texts look shifted, in seconds; 0 if they do not."""
        nearest = round(self.ahead_s / _QUARTER_S) * _QUARTER_S
        is_shift = abs(self.ahead_s - nearest) <= _SLACK_S and abs(nearest) <= _LONGEST_OFFSET_S
        return 0 if self.has_offset or not is_shift else nearest


def is_time_name(name: str) -> bool:
    """Whether times have such a key in practice."""
    return name.casefold() in _NAMES


def clock_of(name: str, found: Sequence[tuple[int, Any]]) -> Clock | None:
    """The clock that values are of; None if they are no times.

    Args:
        name: key of the values.
        found: time of arrival in nanoseconds since 1970 and value, of each message.
    """
    known = is_time_name(name)
    rank = _NAMES.index(name.casefold()) if known else len(_NAMES)
    for unit in ("iso8601",) if _are_texts(found) else _UNITS:
        times = times_in(found, unit)
        if times is None:
            continue
        ahead_s = median((time_ns - at_ns) / _NS_PER_S for at_ns, time_ns in times)
        is_moving = len({time_ns for _, time_ns in times}) > 1 or len(times) == 1
        # A count of something may look like a time; one that goes along with the arrival is one.
        if known or (is_moving and abs(ahead_s) < _NEAR_S):
            has_offset = unit != "iso8601" or all(_OFFSET.search(text) for _, text in found)
            return Clock(unit, ahead_s, has_offset, rank)
    return None


def times_in(found: Sequence[tuple[int, Any]], unit: TimeUnit) -> list[tuple[int, int]] | None:
    """Arrival and source time of each message, in nanoseconds; None if one is no time of today."""
    times = []
    for at_ns, value in found:
        if type(value) is bool or (isinstance(value, str) and len(value) > _LONGEST):
            return None
        try:
            time_ns = to_time_ns(value, unit)
        except DecodeError:
            return None
        if not _EARLIEST_NS <= time_ns <= _LATEST_NS:
            return None
        times.append((at_ns, time_ns))
    return times or None


def lateness_ms(times: Sequence[tuple[int, int]]) -> float:
    """By how much a time was older than one that had arrived before, at most, in milliseconds."""
    newest, late = 0, 0
    for _, time_ns in sorted(times):
        newest = max(newest, time_ns)
        late = max(late, newest - time_ns)
    return late / 1e6


def moment(time_ns: int) -> str:
    """A time as text, to the second."""
    return datetime.fromtimestamp(time_ns // _NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _are_texts(found: Sequence[tuple[int, Any]]) -> bool:
    return all(isinstance(value, str) and not _DIGITS.fullmatch(value) for _, value in found)


def _zone_here() -> str:
    """The name of this machine's time zone; empty if it is not told."""
    _, found, name = str(File("/etc/localtime").resolve()).partition("zoneinfo/")
    return name if found and name in available_timezones() else ""
