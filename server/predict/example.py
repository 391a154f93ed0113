"""An example that works: a golden window of a bundle as rows that a person can send."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from models.bundle.golden import Golden
from models.bundle.manifest import Manifest
from models.states import States
from models.windowing.asset_state import SampleAndHold
from models.windowing.offsets import offsets_of

MAX_BYTES: Final = 100_000
"""Length of the rows at most; the shell takes no argument longer than 128 KiB (execve(2))."""


@dataclass(frozen=True, slots=True)
class Example:
    """An example.

    Attributes:
        body: body of a predict request, compact JSON.
        expected: outputs that the model must give, within the manifest's tolerance, by name.
    """

    body: bytes
    expected: Mapping[str, float | int]

    def document(self, url: str) -> Mapping[str, Any]:
        """The example as a client gets it, with a line for the shell.

        Args:
            url: URL of the predict route.
        """
        body = self.body.decode().replace("'", "\\u0027")  # of a state; the shell would end there
        curl = f"curl -s {url} -d '{body}'"
        return {"request": orjson.loads(self.body), "curl": curl, "expected": self.expected}


def example_of(manifest: Manifest, golden: Golden, rows_needed: int) -> Example | None:
    """The last golden window in which no value is missing; None without one, or if it is long.

    Args:
        manifest: manifest of the bundle.
        golden: golden vectors of the bundle.
        rows_needed: rows that one window needs.
    """
    index = whole_window(manifest, golden)
    if index is None:
        return None
    rows = window_rows(manifest, measured(manifest, golden.windows[index]), rows_needed)
    body = orjson.dumps({"readings": rows if len(rows) > 1 else rows[0]})
    return Example(body, _expected(golden, index)) if len(body) <= MAX_BYTES else None


def whole_window(manifest: Manifest, golden: Golden) -> int | None:
    """The last golden window in which no value is missing; None without one."""
    hold = SampleAndHold(manifest.channels, None)
    states = [
        (index, States(one.codes)) for index, one in enumerate(manifest.channels) if one.codes
    ]
    for index in reversed(range(len(golden.windows))):
        window = measured(manifest, golden.windows[index])
        is_in_range = ((window >= hold.low) & (window <= hold.high)).all()
        if is_in_range and all(map(one.text, window[:, place]) for place, one in states):
            return index
    return None


def window_rows(
    manifest: Manifest, window: NDArray[np.float64], rows_needed: int
) -> list[Mapping[str, float | str | None]]:
    """The samples of a window as rows by signal name; the last one again, until they are enough."""
    columns = {
        channel.name: list(map(States(channel.codes).text, column)) if channel.codes else column
        for channel, column in zip(manifest.channels, window.T.tolist(), strict=True)
    }
    rows = [
        dict(zip(columns, sample, strict=True)) for sample in zip(*columns.values(), strict=True)
    ]
    return [*rows, *(rows[-1:] * (rows_needed - len(rows)))]


def shortest(window: NDArray[np.float32]) -> NDArray[np.float64]:
    """The shortest decimal numbers that are read back as the same float32."""
    texts: Sequence[str] = [str(value) for value in window.ravel()]
    return np.array([float(text) for text in texts]).reshape(window.shape)


def measured(manifest: Manifest, window: NDArray[np.float32]) -> NDArray[np.float64]:
    """A window as the plant sends it: with the offsets of its signals."""
    offsets = offsets_of(manifest.channels)
    return shortest(window) if offsets is None else shortest(window) + offsets


def _expected(golden: Golden, index: int) -> Mapping[str, float | int]:
    return {name: array[index].item() for name, array in golden.outputs.items() if array.ndim == 1}
