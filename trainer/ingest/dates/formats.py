"""The common ways to write a date, as a short list of formats of strptime."""

import re
from datetime import UTC, datetime, timedelta

from trainer.ingest.dates.words import remedy_for_word

ISO_LOCAL = "ISO 8601"
ISO_ZONED = "ISO 8601 with a time zone"
OFFSET = r":.*(?:Z|[+-]\d\d:?\d\d)$"
"""The end of a time that names its time zone, as a regular expression."""
ISO_SHAPE = (
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d(?::?\d\d(?::?\d\d(?:\.\d+)?)?)?(?: ?(?:Z|[+-]\d\d(?::?\d\d)?))?)?"
)

_TIME = (
    r"(?:(?P<gap> +|T|_|:|, ?)\d{1,2}:\d\d(?P<second>:\d\d)?(?:(?P<mark>[.,])\d{1,9})?"
    r"(?P<half> ?[AaPp][Mm])?(?P<zone> ?(?:Z|[+-]\d\d:?\d\d))?)?"
)
# A time of day without colons, as in names of files; so it has two digits each.
_TIME_IN_NAME = (
    r"(?P<gap> +|T|[-_.])\d\d(?P<colon>[-_.])\d\d"
    r"(?P<second>(?P=colon)\d\d(?:(?P<mark>[.,])\d{1,9})?)?"
)
_JOINED = (
    r"\d{8}(?P<gap>[T_-]| +)\d{4}(?P<second>\d\d(?:(?P<mark>[.,])\d{1,9})?)?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?"
)
_NUMBERS = r"(?P<one>\d{1,4})(?P<sep>[./_-])\d{1,2}(?P=sep)(?P<three>\d{1,4})"
_MONTH = r"[^\W\d_]{3,12}"
_DAY_MONTH = rf"\d{{1,2}}(?P<sep>[-/. ]){_MONTH}(?P=sep)(?P<three>\d{{4}}|\d\d)"
_MONTH_DAY = rf"{_MONTH} \d{{1,2}}(?P<sep>,? )\d{{4}}"
_NUMBER = r"[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?"
_COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_SPREADSHEET_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLAUSIBLE_YEARS = range(1990, 2101)


def formats_of(text: str) -> tuple[str, ...]:
    """The formats by which a text may be a date; their order says nothing about likelihood."""
    if re.fullmatch(ISO_SHAPE, text):
        return (ISO_ZONED if re.search(OFFSET, text) else ISO_LOCAL,)
    for shape, dates in ((_NUMBERS, _numbers), (_DAY_MONTH, _day_month), (_MONTH_DAY, _month_day)):
        if found := re.fullmatch(shape + _TIME, text):
            return tuple(date + _time(found) for date in dates(found))
    if found := re.fullmatch(_NUMBERS + _TIME_IN_NAME, text):
        return tuple(date + _time_in_name(found, found["colon"]) for date in _numbers(found))
    if found := re.fullmatch(_JOINED, text):
        return (f"%Y%m%d{_time_in_name(found, '')}{'%z' if found['zone'] else ''}",)
    return ()


def meant(date_format: str) -> str:
    """What a format puts first, in words: day, month or year."""
    first = re.match(r"%([dmbBYy])", date_format)
    names = {"d": "day", "m": "month", "b": "month", "B": "month", "Y": "year", "y": "year"}
    return f"{names[first[1]]} first" if first else date_format


def remedy_for(text: str) -> str:
    """What to do about a text that is not a date in any known format."""
    if not text:
        return "every row needs its time"
    if re.fullmatch(_NUMBER, text):
        return _remedy_for_number(text)
    if said := remedy_for_word(text):
        return said
    if (named := re.fullmatch(r"(.*\d) ([A-Z]{2,5})", text)) and (forms := formats_of(named[1])):
        form = "%Y-%m-%d %H:%M:%S" if forms[0] == ISO_LOCAL else forms[0]
        return (
            f"it ends with the name of a time zone: set data.time.format = '{form} {named[2]}', if "
            f"that is the form of the rest, and data.time.zone to what {named[2]} means, such as "
            "'UTC' or 'Etc/GMT-1'"
        )
    return (
        "not ISO 8601, nor a date in a form that is known; say how it is written, such as "
        "data.time.format = '%d.%m.%Y %H:%M:%S'"
    )


def _remedy_for_number(text: str) -> str:
    number = float(text.replace(",", "."))
    ways = [way] if (way := ways_to_count(text)) else []
    if moment := _since(_SPREADSHEET_EPOCH, number * 86_400):
        ways.append(f"unit = 'd' with origin = 1899-12-30T00:00:00Z as {moment}")
    if (compact := _COMPACT.get(len(text))) and text.isdecimal():
        ways.append(f"format = '{compact}' as digits of a date")
    shown = f": {', '.join(ways)}" if ways else ""
    return f"a number; set data.time.unit or data.time.format{shown}"


def ways_to_count(text: str) -> str:
    """The units in which a number, counted since 1970, is a plausible time; "" if there is none."""
    if not re.fullmatch(_NUMBER, text.strip()):
        return ""
    number, ways = float(text.replace(",", ".")), []
    for unit, per_second in (("s", 1), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)):
        if moment := _since(UNIX_EPOCH, number / per_second):
            ways.append(f"unit = '{unit}' reads it as {moment}")
    return ", ".join(ways)


def _since(origin: datetime, seconds: float) -> str | None:
    """The time so many seconds after `origin`; None if no plant can have recorded it."""
    try:
        moment = origin + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None
    if moment.year not in PLAUSIBLE_YEARS:
        return None
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _numbers(found: re.Match[str]) -> tuple[str, ...]:
    sep, year = found["sep"], "%Y" if len(found["three"]) > 2 else "%y"  # noqa: PLR2004  digits
    if len(found["one"]) > 2:  # noqa: PLR2004  digits
        return (f"%Y{sep}%m{sep}%d",)
    orders = [f"%d{sep}%m{sep}{year}", f"%m{sep}%d{sep}{year}"]
    return (*orders, f"%y{sep}%m{sep}%d") if year == "%y" else tuple(orders)


def _day_month(found: re.Match[str]) -> tuple[str, ...]:
    sep, year = found["sep"], "%Y" if len(found["three"]) > 2 else "%y"  # noqa: PLR2004  digits
    return f"%d{sep}%b{sep}{year}", f"%d{sep}%B{sep}{year}"


def _month_day(found: re.Match[str]) -> tuple[str, ...]:
    return f"%b %d{found['sep']}%Y", f"%B %d{found['sep']}%Y"


def _time(found: re.Match[str]) -> str:
    """The format of the time of day that follows the date."""
    if found["gap"] is None:
        return ""
    half = found["half"] or ""
    return "".join(
        (
            " " if found["gap"].isspace() else found["gap"],
            "%I:%M" if half else "%H:%M",
            ":%S" if found["second"] else "",
            f"{found['mark']}%f" if found["mark"] else "",
            half[:-2] + "%p" if half else "",
            found["zone"].rstrip("Z+-:0123456789") + "%z" if found["zone"] else "",
        )
    )


def _time_in_name(found: re.Match[str], colon: str) -> str:
    """The format of a time of day whose parts stand apart by `colon`, or not at all."""
    gap = " " if found["gap"].isspace() else found["gap"]
    second = f"{colon}%S" if found["second"] else ""
    return f"{gap}%H{colon}%M{second}" + (f"{found['mark']}%f" if found["mark"] else "")
