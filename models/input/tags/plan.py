"""What each part of a message with tags is for: which it takes its readings from, and how."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from models.input.codecs.paths import Every, finder, parsed
from models.input.tags.columns import Column
from models.input.tags.layout import Named

EACH: Final = Every()
"""The step to every element of an array, or to every value of an object of tags."""


class UnsuitedError(Exception):
    """Messages of one form differ in more than a plan can say."""


class Role(Enum):
    """What a part of a message is for."""

    UNREAD = auto()
    FIXED = auto()
    VALUE = auto()
    TIME = auto()
    NANOSECONDS = auto()


@dataclass(slots=True)
class Branch:
    """A part of a message: what it is for, and what the parts in it are for.

    Attributes:
        role: what it is for; what is in it and has no branch of its own is for the same.
        parts: what is in it, by key; `EACH` for every element.
    """

    role: Role = Role.UNREAD
    parts: dict[object, "Branch"] = field(default_factory=dict)

    def at(self, path: Sequence[object], role: Role = Role.UNREAD) -> "Branch":
        """The part at a path, which from now on is for `role` unless it is for another already."""
        part = self
        for step in path:
            part = part.parts.setdefault(step, Branch())
        if part.role is Role.UNREAD:
            part.role = role
        return part


class Plan(NamedTuple):
    """How the messages of one form are read that have the same tags.

    Attributes:
        root: what the parts of a message are for.
        item: the part that is one tag.
        kinds: the keys of a value that is an object, see `Named`.
        bound: where in the list of tags those stand that a signal is bound to.
        indices: the same for each reading, in the order of its values.
    """

    root: Branch
    item: Branch
    kinds: Sequence[str]
    bound: AbstractSet[int]
    indices: Sequence[Sequence[int]]


def plan_of(form: Named, document: Any, column: Column) -> Plan:  # noqa: ANN401  any JSON value
    """How a message was read.

    Args:
        form: where the tags stand in a message, see `columns.has_columns`.
        document: the document of the message.
        column: its tags, all of one time.

    Raises:
        UnsuitedError: a path of the form has more than keys in it.
    """
    layout, root = form.layout, Branch()
    group, sample = _first_at(root, layout.groups, document)
    item, tag = _first_at(group, layout.items, sample, is_list=True)
    for path in _paths(layout.name):
        item.at(path, Role.FIXED)
        group.at(path, Role.FIXED)
    for path in _paths(layout.quality, layout.failed):
        item.at(path, Role.FIXED)
    for path in _paths(form.quality, form.message_type, form.prefix, layout.failures):
        group.at(path, Role.FIXED)
    item.at(_first_of(tag, _paths(layout.value)) or (), Role.VALUE)
    timed = _first_of(tag, _paths(layout.timestamp))
    if timed is not None:
        item.at(timed, Role.TIME)
        for path in _paths(form.nanoseconds):
            item.at(path, Role.NANOSECONDS)
    else:
        for path in _paths(form.timestamp):
            group.at(path, Role.TIME)
    indices = [one.indices for one in column.bound]
    return Plan(root, item, form.kinds, {at for one in indices for at in one}, indices)


def _first_at(
    branch: Branch,
    text: str,
    document: Any,  # noqa: ANN401  any JSON value
    *,
    is_list: bool = False,
) -> tuple[Branch, Any]:
    """The part at a path to several, and the first of them."""
    found, taken = document, []
    for step in parsed(text) if text else ():
        if isinstance(step, Every):
            found = found[0]
        elif isinstance(step, str):
            found = found[step]
        else:
            raise UnsuitedError
        taken.append(step)
    if type(found) is list and (text or is_list):
        found = found[0]
        taken.append(EACH)
    elif is_list:
        found = next(iter(found.values()))
        taken.append(EACH)
    return branch.at(taken), found


def _paths(*given: str | Sequence[str]) -> list[tuple[Any, ...]]:
    """The steps of each path that there is, in their order."""
    texts = [one for some in given for one in ([some] if isinstance(some, str) else some) if one]
    paths = [parsed(text) for text in texts]
    if not all(isinstance(step, str) for path in paths for step in path):
        raise UnsuitedError
    return paths


def _first_of(tag: Any, paths: Sequence[tuple[Any, ...]]) -> tuple[Any, ...] | None:  # noqa: ANN401  any JSON value
    """The first of some paths where a tag has something."""
    return next((path for path in paths if finder(path)(tag) is not None), None)
