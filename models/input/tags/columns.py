"""Reads a list of tags column by column, which takes a third of the time that tag by tag does.

It is for the list that gateways nearly always send: every tag has the same keys, the same time and
the same quality, and a number for a value. Any other list is left to `Form`, which gives the same
readings.
"""

from collections.abc import Callable, Collection, Sequence
from math import isfinite
from operator import itemgetter
from typing import Any, Final, NamedTuple

from models.errors import DecodeError
from models.input.codecs.paths import single, top_key
from models.input.tags.identity import Identity
from models.input.tags.layout import Layout

MAX_SHAPES: Final = 1_000
"""Sequences of names for which it is remembered which tags are bound."""
NUMBERS: Final = frozenset({float, int, bool})
"""The types that JSON's numbers, true and false are read as."""
_PLAIN: Final = {float, int, bool, str}


def is_plain(values: Collection[Any]) -> bool:
    """Whether values are numbers, true or false, and none is NaN or infinite.

    JSON has no such number, other encodings have.
    """
    return NUMBERS.issuperset(map(type, values)) and all(map(isfinite, values))


class Part(NamedTuple):
    """Tags of one asset.

    Attributes:
        asset: the asset; empty where the names of the tags have none.
        places: which of the bound signals they are of, ascending.
        values: their values, each a number.
    """

    asset: str
    places: tuple[int, ...]
    values: tuple[float, ...]


class Column(NamedTuple):
    """Tags that have the same time and quality.

    Attributes:
        parts: the tags of each asset.
        time: the time that they state; None where they state none.
        quality: the quality that they state; None where they state none.
    """

    parts: Sequence[Part]
    time: object
    quality: object


_Shape = Sequence[tuple[str, tuple[int, ...], Callable[[Any], tuple[Any, ...]]]]
"""Of each asset in a list of tags: its name, the places of its tags, what picks their values."""


class Columns:
    """Reads lists of tags.

    Args:
        layout: where a tag has its name, value, time and quality.
        identity: which asset and signal a tag is of, by its name.
    """

    def __init__(self, layout: Layout, identity: Identity) -> None:
        self._identity = identity
        self._is_keyed = not layout.name
        self._has_time = bool(layout.timestamp)
        # Tags by their keys, as OPC UA has them, state a quality only where it is not good.
        self._has_quality = bool(layout.quality) and not self._is_keyed
        stated = [layout.timestamp] * self._has_time + [layout.quality] * self._has_quality
        paths = [layout.value, *stated] if self._is_keyed else [layout.name, layout.value, *stated]
        keys = [_key(path) for path in paths]
        self._row: Callable[[Any], Sequence[Any]] | None = None
        if all(keys) and len(keys) > 1:
            self._row = itemgetter(*keys)
        self._width = len(keys)
        self._last: tuple[Sequence[object], _Shape] = ((), ())
        self._shapes: dict[Sequence[object], _Shape] = {}

    def read(self, items: object) -> Column | None:
        """The column of a list; None if it has to be read tag by tag."""
        split = self._split(items)
        if split is None:
            return None
        names, values, *stated = split
        try:
            if names != self._last[0]:  # nearly always they are those of the list before
                self._last = names, self._remembered(names)
        except TypeError:
            return None  # a tag has no text for a name
        shape = self._last[1]
        if not shape or not all(map(_is_constant, stated)):
            return None
        parts = [Part(asset, places, pick(values)) for asset, places, pick in shape]
        if not all(is_plain(part.values) for part in parts):
            return None
        given = [column[0] for column in stated]
        time = given.pop(0) if self._has_time else None
        return Column(parts, time, given.pop() if self._has_quality else None)

    def _split(self, items: object) -> Sequence[Sequence[Any]] | None:
        """Names, values and what is stated of all tags; None if they have not the same keys."""
        if self._row is None or not items:
            return None
        try:
            if type(items) is list and not self._is_keyed:
                # Another type has a key twice or an infinite number, see `parse_message`.
                is_plain = type(items[0]) is dict
                return list(zip(*map(self._row, items), strict=True)) if is_plain else None
            if type(items) is dict and self._is_keyed:
                tags = list(items.values())
                if set(map(len, tags)) == {self._width} and type(tags[0]) is dict:
                    return [tuple(items), *zip(*map(self._row, tags), strict=True)]
        except (KeyError, TypeError):
            pass  # a tag has not all of the keys, or is no object
        return None

    def _remembered(self, names: Sequence[object]) -> _Shape:
        if (known := self._shapes.get(names)) is not None:
            return known
        shape = self._shape(names)
        if len(self._shapes) < MAX_SHAPES:
            self._shapes[names] = shape
        return shape

    def _shape(self, names: Sequence[object]) -> _Shape:
        """Which tags of a list with these names are bound; empty if it has to be read by tag."""
        indices: dict[str, dict[int, int]] = {}
        for index, name in enumerate(names):
            try:
                found = self._identity.of(name, None, {})
            except DecodeError:
                return ()
            if (
                found is not None
                and indices.setdefault(found[0], {}).setdefault(found[1], index) != index
            ):
                return ()  # a tag is there twice
        return [
            (asset, tuple(sorted(own)), _picked([own[place] for place in sorted(own)]))
            for asset, own in indices.items()
        ]


def _key(path: str | Sequence[str]) -> str:
    """The key at the top of a tag that a path is, or the first of several; else empty."""
    first = path if isinstance(path, str) or not path else path[0]
    return top_key(single(first)) if isinstance(first, str) and first else ""


def _picked(indices: Sequence[int]) -> Callable[[Any], tuple[Any, ...]]:
    """What picks these elements of a sequence, as a tuple also if it is one."""
    if len(indices) > 1:
        return itemgetter(*indices)
    (index,) = indices
    return lambda values: (values[index],)


def _is_constant(column: Sequence[object]) -> bool:
    first = column[0]
    if column.count(first) < len(column) or type(first) not in _PLAIN:
        return False
    # Of what is equal only true and 1, and false and 0, may mean something else.
    return first not in (0, 1) or len(set(map(type, column))) == 1
