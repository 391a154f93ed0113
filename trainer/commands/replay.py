"""`millhand-trainer replay`: publishes recorded files to a broker, as the plant would have.

Time, asset and signals are read as the recipe describes them, so a gateway sees what the trainer
saw; a signal of states is published as its texts. There is one JSON message a row, or one topic a
signal. Several assets are interleaved in time; the pace is the recorded one, a multiple of it, or
as fast as the broker confirms.
"""

import argparse
import glob
import string
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import orjson

from models.states import States
from trainer import broker
from trainer.broker import Broker
from trainer.console import Console
from trainer.errors import DataError, UsageError, listed
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe, read_recipe
from trainer.recipe.time_section import UNIT_NS

Message = tuple[str, bytes]
Readings = Mapping[str, float | str | None]
"""Value of each signal in a row: a number, or the text of a state; None where it is missing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows become messages.

    Attributes:
        topic: template of the topic, with {asset}, and {signal} if every signal has its own topic.
        dialect: payload format: `json` is one object a row, `scalar` one object a value, `plain` a
            value as text.
        speed: factor by which the replay is faster than the recording; None is as fast as the
            broker confirms.
        qos: MQTT quality of service of every message.
        timestamp: key of the event time in the payload; empty leaves it out.
        unit: unit of the event time, which counts from 1970.
        sequence: key of the row number in the payload; empty leaves it out.
        states: signals of states, which are published as their texts, by name.
    """

    topic: str
    dialect: Literal["json", "scalar", "plain"] = "json"
    speed: float | None = None
    qos: Literal[0, 1] = 1
    timestamp: str = "ts"
    unit: Literal["s", "ms", "us", "ns"] = "ms"
    sequence: str = ""
    states: Mapping[str, States] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Played:
    """The result of a replay.

    Attributes:
        rows: number of rows that were published.
        messages: number of messages that they made.
        seconds: seconds that the replay took.
    """

    rows: int
    messages: int
    seconds: float


class Publisher(Protocol):
    """Publishes messages: a `Broker`, or a replacement in a test."""

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Send one message; may block while the broker has too many to confirm."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait, and keep the connection alive meanwhile."""
        ...

    def flush(self) -> None:
        """Wait until all messages are confirmed."""
        ...


def replay(
    recording: Recording,
    plan: Plan,
    publisher: Publisher,
    *,
    advance: Callable[[int], object] = int,
    clock: Callable[[], float] = time.monotonic,
) -> Played:
    """Publish a recording in the order of time; return when everything is confirmed.

    Args:
        recording: the recording.
        plan: how rows become messages.
        publisher: publishes the messages.
        advance: called with the number of rows that were published since its last call.
        clock: monotonic clock, seconds.

    Raises:
        UsageError: the plan does not fit the recording.
        BrokerError: the broker refuses a message, or cannot be reached for too long.
    """
    check(plan, recording)
    started = clock()
    count = 0
    first_ns = int(recording.times_ns[0]) if len(recording) else 0
    for time_ns, row in rows_as_messages(recording, plan):
        if plan.speed is not None:
            due = started + (time_ns - first_ns) / 1e9 / plan.speed
            if (early := due - clock()) > 0:
                publisher.wait(early)
        for topic, payload in row:
            publisher.publish(topic, payload, plan.qos)
        count += len(row)
        advance(1)
    publisher.flush()
    return Played(len(recording), count, clock() - started)


def check(plan: Plan, recording: Recording) -> None:
    """Refuse a plan that would mix assets or signals, or lose digits of the time.

    Raises:
        UsageError: the plan does not fit the recording; the message has the remedy.
        DataError: an asset's name cannot be part of a topic.
    """
    try:
        levels = {
            name for _, name, _, _ in string.Formatter().parse(plan.topic) if name is not None
        }
    except ValueError as exc:
        raise UsageError(f"--topic '{plan.topic}': {exc}") from exc
    if levels - {"asset", "signal"} or any(sign in plan.topic for sign in "+#"):
        raise UsageError(
            f"--topic '{plan.topic}': allowed are words, {{asset}} and {{signal}}, without + and #"
        )
    if "asset" not in levels and (count := len(np.unique(recording.asset))) > 1:
        raise UsageError(
            f"--topic '{plan.topic}' would mix {count} assets; add {{asset}}, or choose one with "
            "--assets"
        )
    if ("signal" in levels) == (plan.dialect == "json"):
        raise UsageError(
            "--topic needs {signal} with --dialect scalar or plain, and must not have it with json"
        )
    if any(sign in asset for asset in recording.assets for sign in "+#\0"):
        # MQTT 5, section 4.7.1: wildcards must not be part of a topic name.
        raise DataError("an asset's name contains '+', '#' or NUL, which no topic may contain")
    if plan.speed is not None and not recording.timed:
        raise UsageError(
            "the recipe has no data.time, so there is no recorded pace; give --speed max"
        )
    if plan.timestamp and recording.timed and (recording.times_ns % UNIT_NS[plan.unit]).any():
        raise UsageError(f"times are finer than {plan.unit}; give --timestamp-unit us or ns")


