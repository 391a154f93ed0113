"""The readings of the plant, and the predictions that an undisturbed agent would make of them.

There are two streams. In `rows` each row of two signals is a window of its own. In `windows` a
window has five samples and the next one begins two samples later; the samples come as JSON rows, or
on one scalar topic for each signal. All numbers are small and whole, so that the sums of the models
are exact in float32.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import isfinite
from typing import Final, NamedTuple

import numpy as np

from models.bundle.package import Bundle
from models.errors import ReadingError
from models.input.quality import Quality
from models.windowing.asset_state import NS_PER_MS
from models.windowing.disorder import Disorder
from models.windowing.windows import Windows
from tests.kit.bundles.graphs import history_bundle, linear_bundle

ROWS: Final = "rows"
WINDOWS: Final = "windows"
STREAMS: Final = (ROWS, WINDOWS)
BASE_MS: Final = 1_700_000_000_000
LENGTH, HOP = 5, 2

ROW_ASSETS: Final = tuple(f"l1/p{number}" for number in range(4))
WINDOW_ASSETS: Final = tuple(f"l1/r{number}" for number in range(2))
SCALAR_ASSETS: Final = tuple(f"l1/s{number}" for number in range(2))
OVERSIZED_ASSET: Final = "l1/" + "x" * 1_200
"""Its predictions name it twice and are larger than `SMALL_PACKET_BYTES`; its readings are not."""
SMALL_PACKET_BYTES: Final = 2_000

_MAX_WAITING = 100_000  # as the default of limits.max_waiting
_ROW_WEIGHTS = np.array([[1.0, 10.0]], np.float32)
_WINDOW_WEIGHTS = np.arange(1, 2 * LENGTH + 1, dtype=np.float32).reshape(LENGTH, 2)
_BUNDLES = {
    ROWS: linear_bundle(ROWS, 1, _ROW_WEIGHTS[0].tolist()),
    WINDOWS: history_bundle(WINDOWS, 1, _WINDOW_WEIGHTS, HOP),
}
_WEIGHTS = {ROWS: _ROW_WEIGHTS, WINDOWS: _WINDOW_WEIGHTS}


class Key(NamedTuple):
    """Identifies a prediction: each input has at most one in a stream."""

    stream: str
    asset: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One message of the plant.

    Attributes:
        key: key of the prediction that the reading would complete.
        topic: topic of the message.
        payload: payload of the message.
        channels: indices of the signals in the message.
        values: value of each of these signals.
    """

    key: Key
    topic: str
    payload: bytes
    channels: tuple[int, ...]
    values: tuple[float, ...]


def bundle(stream: str) -> Bundle:
    """The bundle that serves a stream."""
    return _BUNDLES[stream]


def successor() -> Bundle:
    """Another version of the bundle of `ROWS`, with the same predictions."""
    return linear_bundle(ROWS, 2, _ROW_WEIGHTS[0].tolist())


def pipelines(disorder_ms: int = 0) -> list[dict[str, object]]:
    """The pipelines of both streams, as in agent.toml; windows put readings in order so far."""
    template = "plant/{line}/{asset}"
    rows = {"topic": f"{template}/telemetry", "timestamp": "ts"}
    windows = [
        {"topic": f"{template}/row", "timestamp": "ts"},
        {
            "topic": f"{template}/signal/{{signal}}",
            "dialect": "scalar",
            "value": "v",
            "timestamp": "ts",
        },
    ]
    output = {"topic": f"{template}/_inference/{{stream}}"}
    return [
        {"stream": ROWS, "inputs": [rows], "output": output},
        {"stream": WINDOWS, "inputs": windows, "output": output, "disorder_ms": disorder_ms},
    ]


def tick(number: int) -> Iterator[Reading]:
    """The readings of one moment: a sample of every asset, ten messages in all."""
    values = (float(number * 7 % 50), float(number % 11))
    for asset in ROW_ASSETS:
        yield row(ROWS, asset, number, "telemetry", values)
    for asset in WINDOW_ASSETS:
        yield row(WINDOWS, asset, number, "row", values)
    for asset in SCALAR_ASSETS:
        for channel, value in enumerate(values):
            key = Key(WINDOWS, asset, BASE_MS + number)
            payload = json.dumps({"ts": key.time_ms, "v": value}).encode()
            topic = f"plant/{asset}/signal/c{channel}"
            yield Reading(key, topic, payload, (channel,), (value,))


def row(stream: str, asset: str, number: int, level: str, values: tuple[float, float]) -> Reading:
    """A reading with one sample as a JSON object."""
    key = Key(stream, asset, BASE_MS + number)
    document = {"ts": key.time_ms, "c0": values[0], "c1": values[1]}
    return Reading(key, f"plant/{asset}/{level}", json.dumps(document).encode(), (0, 1), values)


def large_row(number: int) -> Reading:
    """A row whose payload has half a megabyte, most of it a comment."""
    plain = row(ROWS, "l1/large", number, "telemetry", (1.0, 2.0))
    return replace(plain, payload=plain.payload[:-1] + b', "comment": "' + b"x" * 500_000 + b'"}')


def expected(readings: Iterable[Reading], disorder_ms: int = 0) -> dict[Key, float | None]:
    """The predictions of an undisturbed agent for readings, each of which comes once.

    The windows are made by the code that makes those of the training data; the models are computed
    with NumPy.

    Args:
        readings: readings in the order in which they reach the agent.
        disorder_ms: allowed lateness of the stream with windows.

    Returns:
        The value of each prediction, in the order in which they are made.
    """
    answers: dict[Key, float | None] = {}
    cutters = {
        stream: Windows(one.manifest.window, one.manifest.channels)
        for stream, one in _BUNDLES.items()
    }
    disorder = Disorder(cutters[WINDOWS], disorder_ms, _MAX_WAITING)
    for reading in readings:
        stream, asset, time_ms = reading.key
        if asset == OVERSIZED_ASSET or stream not in cutters:
            continue
        cutter, time_ns = cutters[stream], time_ms * NS_PER_MS
        try:
            if disorder_ms and stream == WINDOWS:
                brought = (reading.channels, reading.values, Quality.GOOD)
                disorder.push(asset, time_ns, brought, (reading.payload,))
            else:
                cutter.push(asset, time_ns, reading.channels, reading.values)
        except ReadingError:
            continue
        batch = cutter.take()
        sums = np.tensordot(batch.values, _WEIGHTS[stream], 2)
        for time_ns, value in zip(batch.times_ns, sums.tolist(), strict=True):
            key = Key(stream, asset, time_ns // NS_PER_MS)
            answers[key] = value if isfinite(value) else None
    return answers


def behind(readings: Iterable[Reading], limit_ms: int) -> int:
    """The number of readings that come further behind the newest of their asset than a limit."""
    newest: dict[str, int] = {}
    count = 0
    for reading in readings:
        _, asset, time_ms = reading.key
        newest[asset] = max(time_ms, newest.get(asset, time_ms))
        count += time_ms < newest[asset] - limit_ms
    return count
