"""Readings and windows in a form that is easy to write and to compare in tests."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.bundle.manifest import Channel, WindowSpec
from models.errors import ReadingError
from models.input.quality import Quality
from models.windowing import windows as shared
from models.windowing.asset_state import NS_PER_MS
from models.windowing.windows import Batch

GOOD, UNCERTAIN, BAD = Quality.GOOD, Quality.UNCERTAIN, Quality.BAD


@dataclass(frozen=True)
class Message:
    asset: str
    time_ms: int
    readings: dict[int, float]
    quality: Quality = GOOD


@dataclass(frozen=True)
class Window:
    asset: str
    time_ms: int
    quality: Quality
    rows: list[list[float]]


class Windows(shared.Windows):
    """Windows that count the readings they refuse, as the agent and the trainer do."""

    def __init__(
        self, spec: WindowSpec, channels: Sequence[Channel], max_assets: int = 10_000
    ) -> None:
        super().__init__(spec, channels, max_assets)
        self.dropped: Counter[str] = Counter()


def push(windows: Windows, message: Message) -> int:
    try:
        return windows.push(
            message.asset,
            message.time_ms * NS_PER_MS,
            tuple(message.readings),
            list(message.readings.values()),
            message.quality,
        )
    except ReadingError as refused:
        windows.dropped[refused.reason] += 1
        return 0


def listed(batch: Batch) -> list[Window]:
    assert batch.values.dtype == np.float32
    return [
        Window(asset, time_ns // NS_PER_MS, quality, values.tolist())
        for asset, time_ns, quality, values in zip(
            batch.assets, batch.times_ns, batch.qualities, batch.values, strict=True
        )
    ]


def feed(windows: Windows, *messages: Message) -> list[Window]:
    for message in messages:
        push(windows, message)
    return listed(windows.take())


def row(time_ms: int, *values: float, asset: str = "pump", quality: Quality = GOOD) -> Message:
    return Message(asset, time_ms, dict(enumerate(values)), quality)


def rows(count: int, step_ms: int = 1000, asset: str = "pump") -> list[Message]:
    """Rows of one signal with the values 0, 1, 2, ..., `step_ms` apart."""
    return [row(step_ms * index, float(index), asset=asset) for index in range(count)]


def reading(time_ms: int, channel: int, value: float, quality: Quality = GOOD) -> Message:
    return Message("pump", time_ms, {channel: value}, quality)
