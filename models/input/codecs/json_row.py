"""Payload format `json`: one message carries the signals of one moment, at any depth of nesting.

    {"ts": 1760000000000, "hydraulics": {"pressure": 4.2, "flow": 31.5}, "q": "GOOD"}

A signal is found by its path (`hydraulics.pressure`, see `paths`). Paths are compiled when a model
is activated, not for every message.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from models.errors import DecodeError
from models.input.codecs.document import parse
from models.input.codecs.paths import finder, single, top_key
from models.input.codecs.reading import (
    NS_PER_UNIT,
    Fields,
    FieldsReader,
    Reading,
    to_number,
)

_ABSENT = object()
_NUMBERS = {float, int}  # all that orjson returns of these is finite


class JsonRowDecoder:
    """Decoder of JSON rows.

    Args:
        paths: path of each bound signal, in the order in which values are wanted.
        fields: where the payload has its time, quality and sequence number.
    """

    def __init__(self, paths: Sequence[str], fields: Fields) -> None:
        parsed = [single(path) for path in paths]
        self._finders = [finder(path) for path in parsed]
        self._kinds = {dict, list} if any(type(path[0]) is not str for path in parsed) else {dict}
        self._time_key = top_key(single(fields.timestamp)) if fields.timestamp else ""
        keys = [key for key in map(top_key, parsed) if key]
        is_flat = len(keys) == len(parsed) and bool(self._time_key) == bool(fields.timestamp)
        is_bare = not (fields.quality or fields.sequence or fields.timestamp_unit == "iso8601")
        self._plain = _getter(keys) if is_flat and is_bare else None
        self._factor = NS_PER_UNIT.get(fields.timestamp_unit, 0)
        self._fields = FieldsReader(fields)

    def __call__(self, payload: bytes) -> Sequence[Reading]:
        """The one reading of a payload.

        Raises:
            DecodeError: see `parse`, `to_number`, `FieldsReader`; `not_an_object`;
                `no_signal` if the document has none of the paths.
        """
        document = parse(payload)
        if type(document) not in self._kinds:
            raise DecodeError("not_an_object")
        return (self.row(document),)

    def row(self, document: dict[str, Any]) -> Reading:
        """The reading in a parsed document.

        Raises:
            DecodeError: as for a payload, except what concerns JSON itself.
        """
        if self._plain is not None:
            # Nearly every row has nothing but numbers, all at the top of the document. Reading such
            # a row this way takes a fraction of the time; any other falls through to the full way.
            try:
                found, at = self._plain(document), document.get(self._time_key)
            except KeyError:
                found, at = (), None
            if found and _NUMBERS.issuperset(map(type, found)):
                if type(at) is int and self._factor:
                    return Reading(at * self._factor, found)
                if not self._time_key:
                    return Reading(None, found)
        values = self._values(document)
        time_ns, quality, position = self._fields(document)
        return Reading(time_ns, values, quality, position)

    def reports(self, document: dict[str, Any]) -> bool:
        """Whether the document has any of the paths, if only with null: no value at the moment."""
        return any(find(document, _ABSENT) is not _ABSENT for find in self._finders)

    def _values(self, document: dict[str, Any]) -> Sequence[float]:
        found = [find(document) for find in self._finders]
        values = tuple(to_number(value) for value in found)
        if all(value is None for value in found) and not self.reports(document):
            raise DecodeError("no_signal")
        return values


def _getter(keys: Sequence[str]) -> Callable[[dict[str, Any]], Sequence[Any]]:
    """`itemgetter` that returns a tuple for a single key too."""
    if len(keys) > 1:
        return itemgetter(*keys)
    (key,) = keys
    return lambda document: (document[key],)
