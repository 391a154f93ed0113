"""An example that works: a golden window of a bundle as rows that a person can send."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from models.bundle.golden import Golden
from models.bundle.manifest import Manifest
from models.windowing.asset_state import SampleAndHold

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
        # Names of signals and JSON have no apostrophe, so the shell takes the body as it is.
        curl = f"curl -s {url} -d '{self.body.decode()}'"
        return {"request": orjson.loads(self.body), "curl": curl, "expected": self.expected}


def example_of(manifest: Manifest, golden: Golden, rows_needed: int) -> Example | None:
    """The last golden window in which no value is missing; None without one, or if it is long.

    Args:
        manifest: manifest of the bundle.
        golden: golden vectors of the bundle.
        rows_needed: rows that one window needs.
    """
    names = [channel.name for channel in manifest.channels]
    hold = SampleAndHold(manifest.channels, None)
    for index in reversed(range(len(golden.windows))):
        window = _shortest(golden.windows[index])
        if not ((window >= hold.low) & (window <= hold.high)).all():
            continue
        rows = [dict(zip(names, row, strict=True)) for row in window.tolist()]
        rows += rows[-1:] * (rows_needed - len(rows))
        body = orjson.dumps({"readings": rows if len(rows) > 1 else rows[0]})
        if len(body) > MAX_BYTES:
            return None
        return Example(body, _expected(golden, index))
    return None


def _shortest(window: NDArray[np.float32]) -> NDArray[np.float64]:
    """The shortest decimal numbers that are read back as the same float32."""
    texts: Sequence[str] = [str(value) for value in window.ravel()]
    return np.array([float(text) for text in texts]).reshape(window.shape)


def _expected(golden: Golden, index: int) -> Mapping[str, float | int]:
    return {name: array[index].item() for name, array in golden.outputs.items() if array.ndim == 1}
