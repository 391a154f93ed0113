"""Golden vectors: windows and answers that a gateway replays before it activates a bundle.

They are held-out windows, spread over the test part, and windows with values at the edges of every
range or missing, which a quiet test part would not contain.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.bundle.golden import MIN_COUNT, Golden
from models.bundle.manifest import Channel, GoldenSpec
from trainer.estimators.fitting import Model
from trainer.graph.export import is_decided

# Signals whose edges and gaps are in the golden vectors, so that wide windows fit into a bundle.
_MAX_CHANNELS = 16
Window = NDArray[np.float32]


def golden_vectors(
    model: Model, windows: Window, channels: tuple[Channel, ...], tolerance: GoldenSpec
) -> Golden:
    """Choose windows, and have the model answer them in scikit-learn.

    Windows are left out whose class an error within the tolerance could change.

    Args:
        model: the fitted model.
        windows: held-out windows, float32 `[n, length, channels]`, at least one.
        channels: the signals, for the edges of their ranges.
        tolerance: allowed error of an answer.
    """
    odd = np.stack(list(edge_windows(windows, channels)))
    odd = odd[is_decided(model, model.answer(odd), tolerance)]
    held_out = windows[is_decided(model, model.answer(windows), tolerance)]
    if not len(held_out):
        held_out = odd
    spread = np.linspace(0, len(held_out) - 1, MIN_COUNT).round().astype(np.int64)
    chosen = np.concatenate([held_out[spread], odd])
    return Golden(windows=chosen, outputs=model.answer(chosen))


def edge_windows(windows: Window, channels: tuple[Channel, ...]) -> Iterator[Window]:
    """Windows with values at the edges of the ranges, or missing, each `[length, channels]`.

    Args:
        windows: ordinary windows, `[n, length, channels]`, at least one; the middle one is varied.
        channels: the signals; the edges of one without a range are its extremes in `windows`.
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
    """Lowest and highest value of each signal, `[channels]`: its range, or its extremes."""
    seen = np.where(np.isnan(windows), np.float32(0), windows)
    lowest, highest = seen.min(axis=(0, 1)), seen.max(axis=(0, 1))
    for index, channel in enumerate(channels):
        if channel.valid_range is not None:
            lowest[index], highest[index] = channel.valid_range
    return lowest, highest
