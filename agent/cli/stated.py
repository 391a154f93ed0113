"""What a payload states about its readings beside their values, for `why`: time and quality."""

import json
from collections.abc import Iterator
from typing import Any, Final

from models.errors import DecodeError
from models.input.codecs.document import parse
from models.input.codecs.qualities import allowed_qualities
from models.input.codecs.reading import at_path
from models.input.pipeline import Pipeline
from models.input.source import Input
from models.input.topics import TopicTemplate

_MAX_CHARACTERS: Final = 80


def source_of(settings: Pipeline, topic: str) -> Input | None:
    """The input that a topic belongs to; None if there is none."""
    matching = (one for one in settings.inputs if TopicTemplate(one.topic).match(topic))
    return next(matching, None)


def describe_time(source: Input, payload: bytes) -> Iterator[str]:
    """Path and value of the source time, and how it is read; nothing where no path is configured.

    Args:
        source: the input that the payload belongs to.
        payload: the payload of the message.
    """
    if source.timestamp and (document := _object(payload)) is not None:
        way = f"timestamp_unit {source.timestamp_unit}"
        if source.timestamp_unit == "iso8601":
            way += f", timezone {source.timezone}"
        yield f"    timestamp at {source.timestamp}: {_shown(document, source.timestamp)} ({way})"


def describe_quality(source: Input, payload: bytes) -> Iterator[str]:
    """Path and value of the quality, and what is read there; as `describe_time`."""
    if source.quality and (document := _object(payload)) is not None:
        chosen = source.quality_map
        name = chosen if isinstance(chosen, str) else "is not given" if chosen is None else "table"
        yield f"    quality at {source.quality}: {_shown(document, source.quality)}"
        yield f"      quality_map {name}: read are {allowed_qualities(chosen)}"


def _object(payload: bytes) -> dict[str, Any] | None:
    try:
        document = parse(payload)
    except DecodeError:
        return None
    return document if isinstance(document, dict) else None


def _shown(document: dict[str, Any], path: str) -> str:
    """The value at a path as JSON, which keeps what a terminal would obey an escape."""
    return json.dumps(at_path(document, path.split(".")))[:_MAX_CHARACTERS]
