"""The contest that decides on the default: a few fixed candidates, simple ones first, on folds.

Which of a line and boosting is right depends on the plant, and folds of the training part tell it
within seconds. So without a section `[search]` the recipe's default is the winner of this contest.

- For a regression: a line on the last sample; where a window has several samples, ridge on those
  lags only that pay, partial least squares and ridge on all lags; gradient boosting on the recipe's
  features, and on all lags where they are few: what acts late is blurred in means and slopes.
- For a classification: a logistic line, and gradient boosting, on the recipe's features.
- On features of kernels: lines alone.

A rival that beats a simpler one by no more than one standard error yields to it, unless one that is
simpler still is as good as that one. The standard error is that of the differences fold by fold,
because folds differ more from each other than candidates do. The rule follows Breiman et al.
(1984), who take the standard error of the best.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from trainer.console import Console
from trainer.dataset.splits import folds
from trainer.dataset.targets import Truth
from trainer.dataset.windows import Windowed
from trainer.estimators.candidate import Candidate, default, steps, varied
from trainer.estimators.crossval import CrossValidation, FoldLosses, Scorer, cross_validate
from trainer.estimators.fitting import check_learnable, positive_class
from trainer.estimators.lines import LatentLine, RidgeLine, TrimmedLine
from trainer.features.window_features import WindowFeatures
from trainer.recipe.document import Recipe
from trainer.recipe.feature_section import FeatureSection
from trainer.recipe.search_section import DEFAULT_METRIC
from trainer.search.leaderboard import Entry, Leaderboard
from trainer.search.plan import can_score

MOST_ROWS = 10_000
"""Most windows of the contest. More are thinned out evenly, so that it takes seconds."""
MOST_LAG_FEATURES = 500
"""Most features of a line on every lag; with more signals or samples, sparse lags are taken."""
MOST_BOOSTED_LAGS = 150
"""Most features of boosting on every lag, whose cost rises with them."""
LINE, SPARSE, SMALL, LARGE = range(4)
# Penalties as a share of the number of rows. The last one leaves nearly the mean of the target.
_PENALTIES = (1e-3, 1e-2, 3e-2, 1.0, 100.0)
_COMPONENTS = (2, 4, 8)
# Inverse penalties of a logistic regression on kernels, of which there are more than windows.
_STRENGTHS = (1e-3, 1e-2, 1e-1)


@dataclass(frozen=True, slots=True)
class Rival:
    """One candidate of the contest.

    Attributes:
        family: the kind of model, as the table names it.
        preset: the name of its features, as the table names it.
        candidates: one or more settings of it; the best on the folds stands for it.
        size: how simple it is, `LINE` before `SPARSE` before `SMALL` before `LARGE`.
    """

    family: str
    preset: str
    candidates: tuple[Candidate, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Result:
    """The best setting of a rival, and its loss on each fold.

    Attributes:
        rival: the candidate.
        candidate: the setting of it that stands for it.
        tried: its losses on the folds.
    """

    rival: Rival
    candidate: Candidate
    tried: FoldLosses

    @property
    def loss(self) -> float:
        """The mean loss over the folds."""
        return float(np.mean(self.tried.losses))


def contest(train: Windowed, truth: Truth, recipe: Recipe, console: Console) -> Leaderboard | None:
    """Let the default's candidates compete on folds of the training part.

    Args:
        train: windows of the training part; the contest never sees the test part.
        truth: target values of the recording's rows.
        recipe: the recipe, without a section `[search]`.
        console: shows the progress.

    Returns:
        The candidates, the chosen one first, with a note that says why it was chosen. None where
        there is nothing to choose: for detectors, and where no fold can be scored.

    Raises:
        DataError: nothing can be learned.
    """
    task = recipe.target.task
    if task == "anomaly":
        return None
    check_learnable(train, truth, recipe)
    some, validation = validation_of(train, truth, recipe)
    if not validation.folds:
        return None
    results = compete(some, validation, recipe, console)
    return _board(results, validation) if results else None


def compete(
    some: Windowed, validation: CrossValidation, recipe: Recipe, console: Console
) -> list[Result]:
    """Measure each candidate of a recipe that can be fitted, simple ones first.

    Args:
        some: the windows of the contest, of the recipe's length.
        validation: what is measured on them.
        recipe: the recipe, with one length of windows.
        console: shows the progress.
    """
    results: list[Result] = []
    entrants = rivals(recipe)
    with console.stage("choosing", total=len(entrants)) as advance:
        for rival in entrants:
            console.detail(f"{rival.family} on {rival.preset} features")
            best = _best(rival, some, validation)
            results += [] if best is None else [best]
            advance(1)
    return results


def rivals(recipe: Recipe) -> tuple[Rival, ...]:
    """The candidates for a recipe, simple ones first."""
    own, target = recipe.described, recipe.target
    plain = recipe.features == FeatureSection(signals=recipe.features.signals)
    name = "plain" if plain else "given"
    if "kernels" in recipe.features.kinds:
        return _on_kernels(target.task, name, own)
    boosting = Rival("boosting", name, (default(own, target.task, recipe.seed),), LARGE)
    if target.task == "classification":
        logistic = steps(LogisticRegression(C=1.0, max_iter=500), scaled=True)
        return (Rival("line", name, (Candidate(own, logistic),), LINE), boosting)
    if not plain:
        return (_ridge("line", name, own), _latent(name, own), boosting)
    line = _ridge("line", "last", varied(own, ("last",)))
    if recipe.window.length == 1:
        return (line, _latent("last", own), boosting)
    lags = _lags(recipe, own)
    trimmed = Candidate(lags, steps(TrimmedLine(_signals(recipe)), scaled=True))
    paying = Rival("trimmed ridge", "lags", (trimmed,), SPARSE)
    lines = (line, paying, _latent("lags", lags), _ridge("ridge", "lags", lags))
    if recipe.window.length * _signals(recipe) > MOST_BOOSTED_LAGS:
        return (*lines, boosting)
    late = Rival("boosting", "lags", (default(lags, target.task, recipe.seed),), LARGE)
    return (*lines, boosting, late)


def _signals(recipe: Recipe) -> int:
    """How many signals the features are of."""
    return len(recipe.features.signals or (*recipe.signals, *recipe.derived))


def _on_kernels(task: str, name: str, own: WindowFeatures) -> tuple[Rival, ...]:
    """Lines alone: boosting on hundreds of features takes minutes, and tells waves no better."""
    if task == "regression":
        return (_ridge("line", name, own), _latent(name, own))
    lines = (steps(LogisticRegression(C=one, max_iter=500), scaled=True) for one in _STRENGTHS)
    return (Rival("line", name, tuple(Candidate(own, one) for one in lines), LINE),)


def _lags(recipe: Recipe, own: WindowFeatures) -> WindowFeatures:
    """Every sample of the window, or sparse ones where these would be too many features."""
    length = recipe.window.length
    every = range(length) if length * _signals(recipe) <= MOST_LAG_FEATURES else ()
    lags: WindowFeatures = varied(own, ("lags",)).set_params(lags=tuple(every))
    return lags


def _ridge(family: str, preset: str, features: WindowFeatures) -> Rival:
    every = (steps(RidgeLine(share, per_row=True), scaled=True) for share in _PENALTIES)
    size = LINE if family == "line" else SMALL
    return Rival(family, preset, tuple(Candidate(features, one) for one in every), size)


def _latent(preset: str, features: WindowFeatures) -> Rival:
    every = (steps(LatentLine(count), scaled=True) for count in _COMPONENTS)
    return Rival("pls", preset, tuple(Candidate(features, one) for one in every), SMALL)


def validation_of(
    train: Windowed, truth: Truth, recipe: Recipe
) -> tuple[Windowed, CrossValidation]:
    """The windows of the contest, thinned out if they are many, and what is measured on them."""
    step = -(-len(train) // MOST_ROWS)
    chosen = np.arange(0, len(train), step)
    some = train.take(chosen)
    y, task = truth.y[some.rows], recipe.target.task
    scorer = Scorer(DEFAULT_METRIC[task], len(truth.classes), positive_class(truth, recipe))
    parts = (
        tuple(one[one % step == 0] // step for one in part) for part in folds(train, truth, recipe)
    )
    scored = tuple(part for part in parts if can_score(part, y, scorer))
    return some, CrossValidation(y, scored, scorer)


def _best(rival: Rival, some: Windowed, validation: CrossValidation) -> Result | None:
    """The best setting of a rival on the folds; None if none of them can be fitted."""
    features = rival.candidates[0].features
    with threadpool_limits(limits=1):  # as in the final fit, so that sums round the same way
        X = clone(features).fit(some.values).transform(some.values)
    found = [
        Result(rival, one, cross_validate(one.steps, X, validation)) for one in rival.candidates
    ]
    whole = [one for one in found if not one.tried.reason]
    return min(whole, key=lambda one: one.loss, default=None)


def choose(losses: Sequence[Sequence[float]], sizes: Sequence[int]) -> tuple[int, int]:
    """Choose among candidates by their losses on folds.

    Args:
        losses: `[candidates][folds]`.
        sizes: how simple each is, such as `LINE`, `[candidates]`; a candidate yields to those of a
            lower size only.

    Returns:
        The index of the candidate to take, and that of the one with the lowest mean loss. They
        differ where the best is ahead of a simpler one by no more than one standard error, and
        nothing simpler still is as good as that one.
    """
    table = np.array(losses)
    mean = table.mean(axis=1)
    best = int(mean.argmin())
    simpler = [at for at in range(len(table)) if sizes[at] < sizes[best]]
    least = np.inf  # of those that are simpler still
    for at in sorted(simpler, key=lambda one: (sizes[one], mean[one])):
        ahead = table[at] - table[best]
        if mean[at] < least and ahead.mean() <= standard_error(ahead):
            return at, best
        least = min(least, mean[at])
    return best, best


def standard_error(values: NDArray[np.float64]) -> float:
    """The standard error of the mean of values on folds, `[folds]`; 0 with a single fold."""
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0


def _board(results: Sequence[Result], validation: CrossValidation) -> Leaderboard:
    """The results as a leaderboard: the chosen one, then the others by their figure."""
    sizes = [one.rival.size for one in results]
    taken, best = choose([one.tried.losses for one in results], sizes)
    sign = validation.scorer.sign()
    entries = [_entry(one, sign) for one in results]
    order = sorted(range(len(results)), key=lambda at: (at != taken, results[at].loss))
    return Leaderboard(
        metric=validation.scorer.metric,
        entries=tuple(entries[at] for at in order),
        tried=sum(len(one.rival.candidates) for one in results),
        notes=tuple(_notes(entries, (taken, best), sizes, validation)),
        origin="default",
    )


def _entry(result: Result, sign: float) -> Entry:
    losses = np.array(result.tried.losses)
    return Entry(
        family=result.rival.family,
        features=result.rival.preset,
        mean=sign * result.loss,
        error=standard_error(losses) if len(losses) > 1 else float("nan"),
        seconds=result.tried.seconds,
        candidate=result.candidate,
    )


def _notes(
    entries: Sequence[Entry],
    choice: tuple[int, int],
    sizes: Sequence[int],
    validation: CrossValidation,
) -> Iterator[str]:
    """Why the chosen one was chosen, and whether it beats an answer that never changes."""
    taken, best = choice
    metric, chosen = validation.scorer.metric, entries[taken]
    if taken == best:
        why = "it is ahead of every simpler one by more than one standard error"
        if sizes[taken] == min(sizes):
            why = "none is better, and none is simpler"
        yield f"default: {_named(chosen)} is taken of {len(entries)} kinds of model: {why}"
    else:
        yield (
            f"default: {_named(chosen)} is taken, the simplest that is within one standard error "
            f"of {_named(entries[best])}, whose {metric} on the folds is the best"
        )
    constant = _constant(validation)
    if constant is not None and chosen.mean >= constant:
        yield (
            f"default: on the folds {_named(chosen)} is no better than the mean of the other "
            f"folds, always, whose {metric} is {constant:.4g}: there may be nothing to learn"
        )


def _named(entry: Entry) -> str:
    return f"{entry.family} on {entry.features} features"


def _constant(validation: CrossValidation) -> float | None:
    """The figure of the mean of the other folds, for a regression."""
    if validation.scorer.classes:
        return None
    y = validation.y.astype(np.float64)
    each = [
        np.sqrt(((y[held] - y[fitted].mean()) ** 2).mean()) for fitted, held in validation.folds
    ]
    return float(np.mean(each))
