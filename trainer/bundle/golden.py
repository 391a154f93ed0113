"""Golden vectors: windows and answers that a gateway replays before it activates a bundle.

They are made up from the ranges and moments of the training windows, so that no row of anybody's
history travels to the gateways; or, if the recipe says so, held-out windows, spread over the test
part. Windows with values at the edges of every range or missing are always among them.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.bundle.golden import MIN_COUNT, Golden
from models.bundle.manifest import Channel, GoldenSpec
from trainer.bundle.made_up import Profile
from trainer.estimators.fitting import Model
from trainer.graph.export import is_decided

# Signals whose edges and gaps are in the golden vectors, so that wide windows fit into a bundle.
_MAX_CHANNELS = 16
MOST_MADE_UP: Final = 128
"""Windows that are made up for a bundle at most; fewer if they are large."""
_MOST_VALUES: Final = 1_000_000
Window = NDArray[np.float32]


def golden_vectors(
    model: Model, usual: Window, ends: tuple[Window, Window], tolerance: GoldenSpec
) -> Golden:
    """Choose windows, and have the model answer them in scikit-learn.

    Windows are left out whose class an error within the tolerance could change.

    Args:
        model: the fitted model.
        usual: the windows, float32 `[n, length, channels]`, at least one.
        ends: lowest and highest value of each signal, `[channels]`, for the windows at the edges.
        tolerance: allowed error of an answer.
    """
    odd = np.stack(list(edge_windows(usual[len(usual) // 2], *ends)))
    odd = odd[is_decided(model, model.answer(odd), tolerance)]
    kept = usual[is_decided(model, model.answer(usual), tolerance)]
    if not len(kept):
        kept = odd
    if len(kept) < MIN_COUNT:
        kept = spread(kept)
    chosen = np.concatenate([kept, odd])
    return Golden(windows=chosen, outputs=model.answer(chosen))


def made_up(profile: Profile) -> Window:
    """As many windows of a profile as a bundle should carry, `[n, length, channels]`."""
    size = profile.length * len(profile.mean)
    return profile.windows(max(MIN_COUNT, min(MOST_MADE_UP, _MOST_VALUES // size)))


def spread(windows: Window, most: int = MIN_COUNT) -> Window:
    """Up to `most` windows spread over all of these; the least number by repetition if need be."""
    count = max(MIN_COUNT, min(most, len(windows)))
    return windows[np.linspace(0, len(windows) - 1, count).round().astype(np.int64)]


def edge_windows(usual: Window, lowest: Window, highest: Window) -> Iterator[Window]:
    """Windows with values at the edges of the ranges, or missing, each `[length, channels]`.

    Args:
        usual: an ordinary window, `[length, channels]`, which is varied.
        lowest: lowest value of each signal, `[channels]`.
        highest: highest value of each signal, `[channels]`.
    """
    yield np.broadcast_to(lowest, usual.shape)
    yield np.broadcast_to(highest, usual.shape)
    yield np.full_like(usual, np.nan)
    width = len(lowest)
    shown = np.linspace(0, width - 1, min(width, _MAX_CHANNELS)).round()
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
            low, high = channel.valid_range
            lowest[index], highest[index] = low - channel.offset, high - channel.offset
    return lowest, highest
