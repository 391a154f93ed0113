"""Reads a list of tags column by column, in less time than tag by tag.

It is for the lists that gateways nearly always send: every tag has the same keys, and a number
for a value. Any other list is left to `Form`, which gives the same readings.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain, repeat
from math import isfinite
from operator import is_, itemgetter
from typing import Any, Final, NamedTuple

from models.errors import DecodeError
from models.input.codecs.paths import PathError, single
from models.input.tags.getters import in_two_parts
from models.input.tags.identity import Identity
from models.input.tags.layout import Named

MAX_SHAPES: Final = 1_000
"""Sequences of names for which it is remembered which tags are bound."""
_FEW: Final = 4
"""Tags that take less time one by one."""
_PLAIN: Final = frozenset({float, int, bool, str, type(None)})
_Values = Sequence[Any]
_Paths = Sequence[Sequence[str]]


def is_plain(values: Collection[Any]) -> bool:
    """Whether values are numbers, true or false, and none is NaN or infinite.

    JSON has no such number, other encodings have.
    """
    try:
        return isfinite(sum(values))  # a text, an object or null cannot be added to a number
    except (TypeError, OverflowError):
        return False


class Tags(NamedTuple):
    """Which tags of a list are of one asset.

    Attributes:
        asset: the asset; empty where the names of the tags have none.
        places: which of the bound signals they are of, ascending.
        indices: where in the list they stand.
        pick: picks what stands there out of a column.
    """

    asset: str
    places: tuple[int, ...]
    indices: Sequence[int]
    pick: Callable[[_Values], tuple[Any, ...]]


class Column(NamedTuple):
    """The tags of a list, each with a number for a value.

    Attributes:
        bound: which of them are bound, by their asset.
        values: value of each tag.
        times: the time that each tag states; None where it states none.
        qualities: the quality that each tag states; None where it states none.
        is_uniform: whether all tags state the same time and the same quality.
    """

    bound: Sequence[Tags]
    values: _Values
    times: _Values
    qualities: _Values
    is_uniform: bool

    def readings(self) -> Iterator[tuple[str, tuple[int, ...], tuple[Any, ...], object, object]]:
        """Asset, places, values, time and quality: of all tags of an asset, or of one tag each."""
        if self.is_uniform:
            for asset, places, _, pick in self.bound:
                yield asset, places, pick(self.values), self.times[0], self.qualities[0]
            return
        for asset, places, indices, _ in self.bound:
            for place, at in zip(places, indices, strict=True):
                yield asset, (place,), (self.values[at],), self.times[at], self.qualities[at]


class _UnevenError(Exception):
    """Not all tags have the same keys."""


class Columns:
    """Reads lists of tags.

    Args:
        form: where the tags stand in a payload, and where a tag has its name, value and time; see
            `has_columns`.
        identity: which asset and signal a tag is of, by its name.
    """

    def __init__(self, form: Named, identity: Identity) -> None:
        layout = form.layout
        self._identity, self._kinds = identity, form.kinds
        self._name, self._items = _keys(layout.name), _keys(layout.items)
        parts = (layout.value, layout.timestamp, layout.quality, form.nanoseconds, layout.failed)
        self._paths = [self._name, *map(_keys, parts)]
        # true and 1 are the same quality there, and false and 0.
        self._has_flags = form.quality_map == "boolean"
        self._keys: Sequence[str] = ()
        self._split: Callable[[_Values], Sequence[_Values | None]] = _Split([], self._paths)
        self._names: Sequence[object] = ()
        self._bound: Sequence[Tags] | None = None
        self._shapes: dict[Sequence[object], Sequence[Tags] | None] = {}

    def read(self, items: object) -> Column | None:
        """The tags of an array, or of an object; None if they have to be read one by one."""
        try:
            if self._name and type(items) is list and len(items) >= _FEW:
                return self._column(None, items)
            if not self._name and type(items) is dict and len(items) >= _FEW:
                return self._column(tuple(items), [*items.values()])
        except _UnevenError:
            pass
        return None

    def read_groups(self, groups: _Values) -> Column | None:
        """The tags of groups whose names are those of their groups; None as for `read`."""
        if len(groups) < _FEW:
            return None
        try:
            names, lists = _inner(groups, self._name[0]), _inner(groups, self._items[0])
            if names is None or lists is None or {*map(type, lists)} != {list}:
                return None
            named = chain.from_iterable(map(repeat, names, map(len, lists)))
            items = [*chain.from_iterable(lists)]
            return self._column(tuple(named), items) if items else None
        except _UnevenError:
            return None

    def _column(self, names: Sequence[object] | None, items: _Values) -> Column | None:
        """The tags of a list, which themselves have their names if `names` is None."""
        first = items[0]
        # An object of another type has a key twice or an infinite number, see `parse_message`.
        if type(first) is not dict or not first:
            return None
        if [*first] != self._keys:  # nearly always they are those of the list before
            self._keys = [*first]
            self._split = _Split(self._keys, self._paths)
        own, values, times, qualities, rest, failed = self._split(items)
        if (names is None) == (own is None) or values is None or failed is not None:
            return None
        bound = self._remembered(names or own or ())
        if type(values[0]) is dict and self._kinds:
            values = self._of_kind(values)
        if bound is None or not all(is_plain(one.pick(values)) for one in bound):
            return None
        if times is not None and self._paths[4]:
            times = [*map(in_two_parts, times, rest or repeat(None))]
        is_uniform = _is_constant(times) and _is_constant(qualities, has_flags=self._has_flags)
        nothing = (None,) * len(items)
        return Column(bound, values, times or nothing, qualities or nothing, is_uniform)

    def _of_kind(self, values: _Values) -> _Values:
        """The values in objects that have one key for their type, see `value_getter`."""
        for _ in self._kinds:
            if type(values[0]) is not dict:
                break
            found = _inner(values, *((kind,) for kind in self._kinds))
            if found is None:
                raise _UnevenError
            values = found
        return values

    def _remembered(self, names: Sequence[object]) -> Sequence[Tags] | None:
        """Which tags of a list with these names are bound; None if it has to be read by tag."""
        try:
            if names != self._names:  # as above
                if names not in self._shapes and len(self._shapes) < MAX_SHAPES:
                    self._shapes[names] = self._shape(names)
                self._names, self._bound = names, self._shapes.get(names)
        except TypeError:
            return None  # a tag has an object for a name
        return self._bound

    def _shape(self, names: Sequence[object]) -> Sequence[Tags] | None:
        indices: dict[str, dict[int, int]] = {}
        for index, name in enumerate(names):
            if type(name) is not str:
                return None  # 1 and true are equal, and not the same name
            try:
                found = self._identity.of(name, None, {})
            except DecodeError:
                return None
            if (
                found is not None
                and indices.setdefault(found[0], {}).setdefault(found[1], index) != index
            ):
                return None  # a tag is there twice
        tags = []
        for asset, own in indices.items():
            places = tuple(sorted(own))
            at = [own[place] for place in places]
            tags.append(Tags(asset, places, at, picked(at)))
        return tags


class _Split:
    """Takes objects that have the same keys apart into columns.

    Args:
        keys: the keys of the first of them.
        paths: for each column the paths at which it may stand, of which the first counts.
    """

    def __init__(self, keys: Sequence[str], paths: Sequence[_Paths]) -> None:
        self._paths = [[one for one in column if one[0] in keys] for column in paths]
        is_fixed = all(one[0] in keys for column in paths for one in column)
        # Where an object may have something of meaning that the first has not, all keys are taken.
        self._keys = [*dict.fromkeys(one[0] for column in paths for one in column)]
        if not is_fixed:
            self._keys = [*keys]
        self._most = None if is_fixed else len(keys)
        self._row = itemgetter(*self._keys) if self._keys else None
        is_plain = all(len(one) == 1 for column in self._paths for one in column)
        self._tops: Sequence[str | None] = ()
        if is_plain and all(len(column) < 2 for column in self._paths):  # noqa: PLR2004  one or none
            self._tops = [column[0][0] if column else None for column in self._paths]

    def __call__(self, rows: _Values) -> Sequence[_Values | None]:
        """Each column; None for one that no object has.

        Raises:
            _UnevenError: not all objects have the keys of the first.
        """
        if self._row is None:
            raise _UnevenError
        try:
            # As many keys in all as if each object had those of the first alone.
            if self._most is not None and sum(map(len, rows)) != self._most * len(rows):
                raise _UnevenError
            found = map(self._row, rows)
            columns = zip(*found, strict=True) if len(self._keys) > 1 else [tuple(found)]
            table = dict(zip(self._keys, columns, strict=True))
        except (KeyError, TypeError) as exc:
            raise _UnevenError from exc
        if self._tops:
            return [table.get(key) for key in self._tops]  # type: ignore[arg-type]  # no key is None
        return [_first(table, paths) for paths in self._paths]


def _first(table: Mapping[str, _Values], paths: _Paths) -> _Values | None:
    """The column at the first path where there is one."""
    for top, *rest in paths:
        column: _Values | None = table[top]
        if rest:
            column = _inner(table[top], rest)
        if column is not None:
            if len(paths) > 1 and None in column:
                raise _UnevenError  # another path may count for some
            return column
    return None


def _inner(rows: _Values, *paths: Sequence[str]) -> _Values | None:
    """What stands at the first of some paths in objects that have the same keys."""
    if type(rows[0]) is not dict:
        raise _UnevenError
    return _Split([*rows[0]], [paths])(rows)[0]


def has_columns(form: Named) -> bool:
    """Whether lists of this form can be read at once: tags are found by keys alone."""
    layout = form.layout
    if not (layout.items and layout.value and isinstance(layout.name, str)):
        return False  # which of several names counts depends on the tag
    try:
        paths = [layout.items, layout.value, layout.timestamp, layout.quality, layout.failed]
        return all(isinstance(step, str) for one in paths for path in _keys(one) for step in path)
    except PathError:
        return False  # every element of an array


def _keys(path: str | Sequence[str]) -> Sequence[Sequence[Any]]:
    """The steps of a path, or of each of several."""
    return [single(one) for one in ([path] if isinstance(path, str) else path) if one]


def picked(indices: Sequence[int]) -> Callable[[Any], tuple[Any, ...]]:
    """What picks the elements at these indices out of a sequence, as a tuple also if it is one."""
    if len(indices) > 1:
        return itemgetter(*indices)
    (index,) = indices
    return lambda values: (values[index],)


def _is_constant(column: _Values | None, *, has_flags: bool = False) -> bool:
    if column is None:
        return True
    first = column[0]
    if column.count(first) < len(column) or type(first) not in _PLAIN:
        return False
    # Of what is equal only true and 1, and false and 0, may mean something else.
    return first not in (0, 1) or has_flags or all(map(is_, column, repeat(first)))
