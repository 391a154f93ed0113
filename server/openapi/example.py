"""An example of what a model takes and answers: one of the golden windows of its bundle."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.bundle.golden import read_golden
from models.errors import BundleError
from server.predict.example import measured, whole_window
from serving.model import Model
from serving.store import Store

MAX_VALUES: Final = 1_000
"""Values of a window that is shown; a larger one would hide the rest of the document."""


class Example(NamedTuple):
    """A window, and what the model answers to it.

    Attributes:
        window: values `[length, channels]` in engineering units, none of them missing.
        outputs: the output tensors of the one window by their names.
    """

    window: NDArray[np.float64]
    outputs: Mapping[str, NDArray[Any]]


def example_of(model: Model, store: Store) -> Example | None:
    """A golden window in which no value is missing.

    None without one, if it is large, or if the bundle cannot be read.
    """
    manifest = model.manifest
    if manifest.window.length * len(manifest.channels) > MAX_VALUES:
        return None
    (file,) = (one for one in manifest.files if one.name == "golden.npz")
    try:
        golden = read_golden(store.member(model.ref, file), manifest)
    except BundleError:
        return None
    row = whole_window(manifest, golden)
    if row is None:
        return None
    outputs = {name: array[row] for name, array in golden.outputs.items()}
    return Example(measured(manifest, golden.windows[row]), outputs)
