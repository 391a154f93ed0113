"""InfluxDB's line protocol, as metrics in the form in which Telegraf writes them as JSON.

    pumps,host=gw1 pressure=4.2,running=t,count=3i 1760000000000000000

is read as

    {"name": "pumps", "tags": {"host": "gw1"},
     "fields": {"pressure": 4.2, "running": true, "count": 3}, "timestamp": 1760000000000000000}

A backslash takes a comma, a blank or an equals sign for text, and in a quoted text a quote and a
backslash. See https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from models.errors import DecodeError

# The quantifiers are possessive: no line makes the search read a part of it twice.
_KEY: Final = r"(?:[^,= \\]|\\[,= ]?)++"
_NUMBER: Final = r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
_VALUE: Final = (
    rf'(?:"((?:[^"\\]|\\.)*+)"|({_NUMBER})|(-?[0-9]{{1,19}}(?=i)|[0-9]{{1,20}}(?=u))[iu]'
    r"|(t(?:rue)?|T(?:rue|RUE)?|f(?:alse)?|F(?:alse|ALSE)?))(?=[, ]|\Z)"
)
_UNGROUPED: Final = re.sub(r"(?<!\\)\((?!\?)", "(?:", _VALUE)
_LINE: Final = re.compile(
    rf"((?:[^, \\]|\\[,= ]?)++)((?:,{_KEY}={_KEY})*+) ++"
    rf"({_KEY}={_UNGROUPED}(?:,{_KEY}={_UNGROUPED})*+)(?: ++(-?[0-9]{{1,19}}))?"
)
_TAG: Final = re.compile(rf",({_KEY})=({_KEY})")
_FIELD: Final = re.compile(rf"({_KEY})={_VALUE}")
_ESCAPED: Final = re.compile(r"\\([,= ])")
_ESCAPED_IN_QUOTES: Final = re.compile(r'\\(["\\])')


def metrics(payload: bytes) -> tuple[Sequence[Mapping[str, Any]], str]:
    """The metric of each line, and the reason for which a line was refused; empty if none was.

    Raises:
        DecodeError: `empty`; `not_line_protocol` if it is no UTF-8.
    """
    if not payload:
        raise DecodeError("empty")
    try:
        text = payload.decode()
    except UnicodeDecodeError as exc:
        raise DecodeError("not_line_protocol") from exc
    found, refused = [], ""
    for line in text.split("\n"):
        written = line.strip(" \r")
        if not written or written.startswith("#"):
            continue
        try:
            found.append(_metric(written))
        except DecodeError as exc:
            refused = exc.reason
    return found, refused


def _metric(line: str) -> Mapping[str, Any]:
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise DecodeError("not_line_protocol")
    name, tags, fields, time = parts.groups()
    is_escaped = "\\" in line
    return {
        "name": _plain(name) if is_escaped else name,
        "tags": _unique((key, _plain(value)) for key, value in _TAG.findall(tags)),
        "fields": _unique(_fields(fields)),
        "timestamp": None if time is None else int(time),
    }


def _unique(pairs: Iterable[tuple[str, Any]]) -> Mapping[str, Any]:
    """An object, as of JSON; a line with a key that stands twice is refused."""
    given = [(_plain(key), value) for key, value in pairs]
    found = dict(given)
    if len(found) < len(given):
        raise DecodeError("duplicate_key")
    return found


def _fields(text: str) -> Iterator[tuple[str, Any]]:
    for key, quoted, number, whole, truth in _FIELD.findall(text):
        if number:
            yield key, float(number)
        elif whole:
            yield key, int(whole)
        elif truth:
            yield key, truth[0] in "tT"
        else:
            yield key, _ESCAPED_IN_QUOTES.sub(r"\1", quoted)


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text
