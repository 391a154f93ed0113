"""Messages of a topic that several inputs of a pipeline have: each takes what is meant for it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from models.errors import DecodeError, ReadingError

_Part = TypeVar("_Part")


def read_by_each(
    splits: Sequence[Callable[[bytes], Iterable[_Part]]], payload: bytes
) -> Iterator[_Part]:
    """The readings that each of several inputs has of a message, one input after the other.

    Args:
        splits: find the readings of each input.
        payload: the payload of the message.

    Raises:
        DecodeError: no input has a reading of it, and one refuses it; the reason says most.
        ReadingError: after the last reading, if an input refuses a part of the message. That it has
            none of the signals of an input is no refusal: they are those of another input.
    """
    refused: list[str] = []
    is_used = False
    for split in splits:
        try:
            for part in split(payload):
                is_used = True
                yield part
        except ReadingError as exc:
            refused.append(exc.reason)
    telling = [reason for reason in refused if reason != "no_signal"]
    if refused and not is_used:
        raise DecodeError([*telling, *refused][0])
    if telling:
        raise ReadingError(telling[0])


def teach_each(
    learners: Iterable[Callable[[str, bytes], Iterable[Any]]], topic: str, payload: bytes
) -> Iterable[Any]:
    """Have each of several inputs learn from a message; there are no readings in it.

    Args:
        learners: take what the message says, as `ConnectorDecoder.learn` does.
        topic: the topic of the message.
        payload: the payload of the message.

    Raises:
        DecodeError: see `ConnectorDecoder.learn`.
    """
    for learn in learners:
        learn(topic, payload)
    return ()
