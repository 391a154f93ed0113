"""Offsets of signals: what is subtracted in double precision before a value becomes a float32.

A float32 has 24 bits: at 20,000,000 it counts in steps of 2, so that the consumption of a minute is
lost in the reading of a meter. Where a channel has an `offset`, windows have the rest, which is
small and exact. Ranges, held values and retained readings stay as the plant sends them.
"""

import struct
from collections.abc import Callable, Sequence
from operator import sub

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import Channel


def offsets_of(channels: Sequence[Channel]) -> NDArray[np.float64] | None:
    """The offset of each channel, float64 `[channels]`; None where no channel has one."""
    offsets = np.array([channel.offset for channel in channels])
    return offsets if offsets.any() else None


def sample_packer(channels: Sequence[Channel]) -> tuple[Callable[..., bytes], int]:
    """A function of a sample's values, one for each channel, that gives them as float32 in bytes.

    Returns:
        The function, and the number of bytes.
    """
    sample = struct.Struct(f"{len(channels)}f")
    if offsets_of(channels) is None:
        return sample.pack, sample.size
    offsets = [channel.offset for channel in channels]
    return lambda *values: sample.pack(*map(sub, values, offsets)), sample.size


class Narrowing:
    """Makes float32 of whole arrays, less the offset of each signal.

    Args:
        channels: the model's inputs, in order.
    """

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._offsets = offsets_of(channels)

    def __call__(
        self, values: NDArray[np.floating], channels: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """Values less their offsets, subtracted in double precision.

        Args:
            values: as the plant sends them, `[..., n]`; NaN stays NaN.
            channels: index of the signal of each column; None: all signals, in order.
        """
        if self._offsets is None:
            return values.astype(np.float32, copy=False)
        offsets = self._offsets if channels is None else self._offsets[list(channels)]
        return (values.astype(np.float64) - offsets).astype(np.float32)
