"""Limits of drift: how far data that has not changed strays from its own reference.

The training part is split into folds, in time or by asset. Each fold is compared, window by window
of samples, with a reference made from the others, by the same code as on the gateway. The distances
contain whatever new data brings too: autocorrelation, seasons, differences between assets, and a
reference that is itself an estimate.

The wanted share of false alarms is far smaller than can be counted on the few windows that are
independent, so the tail is extrapolated (peaks over threshold). Excesses over the level that a
tenth of the windows exceed are taken as exponential. The uncertainty of their mean widens the
limit; only as many excesses count as there are clusters, and the predictive distribution is a
Pareto distribution. All views share the false alarms, so each gets a smaller share.

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
from trainer.drift.correlation import correlation
from trainer.drift.held_out import Folds, folds, held_out_samples
from trainer.drift.reference import Samples, describe, is_related
from trainer.errors import DataError
from trainer.estimators.fitting import Model
from trainer.recipe.document import Recipe

Floats = NDArray[np.float64]

# Share of the windows whose excess over the level is used to extrapolate.
TAIL = 0.1


class Undisturbed(NamedTuple):
    """Distances of windows from undisturbed data.

    Attributes:
        distances: distance of each window in each view, `[windows, views]`.
        run: number of the run of each window, `[windows]`; windows of a run follow each other in
            time.
    """

    distances: Floats
    run: NDArray[np.int64]


def reference(
    model: Model,
    train: Windowed,
    truth: Truth,
    recipe: Recipe,
    times_ns: NDArray[np.int64] | None = None,
) -> bytes:
    """The content of the bundle's `reference.json`.

    Args:
        model: the model, fitted on `train`.
        train: windows of the training part.
        truth: target values of the recording's rows.
        recipe: the recipe; its section `[drift]` gives window and false alarms.
        times_ns: time of each row of the recording, `[rows]`; None without a time axis.

    Raises:
        DataError: the recipe's `drift.window` is longer than the runs that can be held out.
    """
    parted = folds(train, recipe)
    samples = held_out_samples(model, train, truth, recipe, parted)
    longest, wanted = longest_window(samples, parted), recipe.drift.window
    if wanted is not None and wanted > longest:
        raise DataError(
            f"drift.window is {wanted}, but the runs that can be held out of the training part to "
            f"calibrate it have {longest} samples; lower it, leave it out, or give more data"
        )
    window = wanted or default_window(samples, parted)
    ended_ns = None if times_ns is None else times_ns[train.rows]
    update: dict[str, object] = {"correlation": correlation(samples, recipe, ended_ns)}
    if window is None:
        update["reason"] = (
            f"runs of {longest} samples are too short to calibrate the limits of drift"
        )
        document = describe(samples, recipe.channels, None)
    else:
        judgement = Judgement(window=window, false_alarms=recipe.drift.false_alarms)
        document = calibrated(samples, recipe.channels, parted, judgement)
    return write_reference(document.model_copy(update=update))


def calibrated(
    samples: Samples, channels: Sequence[Channel], folds: Folds, judgement: Judgement
) -> Document:
    """The reference of the training part, with the limits of every view.

    Args:
        samples: samples of the training part.
        channels: names and units of the signals.
        folds: for each fold the samples for a reference, and the samples compared with it.
        judgement: the length of the window, and the share of windows that may raise an alarm, for
            all views together.
    """
    # The whole may have enough samples for relations where a fold, which is smaller, has too few.
    related = all(is_related(samples.take(fitted)) for fitted, _ in folds)
    whole = describe(samples, channels, judgement, related=related)
    undisturbed = _undisturbed(samples, channels, folds, judgement, related=related)
    limits, independent = tail_limits(undisturbed, judgement)
    update = {"judged": len(undisturbed.run), "independent": independent}
    return _limited(whole, limits, judgement.model_copy(update=update))


def longest_window(samples: Samples, folds: Folds) -> int:
    """The longest window, in samples and whole blocks, that fits into half of the held-out runs."""
    runs = np.concatenate(
        [np.unique(samples.asset[held], return_counts=True)[1] for _, held in folds]
    )
    return int(np.median(runs)) // BLOCKS * BLOCKS


def default_window(samples: Samples, folds: Folds) -> int | None:
    """The window where the recipe gives none, in samples.

    It is a hundredth of the training samples, so that there are a hundred windows to calibrate on;
    but at least 200, which a distribution needs, and at most half a run. None if that is less than
    the shortest window allowed.
    """
    longest = longest_window(samples, folds) // 2
    window = min(max(len(samples.asset) // 100, 200), longest) // BLOCKS * BLOCKS
    return window if window >= MIN_WINDOW else None


def tail_limits(undisturbed: Undisturbed, judgement: Judgement) -> tuple[Floats, int]:
    """The limit of each view, and the number of clusters of excesses that it rests on.

    Args:
        undisturbed: distances of windows from undisturbed data.
        judgement: the length of the windows, and the share of them that may exceed any limit.
    """
    share, distances = max(TAIL, judgement.false_alarms), undisturbed.distances
    # For a view with no excess, as of a constant signal: one deviation of the mean of independent
    # samples, and a quarter of it as the mean excess.
    least = judgement.window**-0.5
    level = np.maximum(np.quantile(distances, 1 - share, axis=0), least)
    mean = _mean_excess(distances, level)
    clusters = np.array([_clusters(column, undisturbed.run) for column in (distances > level).T])
    # Views that always exceed their level together count as one, unrelated views as one each.
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
    """The number of groups of excesses that share no sample with each other; at least 1."""
    # A window moves on by one block, so windows `BLOCKS` apart have no sample in common.
    places = np.flatnonzero(large)
    if not len(places):
        return 1
    is_apart = (np.diff(places) >= BLOCKS) | (np.diff(run[places]) != 0)
    return int(is_apart.sum()) + 1


def _undisturbed(
    samples: Samples,
    channels: Sequence[Channel],
    folds: Folds,
    judgement: Judgement,
    *,
    related: bool,
) -> Undisturbed:
    distances, runs = [], []
    for fitted, held in folds:
        document = describe(samples.take(fitted), channels, judgement, related=related)
        reference = Reference.of(document)
        assert reference is not None  # noqa: S101  as above
        for asset in np.unique(samples.asset[held]):
            part = samples.take(held[samples.asset[held] == asset])
            decisions = Drift(reference).feed([""] * len(part.asset), part.values, part.scores)
            found = [decision.ratios for decision in decisions]
            distances += found
            runs.append(len(found))
    return Undisturbed(np.array(distances), np.repeat(np.arange(len(runs)), runs))


def _limited(document: Document, limits: Floats, judgement: Judgement) -> Document:
    """The document with the limits filled in; they are in the order of the reference's views."""
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
