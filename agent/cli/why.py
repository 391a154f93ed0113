"""`millhand-agent why`: explains step by step what the agent would do with one message.

The message takes the same way as in the agent: the same routes and checks, the model that the
gateway keeps, and the windows that the running agent has written to its journal. The explanation
says where the message stops and what would let it through. No broker is needed, nothing is written,
and the running agent does not notice.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from math import isnan
from time import time_ns
from typing import Final

import numpy as np

from agent.cli import dropped, stated, window_state
from agent.config.settings import Settings
from agent.delivery.inputs import Input
from agent.streams.pipeline import Pipeline
from models.bundle.manifest import Channel
from models.errors import BundleError, IncompatibleBundleError, ReadingError
from models.input.admission import EventTime, refusal
from models.input.codecs.block import Block
from models.input.pipeline import Pipeline as PipelineSettings
from models.input.reasons import REASONS
from models.input.routes import Route, Routes
from serving.model import Model
from serving.mqtt.packets import Received
from serving.session import Session
from serving.store import Store

_NS_PER_S = 1_000_000_000
_MAX_ASSETS: Final = 20
"""Assets of a message whose windows are described."""


def explain(settings: Settings, topic: str, payload: bytes | None) -> Iterator[str]:
    """The explanation, line by line.

    Args:
        settings: the configuration of the gateway.
        topic: the topic of the message.
        payload: the payload of the message; None to explain only where its topic leads.
    """
    yield f"topic {topic}"
    for pipeline in settings.pipelines:
        yield f"stream {pipeline.stream}"
        matching = False
        for source in pipeline.inputs:
            difference = source.difference(topic)
            matching = matching or not difference
            yield f"  input {source.topic} ({source.form}): {difference or 'matches'}"
        if matching:
            yield from _explain_in(settings, pipeline, topic, payload)


def _explain_in(
    settings: Settings, pipeline: PipelineSettings, topic: str, payload: bytes | None
) -> Iterator[str]:
    try:
        model = _kept_model(settings, pipeline.stream)
        recalled = window_state.recall(settings, partial(_serving, settings, pipeline, model))
    except BundleError as exc:
        yield f"  no prediction: {exc}"
        yield from _explain_unserved(settings, pipeline, topic, payload)
        return
    served = recalled.pipeline
    route, message, reason = served.route(topic), None, ""
    if payload is not None:
        # Retained is a flag of the delivery, not of the message: a live one is explained.
        message = Received(topic, payload, 0, retained=False, repeated=False, at_ns=time_ns())
        routes = [] if route is None else [route]
        reason = refusal(routes, message, settings.limits.max_payload_bytes)
    if route is None:
        yield "  no prediction: its output topic would be too long, or a level of it not allowed"
    elif route.split is not None and (reason or payload is None):
        yield "  the payload names the asset or the signal"
    else:
        for part in _parts(route, payload):
            yield from _describe(served, part)
            yield f"  {recalled.source}"
            if recalled.is_agents:
                yield from (f"    {line}" for line in window_state.describe(served, part.asset))
    if message is None:
        return
    if route is not None and reason != "payload_too_large":
        yield from _describe_stated(served, route, message)
    if route is None or reason:
        yield from dropped.explain(reason, served, message)
    else:
        yield from _follow(served, route, message)


def _explain_unserved(
    settings: Settings, pipeline: PipelineSettings, topic: str, payload: bytes | None
) -> Iterator[str]:
    """What a message has by the signals that are bound, so that they can be tried before a model.

    What a node or a connector has said before is remembered with the model, so nothing but what a
    message of a node has is told of inputs that need it.
    """
    source = stated.source_of(pipeline, topic)
    if source is None or payload is None or source.dialect in ("block", "siemens"):
        return
    names = [*dict.fromkeys(name for one in pipeline.inputs for name in one.signals)]
    if not source.signals:
        yield "  its signals are those of the model; with signals they can be tried without one"
    yield from stated.describe(source, [*source.signals], payload)
    if source.dialect == "sparkplug":
        return
    route = Routes(pipeline, names).route(topic) if names else None
    if route is None:
        return
    message = Received(topic, payload, 0, retained=False, repeated=False, at_ns=time_ns())
    reason = refusal([route], message, settings.limits.max_payload_bytes)
    if not reason:
        yield "  without a model, which has units, ranges and states:"
        try:
            channels = [Channel(name=name, missing="impute") for name in names]
            yield from _describe_readings(channels, route, payload)
            time_of = EventTime(settings.limits.time_bounds).of
            for _, reading in route.readings(payload):
                time_of(reading.time_ns, message)
        except ReadingError as exc:
            reason = exc.reason
    if reason:
        yield f"  dropped as {reason}: {REASONS[reason]}"


def _parts(route: Route, payload: bytes | None) -> Iterator[Route]:
    """The routes of a message's readings, one for each asset, as far as they can be told."""
    if route.split is None:
        yield route
        return
    described: set[str] = set()
    with suppress(ReadingError):
        for part, _ in route.split(payload or b""):
            if part.asset not in described and len(described) < _MAX_ASSETS:
                described.add(part.asset)
                yield part


def _kept_model(settings: Settings, stream: str) -> Model:
    store = Store(settings.gateway.state_dir, settings.limits.keep_bundles)
    record = store.active(stream)
    if record is None:
        raise IncompatibleBundleError(
            "the gateway keeps no model of the stream: push one, or wait for the next poll"
        )
    bundle = store.load(record.serving)
    return Model(Session(bundle), bundle.sha256)


