"""`millhand-trainer replay`: play recorded files onto a broker, as the plant would have.

Time, asset and signals are read by the recipe's own description, so what a gateway sees is what
the trainer saw. One JSON message a row, or one topic a signal; several assets interleaved in time;
at the recorded pace, some times faster, or as fast as the broker confirms.
"""

import argparse
import glob
import string
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import orjson

from trainer import broker
from trainer.broker import Broker
from trainer.console import Console
from trainer.errors import DataError, UsageError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording
from trainer.recipe.data_section import UNIT_NS
from trainer.recipe.document import read_recipe

Message = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows become messages.

    Attributes:
        topic: template with {asset}, and {signal} where every signal has a topic of its own.
        dialect: `json`, one object a row; `scalar`, one object a value; `plain`, a value as text.
        speed: times faster than recorded; None is as fast as the broker confirms.
        qos: of every message.
        timestamp: key of the event time; "" leaves it out.
        unit: of the event time.
        sequence: key of the row number; "" leaves it out.
    """

    topic: str
    dialect: Literal["json", "scalar", "plain"] = "json"
    speed: float | None = None
    qos: Literal[0, 1] = 1
    timestamp: str = "ts"
    unit: Literal["s", "ms", "us", "ns"] = "ms"
    sequence: str = ""


@dataclass(frozen=True, slots=True)
class Played:
    """What was played, and how long it took."""

    rows: int
    messages: int
    seconds: float


class Publisher(Protocol):
    """Where messages go: a `Broker`, or a test's own."""

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Send one message."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def flush(self) -> None:
        """Wait until all have arrived."""
        ...


def replay(
    recording: Recording,
    plan: Plan,
    publisher: Publisher,
    *,
    advance: Callable[[int], object] = int,
    clock: Callable[[], float] = time.monotonic,
) -> Played:
    """Play a recording in time order; returns once everything is confirmed.

    Args:
        recording: what to play.
        plan: how.
        publisher: where to.
        advance: is told how many rows were played since the last call.
        clock: seconds that only rise.

    Raises:
        UsageError: the plan does not fit the recording.
        BrokerError: of the publisher.
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
    """Refuse a plan that would mix assets or signals, or lose time.

    Raises:
        UsageError: what does not fit, and what to do.
    """
    try:
        levels = {
            name for _, name, _, _ in string.Formatter().parse(plan.topic) if name is not None
        }
    except ValueError as exc:
        raise UsageError(f"--topic '{plan.topic}': {exc}") from exc
    if levels - {"asset", "signal"} or any(sign in plan.topic for sign in "+#"):
        raise UsageError(f"--topic '{plan.topic}': levels are words, {{asset}} and {{signal}}")
    if "asset" not in levels and (count := len(np.unique(recording.asset))) > 1:
        raise UsageError(
            f"--topic '{plan.topic}' would mix {count} assets; add {{asset}}, or choose one with "
            "--assets"
        )
    if ("signal" in levels) == (plan.dialect == "json"):
        raise UsageError("{signal} belongs into --topic with --dialect scalar or plain, only there")
    if any(sign in asset for asset in recording.assets for sign in "+#\0"):
        raise DataError("an asset's name has '+' or '#' in it, which no topic may have")
    if plan.speed is not None and not recording.timed:
        raise UsageError("the recipe has no data.time, so there is no pace to keep; --speed max")
    if plan.timestamp and recording.timed and (recording.times_ns % UNIT_NS[plan.unit]).any():
        raise UsageError(f"times are finer than {plan.unit}; give --timestamp-unit us or ns")


def rows_as_messages(recording: Recording, plan: Plan) -> Iterator[tuple[int, list[Message]]]:
    """Event time in nanoseconds, and topic and payload of every message, row by row.

    A missing value is null in a row, and no message where every signal has its own.
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
        readings = dict(zip(recording.channels, values.tolist(), strict=True))
        yield time_ns, encode(plan, recording.assets[asset], head, readings)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("files", nargs="*", type=Path, help="default: those of the recipe")
    parser.add_argument("--recipe", type=Path, required=True, help="says what is in the files")
    parser.add_argument("--topic", required=True, help="such as plant/{asset}/telemetry")
    parser.add_argument("--dialect", choices=("json", "scalar", "plain"), default="json")
    parser.add_argument("--speed", type=_speed, default=1.0, help="times faster, or max; default 1")
    parser.add_argument("--qos", type=int, choices=(0, 1), default=1)
    parser.add_argument("--rows", type=_rows, default=slice(None), metavar="A:B", help="from 0")
    parser.add_argument("--assets", help="only these, separated by commas")
    parser.add_argument("--timestamp", help="key; default ts, of scalar timestamp; '' for none")
    parser.add_argument("--timestamp-unit", choices=("s", "ms", "us", "ns"), default="ms")
    parser.add_argument("--sequence", default="", help="key of the row number; default none")
    broker.arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Play, with a progress bar, and say how it went."""
    console = Console()
    recording = _chosen(options, console)
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
    )
    check(plan, recording)
    with (
        Broker(broker.address_of(options)) as connection,
        console.stage("playing", total=len(recording)) as advance,
    ):
        played = replay(recording, plan, connection, advance=advance)
    rate = played.messages / max(played.seconds, 1e-9)
    console.print(
        f"played {played.rows} rows in {played.messages} messages in {played.seconds:.2f} s "
        f"({rate:.0f} messages/s)"
    )
    return 0


def _chosen(options: argparse.Namespace, console: Console) -> Recording:
    recipe = read_recipe(options.recipe)
    source = recipe.data
    if options.files:
        files = tuple(glob.escape(str(path.absolute())) for path in options.files)
        source = source.model_copy(update={"files": files})
    with console.stage("reading"):
        recording = load(source, recipe.signals, opened=console.detail)
    for note in recording.notes:
        console.note(note)
    if options.assets:
        recording = _of(recording, options.assets.split(","))
    rows = np.arange(len(recording))[options.rows]
    if not len(rows):
        raise UsageError(f"--rows choose none of the {len(recording)} rows")
    return recording.take(rows)


def _of(recording: Recording, names: Sequence[str]) -> Recording:
    unknown = [name for name in names if name not in recording.assets]
    if unknown:
        known = ", ".join(recording.assets[:30])
        raise UsageError(f"--assets: there is no '{unknown[0]}'; there are {known}")
    kept = [recording.assets.index(name) for name in names]
    return recording.take(np.isin(recording.asset, kept))


def _one_object(
    plan: Plan, asset: str, head: dict[str, Any], readings: Mapping[str, float]
) -> list[Message]:
    """One message a row; a dot in a signal's name is a level, as it is to a gateway."""
    row = dict(head)
    for name, value in readings.items():
        *levels, leaf = name.split(".")
        inner = row
        for level in levels:
            inner = inner.setdefault(level, {})
        inner[leaf] = value if isfinite(value) else None
    return [(plan.topic.format(asset=asset), orjson.dumps(row))]


def _one_each(
    plan: Plan, asset: str, head: dict[str, Any], readings: Mapping[str, float]
) -> list[Message]:
    return [
        (
            plan.topic.format(asset=asset, signal=name),
            repr(value).encode()
            if plan.dialect == "plain"
            else orjson.dumps({**head, "value": value}),
        )
        for name, value in readings.items()
        if isfinite(value)
    ]


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    speed = float(text)
    if not speed > 0:
        raise argparse.ArgumentTypeError("speed is above 0, or max")
    return speed


def _rows(text: str) -> slice:
    first, colon, last = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError("rows are A:B, from 0, B not included")
    return slice(int(first) if first else None, int(last) if last else None)
