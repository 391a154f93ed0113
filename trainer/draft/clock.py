"""The time axis of recorded files: which column it is in, how it is written, and its step."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainer.draft.column import Column
from trainer.draft.naming import named
from trainer.draft.table import Table
from trainer.errors import DataError
from trainer.ingest.columns import Columns
from trainer.ingest.dates.formats import ISO_LOCAL, ISO_ZONED, PLAUSIBLE_YEARS, meant
from trainer.ingest.dates.timestamps import PLAIN, Timestamps
from trainer.ingest.numerals import DecimalMark
from trainer.recipe.time_section import UNIT_NS, TimeAxis

ORIGIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
_CLOCK: Final = re.compile(
    r"time|zeit|date|datum|stamp|uhr|\bts\b|moment|heure|fecha|hora", re.IGNORECASE
)
_CALLED: Final = re.compile(
    r"(date|datum|time|zeit|uhrzeit|zeitstempel|heure|fecha|hora)[_ ]?(time|stamp|utc|local)?",
    re.IGNORECASE,
)
"""What a column of times is called, and none of states is."""
_COUNTER: Final = re.compile(
    r"time|zeit|cycle|zyklus|hour|stunde|second|minute|X_Value|\bt(?:_m?s)?\b", re.IGNORECASE
)
_OF_DAY: Final = re.compile(r"\d{1,2}:\d\d(:\d\d)?([.,]\d+)?( ?[AaPp][Mm])?")
_ALIKE: Final = 0.5
_MOST_ALIKE: Final = 0.75
_STEADY: Final = 0.95
_FEW: Final = 20
_SHOWN: Final = 40
_CLASSES: Final = 50
_HOUR_NS: Final = 3600 * 10**9
_EPOCHS: Final = (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9))
_UNITS: Final = {
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "sekunden": "s",
    "hour": "h",
    "hours": "h",
    "stunden": "h",
    "std": "h",
    "minute": "min",
    "minutes": "min",
    "minuten": "min",
}


@dataclass(frozen=True)
class Clock:
    """The time axis.

    Attributes:
        axis: keys of `data.time`; None where rows are independent of each other.
        times_ns: time of each row, `[rows]`, or its number where no column has the time.
        columns: the columns that it is read from.
        behind: a short comment on it.
        doubts: sentences on what is unsure.
        counts: whether it counts from the begin of a run, not from a date.
        rejected: columns that look like the time, and cannot be used as it.
    """

    axis: Mapping[str, Any] | None
    times_ns: NDArray[np.int64]
    columns: tuple[str, ...] = ()
    behind: str = ""
    doubts: tuple[str, ...] = ()
    counts: bool = False
    rejected: tuple[str, ...] = ()


def clock_of(tables: Sequence[Table], columns: Mapping[str, Column], target: str | None) -> Clock:
    """Find the time axis, first among dates, then among counts, then in the order of the rows."""
    failed: list[str] = []
    called = [
        one.name
        for one in columns.values()
        if one.kind in ("text", "state") and one.name != target
        if _CALLED.fullmatch(named(one.name)[0]) and _is_numbered(tables, one.name)
    ]
    rejected = [*called]
    for found in _candidates(tables, columns):
        try:
            read = found if isinstance(found, Clock) else _dated(tables, found)
        except DataError as exc:
            failed.append(f"the times could not be used: {exc}")
            continue
        if _stands_still(read.times_ns, columns):
            failed.append(
                f"'{' '.join(read.columns)}' looks like the time, but nearly all rows share their "
                "time with the row before, as times do that a spreadsheet has rounded: it is not "
                "used, export it with all digits"
            )
            rejected += read.columns
            continue
        return replace(read, doubts=(*failed, *read.doubts), rejected=tuple(rejected))
    failed += [_unread(tables, name) for name in called if not _is_of_day(tables, name)]
    return replace(_by_order(tables, columns, target, failed), rejected=tuple(rejected))


def _is_numbered(tables: Sequence[Table], name: str) -> bool:
    """Whether most texts of a column have digits, as times do and states such as `night` not."""
    return bool(tables[0].frame[name].astype(str).str.contains(r"\d").mean() > _ALIKE)


def _unread(tables: Sequence[Table], name: str) -> str:
    text = next(filter(None, tables[0].frame[name].astype(str).str.strip()), "")
    return (
        f"'{name}' has the name of a time, but '{text[:_SHOWN]}' is not written like a date that "
        "is known here: say by data.time.format how it is written"
    )


def _candidates(
    tables: Sequence[Table], columns: Mapping[str, Column]
) -> Iterator[Clock | tuple[str, ...]]:
    dated = [one.name for one in columns.values() if one.kind == "time"]
    dated.sort(key=lambda name: _CLOCK.search(name) is None)
    of_day = [
        one.name
        for one in columns.values()
        if one.kind in ("text", "state") and _is_of_day(tables, one.name)
    ]
    for name in dated:
        if of_day and not tables[0].frame[name].astype(str).str.contains(":").iloc[0]:
            yield (name, of_day[0])
        yield (name,)
    yield from filter(None, map(_epoch, columns.values()))
    lengths = [len(table.frame) for table in tables]
    yield from filter(None, (_counter(one, lengths) for one in columns.values()))


def _is_of_day(tables: Sequence[Table], name: str) -> bool:
    first = tables[0].frame[name].astype(str).str.strip().head(_FEW)
    return bool(first.str.fullmatch(_OF_DAY.pattern).all())


def _dated(tables: Sequence[Table], names: tuple[str, ...]) -> Clock:
    """Read a column of dates; where day and month may be either, by the order of the rows.

    Raises:
        DataError: the texts are no dates in one form.
    """
    column: Any = names[0] if len(names) == 1 else list(names)
    stamps = Timestamps(TimeAxis(column=column))
    read: list[Mapping[str, NDArray[np.int64]]] = []
    for table in tables:
        wanted = table.frame[list(names)].copy()
        read.append(stamps.read(Columns(wanted, table.name, DecimalMark(None), [], {})))
    alive = [form for form in read[-1] if all(form in one for one in read)]
    if not alive:
        raise DataError(f"'{' '.join(names)}' is written in another way in each file")
    times = {form: np.concatenate([one[form] for one in read]) for form in alive}
    form, doubts = _form(times, " ".join(names))
    axis: dict[str, Any] = {"column": column}
    if form not in (PLAIN, ISO_LOCAL, ISO_ZONED) and "%b" not in form and "%B" not in form:
        axis["format"] = form
    zoned = getattr(tables[0].frame[names[0]].dtype, "tz", None) is not None
    if not zoned and form != ISO_ZONED and "%z" not in form:
        axis["zone"] = "UTC"
        doubts.append(_zone(times[form]))
    return Clock(
        axis, times[form], names, "ISO 8601" if "format" not in axis else "", tuple(doubts)
    )


def _form(times: Mapping[str, NDArray[np.int64]], name: str) -> tuple[str, list[str]]:
    """The form in which times go on, the one with the shorter span of several such forms.

    A doubt is told if others fit as well. Days of one month that are taken for months go on too,
    but over most of a year.
    """
    onward = {form: float(np.mean(np.diff(one) >= 0)) for form, one in times.items()}
    span = {form: int(np.ptp(one)) for form, one in times.items()}
    best = max(times, key=lambda form: (onward[form], -span[form]))
    others = [form for form in times if (times[form] != times[best]).any()]
    if not others:
        return best, []
    other = others[0]
    why = "though no row tells which is meant"
    if onward[best] > onward[other]:
        why = "because by it fewer rows go back in time"
    elif span[best] < span[other]:
        days = (round(span[form] / UNIT_NS["d"], 1) for form in (best, other))
        why = "because by it the rows are within {:g} days instead of {:g}".format(*days)
    said = (
        f"'{name}' can be read with the {meant(best)} or the {meant(other)}: the first is "
        f"taken, {why}"
    )
    return best, [said]


def _zone(times_ns: NDArray[np.int64]) -> str:
    back = np.diff(times_ns)
    back = back[back < 0]
    if len(back) and np.abs(back + _HOUR_NS).max() <= _HOUR_NS // 4:
        return (
            "times go back by an hour, as at the end of summer time: set zone to that of the "
            "clock, such as 'Europe/Berlin', so that both hours are told apart"
        )
    return "times name no zone and are taken as UTC: set zone to that of the clock"


def _epoch(column: Column) -> Clock | None:
    """A column of seconds or parts of them since 1970."""
    known = column.known
    if len(known) < 2 or column.missing or not _CLOCK.search(column.name):  # noqa: PLR2004  a step
        return None
    low, high = (
        datetime(year, 1, 1, tzinfo=UTC).timestamp()
        for year in (PLAUSIBLE_YEARS[0], PLAUSIBLE_YEARS[-1])
    )
    for unit, per_second in _EPOCHS:
        if low <= known.min() / per_second and known.max() / per_second <= high:
            times = _nanoseconds(known, UNIT_NS[unit])
            axis = {"column": column.name, "unit": unit}
            return Clock(axis, times, (column.name,), "counted since 1970")
    return None


def _counter(column: Column, lengths: Sequence[int]) -> Clock | None:
    """A column that counts from the begin of each run or file."""
    known = column.known
    if len(known) < _FEW or column.missing or column.distinct < 3:  # noqa: PLR2004  it must count
        return None
    begins = np.cumsum([0, *lengths[:-1]])
    steps = np.delete(np.diff(known), begins[1:] - 1)
    usual = float(np.median(steps))
    is_steady = usual > 0 and np.mean(np.isclose(steps, usual)) >= _STEADY
    restarts = np.isclose(known[1:][np.diff(known) < 0], known[0])
    is_run = len(restarts) > 0 and bool(restarts.all())
    rises = np.mean(steps > 0) >= _STEADY and (is_steady or is_run or bool((steps >= 0).all()))
    name, said = named(column.name)
    if not rises or not (_COUNTER.search(name) or (is_run and is_steady)):
        return None
    unit = _unit(column.unit or said or re.split(r"[_ .]", name)[-1])
    doubts = []
    if unit not in UNIT_NS:
        is_cycle = re.search("cycle|zyklus", name, re.IGNORECASE) or (is_run and name != "X_Value")
        unit = "h" if is_cycle else "s"
        doubts = [f"'{column.name}' counts, but its unit is not said: '{unit}' is a guess"]
    axis = {"column": column.name, "unit": unit, "origin": ORIGIN, "counter": True}
    times = _nanoseconds(known, UNIT_NS[unit])
    return Clock(axis, times, (column.name,), "a count", tuple(doubts), counts=True)


def _unit(text: str) -> str:
    """A unit of time as recipes write it, from what a header says, such as the end of `time_s`."""
    small = text.lower()
    return _UNITS.get(small, small if small in UNIT_NS else text)


def _nanoseconds(numbers: NDArray[np.float64], unit_ns: int) -> NDArray[np.int64]:
    whole = np.floor(numbers).astype(np.int64)
    return whole * unit_ns + np.round((numbers - whole) * unit_ns).astype(np.int64)


def _stands_still(times_ns: NDArray[np.int64], columns: Mapping[str, Column]) -> bool:
    """Whether nearly all rows share their time with the row before, and not as assets do."""
    if len(times_ns) <= _FEW or np.mean(np.diff(times_ns) == 0) < _STEADY:
        return False
    at_once = round(len(times_ns) / len(np.unique(times_ns)))
    return not any(one.distinct == at_once for one in columns.values())


def _by_order(
    tables: Sequence[Table],
    columns: Mapping[str, Column],
    target: str | None,
    failed: Sequence[str],
) -> Clock:
    """Take the rows for a series where neighbours are alike, otherwise as independent."""
    order = np.arange(sum(len(table.frame) for table in tables), dtype=np.int64)
    sorted_by = target is not None and _is_sorted(tables, target)
    alike = [
        _alike(one) for one in columns.values() if one.kind == "number" and one.distinct > _FEW
    ]
    if sorted_by or not alike or np.mean(np.array(alike) > _ALIKE) < _MOST_ALIKE:
        said = "no column is the time: every row is taken as independent of the others"
        return Clock(None, order, doubts=(*failed, said))
    axis = {"unit": "min"}
    said = (
        "no column is the time, but neighbouring rows are alike: the rows are taken in their "
        "order, a minute apart; correct unit and origin, or export the time"
    )
    return Clock(axis, order, (), "by the order of the rows", (*failed, said))


def _is_sorted(tables: Sequence[Table], target: str) -> bool:
    """Whether the rows are sorted by the target, as files with a class after the other are."""
    if target not in tables[0].frame:
        return False
    texts = np.concatenate([table.frame[target].astype(str).to_numpy() for table in tables])
    runs, classes = 1 + int((texts[1:] != texts[:-1]).sum()), len(np.unique(texts))
    return classes <= _CLASSES and runs <= classes * len(tables)


def _alike(column: Column) -> float:
    """The correlation of neighbouring rows."""
    known = column.known
    if len(known) < _FEW or np.ptp(known) == 0 or np.ptp(known[1:]) == 0 or np.ptp(known[:-1]) == 0:
        return 0.0
    return float(np.corrcoef(known[:-1], known[1:])[0, 1])