def rows_as_messages(recording: Recording, plan: Plan) -> Iterator[tuple[int, list[Message]]]:
    """The event time, nanoseconds since 1970, and the topics and payloads of each row.

    A missing value is null in a JSON row; where every signal has its own topic, it has no message.
    """
    unit_ns = UNIT_NS[plan.unit]
    encode = _one_object if plan.dialect == "json" else _one_each
    rows = zip(recording.asset.tolist(), recording.times_ns.tolist(), recording.values, strict=True)
    for number, (asset, time_ns, values) in enumerate(rows, start=1):
        head: dict[str, Any] = {}
        if plan.timestamp and recording.timed:
            head[plan.timestamp] = time_ns // unit_ns
        if plan.sequence:
            head[plan.sequence] = number
        readings = {
            name: plan.states[name].text(value) if name in plan.states else _present(value)
            for name, value in zip(recording.channels, values.tolist(), strict=True)
        }
        yield time_ns, encode(plan, recording.assets[asset], head, readings)


def recorded(recipe: Recipe, files: Sequence[Path], console: Console) -> Recording:
    """Read `files`, or the recipe's own if there are none, as the recipe describes them."""
    source = recipe.data
    if files:
        patterns = tuple(glob.escape(str(path.absolute())) for path in files)
        source = source.model_copy(update={"files": patterns, "sql": None})
    with console.stage("reading"):
        copies = "duplicated-files" in recipe.checks.allow
        recording = load(source, recipe.signals, opened=console.detail, copies=copies)
    for note in recording.notes:
        console.note(note)
    return recording


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add = parser.add_argument
    add("files", nargs="*", type=Path, help="recorded files; default: those of the recipe")
    add("--recipe", type=Path, required=True, help="recipe that describes the files")
    add("--topic", required=True, help="topic template, such as plant/{asset}/telemetry")
    formats = "payload format, an object a row, an object a value, or plain values; default json"
    add("--dialect", choices=("json", "scalar", "plain"), default="json", help=formats)
    add("--speed", type=_speed, default=1.0, help="times faster than recorded, or max; default 1")
    add("--qos", type=int, choices=(0, 1), default=1, help="MQTT quality of service; default 1")
    rows = "rows to publish, counted from 0, B excluded; default all"
    add("--rows", type=_rows, default=slice(None), metavar="A:B", help=rows)
    add("--assets", help="names of the assets to publish, separated by commas; default all")
    add("--timestamp", help="key of the event time, '' for none; default ts, or timestamp (scalar)")
    units = ("s", "ms", "us", "ns")
    add("--timestamp-unit", choices=units, default="ms", help="unit of event time; default ms")
    add("--sequence", default="", help="key of the row number in the payload; default none")
    broker.arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Replay with a progress bar, and print the rate."""
    console = Console()
    recipe = read_recipe(options.recipe)
    recording = _chosen(options, recipe, console)
    timestamp = options.timestamp
    if timestamp is None:
        timestamp = "timestamp" if options.dialect == "scalar" else "ts"
    plan = Plan(
        topic=options.topic,
        dialect=options.dialect,
        speed=options.speed,
        qos=options.qos,
        timestamp=timestamp,
        unit=options.timestamp_unit,
        sequence=options.sequence,
        states={one.name: States(one.codes) for one in recipe.signals if one.codes},
    )
    check(plan, recording)
    with (
        Broker(broker.address_of(options)) as connection,
        console.stage("publishing", total=len(recording)) as advance,
    ):
        played = replay(recording, plan, connection, advance=advance)
    rate = played.messages / max(played.seconds, 1e-9)
    console.print(
        f"published {played.rows} rows in {played.messages} messages in {played.seconds:.2f} s "
        f"({rate:.0f} messages/s)"
    )
    return 0


def _chosen(options: argparse.Namespace, recipe: Recipe, console: Console) -> Recording:
    recording = recorded(recipe, options.files, console)
    if options.assets:
        recording = _of(recording, options.assets.split(","))
    rows = np.arange(len(recording))[options.rows]
    if not len(rows):
        raise UsageError(f"--rows selects none of the {len(recording)} rows; give others")
    return recording.take(rows)


def _of(recording: Recording, names: Sequence[str]) -> Recording:
    unknown = [name for name in names if name not in recording.assets]
    if unknown:
        known = listed(recording.assets, 30, like=unknown[0])
        raise UsageError(f"--assets: there is no asset '{unknown[0]}'; known are {known}")
    kept = [recording.assets.index(name) for name in names]
    return recording.take(np.isin(recording.asset, kept))


def _present(value: float) -> float | None:
    return value if isfinite(value) else None


def _one_object(plan: Plan, asset: str, head: dict[str, Any], readings: Readings) -> list[Message]:
    """One message a row; a dot in a signal's name makes a level of the JSON object."""
    row = dict(head)
    for name, value in readings.items():
        *levels, leaf = name.split(".")
        inner = row
        for level in levels:
            inner = inner.setdefault(level, {})
        inner[leaf] = value
    return [(plan.topic.format(asset=asset), orjson.dumps(row))]


def _one_each(plan: Plan, asset: str, head: dict[str, Any], readings: Readings) -> list[Message]:
    return [
        (
            plan.topic.format(asset=asset, signal=name),
            str(value).encode()
            if plan.dialect == "plain"
            else orjson.dumps({**head, "value": value}),
        )
        for name, value in readings.items()
        if value is not None
    ]


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    speed = float(text)
    if not speed > 0:
        raise argparse.ArgumentTypeError(f"'{text}': a number above 0, or max, is needed")
    return speed


def _rows(text: str) -> slice:
    first, colon, last = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"'{text}': A:B is needed, counted from 0, B excluded")
    return slice(int(first) if first else None, int(last) if last else None)
