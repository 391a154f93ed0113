"""What a payload states about its readings beside their values, for `why`: time and quality."""

import json
from collections.abc import Iterator
from typing import Any, Final

from models.errors import DecodeError
from models.input.codecs.paths import finder_of
from models.input.codecs.qualities import allowed_qualities
from models.input.pipeline import Pipeline
from models.input.source import Input

_MAX_CHARACTERS: Final = 80


def source_of(settings: Pipeline, topic: str) -> Input | None:
    """The input that a topic belongs to; None if there is none."""
    matching = (one for one in settings.inputs if not one.difference(topic))
    return next(matching, None)


def describe_time(source: Input, payload: bytes) -> Iterator[str]:
    """Path and value of the source time, and how it is read; nothing where no path is configured.

    Args:
        source: the input that the payload belongs to.
        payload: the payload of the message.
    """
    if source.timestamp and (document := _parsed(source, payload)) is not None:
        way = f"timestamp_unit {source.timestamp_unit}"
        if source.timestamp_unit == "iso8601":
            way += f", timezone {source.timezone}"
        yield f"    timestamp at {source.timestamp}: {_shown(document, source.timestamp)} ({way})"
    for form in source.forms:
        if places := _places(form.layout.timestamp, form.timestamp):
            yield f"    timestamp at {places} ({form.timestamp_unit})"


def describe_quality(source: Input, payload: bytes) -> Iterator[str]:
    """Path and value of the quality, and what is read there; as `describe_time`."""
    if source.quality and (document := _parsed(source, payload)) is not None:
        chosen = source.quality_map
        name = chosen if isinstance(chosen, str) else "is not given" if chosen is None else "table"
        yield f"    quality at {source.quality}: {_shown(document, source.quality)}"
        yield f"      quality_map {name}: read are {allowed_qualities(chosen)}"
    for form in source.forms:
        if places := _places(form.layout.quality, form.quality):
            yield f"    quality at {places}: read are {allowed_qualities(form.quality_map)}"


def _places(of_tag: str | tuple[str, ...], of_part: str) -> str:
    """Where lists of tags have a time or a quality: in each tag, or beside the tags."""
    own = of_tag if isinstance(of_tag, str) else " or ".join(of_tag)
    places = ((own, "of each tag"), (of_part, "beside the tags"))
    return ", or ".join(f"{path} {where}" for path, where in places if path)


def _parsed(source: Input, payload: bytes) -> Any:  # noqa: ANN401  any JSON value
    try:
        return source.parse(payload)
    except DecodeError:
        return None


def _shown(document: Any, path: str) -> str:  # noqa: ANN401  any JSON value
    """The value at a path as JSON, which keeps what a terminal would obey an escape."""
    find = finder_of(path)
    assert find is not None  # noqa: S101  there is a path
    try:
        return json.dumps(find(document), default=str)[:_MAX_CHARACTERS]
    except DecodeError as exc:
        return exc.reason
