"""What a payload has at each path that its input is bound to, for `why`, and what else is in it."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from agent.cli.places import is_at, located, nearest, places
from agent.cli.sparkplug import describe_metrics
from agent.cli.tags import describe_tags
from models.errors import DecodeError
from models.input.codecs.paths import Path, finder, rendered, single
from models.input.codecs.qualities import allowed_qualities
from models.input.pipeline import Pipeline
from models.input.source import Input

_MAX_PATHS: Final = 20
_COLUMNS: Final = 80
_LEAST_SHOWN: Final = 20


class Bound(NamedTuple):
    """A path at which an input looks for something.

    Attributes:
        name: name of the signal, or the key of the input that has the path.
        path: text of the path.
        way: how the value is read, in words; empty where nothing was chosen.
    """

    name: str
    path: str
    way: str = ""


def source_of(settings: Pipeline, topic: str) -> Input | None:
    """The input that a topic belongs to; None if there is none."""
    matching = (one for one in settings.inputs if not one.difference(topic))
    return next(matching, None)


def describe(source: Input, names: Sequence[str], payload: bytes) -> Iterator[str]:
    """Lines about a payload; none where it is no object or array.

    Args:
        source: the input that the payload belongs to.
        names: names of the signals of its topic, in the order of the model.
        payload: the payload of the message.
    """
    if source.forms:
        yield from describe_tags(source, names, payload)
        return
    if source.dialect == "sparkplug":
        yield from describe_metrics(source, names, payload)
        return
    try:
        document = source.parse(payload)
    except DecodeError:
        return
    if isinstance(document, dict | list):
        yield "  the payload"
        if source.dialect == "scalar" and not has_document(source):
            yield "    is a JSON document, but no path is given: set value to one of those below"
        yield from describe_document(document, list(_bound(source, names)), _rows_of(source))


def describe_document(
    document: Any,  # noqa: ANN401  any parsed document
    bound: Sequence[Bound],
    rows_of: Callable[[Any], Sequence[Any]] = lambda document: (document,),
) -> Iterator[str]:
    """What a parsed document has at each of some paths, and then what else there is in it.

    Args:
        document: the document.
        bound: the paths.
        rows_of: returns the parts of the document that the paths begin in; the first of them is
            described.
    """
    rows = rows_of(document)
    if len(rows) > 1:
        yield f"    has {len(rows)} entries, of which this is the first:"
    row = rows[0] if rows else document
    found = places(row)
    for one in bound:
        yield from _describe_bound(row, one, found)
    if not found:
        yield "    has no values"
    yield from _describe_others(row, bound, found)


def _describe_others(
    row: Any,  # noqa: ANN401  any parsed document
    bound: Sequence[Bound],
    found: Sequence[Path],
) -> Iterator[str]:
    """What nothing is bound to."""
    used = {path for one in bound if (path := _located(row, single(one.path)))}
    others = [
        path for path in found if used.isdisjoint(path[:end] for end in range(1, len(path) + 1))
    ]
    if others:
        yield "    not bound:"
    for path in others[:_MAX_PATHS]:
        yield _cut(f"      {json.dumps(rendered(path))}: ", _value(row, path))
    if len(others) > _MAX_PATHS:
        yield f"      and {len(others) - _MAX_PATHS} more"


def _located(row: Any, path: Path) -> Path:  # noqa: ANN401  any parsed document
    """The path of a bound value as `places` has it; empty where there is none."""
    try:
        return located(row, path) if is_at(row, path) else ()
    except DecodeError:
        return ()


def _describe_bound(
    row: Any,  # noqa: ANN401  any parsed document
    bound: Bound,
    found: Sequence[Path],
) -> Iterator[str]:
    path = single(bound.path)
    if is_at(row, path):
        yield _cut(f"    {bound.name} at {bound.path}: ", _value(row, path))
        if bound.way:
            yield f"      {bound.way}"
        return
    yield f"    {bound.name} at {bound.path}: nothing there"
    instead = nearest(row, path, found)
    if instead is not None:
        # As JSON writes it: so it can be copied into the TOML file, and steers no terminal.
        yield _cut(f"      nearest: {json.dumps(rendered(instead))}: ", _value(row, instead))


def _bound(source: Input, names: Sequence[str]) -> Iterator[Bound]:
    if source.dialect == "umh":
        yield Bound(names[0] if names else "value", "value")
        yield Bound("timestamp", "timestamp_ms")
    elif source.has_signal_paths:
        for name in names:
            yield Bound(name, source.signals.get(name) or rendered(name.split(".")))
    elif source.dialect == "block":
        yield Bound("value", source.value or "value")
    elif has_document(source):
        yield Bound(names[0] if len(names) == 1 else "value", source.value or "value")
    way = f"timestamp_unit {source.timestamp_unit}"
    if source.timestamp_unit == "iso8601":
        way += f", timezone {source.timezone}"
    chosen = source.quality_map
    name = chosen if isinstance(chosen, str) else "is not given" if chosen is None else "table"
    read = f"quality_map {name}: read are {allowed_qualities(chosen)}"
    for field in ("timestamp", "quality", "sequence", "asset", "signal"):
        if path := getattr(source, field):
            yield Bound(field, path, {"timestamp": way, "quality": read}.get(field, ""))


def has_document(source: Input) -> bool:
    """Whether the payloads of dialect scalar are JSON objects, as some path is given."""
    paths = (source.value, source.timestamp, source.quality, source.sequence)
    return source.has_payload_names or any(paths)


def _rows_of(source: Input) -> Callable[[Any], Sequence[Any]]:
    if source.dialect != "thingsboard":
        return lambda document: (document,)

    def rows(document: Any) -> Sequence[Any]:  # noqa: ANN401  any parsed document
        entries = document if isinstance(document, list) else [document]
        return [one["values"] if _is_timed(one) else one for one in entries]

    return rows


def _is_timed(entry: object) -> bool:
    return isinstance(entry, dict) and "ts" in entry and "values" in entry


def _value(row: Any, path: Path) -> str:  # noqa: ANN401  any parsed document
    """The value at a path as JSON, which keeps what a terminal would obey an escape."""
    try:
        return json.dumps(finder(path)(row), default=str)  # CBOR has more kinds than JSON
    except DecodeError as exc:
        return exc.reason


def _cut(beginning: str, value: str) -> str:
    """A line of at most 80 characters, as far as its beginning leaves room for the value."""
    room = max(_COLUMNS - len(beginning), _LEAST_SHOWN)
    return beginning + (value if len(value) <= room else f"{value[: room - 3]}...")
