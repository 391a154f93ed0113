"""Reads a message that is worded as one before: the same text but for its numbers and its time.

Gateways send the same tags in the same order again and again. A pattern that is made of one such
message has the values and the time as holes, a hole too for what nobody reads, and everything else
letter by letter. A message that fits it has the readings that its document would give, and they are
there without a document. Any other message is parsed.
"""

import re
from collections.abc import Callable, Collection, Sequence
from operator import itemgetter
from typing import Any, Final

import orjson

from models.errors import DecodeError
from models.input.codecs.reading import Reading
from models.input.tags.columns import is_plain, picked
from models.input.tags.getters import in_two_parts
from models.input.tags.plan import EACH, Branch, Plan, Role, UnsuitedError
from models.input.tags.rows import Found, Tagged

MAX_BYTES: Final = 8_192
"""Longest message that a pattern is made of, which takes some ten milliseconds."""
MAX_KEPT: Final = 8
"""Patterns that one input keeps; each message is tried on all of them."""
_FIRST, _FACTOR = 2, 4
# How many messages may be tried in vain, and how many of them one that fits is worth.
_MOST_CREDIT, _WORTH = 1_000, 16
# JSON (RFC 8259, sections 6 and 7); possessive, so that nothing is tried twice. A text with an
# escape, or one that is not ASCII, is none of a time.
_NUMBER: Final = r"-?+(?>0|[1-9][0-9]*+)(?>\.[0-9]++)?+(?>[eE][-+]?+[0-9]++)?+"
_TEXT: Final = r'"[ !#-\[\]-~]*+"'
_TRUTH: Final = "(?>true|false)"
_TIME, _REST = "time", "rest"
_NOTHING: Final = object()


class Wording:
    """Reads messages of one wording.

    Args:
        document: the document of a message.
        plan: how it was read.
        readings: what was read.
        to_time: turns a time as it is written in JSON to nanoseconds since 1970.
        is_spaced: whether it is written with blanks behind commas and colons.

    Raises:
        UnsuitedError: there is no pattern for it.
    """

    def __init__(
        self,
        document: object,
        plan: Plan,
        readings: Sequence[Tagged],
        to_time: Callable[[object], int | None],
        *,
        is_spaced: bool,
    ) -> None:
        text = _Text(plan, " " if is_spaced else "")
        text.write(document, plan.root)
        order = {tag: at for at, tag in enumerate((*text.numbers, *text.truths))}
        if order.keys() != plan.bound or not text.numbers:
            raise UnsuitedError
        pattern = re.compile("".join(text.written).encode())
        self._fit, groups = pattern.fullmatch, pattern.groupindex
        self._time, self._rest = groups.get(_TIME, 0) - 1, groups.get(_REST, 0) - 1
        self._numbers = _taken([*text.numbers.values()])
        self._truths = [*text.truths.values()]
        self._parts = [
            (one.asset, one.places, _taken([order[tag] for tag in indices]), one.reading)
            for one, indices in zip(readings, plan.indices, strict=True)
        ]
        self._to_time, self._last = to_time, (_NOTHING, _NOTHING)
        self._at_ns = readings[0].reading.time_ns

    def __call__(self, payload: bytes) -> Found | None:
        """The readings of a message; None if it is worded otherwise, or has to be parsed."""
        fitting = self._fit(payload)
        if fitting is None:
            return None
        written = fitting.groups()
        values: tuple[float, ...] = (*map(float, self._numbers(written)),)
        if self._truths:
            values += tuple(written[at] == b"true" for at in self._truths)
        if not is_plain(values) or not self._has_time(written):
            return None
        at_ns = self._at_ns
        return Found(
            [
                Tagged(asset, places, Reading(at_ns, pick(values), one.quality))
                for asset, places, pick, one in self._parts
            ]
        )

    def _has_time(self, written: Sequence[bytes]) -> bool:
        """Whether the time can be read, which nearly always is that of the message before."""
        if self._time < 0:
            return True
        stated = written[self._time], written[self._rest] if self._rest >= 0 else b"null"
        if stated != self._last:
            try:
                time, rest = map(orjson.loads, stated)
                self._at_ns = self._to_time(in_two_parts(time, rest) if self._rest >= 0 else time)
            except (DecodeError, orjson.JSONDecodeError):
                return False
            self._last = stated
        return True


