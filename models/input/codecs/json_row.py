"""Payload format `json`: one message carries the signals of one moment, at any depth of nesting.

    {"ts": 1760000000000, "hydraulics": {"pressure": 4.2, "flow": 31.5}, "q": "GOOD"}

A signal is found by its path (`hydraulics.pressure`, see `paths`). Paths are compiled when a model
is activated, not for every message.
"""

from collections.abc import Callable, Sequence
from math import isfinite, isnan
from operator import itemgetter
from typing import Any

from models.errors import DecodeError
from models.input.codecs.document import Parse, parse_message
from models.input.codecs.paths import Finder, finder, single, top_key
from models.input.codecs.reading import Fields, FieldsReader, Reading
from models.input.codecs.times import NS_PER_UNIT
from models.input.codecs.values import (
    MISSING,
    Unread,
    ValueReader,
    to_lenient_number,
    to_number,
)

_ABSENT = object()
_NUMBERS = {float, int}  # all that orjson returns of these is finite, see `parse_message`
_NUMBERS_AND_TRUTH = {*_NUMBERS, bool}


class JsonRowDecoder:
    """Decoder of JSON rows.

    Args:
        paths: path of each bound signal, in the order in which values are wanted.
        fields: where the payload has its time, quality and sequence number.
        readers: what reads the value of each signal; if omitted, each is a number.
        parse: turns a payload into its document; if omitted, the payload is JSON text.
    """

    def __init__(
        self,
        paths: Sequence[str],
        fields: Fields,
        readers: Sequence[ValueReader] = (),
        parse: Parse = parse_message,
    ) -> None:
        self._parse = parse
        parsed = [single(path) for path in paths]
        self._finders = [finder(path) for path in parsed]
        self._readers = readers or [to_number] * len(paths)
        has_list = any(type(path[0]) is not str for path in parsed)
        self._kinds = (dict, list) if has_list else (dict,)
        self._time_key = top_key(single(fields.timestamp)) if fields.timestamp else ""
        keys = [key for key in map(top_key, parsed) if key]
        is_flat = len(keys) == len(parsed) and bool(self._time_key) == bool(fields.timestamp)
        is_bare = not (fields.quality or fields.sequence or fields.timestamp_unit == "iso8601")
        is_numeric = {to_number, to_lenient_number}.issuperset(self._readers)
        self._plain = _getter(keys) if is_flat and is_bare and is_numeric else None
        if self._plain is not None and parse is not parse_message:
            self._plain = _finite(self._plain)
        self._factor = NS_PER_UNIT.get(fields.timestamp_unit, 0)
        self._fields = FieldsReader(fields)

    def __call__(self, payload: bytes) -> Sequence[Reading]:
        """The one reading of a payload.

        Raises:
            DecodeError: see the parser, `FieldsReader`; `not_an_object`; `no_signal` if the
                document has none of the paths; the reason of the first signal, if the value of none
                can be read.
        """
        document = self._parse(payload)
        if not isinstance(document, self._kinds):
            raise DecodeError("not_an_object")
        return (self.row(document),)

    def row(self, document: Any) -> Reading:  # noqa: ANN401  any JSON value
        """The reading in a parsed document.

        Raises:
            DecodeError: as for a payload, except what concerns JSON itself.
        """
        if self._plain is not None and type(document) is dict:
            # Nearly every row has nothing but numbers, all at the top of the document. Reading such
            # a row this way takes a fraction of the time; any other falls through to the full way.
            try:
                found = self._plain(document)
                at = document.get(self._time_key) if self._time_key else None
            except KeyError:
                found, at = (), None
            if not _NUMBERS.issuperset(map(type, found)):
                is_plain = _NUMBERS_AND_TRUTH.issuperset(map(type, found))
                found = tuple(map(float, found)) if is_plain else ()
            if found:
                if type(at) is int and self._factor:
                    return Reading(at * self._factor, found)
                if not self._time_key:
                    return Reading(None, found)
        values, unread = self._values(document)
        time_ns, quality, position = self._fields(document)
        return Reading(time_ns, values, quality, position, unread)

    def reports(self, document: object) -> bool:
        """Whether the document has any of the paths, if only with null: no value at the moment."""
        return any(_is_there(find, document) for find in self._finders)

    def _values(self, document: object) -> tuple[Sequence[float], Sequence[Unread]]:
        """The numbers of a row; what cannot be read is missing, and does not cost the others."""
        values, unread = [], []
        for index, (find, read) in enumerate(zip(self._finders, self._readers, strict=True)):
            try:
                values.append(read(find(document)))
            except DecodeError as exc:
                values.append(MISSING)
                unread.append(Unread(index, exc.reason, exc.word))
        if all(map(isnan, values)):
            if not unread and not self.reports(document):
                raise DecodeError("no_signal")
            if unread and not any(one.word for one in unread):
                raise DecodeError(unread[0].reason)
        return tuple(values), tuple(unread)


def _is_there(find: Finder, document: object) -> bool:
    try:
        return find(document, _ABSENT) is not _ABSENT
    except DecodeError:  # it is, and cannot be read
        return True


def _getter(keys: Sequence[str]) -> Callable[[dict[str, Any]], Sequence[Any]]:
    """`itemgetter` that returns a tuple for a single key too."""
    if len(keys) > 1:
        return itemgetter(*keys)
    (key,) = keys
    return lambda document: (document[key],)


def _finite(get: Callable[[dict[str, Any]], Sequence[Any]]) -> Callable[..., Sequence[Any]]:
    """As `get`, but nothing is found where a number is NaN or infinite, which JSON cannot write."""

    def find(document: dict[str, Any]) -> Sequence[Any]:
        found = get(document)
        floats = [value for value in found if type(value) is float]
        return found if all(map(isfinite, floats)) else ()

    return find
