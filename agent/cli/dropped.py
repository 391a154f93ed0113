"""Why a message is dropped, in words: its reason, and what would help."""

import json
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final

from agent.cli.places import nearest_text
from agent.cli.stated import source_of
from agent.streams.pipeline import Pipeline
from models.input.naming import PayloadNames
from models.input.reasons import REASONS
from models.input.topics import SIGNAL, TopicTemplate
from serving.mqtt.packets import Received

_MAX_NAMES: Final = 20
_MAX_CHARACTERS: Final = 80


def explain(reason: str, served: Pipeline, message: Received, asset: str = "") -> Iterator[str]:
    """The explanation, line by line.

    Args:
        reason: code of the reason, of `models.input.reasons`.
        served: the pipeline that drops the message.
        message: the message.
        asset: the asset of the message, where it is known.
    """
    yield f"  dropped as {reason}: {REASONS[reason]}"
    if reason == "unbound_signal":
        yield from _explain_signal(served, message)
    elif reason == "unknown_asset":
        yield from _compared("asset", asset, served.settings.assets)
    elif reason == "late":
        yield (
            f"    disorder_ms of the stream is {served.settings.disorder_ms}: set it to the "
            "milliseconds by which readings may come behind newer ones of their asset; every "
            "prediction is delayed by as much"
        )


def _explain_signal(served: Pipeline, message: Received) -> Iterator[str]:
    """The name of the signal that a topic or a payload has, and those that are bound."""
    source = source_of(served.settings, message.topic)
    if source is None or served.model is None:
        return
    names = [channel.name for channel in served.model.manifest.channels]
    found = TopicTemplate(source.topic).match(message.topic)
    signal = found.signal if found is not None else None
    if source.signal:
        signal = PayloadNames(source)(message.payload).get(SIGNAL)
    if signal is not None:
        yield from _compared("signal", signal, list(source.signals.values()) or names)


def _compared(what: str, name: str, known: Collection[str]) -> Iterator[str]:
    """A name that is not known, those that are, and the nearest of them."""
    yield f"    {what}: {_listed([name])}; known are {_listed(known)}"
    close = nearest_text(name, known)
    if close is not None:
        yield f"      nearest: {_listed([close])}"


def _listed(names: Collection[str]) -> str:
    """Some of the names, as JSON writes text: what a message contains must not steer a terminal."""
    shown = [json.dumps(name[:_MAX_CHARACTERS]) for name in islice(names, _MAX_NAMES)]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
