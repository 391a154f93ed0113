"""JSON text to a document, more strictly than most parsers.

orjson refuses NaN, infinities, invalid UTF-8, lone surrogates and deep nesting. It does not report
duplicate keys: RFC 8259, section 4, leaves their meaning open and most parsers keep the last. A
reading must not depend on that, so they are found and refused here (ADR 6).

A mistake in a part of a message that nobody reads need not cost the message: `parse_message` leaves
a duplicate key, or a number that is not finite, to whoever looks at that place.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson

from models.errors import DecodeError

# Deeper than any telemetry; far below the depth at which recursion would end the process.
MAX_DEPTH = 100
Parse = Callable[[bytes], Any]
"""Turns a payload into the document that it holds. Raises DecodeError."""
_LEAVES = {str, int, float, bool, type(None)}
_BEGINNING = 100
_NESTS = {dict, list}


@dataclass(frozen=True, slots=True)
class Foreign:
    """A value in a document that no JSON value is like, so that no signal can be read from it.

    Attributes:
        kind: what it is, in words.
    """

    kind: str

    def __str__(self) -> str:
        return self.kind


def parse(payload: bytes) -> Any:  # noqa: ANN401  any JSON value
    """The document that a JSON text holds.

    Raises:
        DecodeError: `empty`, `not_json`, `not_finite` (NaN or Infinity spelled out, or a number
            too large), `too_deep` (objects and lists nested beyond `MAX_DEPTH`) or
            `duplicate_key`.
    """
    if not payload:
        raise DecodeError("empty")
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError as exc:
        raise DecodeError(_why_refused(payload, exc)) from exc
    colons = payload.count(b":")
    keys = len(document) if type(document) is dict else 0
    first = payload.find(b"[")
    if (keys == colons or _shallow_keys(document) == colons) and (
        payload.rfind(b"[") == first or payload.count(b"[") < MAX_DEPTH
    ):
        # Every key brings one colon. As many keys at the top as there are colons means that there
        # are no keys below it, and that none at the top stands twice: nearly every row ends here,
        # and nearly every list of tags with the keys one level down.
        return document
    if _is_as_written(payload, document):
        return document
    if (colons != _colons(document) or b"\\u003" in payload) and _has_duplicate_keys(payload):
        raise DecodeError("duplicate_key")
    return document


def parse_message(payload: bytes) -> Any:  # noqa: ANN401  any JSON value
    """As `parse`, but a message is not refused for a part of it that nobody looks at.

    Where a key stands twice in an object, reading this key from it raises `duplicate_key`. A number
    that is NaN, infinite or too large is a float of that value. Such a document has objects of a
    subclass of dict.

    Raises:
        DecodeError: see `parse`.
    """
    try:
        return parse(payload)
    except DecodeError as exc:
        if exc.reason not in ("duplicate_key", "not_finite"):
            raise
        return _reparsed(payload, exc)


class _Loose(dict[str, Any]):
    """An object of a message that `parse` refuses: where a key stands twice, it cannot be read."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self._repeated: Collection[str] = ()
        if len(self) < len(pairs):
            times = Counter(key for key, _ in pairs)
            self._repeated = {key for key, count in times.items() if count > 1}

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401  any JSON value
        if key in self._repeated:
            raise DecodeError("duplicate_key")
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401  as above
        if key in self._repeated:
            raise DecodeError("duplicate_key")
        return super().get(key, default)


def _reparsed(payload: bytes, refusal: DecodeError) -> Any:  # noqa: ANN401  any JSON value
    """What a message holds that `parse` refuses; takes some ten times as long."""
    try:
        document = json.loads(payload.decode(), object_pairs_hook=_Loose)
        json.dumps(document, ensure_ascii=False).encode()  # a lone surrogate is no text
    except RecursionError as exc:
        raise DecodeError("too_deep") from exc
    except ValueError as exc:
        raise refusal from exc
    _colons(document)
    return document


def _is_as_written(payload: bytes, document: object) -> bool:
    """Whether a document, written again, is the payload: then no key of it stood twice.

    Programs that write JSON without blanks nearly always pass, which takes a fifth of the time of
    counting colons. Nothing is tried on a text with blanks, or one that may be nested too deeply.
    """
    if b", " in payload[:_BEGINNING]:
        return False
    is_flat = payload.count(b"{") + payload.count(b"[") < MAX_DEPTH
    return (is_flat or _is_allowed_depth(document)) and orjson.dumps(document) == payload


def _is_allowed_depth(document: object) -> bool:
    """Whether objects and arrays are nested no deeper than `MAX_DEPTH`."""
    level: Sequence[Any] = [document]
    for _ in range(MAX_DEPTH):
        inner = [one.values() if type(one) is dict else one for one in level if type(one) in _NESTS]
        if not inner:
            return True
        level = [*chain.from_iterable(inner)]
    return False


def _shallow_keys(document: object) -> int:
    """How many keys there are at the top of a document, and in the objects and arrays there."""
    count = 0
    parts: Iterable[object] = (document,)
    if type(document) is dict:
        count, parts = len(document), document.values()
    for part in parts:
        if type(part) is dict:
            count += len(part)
        elif type(part) is list and set(map(type, part)) == {dict}:
            count += sum(map(len, part))
    return count


def _colons(document: object, depth: int = 0) -> int:
    """How many colons a JSON text must have if no key in it stands twice.

    Every key brings one colon, and texts may contain more. A repeated key leaves the text with more
    colons than the parsed document accounts for, so equality proves that there is none. The
    exception is a colon that is written as a Unicode escape; the caller looks for those.

    Raises:
        DecodeError: `too_deep` beyond `MAX_DEPTH`.
    """
    if depth > MAX_DEPTH:
        raise DecodeError("too_deep")
    if isinstance(document, dict):
        count = len(document) + "".join(document).count(":")
        return count + _colons_of_elements(list(document.values()), depth)
    if isinstance(document, list):
        return _colons_of_elements(document, depth)
    return document.count(":") if isinstance(document, str) else 0


def _colons_of_elements(elements: list[Any], depth: int) -> int:
    # A block of samples is thousands of small lists, and a list of tags is as many small objects:
    # one level at a time takes a fifth of the time that a call for each does.
    count, kinds = 0, set(map(type, elements))
    while len(kinds) == 1 and not kinds.isdisjoint((list, dict)):
        parts: Iterable[Iterable[Any]] = elements
        if dict in kinds:
            count += sum(map(len, elements)) + "".join(chain.from_iterable(elements)).count(":")
            parts = map(dict.values, elements)
        elements, depth = list(chain.from_iterable(parts)), depth + 1
        kinds = set(map(type, elements))
        if depth > MAX_DEPTH:
            raise DecodeError("too_deep")
    if str in kinds:
        count += "".join([item for item in elements if type(item) is str]).count(":")
    if kinds <= _LEAVES:
        return count
    return count + sum(
        _colons(item, depth + 1) for item in elements if isinstance(item, (dict, list))
    )


def _has_duplicate_keys(payload: bytes) -> bool:
    def refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        unique = dict(pairs)
        if len(unique) != len(pairs):
            raise DecodeError("duplicate_key")
        return unique

    try:
        json.loads(payload, object_pairs_hook=refuse_repeated)
    except DecodeError:
        return True
    return False


def _why_refused(payload: bytes, error: orjson.JSONDecodeError) -> str:
    """The reason to drop a text that orjson refuses; orjson has one error class for all."""
    if "depth" in error.msg:
        return "too_deep"
    if "infinity" in error.msg or b"NaN" in payload or b"Infinity" in payload:
        return "not_finite"
    return "not_json"
