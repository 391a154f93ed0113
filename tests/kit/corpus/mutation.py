"""Damaged payloads: bytes that are cut, doubled and changed, and JSON values in wrong places."""

import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Final

ODD: Final[Sequence[Any]] = (
    *(None, True, False, 0, -1, 7.5, 1e308, 10**30, float("nan"), float("inf"), 1_760_000_000_000),
    *("", "text", "4.5", "true", "good", "2025-10-09T08:53:20Z", "a/b", "\ud800", "\0", "x" * 300),
    *([], {}, [1, 2], {"value": 1}, [[]], [None], {"": {}}),
)
"""JSON values, each of which belongs nowhere in most payloads."""
_FRAGMENTS: Final = (
    b"",
    b"[",
    b"{",
    b'"',
    b"}",
    b",",
    b":",
    b"NaN",
    b"1e999",
    b"\xff",
    b"\\",
    b"=",
)
_Place = tuple[Any, Any]


def mutated(payload: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """A payload with one to four mistakes.

    Args:
        payload: the payload.
        others: payloads of which a part may get into it.
        random: what decides.
    """
    for _ in range(random.randint(1, 4)):
        payload = random.choice(_MISTAKES)(payload, others, random)
    return payload


def _cut(payload: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start, end = _slice(payload, random)
    return payload[:start] + payload[end:]


def _doubled(payload: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start, end = _slice(payload, random)
    return payload[:end] + payload[start:end] + payload[end:]


def _spliced(payload: bytes, others: Sequence[bytes], random: Random) -> bytes:
    other = random.choice(others)
    start, end = _slice(other, random)
    at = random.randint(0, len(payload))
    return payload[:at] + other[start:end] + payload[at:]


def _changed(payload: bytes, _: Sequence[bytes], random: Random) -> bytes:
    at = random.randint(0, len(payload))
    return payload[:at] + random.choice(_FRAGMENTS) + payload[at + random.randint(0, 2) :]


def _misplaced(payload: bytes, _: Sequence[bytes], random: Random) -> bytes:
    """The JSON document with an odd value somewhere, or without the value there, or with it twice.

    What is no JSON document is left as it is.
    """
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return payload
    if places := list(_places(document)):
        parent, key = random.choice(places)
        kind = random.randrange(4)
        if kind == 0:
            del parent[key]
        elif kind == 1 and isinstance(parent, list):
            parent.append(parent[key])
        elif kind == 2 and isinstance(parent, dict):
            parent[random.choice([other for _, other in places]) or "x"] = parent[key]
        else:
            parent[key] = random.choice(ODD)
    return json.dumps(document).encode()


def _places(document: object) -> Iterator[_Place]:
    """Every object or array of a document, with each of its keys or numbers."""
    if isinstance(document, dict | list):
        keys = list(document) if isinstance(document, dict) else range(len(document))
        for key in keys:
            yield document, key
            yield from _places(document[key])


def _slice(payload: bytes, random: Random) -> tuple[int, int]:
    start = random.randint(0, len(payload))
    return start, min(len(payload), start + random.randint(0, 40))


_Mistake = Callable[[bytes, Sequence[bytes], Random], bytes]
_MISTAKES: Final[Sequence[_Mistake]] = (
    *(_cut, _doubled, _spliced, _changed),
    *(_misplaced, _misplaced, _misplaced, _misplaced),
)
