"""Why a message is dropped, in words: its reason, what was found instead, and what would help."""

import json
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import Any, Final

from agent.cli import stated
from agent.streams.pipeline import Pipeline
from models.input.codecs.paths import rendered
from models.input.reasons import REASONS
from models.input.source import Input
from models.input.tags.decoder import TagsDecoder
from serving.mqtt.packets import Received

_MAX_PATHS: Final = 20
_MAX_CHARACTERS: Final = 80


def explain(reason: str, served: Pipeline, message: Received) -> Iterator[str]:
    """The explanation, line by line.

    Args:
        reason: code of the reason, of `models.input.reasons`.
        served: the pipeline that drops the message.
        message: the message.
    """
    yield f"  dropped as {reason}: {REASONS[reason]}"
    if reason == "no_signal":
        source = stated.source_of(served.settings, message.topic)
        found = list(_found(source, message.payload))
        yield f"    looked for: {_listed(_wanted(served, message.topic))}"
        yield f"    found: {_listed(found) or 'an object without keys'}"
    elif reason.startswith("time_"):
        yield from _stated(stated.describe_time, served, message)
    elif reason.startswith("quality_"):
        yield from _stated(stated.describe_quality, served, message)
    elif reason == "late":
        yield (
            f"    disorder_ms of the stream is {served.settings.disorder_ms}: set it to the "
            "milliseconds by which readings may come behind newer ones of their asset; every "
            "prediction is delayed by as much"
        )


def _stated(
    describe: Callable[[Input, bytes], Iterator[str]], served: Pipeline, message: Received
) -> Iterator[str]:
    source = stated.source_of(served.settings, message.topic)
    return describe(source, message.payload) if source is not None else iter(())


def _wanted(served: Pipeline, topic: str) -> list[str]:
    """The paths at which the input of a topic looks for signals."""
    assert served.model is not None  # noqa: S101  whoever asks has activated one
    source = stated.source_of(served.settings, topic)
    if source is None:
        return []
    if source.dialect == "block" and source.value:
        return [source.value]
    names = [channel.name for channel in served.model.manifest.channels]
    return list(source.signals.values()) or names


def _found(source: Input | None, payload: bytes) -> Iterator[str]:
    """The names of the tags of a payload, or the paths where it is no list of tags."""
    if source is None or source.dialect == "sparkplug":
        return iter(())
    if source.forms:
        return iter(dict.fromkeys(TagsDecoder(source, [], []).names(payload)))
    return _paths(source.parse(payload))


def _paths(document: Any, above: tuple[str | int, ...] = ()) -> Iterator[str]:  # noqa: ANN401  any JSON value
    """The path of every value in a document that is no object; of a list with objects, in these."""
    if isinstance(document, dict) and document:
        for key, value in document.items():
            if isinstance(key, str):  # a byte string of CBOR has no path
                yield from _paths(value, (*above, key))
    elif isinstance(document, list) and any(isinstance(one, dict) for one in document):
        for number, one in enumerate(document):
            yield from _paths(one, (*above, number))
    elif above:
        yield rendered(above)


def _listed(paths: Collection[str]) -> str:
    """Some of the paths, as JSON writes text: what a message contains must not steer a terminal."""
    shown = [json.dumps(path[:_MAX_CHARACTERS]) for path in islice(paths, _MAX_PATHS)]
    more = len(paths) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
