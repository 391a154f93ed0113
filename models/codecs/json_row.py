"""Dialect `json`: one message carries the signals of one moment, at any depth of nesting.

    {"ts": 1760000000000, "hydraulics": {"pressure": 4.2, "flow": 31.5}, "q": "GOOD"}

Paths are dotted (`hydraulics.pressure`) and compiled when the pipeline is bound.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from models.codecs.document import parse
from models.codecs.reading import (
    NS_PER_UNIT,
    Reading,
    TimeUnit,
    at_path,
    to_number,
    to_position,
    to_quality,
    to_time_ns,
)
from models.errors import DecodeError
from models.quality import Quality

_NUMBERS = {float, int}  # orjson makes finite ones only


@dataclass(frozen=True, slots=True)
class Fields:
    """Where time, quality and position stand in a payload; empty paths are not looked for."""

    timestamp: str = ""
    timestamp_unit: TimeUnit = "ms"
    quality: str = ""
    sequence: str = ""


class JsonRow:
    """Decoder of JSON rows.

    Args:
        paths: dotted path of every bound channel, in the order in which values are wanted.
        fields: where time, quality and position are.
    """

    def __init__(self, paths: Sequence[str], fields: Fields) -> None:
        self._paths = [path.split(".") for path in paths]
        is_flat = all(len(path) == 1 for path in (*self._paths, fields.timestamp.split(".")))
        is_bare = not (fields.quality or fields.sequence or fields.timestamp_unit == "iso8601")
        self._plain = _getter(paths) if is_flat and is_bare else None
        self._time_key = fields.timestamp
        self._time = fields.timestamp.split(".") if fields.timestamp else None
        self._unit = fields.timestamp_unit
        self._factor = NS_PER_UNIT.get(fields.timestamp_unit, 0)
        self._quality = fields.quality.split(".") if fields.quality else None
        self._sequence = fields.sequence.split(".") if fields.sequence else None

    def __call__(self, payload: bytes) -> Sequence[Reading]:
        """Decode one row.

        Raises:
            DecodeError: see `parse`, `to_number`, `to_time_ns`, `to_quality`, `to_position`;
                `not_an_object`; `no_signal` if none of the bound paths is there.
        """
        document = parse(payload)
        if not isinstance(document, dict):
            raise DecodeError("not_an_object")
        return (self.row(document),)

    def row(self, document: dict[str, Any]) -> Reading:
        """The reading in a parsed document."""
        if self._plain is not None:
            # Nearly every row is one of numbers alone, all at the top of the document.
            try:
                found, at = self._plain(document), document.get(self._time_key)
            except KeyError:
                found, at = (), None
            if found and _NUMBERS.issuperset(map(type, found)):
                if type(at) is int and self._factor:
                    return Reading(at * self._factor, found)
                if self._time is None:
                    return Reading(None, found)
        values = self._values(document)
        time_ns = None
        if self._time is not None:
            time_ns = to_time_ns(at_path(document, self._time), self._unit)
        quality = Quality.GOOD
        if self._quality is not None:
            quality = to_quality(at_path(document, self._quality))
        position = ""
        if self._sequence is not None:
            position = to_position(at_path(document, self._sequence))
        return Reading(time_ns, values, quality, position)

    def reports(self, document: dict[str, Any]) -> bool:
        """Whether any bound path is there: a null says that the source has no value now."""
        parents = ((at_path(document, path[:-1]), path[-1]) for path in self._paths)
        return any(isinstance(parent, dict) and key in parent for parent, key in parents)

    def _values(self, document: dict[str, Any]) -> Sequence[float]:
        found = [at_path(document, path) for path in self._paths]
        values = tuple(to_number(value) for value in found)
        if all(value is None for value in found) and not self.reports(document):
            raise DecodeError("no_signal")
        return values


def _getter(keys: Sequence[str]) -> Callable[[dict[str, Any]], Sequence[Any]]:
    """What `itemgetter` is, of a single key too."""
    if len(keys) > 1:
        return itemgetter(*keys)
    (key,) = keys
    return lambda document: (document[key],)
