"""Reads the tags of payloads of one form: finds each tag, its name, value, time and quality."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from models.errors import DecodeError
from models.input.codecs.paths import Finder, finder_of
from models.input.codecs.qualities import quality_reader
from models.input.codecs.reading import to_position
from models.input.codecs.times import to_time_ns, zone_of
from models.input.codecs.values import MISSING, Unread, ValueReader, to_lenient_number, to_number
from models.input.naming import text_of
from models.input.quality import Quality
from models.input.source import Input
from models.input.tags.columns import Column, Columns, has_columns, is_plain
from models.input.tags.elements import elements_of
from models.input.tags.getters import getter, name_getter, time_getter, value_getter
from models.input.tags.identity import Identity
from models.input.tags.layout import Named
from models.input.tags.plan import UnsuitedError, plan_of
from models.input.tags.rows import MAX_TAGS, Found, Key, Rows
from models.input.tags.wording import Wording

_BAD: Final = Quality.BAD
_FAILED: Final = object()
"""In the place of a tag that the payload lists among its failures."""
_REPEATED: Final = object()
"""In the place of a tag whose key stands twice, so that it cannot be told what it is."""
_NOTHING: Final = object()
_Group = dict[str, Any]
_Converted = TypeVar("_Converted")


class Tag(NamedTuple):
    """A tag as a payload has it.

    Attributes:
        name: name of the tag.
        item: the tag.
        group: the part of the payload in which the tag stands.
    """

    name: str
    item: Any
    group: Mapping[str, Any]


class Form:
    """Reads payloads of one form.

    Args:
        source: the input, whose ways of reading count.
        form: where the tags stand in a payload.
        names: name of the tag of each bound signal.
        readers: what reads the value of each signal.
    """

    def __init__(
        self, source: Input, form: Named, names: Sequence[str], readers: Sequence[ValueReader]
    ) -> None:
        layout, self._form = form.layout, form
        self._groups = elements_of(layout.groups) if layout.groups else None
        self._items = elements_of(layout.items) if layout.items else None
        self._name, self._value = name_getter(layout.name, names), value_getter(form)
        self._prefix = finder_of(form.prefix) if any("." in name for name in names) else None
        self._names = frozenset(names)
        self._time, self._group_time = time_getter(form), finder_of(form.timestamp)
        self._quality, self._group_quality = getter(layout.quality), finder_of(form.quality)
        self._type, self._carriers = finder_of(form.message_type), form.carriers
        self._failed, self._failures = getter(layout.failed), finder_of(layout.failures)
        self._sequence = finder_of(source.sequence)
        self._unit, self._zone = form.timestamp_unit, zone_of(source.timezone)
        self._has_time = form.has_time and bool(layout.timestamp or form.timestamp)
        self._to_quality = quality_reader(form.quality_map)
        self._identity = Identity(source, names)
        self._readers = readers
        is_numeric = {to_number, to_lenient_number}.issuperset(readers)
        self._list = self._object = None
        if is_numeric and self._prefix is None and not source.asset and has_columns(form):
            self._list, self._columns = finder_of(layout.items), Columns(form, self._identity)
        # Groups that have nothing in common but their names.
        is_bare = not (form.timestamp or form.quality or source.sequence or form.message_type)
        self._are_named = self._list is not None and bool(layout.name and layout.groups and is_bare)
        # Tags that are the values of an object, such as a row has them.
        is_row = not any((layout.name, layout.value, layout.timestamp, layout.quality))
        is_row = is_row and not (layout.failed or "[" in layout.items) and is_numeric
        if is_row and self._prefix is None and not source.name_separator:
            self._object = finder_of(layout.items)
        self._bound = list(enumerate(names))

    def take(self, part: object, rows: Rows) -> None:
        """Add the tags of a payload, or of one element of a payload that is an array.

        Raises:
            DecodeError: `too_many_entries`. What else is wrong is noted in `rows.refused`.
        """
        groups = self._groups(part) if self._groups is not None else (part,)
        if self._are_named:
            column = self._columns.read_groups(groups)
            if column is not None:
                self._take_column(column, {}, "", rows)
                return
        for group in groups:
            if not isinstance(group, dict):
                rows.refused = "not_an_object"
                continue
            try:
                self._take_group(group, rows)
            except DecodeError as exc:
                if rows.seen > MAX_TAGS:
                    raise
                rows.refused = exc.reason

    def wording(self, payload: bytes, document: object, found: Found) -> Wording | None:
        """How messages are read that differ from one in their numbers and their time alone.

        Args:
            payload: the message.
            document: its document.
            found: its readings.

        Returns:
            None if it has more than one list of tags, several times, or a sequence number.
        """
        groups = self._groups(document) if self._groups is not None else (document,)
        if self._list is None or self._sequence is not None:
            return None
        if self._are_named:
            column = self._columns.read_groups(groups)
        else:
            group = groups[0] if len(groups) == 1 else None
            column = self._columns.read(self._list(group)) if type(group) is dict else None
        if column is None or not column.is_uniform or len(column.bound) != len(found.readings):
            return None
        try:
            plan = plan_of(self._form, document, column)
            one = Wording(
                document, plan, found.readings, self._to_time, is_spaced=b'": ' in payload
            )
        except UnsuitedError:
            return None
        return one if one(payload) == found else None

    def _take_group(self, group: _Group, rows: Rows) -> None:
        if self._is_idle(group):
            rows.is_idle = True
            return
        position = to_position(self._sequence(group)) if self._sequence else ""
        if self._list is not None and not (self._failures and self._failures(group)):
            column = self._columns.read(self._list(group))
            if column is not None:
                self._take_column(column, group, position, rows)
                return
        if self._object is None or not self._take_object(group, position, rows):
            items = list(self._items_of(group, rows))
            rows.saw(len(items))
            self._take_items(group, items, position, rows)

    def _is_idle(self, group: _Group) -> bool:
        """Whether a part of a payload is of a type that carries no tags."""
        kind = self._type(group) if self._type is not None else None
        return isinstance(kind, str) and kind not in self._carriers

    def _take_column(self, column: Column, group: _Group, position: str, rows: Rows) -> None:
        """Add a list of tags at once.

        Raises:
            DecodeError: `too_many_entries`. What else is wrong is noted in `rows.refused`.
        """
        rows.saw(len(column.values))
        to_time, to_quality = _Memo(self._to_time), _Memo(self._to_quality)
        for asset, places, values, own_time, own_quality in column.readings():
            time = _or_of_group(own_time, self._group_time, group)
            quality = _or_of_group(own_quality, self._group_quality, group)
            try:
                key = Key(asset or rows.asset, to_time(time), to_quality(quality), position)
            except DecodeError as exc:
                rows.refused = exc.reason
                continue
            if column.is_uniform:
                rows.add_all(key, places, values)
            else:
                rows.add(key, places[0], values[0])

    def _take_object(self, group: _Group, position: str, rows: Rows) -> bool:
        """Add an object of numbers at once; returns whether it could be.

        Raises:
            DecodeError: the asset, the time or the quality of the group cannot be read.
        """
        item = self._object(group) if self._object is not None else None
        if type(item) is not dict or (self._failures is not None and self._failures(group)):
            return False
        values = {place: item[name] for place, name in self._bound if name in item}
        if not values or not is_plain(values.values()):
            return False
        rows.saw(len(item))
        time = self._group_time(group) if self._group_time is not None else None
        quality = self._group_quality(group) if self._group_quality is not None else None
        asset = self._identity.asset_of(group) or rows.asset
        key = Key(asset, self._to_time(time), self._to_quality(quality), position)
        rows.add_row(key, values)
        return True

    def tags(self, part: object) -> Iterator[Tag]:
        """All tags of a payload, as `take` looks for them."""
        for group in self._groups(part) if self._groups is not None else (part,):
            if isinstance(group, dict):
                for name, item in self._items_of(group, Rows(0)):
                    yield Tag(name if type(name) is str else text_of(name), item, group)

    def _items_of(self, group: _Group, rows: Rows) -> Iterator[tuple[object, Any]]:
        """The tags of a group, each with its name."""
        for item in self._items(group) if self._items is not None else (group,):
            if not isinstance(item, dict):
                continue
            if self._name is None:
                named = item.items() if type(item) is dict else _readable(item)
                yield from named if self._prefix is None else self._prefixed(named, group)
                continue
            try:
                name = self._name(item)
                yield self._name(group) if name is None else name, item
            except DecodeError as exc:
                rows.refused = exc.reason
        failures = self._failures(group) if self._failures is not None else None
        for name in failures if isinstance(failures, dict) else ():
            yield name, _FAILED

    def _prefixed(
        self, named: Iterable[tuple[str, Any]], group: _Group
    ) -> Iterator[tuple[str, Any]]:
        """The tags of an object, by the names with a prefix where such a name is bound."""
        assert self._prefix is not None  # noqa: S101  asked before
        prefix = self._prefix(group)
        for name, value in named:
            full = f"{prefix}.{name}"
            yield full if full in self._names else name, value

    def _take_items(
        self, group: _Group, items: Sequence[tuple[object, Any]], position: str, rows: Rows
    ) -> None:
        of, to_time, to_quality = self._identity.of, _Memo(self._to_time), _Memo(self._to_quality)
        for name, item in items:
            try:
                found = of(name, item, group)
                if found is None:
                    continue
                asset, place = found
                time_ns = to_time(_stated(self._time, self._group_time, item, group))
                if item is _FAILED or (self._failed is not None and _has(self._failed, item)):
                    quality = _BAD
                else:
                    stated = _stated(self._quality, self._group_quality, item, group)
                    quality = to_quality(stated)
            except DecodeError as exc:
                rows.refused = exc.reason
                continue
            rows.add(
                Key(asset or rows.asset, time_ns, quality, position),
                place,
                *self._read(item, place),
            )

    def _to_time(self, value: object) -> int | None:
        if value is None and not self._has_time:
            return None
        return to_time_ns(value, self._unit, self._zone)

    def _read(self, item: Any, place: int) -> tuple[float, Unread | None]:  # noqa: ANN401  as below
        if item is _FAILED:
            return MISSING, None
        if item is _REPEATED:
            return MISSING, Unread(place, "duplicate_key")
        is_object = self._value is not None and isinstance(item, dict)
        try:
            return self._readers[place](self._value(item) if is_object else item), None  # type: ignore[misc]  # asked above
        except DecodeError as exc:
            return MISSING, Unread(place, exc.reason, exc.word)


class _Memo(Generic[_Converted]):
    """Converts a value, which nearly always is that of the tag before."""

    def __init__(self, convert: Callable[[object], _Converted]) -> None:
        self._convert = convert
        self._last: object = _NOTHING
        self._converted: _Converted

    def __call__(self, value: object) -> _Converted:
        if value is not self._last and not (
            type(value) is type(self._last) and value == self._last
        ):
            self._converted = self._convert(value)
            self._last = value
        return self._converted


def _stated(
    of_item: Callable[[Any], Any] | None,
    of_group: Finder | None,
    item: Any,  # noqa: ANN401  any JSON value
    group: _Group,
) -> object:
    """What a tag has at a path of its own, or else what its group has."""
    value = of_item(item) if of_item is not None and isinstance(item, dict) else None
    return _or_of_group(value, of_group, group)


def _or_of_group(value: object, of_group: Finder | None, group: _Group) -> object:
    return of_group(group) if value is None and of_group is not None else value


def _readable(item: _Group) -> Iterator[tuple[str, Any]]:
    """The keys and values of an object in which a key may stand twice, see `parse_message`."""
    for key in item:
        try:
            yield key, item[key]
        except DecodeError:
            yield key, _REPEATED


def _has(find: Callable[[Any], Any], item: object) -> bool:
    """Whether a tag has something at a path; null, false, 0 and an empty text are nothing."""
    return isinstance(item, dict) and bool(find(item))
