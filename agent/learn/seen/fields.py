"""What a payload states beside its values: time, quality, sequence number, asset, signal."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agent.learn.seen import shown
from agent.learn.seen.clock import Clock, clock_of, moment, times_in
from agent.learn.seen.columns import Column
from agent.learn.seen.quality_choice import choice
from models.input.codecs.paths import Path
from models.input.codecs.times import to_time_ns, zone_of
from models.input.topics import is_level

_ASSETS: Final = frozenset(
    [
        "asset",
        "assetid",
        "asset_id",
        "device",
        "devicename",
        "device_name",
        "deviceid",
        "device_id",
        "dev",
        "machine",
        "machineid",
        "machine_id",
        "machinename",
        "equipment",
        "equipmentid",
        "equipment_id",
        "unit_id",
        "node",
        "nodename",
        "thing",
        "thingid",
        "station",
        "pump",
        "motor",
        "source",
        "deviceuid",
    ]
)
_SIGNALS: Final = frozenset(
    [
        "tag",
        "tagname",
        "tag_name",
        "signal",
        "signalname",
        "signal_name",
        "variable",
        "variablename",
        "parameter",
        "metric",
        "name",
        "sensor",
        "sensorid",
        "sensor_id",
        "point",
        "pointname",
        "channel",
        "measurement",
        "key",
    ]
)
_NAMES: Final = frozenset(
    ["name", "serial", "serialnumber", "serial_number", "sn", "mac", "eui", "deveui", "host"]
)
ID: Final = re.compile(r"(?:.*_)?(?:id|uuid|guid)|.*[a-z](?:Id|ID)")
"""Keys such as id, MessageId and node_id: what stands there names something."""
_RECURS: Final = 3
"""How often a name of an asset is there, on average; the id of a message is there once."""
SEQUENCES: Final = frozenset(
    ["seq", "sequence", "sequencenumber", "seqno", "counter", "n", "msgid", "nr"]
)
_AHEAD_S: Final = 60.0  # the default of limits.max_future_s
_OLD_S: Final = 600.0
_HOURS_S: Final = 7_200.0
_DAYS_S: Final = 172_800.0


@dataclass(slots=True)
class Stated:
    """What was found, as it grows.

    Attributes:
        options: keys of the input, by name.
        notes: what a person should know or decide.
        used: paths that are no signals.
        times: topic, time of arrival and source time of messages, nanoseconds since 1970.
        assets: column of the asset; None where the payload names none.
    """

    options: dict[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    used: set[Path] = field(default_factory=set)
    times: list[tuple[str, int, int]] = field(default_factory=list)
    assets: Column | None = None


def stated(columns: Sequence[Column], most: int) -> Stated:
    """What payloads state.

    Args:
        columns: their values.
        most: number of the messages; a time that some of them lack is not taken.
    """
    found = Stated()
    _find_time(columns, most, found)
    _find_quality(columns, found)
    _find_asset(columns, found)
    if "timestamp" not in found.options:
        _find_sequence(columns, found)
    return found


def guess_asset(columns: Sequence[Column], found: Stated) -> None:
    """Take an id that recurs for the asset, where no key says that it is one.

    Without an asset readings of several machines would share one window.
    """
    ids = [
        one
        for one in sorted(columns, key=lambda column: len(column.path))
        if one.path not in found.used
        and (one.key.casefold() in _NAMES or ID.fullmatch(one.key))
        and _RECURS * len(set(map(str, one.values))) <= len(one.values)
    ]
    column = _varying(ids, frozenset(one.key.casefold() for one in ids))
    if found.assets is not None or column is None:
        return
    _take_asset(column, found)
    written = shown.two(shown.value(value) for value in column.values)
    found.notes.append(
        f"UNSURE: {shown.plain(column.text)} is one of a few names, such as {written}, on one "
        "topic: it is taken for the asset, so that each has windows of its own. Leave asset out if "
        "it names something else."
    )


def names_signal(columns: Sequence[Column]) -> Column | None:
    """The column that names the signal of each message; None where there is none."""
    return _varying(columns, _SIGNALS)


def _find_time(columns: Sequence[Column], most: int, found: Stated) -> None:
    clocks: list[tuple[Column, Clock]] = []
    for column in columns:
        clock = clock_of(column.key, column.timed) if column.timed else None
        if clock is not None:
            found.used.add(column.path)
            clocks.append((column, clock))
    whole = [one for one in clocks if len(one[0].timed) >= most]
    whole.sort(key=lambda one: (len(one[0].path), one[1].rank))
    if not whole:
        others = ", ".join(shown.plain(column.text) for column, _ in clocks[:3])
        found.notes.append(
            "No source time is in every message"
            + (f" ({others} is in some)" if others else "")
            + ": the time of arrival counts."
        )
        return
    column, clock = whole[0]
    found.options |= {"timestamp": column.text, "timestamp_unit": clock.unit}
    _tell_clock(column, clock, found)
    zone = zone_of(str(found.options.get("timezone", "UTC")))
    found.times = [
        (one.topic, one.at_ns, to_time_ns(one.value, clock.unit, zone))
        for one in column.found
        if one.value is not None
    ]
    if further := [shown.plain(other.text) for other, _ in whole[1:4]]:
        found.notes.append(f"Other times in the payload: {', '.join(further)}.")


def _tell_clock(column: Column, clock: Clock, found: Stated) -> None:
    written = shown.two(shown.value(value) for value in column.values[:8])
    if not clock.has_offset:
        if zone := clock.zone:
            found.options["timezone"] = zone
            found.notes.append(
                f"UNSURE: the times have no offset from UTC ({written}) and are "
                f"{clock.offset_s / 3600:+g} h from the time of arrival, so they are local: name "
                "the zone of the source, such as Europe/Berlin, for the sake of summer time."
            )
            return
        fits = abs(clock.ahead_s) < _OLD_S
        found.notes.append(
            f"{'' if fits else 'UNSURE: '}The times have no offset from UTC ({written}) and are "
            f"read as UTC{', which fits' if fits else ': this does not fit'} the time of arrival"
            f"{'.' if fits else '. Set timezone if they are local.'}"
        )
    if clock.ahead_s > _AHEAD_S:
        found.notes.append(
            f"The source's clock is {clock.ahead_s:.0f} s ahead of this machine's ({written}): the "
            "agent drops readings that are more than limits.max_future_s ahead. Set the clocks."
        )
    elif clock.ahead_s < -_OLD_S:
        times = times_in(column.timed[:1], clock.unit)
        at = moment(times[0][1]) if times else written
        found.notes.append(
            f"UNSURE: the times are {_span(-clock.ahead_s)} behind the time of arrival ({at}): a "
            "recording that is played, or a clock that was never set."
        )


def _span(seconds: float) -> str:
    if seconds < _HOURS_S:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < _DAYS_S else f"{seconds / 86_400:.0f} days"


def _find_quality(columns: Sequence[Column], found: Stated) -> None:
    qualities = []
    for column in columns:
        if column.path in found.used or not column.values:
            continue
        chosen = choice(column.key, column.values)
        if chosen is not None:
            found.used.add(column.path)
            qualities.append((len(column.path), column, chosen))
    if not qualities:
        return
    qualities.sort(key=lambda one: one[0])
    if len(qualities) > 1 and qualities[0][0] == qualities[1][0]:
        paths = ", ".join(shown.plain(one[1].text) for one in qualities[:3])
        found.notes.append(
            f"UNSURE: {len(qualities)} values look like a quality ({paths}), and an input has one "
            "path for it: none is taken, and every reading is GOOD."
        )
        return
    _, column, chosen = qualities[0]
    written = shown.two(shown.value(value) for value in column.values)
    if chosen.map:
        found.options |= {"quality": column.text, "quality_map": chosen.map}
        if chosen.doubt:
            found.notes.append(f"UNSURE: the quality is {chosen.doubt} ({written}).")
    else:
        found.notes.append(
            f"UNSURE: {shown.plain(column.text)} looks like a quality, with values such as "
            f"{written}, but {chosen.doubt}. It is not read, and every reading is GOOD, until you "
            f"add quality and quality_map (docs/topics.md, Qualities)."
        )


def _find_asset(columns: Sequence[Column], found: Stated) -> None:
    column = _varying([one for one in columns if one.path not in found.used], _ASSETS)
    if column is not None:
        _take_asset(column, found)


def _take_asset(column: Column, found: Stated) -> None:
    found.assets = column
    found.used.add(column.path)
    found.options["asset"] = column.text


def _find_sequence(columns: Sequence[Column], found: Stated) -> None:
    for column in columns:
        values = column.values
        if column.key.casefold() in SEQUENCES and len(values) > 1 and is_rising(values):
            found.used.add(column.path)
            found.options["sequence"] = column.text
            return


def is_rising(values: Sequence[Any]) -> bool:
    """Whether values are whole numbers that are all different, as a count of messages is."""
    return all(type(one) is int for one in values) and len(set(values)) == len(values)


def _varying(columns: Sequence[Column], keys: frozenset[str]) -> Column | None:
    """The column of names, by its key, that has different ones on one topic."""
    for column in columns:
        values = column.values
        if column.key.casefold() not in keys or len(values) < len(column.found):
            continue
        words = {one: str(one) for one in values if isinstance(one, str) or type(one) is int}
        if len(words) < len(set(map(str, values))) or not all(map(is_level, words.values())):
            continue
        by_topic: dict[str, set[str]] = {}
        for one in column.found:
            by_topic.setdefault(one.topic, set()).add(str(one.value))
        if any(len(names) > 1 for names in by_topic.values()):
            return column
    return None
