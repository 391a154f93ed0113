"""One message as it is looked at, and the values in its document by their paths."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from agent.learn.seen.encoding import document_of
from agent.learn.seen.wire import Record
from models.errors import DecodeError
from models.input.codecs.paths import Path, Pick

MAX_LEAVES: Final = 300
"""Values of one document that are looked at."""
LONG: Final = 16
"""From so many numbers on, an array is a block of samples and not a list of signals."""
_MAX_STEPS: Final = 12
_MAX_ELEMENTS: Final = 100
_IDS: Final = (
    *("id", "name", "tag", "tagname", "key", "n", "channel", "sensor", "signal", "variable"),
    *("address", "register", "label", "type"),
)


class Message(NamedTuple):
    """One message.

    Attributes:
        topic: the topic.
        at_ns: time of arrival in nanoseconds since 1970.
        payload: the content as it came.
        document: what it holds; `NOT_JSON` if it is no document.
        encoding: how the document is written, as `encoding` of an input has it; empty for JSON
            text.
    """

    topic: str
    at_ns: int
    payload: bytes
    document: Any
    encoding: str


def messages(record: Record, most: int) -> list[Message]:
    """The kept messages of a topic, evenly thinned out to `most`."""
    step = max(1, -(-len(record.samples) // most))
    found = []
    for one in record.samples[::step]:
        encoding, document = document_of(one.payload)
        found.append(Message(record.topic, one.at_ns, one.payload, document, encoding))
    return found


def leaves(document: Any) -> list[tuple[Path, Any]]:  # noqa: ANN401  any JSON value
    """Path and value of each value in a document, `MAX_LEAVES` at most.

    A long array of numbers is one value. Elements of an array are named by what tells them apart,
    by their number otherwise.
    """
    found: list[tuple[Path, Any]] = []
    for leaf in _leaves(document, ()):
        found.append(leaf)
        if len(found) >= MAX_LEAVES:
            break
    return found


def key_of(path: Path) -> str:
    """The last key of a path, by which a person calls the value."""
    for step in reversed(path):
        if isinstance(step, str):
            return step
        if isinstance(step, Pick):
            return step.text
    return ""


def _leaves(found: Any, path: Path) -> Iterator[tuple[Path, Any]]:  # noqa: ANN401  any JSON value
    if isinstance(found, dict) and found and len(path) < _MAX_STEPS:
        for key in found:
            try:
                yield from _leaves(found[key], (*path, key))
            except DecodeError:  # the key stands twice
                continue
    elif isinstance(found, list) and found and len(path) < _MAX_STEPS and not is_block(found):
        yield from _elements(found[:_MAX_ELEMENTS], path)
    elif path:
        yield path, found


def _elements(elements: Sequence[Any], path: Path) -> Iterator[tuple[Path, Any]]:
    key = _distinguishing(elements)
    for number, element in enumerate(elements):
        if key:
            rest = {name: one for name, one in element.items() if name != key}
            yield from _leaves(rest, (*path, Pick(key, str(element[key]))))
        else:
            yield from _leaves(element, (*path, number))


def _distinguishing(elements: Sequence[Any]) -> str:
    """The key whose text tells the elements of an array apart; empty where there is none."""
    if not all(isinstance(one, dict) for one in elements):
        return ""
    common = set(elements[0]).intersection(*elements[1:])
    by_name = {key.casefold(): key for key in common}
    for name in _IDS:
        if (key := by_name.get(name)) is None:
            continue
        texts = [one[key] for one in elements]
        if all(isinstance(one, str) and one for one in texts) or all(
            type(one) is int for one in texts
        ):
            return key if len(set(texts)) == len(texts) else ""
    return ""


def is_block(found: object) -> bool:
    """Whether a value is a block of samples: a long array of numbers, or of arrays of numbers."""
    if not isinstance(found, list) or len(found) < LONG:
        return False
    rows = found if all(isinstance(one, list) for one in found) else [found]
    return all(type(one) in (int, float, type(None)) for row in rows for one in row)
