"""The input tensor of a request: from JSON or raw bytes to windows that a model may be given."""

from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import Manifest
from models.input.quality import Quality
from models.windowing.asset_state import SampleAndHold
from models.windowing.offsets import Narrowing
from server.http.refusals import RefusedError

INPUT: Final = "window"
DATATYPE: Final = "FP32"
_ITEM_BYTES: Final = 4
_GOOD, _UNCERTAIN, _BAD = Quality
_NUMBERS: Final = frozenset({float, int, type(None)})
_WORDS: Final = {str: "text", bool: "true or false", list: "lists", dict: "objects"}


class WindowTensor:
    """The tensor `window`, FP32 `[n, length, channels]`, of one model.

    Args:
        manifest: manifest of the model.

    Attributes:
        shape: length and number of channels of a window.
    """

    def __init__(self, manifest: Manifest) -> None:
        hold = SampleAndHold(manifest.channels, None)
        self.shape = (manifest.window.length, len(manifest.channels))
        self._names = [channel.name for channel in manifest.channels]
        self._narrow = Narrowing(manifest.channels)
        self._low, self._high = np.array(hold.low), np.array(hold.high)  # float64
        required = [channel.missing == "require" for channel in manifest.channels]
        self._required = np.array(required)

    def read_raw(self, content: bytes, shape: Sequence[int] | None = None) -> NDArray[np.float64]:
        """Windows from raw bytes, float32 in little-endian order (binary tensor extension).

        Raises:
            RefusedError: the shape does not fit the model, or the bytes do not fit the shape.
        """
        window_bytes = self.shape[0] * self.shape[1] * _ITEM_BYTES
        if shape is None:
            shape = (len(content) // window_bytes, *self.shape)
        count = self._count(shape)
        if len(content) != count * window_bytes:
            raise RefusedError(
                f"the binary data of '{INPUT}' has {len(content)} bytes; shape {list(shape)} of "
                f"{DATATYPE} needs {count * window_bytes}"
            )
        return np.frombuffer(content, "<f4").reshape(count, *self.shape).astype(np.float64)

    def read_json(self, values: Any, shape: Sequence[int]) -> NDArray[np.float64]:  # noqa: ANN401  any JSON value
        """Windows from a JSON array, flat or nested; null and NaN are missing values.

        Raises:
            RefusedError: the shape does not fit the model, the array does not fit the shape, or an
                element is no number.
        """
        count = self._count(shape)
        flat = _flattened(values, (count, *self.shape))
        kinds = set(map(type, flat)) - _NUMBERS
        if kinds:
            found = " and ".join(sorted(_WORDS[kind] for kind in kinds))
            raise RefusedError(f"data of '{INPUT}' has {found}; allowed are numbers and null")
        try:
            array = np.array(flat, np.float64)
        except OverflowError:
            raise RefusedError(f"data of '{INPUT}' has a number beyond float64") from None
        return array.reshape(count, *self.shape)

    def judged(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float32], list[Quality]]:
        """The windows as a model is given them, and the quality of each, as over MQTT.

        A value outside its signal's range is missing. A window with a missing value is UNCERTAIN,
        or BAD where the model requires the signal.
        """
        usable = (values >= self._low) & (values <= self._high)
        if np.count_nonzero(usable) == usable.size:
            return self._narrow(values), [Quality.GOOD] * len(values)
        worst = np.where(usable, _GOOD, np.where(self._required, _BAD, _UNCERTAIN))
        qualities = [Quality(one) for one in worst.max(axis=(1, 2)).tolist()]
        return self._narrow(np.where(usable, values, np.nan)), qualities

    def admitted(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float32], list[Quality]]:
        """The windows and the quality of each, none of which is BAD.

        Raises:
            RefusedError: a signal is missing that the model requires: over MQTT the prediction
                would be BAD, and have no value.
        """
        windows, qualities = self.judged(values)
        if _BAD in qualities:
            lacking = np.isnan(windows) & self._required
            row, _, channel = (int(index[0]) for index in np.nonzero(lacking))
            raise RefusedError(
                f"window {row} lacks a usable value of '{self._names[channel]}', which the model "
                "requires (input_missing): it is null, NaN or outside the signal's range "
                f"{self._low[channel]:g} to {self._high[channel]:g}"
            )
        return windows, qualities

    def _count(self, shape: Any) -> int:  # noqa: ANN401  as the client has sent it
        wanted = [-1, *self.shape]
        is_list = isinstance(shape, list | tuple) and all(type(one) is int for one in shape)
        if not is_list or list(shape[1:]) != wanted[1:] or len(shape) != len(wanted):
            raise RefusedError(
                f"'{INPUT}' has the shape {str(shape)[:60]}; allowed is [n, {self.shape[0]}, "
                f"{self.shape[1]}]: windows, samples in each, signals ({', '.join(self._names)})"
            )
        if shape[0] < 1:
            raise RefusedError(f"'{INPUT}' has {shape[0]} windows; at least one is needed")
        count: int = shape[0]
        return count


def _flattened(values: Any, shape: Sequence[int]) -> list[Any]:  # noqa: ANN401  any JSON value
    """The elements of an array that is flat, or nested as its shape says.

    Raises:
        RefusedError: it is neither.
    """
    if not isinstance(values, list):
        raise _unfit("no list", shape)
    total = prod(shape)
    if not any(type(one) is list for one in values):
        if len(values) == total:
            return values
        raise _unfit(f"{len(values)} values", shape)
    level = [values]
    for length in shape:
        if not all(type(one) is list and len(one) == length for one in level):
            raise _unfit("lists of other lengths", shape)
        level = list(chain.from_iterable(level))
    return level


def _unfit(found: str, shape: Sequence[int]) -> RefusedError:
    return RefusedError(f"data of '{INPUT}' has {found}, which shape {list(shape)} does not fit")
