"""What a message of Sparkplug B has of the metrics that its input is bound to, for `why`."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from agent.cli.places import nearest_text
from models.errors import DecodeError
from models.input.source import Input
from models.input.sparkplug.topic import SparkplugTemplate
from models.input.topics import TopicTemplate
from models.sparkplug.decoder import decode
from models.sparkplug.payload import BD_SEQ

_MAX_NAMES: Final = 20
_MAX_CHARACTERS: Final = 80


def describe_metrics(source: Input, names: Sequence[str], payload: bytes) -> Iterator[str]:
    """Lines about the metrics of a payload; none where it cannot be read at all.

    Args:
        source: the input that the payload belongs to, of dialect sparkplug.
        names: names of the signals, in the order of the model.
        payload: the payload of the message.
    """
    max_bytes, _ = source.bounds
    try:
        metrics = decode(payload, max_bytes).metrics
    except DecodeError:
        return
    yield "  the payload"
    found = {one.name: one for one in metrics if one.name is not None}
    bound = {name: source.signals.get(name, name) for name in names}
    # Only births have data types, and all metrics; data have what has changed.
    is_birth = any(one.datatype for one in found.values())
    is_of_node = BD_SEQ in found
    if is_birth and not (is_of_node and SparkplugTemplate(TopicTemplate(source.topic)).has_device):
        for name, metric in bound.items():
            if metric in found:
                continue
            yield f"    {name} at metric {_shown(metric)}: not there"
            if (close := nearest_text(metric, found)) is not None:
                yield f"      nearest: {_shown(close)}"
    others = [name for name in found if name not in bound.values()]
    if others:
        more = f" and {len(others) - _MAX_NAMES} more" if len(others) > _MAX_NAMES else ""
        yield f"    not bound: {', '.join(map(_shown, others[:_MAX_NAMES]))}{more}"
    if count := sum(one.name is None for one in metrics):
        yield f"    {count} by alias: their names are in the birth of the node or the device"


def _shown(name: str) -> str:
    """As JSON writes text: what a message contains must not steer a terminal."""
    return json.dumps(name[:_MAX_CHARACTERS])
