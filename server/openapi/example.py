"""An example of what a model takes and answers: one of the golden windows of its bundle."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.bundle.golden import read_golden
from models.bundle.manifest import Manifest
from models.errors import BundleError
from models.windowing.asset_state import SampleAndHold
from serving.model import Model
from serving.store import Store

MAX_VALUES: Final = 1_000
"""Values of a window that is shown; a larger one would hide the rest of the document."""


class Example(NamedTuple):
    """A window, and what the model answers to it.

    Attributes:
        window: the samples, each a list of the signals' values in engineering units.
        outputs: the output tensors of the one window by their names, flat.
    """

    window: Sequence[Sequence[float]]
    outputs: Mapping[str, Sequence[Any]]


def example_of(model: Model, store: Store) -> Example | None:
    """The first golden window that has all values, and all of them within the signals' ranges.

    None where there is no such window, it is too large, or the bundle cannot be read.
    """
    manifest = model.manifest
    if manifest.window.length * len(manifest.channels) > MAX_VALUES:
        return None
    try:
        golden = read_golden(store.member(model.ref, "golden.npz", manifest), manifest)
    except BundleError:
        return None
    row = _ordinary(golden.windows, manifest)
    if row is None:
        return None
    outputs = {name: _shortest(array[row]) for name, array in golden.outputs.items()}
    return Example([_shortest(sample) for sample in golden.windows[row]], outputs)


def _ordinary(windows: NDArray[np.float32], manifest: Manifest) -> int | None:
    """The first window that has all values, and none at the edge of its signal's range."""
    hold = SampleAndHold(manifest.channels, None)
    is_inside = (windows > np.array(hold.low)) & (windows < np.array(hold.high))
    rows = np.nonzero(np.all(is_inside, axis=(1, 2)))[0]
    return int(rows[0]) if len(rows) else None


def _shortest(values: NDArray[Any]) -> list[Any]:
    """The values as the shortest decimal numbers that are read back as the same float32."""
    flat = np.ravel(values)
    if flat.dtype == np.float32:
        return [float(str(value)) for value in flat]
    found: list[Any] = flat.tolist()
    return found
