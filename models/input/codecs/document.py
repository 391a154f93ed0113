"""JSON as strict as a plant needs it: what other parsers let through is refused, and counted.

orjson refuses NaN, infinities, invalid UTF-8, lone surrogates and deep nesting. Duplicate keys it
does not see (RFC 8259 leaves them open: the last one wins), so they are found here.
"""

import json
from itertools import chain
from typing import Any

import orjson

from models.errors import DecodeError

MAX_DEPTH = 100
_PARENTS = {dict, list, str}
_BRACKET = ord("[")


def parse(payload: bytes) -> Any:  # noqa: ANN401  any JSON value
    """Parse one JSON text.

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
    if keys == colons and (_BRACKET not in payload or payload.count(b"[") < MAX_DEPTH):
        return document  # every key brings a colon, so all keys are at the top, each once
    if (colons != _colons(document) or b"\\u003" in payload) and _has_duplicate_keys(payload):
        raise DecodeError("duplicate_key")
    return document


def _colons(document: object, depth: int = 0) -> int:
    """How many colons the text must have if no key stands in it twice.

    Every key brings one; text values may bring more. A repeated key leaves the text with more
    colons than the parsed document accounts for, so equality proves that there is none, unless a
    colon is written as a Unicode escape, which the caller looks for.
    """
    if depth > MAX_DEPTH:
        raise DecodeError("too_deep")
    if isinstance(document, dict):
        count = len(document)
        for key, value in document.items():
            if ":" in key:
                count += key.count(":")
            if isinstance(value, (dict, list, str)):
                count += _colons(value, depth + 1)
        return count
    if isinstance(document, list):
        kinds = set(map(type, document))
        while kinds == {list}:  # a block: thousands of small lists
            document, depth = list(chain.from_iterable(document)), depth + 1
            kinds = set(map(type, document))
            if depth > MAX_DEPTH:
                raise DecodeError("too_deep")
        if kinds.isdisjoint(_PARENTS):
            return 0
        return sum(
            _colons(item, depth + 1) for item in document if isinstance(item, (dict, list, str))
        )
    return document.count(":") if isinstance(document, str) else 0


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
    """The reason in one word: numbers that are none are told apart from what is no JSON at all."""
    if "depth" in error.msg:
        return "too_deep"
    if "infinity" in error.msg or b"NaN" in payload or b"Infinity" in payload:
        return "not_finite"
    return "not_json"
