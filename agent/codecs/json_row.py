"""Dialect `json`: one message carries the signals of one moment, at any depth of nesting.

    {"ts": 1760000000000, "hydraulics": {"pressure": 4.2, "flow": 31.5}, "q": "GOOD"}

Paths are dotted (`hydraulics.pressure`) and compiled when the pipeline is bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from agent.codecs.document import parse
from agent.codecs.reading import (
    NS_PER_UNIT,
    Reading,
    TimeUnit,
    at_path,
    to_number,
    to_position,
    to_quality,
    to_time_ns,
)
from agent.errors import DecodeError
from models.quality import Quality


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
        self._flat = (
            itemgetter(*paths)
            if len(paths) > 1 and all(len(path) == 1 for path in self._paths)
            else None
        )
        self._only = paths[0] if len(paths) == 1 and len(self._paths[0]) == 1 else None
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
        values = self._values(document)
        time_ns = None
        if self._time is not None:
            at = at_path(document, self._time)
            # Most are whole numbers, and a call would cost more than the product.
            whole = type(at) is int and self._factor
            time_ns = at * self._factor if whole else to_time_ns(at, self._unit)
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
        if self._only is not None and type(only := document.get(self._only)) is float:
            return [only]
        if self._flat is not None:
            try:
                found: Sequence[Any] = self._flat(document)
            except KeyError:
                found = [at_path(document, path) for path in self._paths]
        else:
            found = [at_path(document, path) for path in self._paths]
        # Inside a float anything is finite already: orjson refuses what overflows.
        if set(map(type, found)) == {float}:
            return found
        values = [to_number(value) for value in found]
        if all(value is None for value in found) and not self.reports(document):
            raise DecodeError("no_signal")
        return values
