"""What finds name, value, time and quality of a tag."""

from collections.abc import Callable, Collection, Sequence
from operator import methodcaller
from typing import Any, Final

from models.input.codecs.paths import Finder, finder, finder_of, single, top_key
from models.input.tags.layout import Named

Getter = Callable[[Any], Any]
"""Finds a value in an object; None where it has none."""
_NS_PER_S: Final = 1_000_000_000


def getter(text: str | Sequence[str]) -> Getter | None:
    """As `finder_of`, for objects alone; a single key is looked up without a function between.

    Of several paths the first counts where there is something.
    """
    if not text:
        return None
    if not isinstance(text, str):
        return _first_of([finder(single(one)) for one in text])
    path = single(text)
    return methodcaller("get", key) if (key := top_key(path)) else finder(path)


def name_getter(text: str | Sequence[str], bound: Collection[str]) -> Getter | None:
    """What finds the name of a tag; None if its key is the name.

    Of several paths the first counts that has the name of a bound tag, and else the first that has
    any: OPC UA has an id beside the name for people, and either may be bound.
    """
    if isinstance(text, str) or len(text) == 1:
        return getter(text)
    finders = [finder(single(one)) for one in text]

    def name(item: Any) -> Any:  # noqa: ANN401  any JSON value
        found = [one for find in finders if (one := find(item)) is not None]
        known = (one for one in found if type(one) is str and one in bound)
        return next(known, found[0] if found else None)

    return name


def value_getter(form: Named) -> Getter | None:
    """What finds the value of a tag; None if the tag is the value itself."""
    find = getter(form.layout.value)
    return _of_one_kind(find, form.kinds) if find is not None and form.kinds else find


def time_getter(form: Named) -> Getter | None:
    """What finds the source time of a tag; None if tags have none of their own."""
    find, find_rest = getter(form.layout.timestamp), finder_of(form.nanoseconds)
    if find is None or find_rest is None:
        return find
    return lambda item: in_two_parts(find(item), find_rest(item))


def in_two_parts(seconds: Any, nanoseconds: Any) -> Any:  # noqa: ANN401  any JSON values
    """Nanoseconds since 1970; what is malformed is left as a list, which is no time."""
    if nanoseconds is None:
        nanoseconds = 0
    if type(seconds) is type(nanoseconds) is int and 0 <= nanoseconds < _NS_PER_S:
        return seconds * _NS_PER_S + nanoseconds
    return None if seconds is None else [seconds, nanoseconds]


def _first_of(finders: Sequence[Finder]) -> Getter:
    def value(item: Any) -> Any:  # noqa: ANN401  any JSON value
        return next((one for find in finders if (one := find(item)) is not None), None)

    return value


def _of_one_kind(find: Getter, kinds: Sequence[str]) -> Getter:
    def value(item: Any) -> Any:  # noqa: ANN401  any JSON value
        found = find(item)
        for _ in kinds:  # a value may be in another one: OPC UA's Variant in a DataValue
            if not isinstance(found, dict):
                break
            found = next((one for key in kinds if (one := found.get(key)) is not None), None)
        return found

    return value