def _serving(settings: Settings, pipeline: PipelineSettings, model: Model) -> Pipeline:
    served = Pipeline(pipeline, settings.limits)
    served.activate(model)
    return served


def _describe(served: Pipeline, route: Route) -> Iterator[str]:
    assert served.model is not None  # noqa: S101  activated just now
    manifest = served.model.manifest
    names = [manifest.channels[index].name for index in route.channels]
    yield f"  model {manifest.stream}#{manifest.seq} {manifest.version}"
    yield f"  asset {route.asset}, carries {', '.join(names) or 'no signal of the model'}"
    yield f"  predictions are published on {route.output_topic}"


def _follow(served: Pipeline, route: Route, message: Received) -> Iterator[str]:
    assert served.model is not None  # noqa: S101  as above
    manifest, before = served.model.manifest, Counter(served.missing)
    try:
        yield from _describe_readings(manifest.channels, route, message.payload)
        # Decoded a second time: `take` is what the agent does, and must not be done differently.
        served.take(route, message, Input(0, (message.topic, message.payload)))
    except ReadingError as exc:
        yield from dropped.explain(exc.reason, served, message, route.asset)
        return
    outgoing = served.infer(time_ns)
    for one in outgoing:
        yield f"  publishes on {one.topic}: {one.payload.decode()}"
    if not outgoing:
        for part in _parts(route, message.payload):
            yield f"  no prediction yet: {_awaited(served, part.asset)}"
    if missing := Counter(served.missing) - before:
        yield f"  missing: {', '.join(missing)}"


def _describe_readings(channels: Sequence[Channel], route: Route, payload: bytes) -> Iterator[str]:
    if route.split is None:
        readings = [(route, one) for one in route.decode(payload)]
    else:
        readings = list(route.split(payload))
    for part, reading in readings:
        carried = [channels[index] for index in part.channels]
        if isinstance(reading, Block):
            yield from _describe_block(reading, carried)
            continue
        of = "" if route.split is None else f" of {part.asset}"
        yield f"  reading{of} at {_moment(reading.time_ns)}, quality {reading.quality.name}"
        unread = {place: (reason, word) for place, reason, word in reading.unread}
        for place, channel in enumerate(carried):
            shown = _shown(reading.values[place], channel)
            yield f"    {channel.name}: {shown}{_why(*unread.get(place, ('', '')), channel)}"


def _describe_stated(served: Pipeline, route: Route, message: Received) -> Iterator[str]:
    assert served.model is not None  # noqa: S101  as above
    source = stated.source_of(served.settings, message.topic)
    channels = served.model.manifest.channels
    # Where the payload names the signal, any may be meant.
    indices = range(len(channels)) if route.split is not None else route.channels
    if source is not None:
        yield from stated.describe(source, [channels[n].name for n in indices], message.payload)


def _describe_block(block: Block, channels: Sequence[Channel]) -> Iterator[str]:
    moment = f"until {_moment(None)}" if block.time_ns is None else f"from {_moment(block.time_ns)}"
    yield f"  block of {len(block.values)} samples {moment}, quality {block.quality.name}"
    for channel, column in zip(channels, block.values.T, strict=False):
        present = column[~np.isnan(column)]
        summary = f"{len(column) - len(present)} of {len(column)} missing"
        if len(present):
            low, high = (_shown(float(edge), channel) for edge in (present.min(), present.max()))
            summary = f"min {low}; max {high}; {summary}"
        yield f"    {channel.name}: {summary}"


def _awaited(served: Pipeline, asset: str) -> str:
    """What has to arrive after this message before there is a prediction."""
    assert served.model is not None  # noqa: S101  as above
    if awaited := served.awaited(asset):
        return f"the sample is complete once {', '.join(awaited)} has reported too"
    if disorder_ms := served.settings.disorder_ms:
        return (
            "readings are put in order: each waits until one has arrived that is "
            f"{disorder_ms} ms newer"
        )
    window = served.model.manifest.window
    if window.is_on_grid:
        return (
            f"the sample is taken at the next full {window.sample_period_ms:g} ms, once a reading "
            "from after that time has arrived"
        )
    count = window_state.samples(served, asset)
    return f"{count} of the {window.length} samples that a window needs have arrived"


def _moment(at_ns: int | None) -> str:
    """A source time as text; a year that datetime cannot express stays a number."""
    if at_ns is None:
        return "the time of arrival"
    try:
        return datetime.fromtimestamp(at_ns / _NS_PER_S, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return f"{at_ns} ns"


def _why(reason: str, word: str, channel: Channel) -> str:
    """Why the value of a signal could not be read; empty if it could."""
    if not reason:
        return ""
    if not word:
        return f", not read as {reason}: {REASONS[reason]}"
    return f", {json.dumps(word)} is none of its states {', '.join(map(json.dumps, channel.codes))}"


def _shown(value: float, channel: Channel) -> str:
    if isnan(value):
        return "missing"
    text = f"{value:g} {channel.unit}".rstrip()
    if channel.valid_range is not None:
        low, high = channel.valid_range
        if not low <= value <= high:
            text += f", outside {low:g} to {high:g}: counts as missing"
    return text
