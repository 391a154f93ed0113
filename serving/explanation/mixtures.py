"""Which signals are exchanged for the reference in each window that an explanation asks of a model.

Rules:

- A mixture keeps some signals of the window and takes the others from the reference. Mixtures that
  several orders have in common are asked once.
- `shapley` averages, over orders of the signals, what the answer changes by when a signal joins
  those before it (E. Strumbelj, I. Kononenko: An efficient explanation of individual
  classifications using game theory. Journal of Machine Learning Research 11, 2010). Each order
  telescopes, so contributions add up to the answer for the window less that for the reference.
- Every second order is the reverse of the one before (R. Mitchell, J. Cooper, E. Frank, G. Holmes:
  Sampling permutations for Shapley value estimation. Journal of Machine Learning Research 23,
  2022). One such pair is exact wherever signals act alone or two by two, as in a linear model, the
  squared Mahalanobis distance, and T2 and Q of a principal component analysis.
- Orders are the same on every machine: they are drawn by a hash, not by a random generator.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from models.bundle.explain import Explain


@dataclass(frozen=True, slots=True)
class Mixtures:
    """The mixtures for a number of signals, and the changes of the answer that are looked at.

    Attributes:
        own: whether a signal is the window's own in a mixture, bool `[mixtures, channels]`.
        channel: signal that each change is due to, `[changes]`.
        before: mixture before each change, without that signal, `[changes]`.
        after: mixture after each change, `[changes]`.
        repeats: changes that each signal has.
    """

    own: NDArray[np.bool_]
    channel: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    repeats: int

    def __len__(self) -> int:
        """How many windows the model answers for one explanation."""
        return len(self.own)

    def contributions(self, answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean change that is due to each signal, `[channels]`.

        Args:
            answers: what the model has answered to each mixture, `[mixtures]`.
        """
        changes = answers[self.after] - answers[self.before]
        total = np.bincount(self.channel, changes, minlength=self.own.shape[1])
        return np.asarray(total / self.repeats)


def mixtures(explain: Explain, width: int) -> Mixtures:
    """The mixtures of a method.

    Args:
        explain: method and number of orders.
        width: number of signals, at least one.
    """
    return _occluded(width) if explain.method == "occlusion" else _ordered(explain.orders, width)


def _occluded(width: int) -> Mixtures:
    own = np.vstack([np.ones((1, width), np.bool_), ~np.eye(width, dtype=np.bool_)])
    channel = np.arange(width)
    return Mixtures(own, channel, channel + 1, np.zeros(width, np.int64), 1)


def _ordered(orders: int, width: int) -> Mixtures:
    places: dict[bytes, int] = {}
    changes: list[tuple[int, int, int]] = []
    for order in _orders(orders, width):
        mixture = np.zeros(width, np.bool_)
        before = places.setdefault(mixture.tobytes(), len(places))
        for channel in order:
            mixture[channel] = True
            after = places.setdefault(mixture.tobytes(), len(places))
            changes.append((channel, before, after))
            before = after
    own = np.frombuffer(b"".join(places), np.bool_).reshape(len(places), width)
    channels, befores, afters = np.array(changes).T
    return Mixtures(own, channels, befores, afters, orders)


def _orders(count: int, width: int) -> Iterator[list[int]]:
    for pair in range(count // 2):
        drawn = sorted(range(width), key=lambda one: blake2b(f"{pair}/{one}".encode()).digest())
        yield drawn
        yield drawn[::-1]