class _Text:
    """Writes the pattern of a message.

    Attributes:
        written: the parts of the pattern.
        numbers: the holes of the values that are numbers, by the place of their tag.
        truths: as `numbers`, of those that are true or false.
    """

    def __init__(self, plan: Plan, blank: str) -> None:
        self.written: list[str] = []
        self.numbers: dict[int, int] = {}
        self.truths: dict[int, int] = {}
        self._plan, self._between, self._behind = plan, f",{blank}", f":{blank}"
        self._tag, self._holes = -1, 0
        self._named: set[str] = set()

    def write(self, part: Any, branch: Branch) -> None:  # noqa: ANN401  any JSON value
        """Write a part of the message, and what is in it.

        Raises:
            UnsuitedError: it cannot be written.
        """
        if branch is self._plan.item:
            self._tag += 1
        if type(part) is dict:
            self._write_all("{}", part.items(), branch)
        elif type(part) is list:
            self._write_all("[]", [(EACH, one) for one in part], branch)
        else:
            self.written.append(self._leaf(part, branch.role))

    def _write_all(self, braces: str, parts: Collection[tuple[Any, Any]], branch: Branch) -> None:
        self.written.append(re.escape(braces[0]))
        for number, (key, part) in enumerate(parts):
            self.written.append(self._between if number else "")
            if key is not EACH:
                self.written.append(_literal(key) + self._behind)
            self.write(part, self._inner(branch, key))
        self.written.append(re.escape(braces[1]))

    def _inner(self, branch: Branch, key: object) -> Branch:
        found = branch.parts.get(key) or branch.parts.get(EACH)
        if found is not None:
            return found
        if branch.role is Role.VALUE and key in self._plan.kinds:
            return branch
        return Branch(Role.UNREAD if branch.role is Role.UNREAD else Role.FIXED)

    def _leaf(self, value: object, role: Role) -> str:
        if role is Role.VALUE and self._tag in self._plan.bound:
            if self._tag in self.numbers or self._tag in self.truths:
                raise UnsuitedError  # it cannot be told which of two values counts
            if type(value) is bool:
                self.truths[self._tag] = self._holes
            elif type(value) in (int, float):
                self.numbers[self._tag] = self._holes
            else:
                raise UnsuitedError
            self._holes += 1
            return f"({_form(value)})"
        if role in (Role.TIME, Role.NANOSECONDS):
            if type(value) not in (int, float, str):
                raise UnsuitedError
            return self._of_all(_TIME if role is Role.TIME else _REST, _form(value))
        return _literal(value) if role is Role.FIXED else _form(value)

    def _of_all(self, name: str, form: str) -> str:
        """A hole in which all tags have the same."""
        if name in self._named:
            return f"(?P={name})"
        self._named.add(name)
        self._holes += 1
        return f"(?P<{name}>{form})"


def _taken(indices: Sequence[int]) -> Callable[[Any], tuple[Any, ...]]:
    """As `picked`, for a tuple; in less time where they are in a row, as nearly always."""
    if [*indices] == [*range(indices[0], indices[-1] + 1)]:
        return itemgetter(slice(indices[0], indices[-1] + 1))
    return picked(indices)


def _literal(value: object) -> str:
    return re.escape(orjson.dumps(value).decode())


def _form(value: object) -> str:
    """What matches a value of the same type."""
    if type(value) is bool:
        return _TRUTH
    if type(value) is str:
        return _TEXT
    return "null" if value is None else _NUMBER


class Wordings:
    """The wordings of an input's messages, as far as they are worth it.

    A pattern takes as long to make as hundreds of messages take to be parsed, so each is made only
    after four times as many messages without one as the pattern before. One is given up where too
    few messages fit.

    Args:
        make: makes the wording of a message of its document and its readings; None if it has none.
    """

    def __init__(self, make: Callable[[bytes, Any, Found], Wording | None]) -> None:
        self._make = make
        self._kept: list[Wording] = []
        self._credit, self._parsed, self._wait = 0, 0, _FIRST

    def read(self, payload: bytes) -> Found | None:
        """The readings of a message; None if it has to be parsed."""
        for at, wording in enumerate(self._kept):
            found = wording(payload)
            if found is not None:
                self._credit = min(self._credit + _WORTH - at, _MOST_CREDIT)
                if at:
                    self._kept.insert(0, self._kept.pop(at))
                return found
        self._credit -= len(self._kept)
        if self._credit < 0 and self._kept:
            self._credit = _MOST_CREDIT
            del self._kept[-1]
        return None

    def note(self, payload: bytes, document: object, found: Found) -> None:
        """Note a message that had to be parsed, and perhaps make the pattern of its wording."""
        self._parsed += 1
        if self._parsed < self._wait or found.refused or not found.readings:
            return
        self._parsed, self._wait = 0, self._wait * _FACTOR
        if len(payload) <= MAX_BYTES and (wording := self._make(payload, document, found)):
            self._kept, self._credit = [wording, *self._kept[: MAX_KEPT - 1]], _MOST_CREDIT
