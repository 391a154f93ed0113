"""Explains answers of one model: which signals they are due to, and by how much.

The model is asked as for any other windows, so it may be any graph, also one that another tool has
made. Nothing is computed until an answer is to be explained. The callers run the model themselves,
since the agent, the server and the trainer each bound and measure that in their own way.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.bundle.explain import Explain
from serving.explanation.mixtures import mixtures

MAX_REASONS: Final = 3
"""Signals that an answer names at most."""
BLOCK_VALUES: Final = 1_000_000
"""Values of the windows that are mixed at a time, 4 MB; a larger window is mixed alone."""

Window = NDArray[np.float32]
Reasons = Sequence[Mapping[str, str | float | None]]
"""The signals behind an answer, the one that contributes most first, see `Explainer.reasons`."""


class Explainer:
    """Explains the answers of one model.

    Args:
        explain: section of the manifest.
        names: names of the signals, in their order.
        reference: reference window, float32 `[length, channels]` in engineering units, less the
            offsets, as the model is given it.
        offsets: what was subtracted from the values of each signal; without it nothing was.

    Attributes:
        explain: as given.
        reference: as given.
        windows: windows that the model answers for one explanation.
        is_unasked: whether some answers are explained without being asked.
    """

    def __init__(
        self,
        explain: Explain,
        names: Sequence[str],
        reference: Window,
        offsets: Sequence[float] | None = None,
    ) -> None:
        self.explain = explain
        self._names = names
        self._offsets = offsets or [0.0] * len(names)
        self.reference = reference
        self._mixtures = mixtures(self.explain, len(self._names))
        self.windows = len(self._mixtures)
        self.is_unasked = self.explain.when == "always" or bool(self.explain.alarms)
        self._block = max(1, BLOCK_VALUES // reference.size)

    def blocks(self, window: Window, most: int = BLOCK_VALUES) -> Iterator[Window]:
        """The windows that the model is to answer, in blocks `[n, length, channels]`.

        A signal without a single value stays missing in all of them.

        Args:
            window: window whose answer is explained, `[length, channels]`, NaN = missing.
            most: windows of a block at most.
        """
        reference = np.where(_is_missing(window), np.float32(np.nan), self.reference)
        own = self._mixtures.own
        size = max(1, min(most, self._block))
        for at in range(0, len(own), size):
            yield np.where(own[at : at + size, np.newaxis], window, reference)

    def explained(self, outputs: Mapping[str, NDArray[Any]], value: float) -> NDArray[np.float64]:
        """The output that is explained, `[n]`.

        Args:
            outputs: outputs of the model by name, for `n` windows.
            value: what the model has answered to the window; where probabilities are explained,
                the index of its class.
        """
        array = outputs[self.explain.output]
        if self.explain.output == "probabilities":
            array = array[:, int(value)]
        return array.reshape(-1).astype(np.float64)

    def contributions(self, window: Window, answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """What each signal contributes, `[channels]`, in the unit of the output that is explained.

        Args:
            window: window that is explained.
            answers: what the model has answered to the windows of `blocks`, as `explained` has it.

        Returns:
            The contributions; NaN for a signal without a single value.
        """
        found = self._mixtures.contributions(answers)
        return np.where(_is_missing(window), np.nan, found)

    def reasons(self, window: Window, answers: NDArray[np.float64]) -> Reasons | None:
        """The signals that contribute most, at most `MAX_REASONS`; missing ones come last.

        Args:
            window: window that is explained.
            answers: as for `contributions`.

        Returns:
            For each signal, as payloads carry it: `signal`, its name; `value`, its newest value in
            the window, as the plant has sent it, null where that is missing; `share`, its
            contribution divided by the sum of the amounts of all, -1 to 1, below 0 where it speaks
            against the answer, and null where the whole signal is missing. None where the model
            gives no numbers.
        """
        if not np.isfinite(answers).all():
            return None
        contributions = self.contributions(window, answers)
        amounts = np.abs(contributions)
        whole = float(np.nansum(amounts)) or 1.0
        order = np.argsort(-np.where(np.isnan(amounts), -1.0, amounts), kind="stable")
        return [
            {
                "signal": self._names[channel],
                "value": _plain(float(window[-1, channel]), self._offsets[channel]),
                "share": _plain(round(float(contributions[channel]) / whole, 3)),
            }
            for channel in order[:MAX_REASONS].tolist()
        ]


def _is_missing(window: Window) -> NDArray[np.bool_]:
    return np.asarray(np.isnan(window).all(axis=0))


def _plain(value: float, offset: float = 0.0) -> float | None:
    """A float32 and its offset as a number that JSON has; None for NaN."""
    if isnan(value):
        return None
    digits = float(f"{value:.7g}")
    return round(digits + offset, 9) if offset else digits
