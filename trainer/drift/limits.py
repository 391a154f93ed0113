"""Limits of drift: how far undisturbed data strays from its own reference.

The training part is parted in folds, in time or by asset. Each is compared with a reference made of
the others, stretch by stretch, by the very code of the gateway. What is measured there has in it
whatever fresh data brings: samples that repeat each other, seasons, assets that differ, a reference
that is an estimate itself.

The stated share of false alarms is far smaller than can be counted on the few stretches that are
independent of each other, so the tail is extrapolated. Excesses over the level that a tenth of the
stretches exceeds are taken as exponential; the uncertainty of their mean, of which only as many
count as there are clusters of them, widens the limit (the predictive distribution is Pareto's). All
views are judged together: by the largest excess over all of them, in units of each view's own.

S. Coles: An Introduction to Statistical Modeling of Extreme Values. Springer 2001, sections 4.2,
5.3 and 9.1.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import Channel
from models.bundle.reference import MIN_WINDOW, Document, Judgement, Reference, write_reference
from models.drift import BLOCKS, Drift
from trainer.dataset.targets import Truth
from trainer.dataset.windows import Windowed
from trainer.drift.held_out import Folds, folds
from trainer.drift.held_out import samples as held_out
from trainer.drift.reference import Samples, describe
from trainer.errors import DataError
from trainer.estimators.fitting import Model
from trainer.recipe.document import Recipe

Floats = NDArray[np.float64]

TAIL = 0.1
"""Share of the stretches whose excess is looked at."""


class Judged(NamedTuple):
    """Windows of undisturbed data.

    Attributes:
        distances: of each view, `[windows, views]`.
        run: windows of the same run follow each other in time, `[windows]`.
    """

    distances: Floats
    run: NDArray[np.int64]


def reference(model: Model, train: Windowed, truth: Truth, recipe: Recipe) -> bytes:
    """The bundle's `reference.json`.

    Args:
        model: fitted on `train`.
        train: the training windows.
        truth: of the rows.
        recipe: its section `drift`.

    Raises:
        DataError: the window of the recipe is longer than any stretch that could be held out.
    """
    parted = folds(train, recipe)
    samples = held_out(model, train, truth, recipe, parted)
    longest, wanted = longest_window(samples, parted), recipe.drift.window
    if wanted is not None and wanted > longest:
        raise DataError(
            f"drift.window is {wanted}, but stretches that are held out of the training part to "
            f"calibrate it have {longest} samples; lower it, leave it out, or give more data"
        )
    window = wanted or default_window(samples, parted)
    if window is None:
        reason = f"stretches of {longest} samples are too short to calibrate drift on"
        document = describe(samples, recipe.channels, None).model_copy(update={"reason": reason})
        return write_reference(document)
    judgement = Judgement(window=window, false_alarms=recipe.drift.false_alarms)
    return write_reference(calibrated(samples, recipe.channels, parted, judgement))


def calibrated(
    samples: Samples, channels: Sequence[Channel], folds: Folds, judgement: Judgement
) -> Document:
    """The reference of the training part, with the limits of every view.

    Args:
        samples: of the training part.
        channels: names and units.
        folds: what a reference is made of, and what is compared with it.
        judgement: the window, and the share of windows that may raise an alarm, all views taken
            together.
    """
    whole = describe(samples, channels, judgement)
    judged = _judged(samples, channels, folds, judgement)
    limits, independent = tail_limits(judged, judgement)
    update = {"judged": len(judged.run), "independent": independent}
    return _limited(whole, limits, judgement.model_copy(update=update))


def longest_window(samples: Samples, folds: Folds) -> int:
    """Of which half of the held-out runs have at least one: whole blocks."""
    runs = np.concatenate(
        [np.unique(samples.asset[held], return_counts=True)[1] for _, held in folds]
    )
    return int(np.median(runs)) // BLOCKS * BLOCKS


def default_window(samples: Samples, folds: Folds) -> int | None:
    """A hundredth of the training samples, so that there are a hundred stretches to learn from.

    At least 200, which a distribution needs, but no longer than half a run. None if even the
    shortest window is longer.
    """
    longest = longest_window(samples, folds) // 2
    window = min(max(len(samples.asset) // 100, 200), longest) // BLOCKS * BLOCKS
    return window if window >= MIN_WINDOW else None


def tail_limits(judged: Judged, judgement: Judgement) -> tuple[Floats, int]:
    """The limit of each view, and how many clusters of large excesses it rests on.

    Args:
        judged: undisturbed windows.
        judgement: how long they are, and the share of them that may be beyond any limit.
    """
    share, distances = max(TAIL, judgement.false_alarms), judged.distances
    # Where there is nothing to measure, as of a signal that never changes: one deviation of the
    # mean of independent samples, and a quarter of it.
    least = judgement.window**-0.5
    level = np.maximum(np.quantile(distances, 1 - share, axis=0), least)
    mean = _mean_excess(distances, level)
    clusters = np.array([_clusters(column, judged.run) for column in (distances > level).T])
    # Views that all say the same count as one, views with nothing in common one each.
    any_beyond = float((distances > level).any(axis=1).mean())
    views = np.log1p(-min(any_beyond, 1 - 1e-9)) / np.log1p(-share)
    rarer = np.log(max(min(views, distances.shape[1]), 1.0) * share / judgement.false_alarms)
    unsure = np.where(mean == 0, rarer, clusters * np.expm1(rarer / clusters))
    limits = level + np.maximum(mean, least / 4) * unsure
    return limits, int(clusters.min(initial=len(distances), where=mean > 0))


def _mean_excess(values: Floats, level: Floats) -> Floats:
    excess = np.maximum(values - level, 0.0)
    mean: Floats = excess.sum(axis=0) / np.maximum((excess > 0).sum(axis=0), 1)
    return mean


def _clusters(large: NDArray[np.bool_], run: NDArray[np.int64]) -> int:
    """Groups of large ones that share no sample with each other; at least 1."""
    places = np.flatnonzero(large)
    if not len(places):
        return 1
    is_apart = (np.diff(places) >= BLOCKS) | (np.diff(run[places]) != 0)
    return int(is_apart.sum()) + 1


def _judged(
    samples: Samples, channels: Sequence[Channel], folds: Folds, judgement: Judgement
) -> Judged:
    distances, runs = [], []
    for fitted, held in folds:
        reference = Reference.of(describe(samples.take(fitted), channels, judgement))
        assert reference is not None  # noqa: S101  as above
        for asset in np.unique(samples.asset[held]):
            part = samples.take(held[samples.asset[held] == asset])
            decisions = Drift(reference).feed([""] * len(part.asset), part.values, part.scores)
            found = [decision.ratios for decision in decisions]
            distances += found
            runs.append(len(found))
    return Judged(np.array(distances), np.repeat(np.arange(len(runs)), runs))


def _limited(document: Document, limits: Floats, judgement: Judgement) -> Document:
    """The document with its limits, which are in the order of the reference's views."""
    given = iter([float(f"{limit:.6g}") for limit in limits])
    quantities = [*document.signals.values(), document.score]
    for view in ("level", "relation", "condition"):
        for place, quantity in enumerate(quantities):
            if (part := getattr(quantity, view)) is not None:
                limited = part.model_copy(update={"limit": next(given)})
                quantities[place] = quantity.model_copy(update={view: limited})
    signals = dict(zip(document.signals, quantities[:-1], strict=True))
    update = {"signals": signals, "score": quantities[-1], "drift": judgement}
    return document.model_copy(update=update)
