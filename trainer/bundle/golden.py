"""Golden vectors: windows that a gateway replays before it lets a model speak.

Held-out windows, spread over the test part; then the edges of every range, and missing values,
which a quiet week of testing would never show.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.bundle.golden import MIN_COUNT, Golden
from models.bundle.manifest import Channel, GoldenSpec
from trainer.estimators.fitting import Model
from trainer.graph.export import clear

_MAX_CHANNELS = 16
Window = NDArray[np.float32]


def vectors(
    model: Model, windows: Window, channels: tuple[Channel, ...], tolerance: GoldenSpec
) -> Golden:
    """Choose windows and have the estimator answer them.

    Args:
        model: what answers, in scikit-learn.
        windows: held-out windows, at least one, `[n, length, channels]`.
        channels: for the edges of their ranges.
        tolerance: answers that an error within it could turn into another class are left out.
    """
    odd = np.stack(list(unusual(windows, channels)))
    odd = odd[clear(model, model.answer(odd), tolerance)]
    held_out = windows[clear(model, model.answer(windows), tolerance)]
    if not len(held_out):
        held_out = odd
    spread = np.linspace(0, len(held_out) - 1, MIN_COUNT).round().astype(np.int64)
    chosen = np.concatenate([held_out[spread], odd])
    return Golden(windows=chosen, outputs=model.answer(chosen))


def unusual(windows: Window, channels: tuple[Channel, ...]) -> Iterator[Window]:
    """Windows at the edges of every range, and with values missing, each `[length, channels]`.

    Args:
        windows: what is usual, at least one window, `[n, length, channels]`.
        channels: with their ranges; of one without, the edges are those in `windows`.
    """
    usual = windows[len(windows) // 2]
    lowest, highest = edges(windows, channels)
    yield np.broadcast_to(lowest, usual.shape)
    yield np.broadcast_to(highest, usual.shape)
    yield np.full_like(usual, np.nan)
    shown = np.linspace(0, len(channels) - 1, min(len(channels), _MAX_CHANNELS)).round()
    for channel in shown.astype(np.int64):
        for value in (np.float32(np.nan), lowest[channel], highest[channel]):
            window = usual.copy()
            window[:, channel] = value
            yield window
        window = usual.copy()
        window[-1, channel] = np.nan
        yield window


def edges(windows: Window, channels: tuple[Channel, ...]) -> tuple[Window, Window]:
    """Lowest and highest value of each channel, `[channels]`: its range, or what was seen."""
    seen = np.where(np.isnan(windows), np.float32(0), windows)
    lowest, highest = seen.min(axis=(0, 1)), seen.max(axis=(0, 1))
    for index, channel in enumerate(channels):
        if channel.valid_range is not None:
            lowest[index], highest[index] = channel.valid_range
    return lowest, highest
