"""The length of the windows, chosen by the contest of the default on folds of the training part.

A longer window sees more, and gives fewer windows, none of them at the begin of a recording. So
that no length has easier moments than another, all are compared at the moments that have a window
of the longest: a shorter window there is the end of the longest one. Folds, and the gap between
them, are those of the longest as well.

A length is as good as the candidate that the contest takes for it. It yields to a shorter one that
is behind by no more than one standard error of their difference, fold by fold, as candidates do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trainer.console import Console
from trainer.dataset.splits import split
from trainer.dataset.targets import Truth
from trainer.dataset.windows import Windowed
from trainer.errors import DataError
from trainer.estimators.fitting import check_learnable
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe
from trainer.search.contest import Result, choose, compete, standard_error, validation_of
from trainer.search.leaderboard import TriedLength

ENOUGH = 0.5
"""Least share of the moments that must have a window of the longest length of `auto`."""


@dataclass(frozen=True, slots=True)
class ChosenLength:
    """The recipe with the length that was chosen, and what it was chosen from.

    Attributes:
        recipe: the recipe with one length.
        tried: the lengths that were compared, rising; empty where the recipe gives one.
        notes: sentences on the choice.
    """

    recipe: Recipe
    tried: tuple[TriedLength, ...] = ()
    notes: tuple[str, ...] = ()


def chosen_length(
    recording: Recording, truth: Truth, recipe: Recipe, console: Console
) -> ChosenLength:
    """Choose the length of the windows on folds of the training part.

    Args:
        recording: the recorded rows; those of the test part are not used.
        truth: target values of the rows.
        recipe: the recipe, which may name several lengths.
        console: shows the progress.

    Raises:
        DataError: there is no window of the longest length, or nothing can be learned.
    """
    if recipe.window.lengths is None:
        return ChosenLength(recipe)
    lengths, train, left_out = _compared(recording, truth, recipe)
    longest = recipe.of_length(lengths[-1])
    check_learnable(train, truth, longest)
    some, validation = validation_of(train, truth, longest)
    if len(lengths) == 1 or not validation.folds:
        why = "no other length has enough windows" if validation.folds else "no fold can be scored"
        note = f"window: length {lengths[0]} is taken: {why}"
        return ChosenLength(recipe.of_length(lengths[0]), (), (*left_out, note))
    takens: list[tuple[int, Result]] = []
    for length in lengths:
        console.detail(f"windows of {length} samples")
        own = recipe.of_length(length)
        results = compete(replace(some, length=length), validation, own, console)
        if results:
            takens.append((length, _taken(results)))
    if not takens:
        raise DataError("window.lengths: no candidate could be fitted with any of the lengths")
    return _chosen(recipe, takens, validation.scorer.sign(), (len(some), left_out))


def _compared(
    recording: Recording, truth: Truth, recipe: Recipe
) -> tuple[tuple[int, ...], Windowed, tuple[str, ...]]:
    """The lengths to compare, the training windows of the longest, and notes on those left out.

    Lengths that the recipe names are all compared. Of `auto` those are left out that fewer than
    half of the moments of the shortest have a window of.
    """
    lengths = recipe.lengths
    if recipe.window.lengths != "auto":
        return lengths, _windows(recording, truth, recipe.of_length(lengths[-1])), ()
    train = _windows(recording, truth, recipe.of_length(lengths[0]))
    least = ENOUGH * len(train)
    for at in range(1, len(lengths)):
        try:
            longer = _windows(recording, truth, recipe.of_length(lengths[at]))
        except DataError:
            return lengths[:at], train, _left_out(lengths[at:])
        if len(longer) < least:
            return lengths[:at], train, _left_out(lengths[at:])
        train = longer
    return lengths, train, ()


def _left_out(lengths: Sequence[int]) -> tuple[str, ...]:
    named = ", ".join(map(str, lengths))
    return (f"window: lengths of {named} samples are not compared: the rows are too few for them",)


def _windows(recording: Recording, truth: Truth, recipe: Recipe) -> Windowed:
    return split(recording, truth, recipe, recipe.window.spec(recording.period_ms())).train


def _taken(results: Sequence[Result]) -> Result:
    """The candidate that the contest takes."""
    sizes = [one.rival.size for one in results]
    return results[choose([one.tried.losses for one in results], sizes)[0]]


def _chosen(
    recipe: Recipe,
    takens: Sequence[tuple[int, Result]],
    sign: float,
    on: tuple[int, tuple[str, ...]],
) -> ChosenLength:
    losses = [one.tried.losses for _, one in takens]
    at, best = choose(losses, range(len(takens)))
    tried = tuple(
        TriedLength(
            length=length,
            family=one.rival.family,
            features=one.rival.preset,
            said=f"{sign * one.loss:.4g} ± {standard_error(np.array(one.tried.losses)):.2g}",
            taken=number == at,
        )
        for number, (length, one) in enumerate(takens)
    )
    why = "it is the best"
    if at != best:
        why = f"the shortest that is within one standard error of {tried[best].length}, the best"
    figures = "; ".join(f"{one.length}: {one.said}" for one in tried)
    windows, left_out = on
    note = (
        f"window: length {tried[at].length} is taken, {why}, of {len(tried)} lengths on folds of "
        f"the same {windows} moments ({figures})"
    )
    return ChosenLength(recipe.of_length(tried[at].length), tried, (*left_out, note))
