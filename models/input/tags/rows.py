"""Gathers the tags of a message to readings: those of one asset, time and quality are one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from models.errors import DecodeError
from models.input.codecs.reading import Reading
from models.input.codecs.values import Unread
from models.input.quality import Quality

MAX_TAGS: Final = 10_000
"""Most tags of a payload: they bound how long one message keeps the hot thread from all others."""


class Tagged(NamedTuple):
    """A reading of some of the bound signals.

    Attributes:
        asset: the asset that the payload names; empty where it names none.
        places: which of the bound signals the values are of, ascending.
        reading: time, values and quality.
    """

    asset: str
    places: tuple[int, ...]
    reading: Reading


class Found(NamedTuple):
    """What a payload has.

    Attributes:
        readings: the readings, oldest first, those without a time last.
        refused: code of the reason for which a tag cannot be used; empty if all can.
    """

    readings: Sequence[Tagged]
    refused: str = ""


Find = Callable[[bytes], Found]
"""Finds the readings of a payload that names its assets or its signals. Raises DecodeError."""


class Key(NamedTuple):
    """What the tags of one reading have in common.

    Attributes:
        asset: the asset that the payload names; empty where it names none.
        time_ns: source time, nanoseconds since 1970; None where the payload has none.
        quality: the quality that the source states.
        position: the source's sequence number as text; empty where it has none.
    """

    asset: str
    time_ns: int | None
    quality: Quality
    position: str


class _Row:
    __slots__ = ("unread", "values")

    def __init__(self) -> None:
        self.values: dict[int, float] = {}
        self.unread: list[Unread] = []


class Rows:
    """Gathers the tags of one message.

    Args:
        width: how many signals are bound.

    Attributes:
        asset: the asset of the tags that are added, where they do not name one.
        seen: how many tags were looked at, also those that no signal is bound to.
        refused: code of the reason for which the last tag that was refused cannot be used.
        is_idle: whether a part of the message was of a type that carries no tags.
    """

    def __init__(self, width: int) -> None:
        self.is_idle = False
        self.asset = ""
        self.seen = 0
        self.refused = ""
        self._width = width
        self._whole: list[Tagged] = []
        self._rows: dict[Key, list[_Row]] = {}
        self._key: Key | None = None
        self._row = _Row()

    def saw(self, count: int) -> None:
        """Count tags before they are looked at.

        Raises:
            DecodeError: `too_many_entries` beyond `MAX_TAGS`.
        """
        self.seen += count
        if self.seen > MAX_TAGS:
            raise DecodeError("too_many_entries")

    def add(self, key: Key, place: int, value: float, unread: Unread | None = None) -> None:
        """Add a tag. One that is there twice for the same time begins another reading."""
        if key != self._key:
            self._key = key
            rows = self._rows.setdefault(key, [])
            if not rows:
                rows.append(_Row())
            self._row = rows[-1]
        if place in self._row.values:
            self._row = _Row()
            self._rows[key].append(self._row)
        self._row.values[place] = value
        if unread is not None:
            self._row.unread.append(unread)

    def add_row(self, key: Key, values: Mapping[int, float]) -> None:
        """Add several tags, by their places, as `add` would one by one.

        One that is there already for the same time begins another reading with all of them.
        """
        rows = self._rows.setdefault(key, [])
        if not rows or not rows[-1].values.keys().isdisjoint(values):
            rows.append(_Row())
        rows[-1].values.update(values)
        self._key = None

    def add_all(self, key: Key, places: tuple[int, ...], values: tuple[float, ...]) -> None:
        """Add tags that are a reading as they are.

        Args:
            key: what they have in common.
            places: their places, ascending.
            values: a value for each of them.
        """
        reading = Reading(key.time_ns, values, key.quality, key.position)
        self._whole.append(Tagged(key.asset, places, reading))

    def readings(self) -> list[Tagged]:
        """The readings, oldest first, those without a time last."""
        found = [*self._whole, *self._readings()]
        return sorted(found, key=_order) if len(found) > 1 else found

    def _readings(self) -> Iterator[Tagged]:
        for (asset, time_ns, quality, position), rows in self._rows.items():
            for row in rows:
                places = tuple(sorted(row.values))
                values = tuple(map(row.values.__getitem__, places))
                unread = [one._replace(place=places.index(one.place)) for one in row.unread]
                yield Tagged(asset, places, Reading(time_ns, values, quality, position, unread))


def _order(tagged: Tagged) -> tuple[bool, int, int]:
    # The worst quality first: the sample that the others complete then knows what is bad.
    at_ns = tagged.reading.time_ns
    return at_ns is None, at_ns or 0, -tagged.reading.quality
