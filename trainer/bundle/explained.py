"""How the answers of a model will be explained: the reference window, and the method.

The reference is what signals are exchanged for, so the model must take it for normal. It is made up
from medians and moments of normal windows, like the golden vectors, and is one of them. A window
that stands still is not enough: where deviations within the window are features, such a window is
itself abnormal. So several that move are made up, and the model's own answers decide.

Orders cost time on the gateway. Where one pair of them gives the same contributions as many, as it
does exactly for linear models and squared distances, one pair is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from models.bundle.explain import Explain
from models.bundle.golden import Golden
from models.bundle.manifest import Channel
from serving.explanation.explainer import Explainer
from trainer.bundle.made_up import Profile
from trainer.estimators.fitting import Answers

MOST_WINDOWS: Final = 66
"""Windows that one explanation asks of the model at most, where `occlusion` does not need more."""
ORDERS: Final = (2, 4, 8)
ENOUGH: Final = 0.02
"""Share of all contributions by which those of fewer orders may differ from those of the most."""
_TRIED: Final = 16  # windows that are made up for the reference
_COMPARED: Final = 24  # windows on which orders are compared
_USUAL: Final = 256  # windows whose answers say which number is usual
_MOST: Final = 4096
_MOST_VALUES: Final = 8_000_000

Window = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Head:
    """What is explained, and what an alarm is.

    Attributes:
        output: output that is explained.
        alarms: class indices that count as an alarm; empty for a regression.
        normal: class index of the normal windows, for an output of probabilities.
    """

    output: Literal["value", "score", "probabilities"]
    alarms: tuple[int, ...] = ()
    normal: int = 0

    def strangeness(self, answers: Answers, usual: Answers) -> NDArray[np.float64]:
        """How far answers are from normal ones, `[n]`; the least is the most normal.

        Args:
            answers: answers to judge.
            usual: answers to normal windows.
        """
        found = answers[self.output].astype(np.float64)
        if self.output == "probabilities":
            return np.asarray(-found[:, self.normal])
        if self.output == "value":
            return np.asarray(np.abs(found - np.median(usual["value"])))
        return found


@dataclass(frozen=True, slots=True)
class Explained:
    """How answers will be explained.

    Attributes:
        section: the section of the manifest.
        normal: the reference, `[length, channels]`.
        golden: the golden vectors, with the reference as the last one.
    """

    section: Explain
    normal: Window
    golden: Golden


@dataclass(frozen=True, slots=True)
class Answering:
    """How a model answers, whatever it is.

    Attributes:
        answer: answers windows `[n, length, channels]`.
        decided: says of answers which of them an error within the tolerance cannot change.
    """

    answer: Callable[[Window], Answers]
    decided: Callable[[Answers], NDArray[np.bool_]]


def explanation(
    when: Literal["alarm", "always"],
    head: Head,
    normal: Window,
    channels: tuple[Channel, ...],
    given: tuple[Golden, Answering],
) -> Explained | None:
    """Choose reference and method; None if no window is certain enough to be a golden vector.

    Args:
        when: which answers are explained.
        head: what is explained.
        normal: normal windows, `[n, length, channels]`, at least one.
        channels: the signals, whose codes say which of them are states.
        given: the golden vectors without the reference, and how the model answers.
    """
    golden, model = given
    found = _reference(head, normal, channels, model)
    if found is None:
        return None
    windows = np.concatenate([golden.windows, found[np.newaxis]])
    own = model.answer(found[np.newaxis])
    outputs = {name: np.concatenate([array, own[name]]) for name, array in golden.outputs.items()}
    orders = _orders(head, golden, found, model.answer)
    section = Explain(
        when=when,
        method="shapley" if orders else "occlusion",
        orders=orders,
        reference=len(windows) - 1,
        output=head.output,
        alarms=head.alarms,
    )
    return Explained(section, found, Golden(windows, outputs))


def unexplained(wanted: str, found: Explained | None) -> tuple[str, ...]:
    """A note where answers were to be explained and are not; nothing else."""
    if wanted == "never" or found is not None:
        return ()
    note = (
        "explain: answers will not be explained, because the model is undecided about every window "
        "that is made up as normal, and contributions need one to compare with"
    )
    return (note,)


def thinned(windows: Window, chosen: NDArray[np.int64]) -> Window:
    """Some of the chosen windows, spread over all of them, `[n, length, channels]`."""
    most = max(1, min(len(chosen), _MOST, _MOST_VALUES // windows[0].size))
    picked = np.linspace(0, len(chosen) - 1, most).round().astype(np.int64)
    return np.asarray(windows[chosen[picked]])


def _reference(
    head: Head, normal: Window, channels: tuple[Channel, ...], model: Answering
) -> Window | None:
    """The made-up window that the model takes for the most normal."""
    samples = normal.reshape(-1, normal.shape[2])
    tried = Profile.of(normal).around(_medians(samples), _TRIED)
    for place, channel in enumerate(channels):
        if channel.codes:
            tried[:, :, place] = tried[:1, :1, place]  # a state lies between no others
    answers = model.answer(tried)
    usual = model.answer(normal[:: -(-len(normal) // _USUAL)])
    strange = np.where(model.decided(answers), head.strangeness(answers, usual), np.inf)
    best = int(np.argmin(strange))
    return tried[best] if strange[best] < np.inf else None


def _medians(samples: Window) -> NDArray[np.float64]:
    """The lower median of each signal, `[channels]`, which a state has as well; 0 without one."""
    ordered = np.sort(samples.astype(np.float64), axis=0)  # missing values come last
    known = (~np.isnan(samples)).sum(axis=0)
    middle = ordered[np.maximum(known - 1, 0) // 2, np.arange(samples.shape[1])]
    return np.array([float(f"{value:.6g}") for value in np.where(known > 0, middle, 0.0)])


def _orders(head: Head, golden: Golden, normal: Window, answer: Callable[[Window], Answers]) -> int:
    """The fewest orders that give the contributions of the most that are affordable; 0 for none."""
    width = normal.shape[1]
    allowed = [orders for orders in ORDERS if orders * (width - 1) + 2 <= MOST_WINDOWS]
    if len(allowed) < len(ORDERS[:2]):
        return allowed[-1] if allowed else 0
    shown = golden.windows[np.linspace(0, len(golden.windows) - 1, _COMPARED).round().astype(int)]
    shown = shown[~np.isnan(shown).any(axis=(1, 2))]
    wanted = _contributions(head, allowed[-1], normal, shown, answer)
    whole = np.abs(wanted).sum(axis=1)
    for orders in allowed[:-1]:
        found = _contributions(head, orders, normal, shown, answer)
        if (np.abs(found - wanted).sum(axis=1) <= ENOUGH * whole).all():
            return orders
    return allowed[-1]


def _contributions(
    head: Head,
    orders: int,
    normal: Window,
    windows: Window,
    answer: Callable[[Window], Answers],
) -> NDArray[np.float64]:
    """Contributions of the signals in some windows, `[n, channels]`."""
    section = Explain(
        when="always", method="shapley", orders=orders, reference=0, output=head.output
    )
    explainer = Explainer(section, [""] * normal.shape[1], normal)

    found = []
    for window, value in zip(windows, answer(windows)["value"], strict=True):
        parts = [explainer.explained(answer(block), value) for block in explainer.blocks(window)]
        found.append(explainer.contributions(window, np.concatenate(parts)))
    return np.array(found).reshape(len(windows), normal.shape[1])
