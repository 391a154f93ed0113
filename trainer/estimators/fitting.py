"""The fit of a candidate, and how the fitted pipeline's output becomes answers.

Without a search a classification or regression is fitted by gradient boosting on histograms, and
anomalies are detected by a `Monitor`. Rare classes are neither repeated nor given more weight,
which would distort the probabilities; instead the decision threshold of a model of two classes may
be chosen on held-out folds of the training part.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from models.bundle.manifest import Output, Task
from trainer.dataset.splits import Indices, blocks, folds
from trainer.dataset.targets import NORMAL_AND_NOT, Truth
from trainer.dataset.windows import MAX_BYTES, Windowed
from trainer.errors import DataError
from trainer.estimators.candidate import Candidate, default
from trainer.estimators.crossval import fitted_quietly
from trainer.estimators.monitor import Monitor
from trainer.estimators.threshold import Threshold, choose
from trainer.features.sliding import SlidingFeatures, positions
from trainer.features.window_features import WindowFeatures
from trainer.recipe.document import Anomaly, Classification, Recipe, Regression

# With fewer windows the folds hold a handful each, which measures nothing.
MIN_WINDOWS = 20
TWO = 2
# Arrays by the name of the output, first axis the windows.
Answers = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted pipeline, and what turns its output into the answers that a bundle promises.

    Attributes:
        task: the recipe's `target.task`.
        pipeline: the fitted features and estimator, from windows to predictions.
        outputs: the outputs as the manifest describes them.
        positive: index of the class whose probability is the score, of a model of two classes.
        decision: where the threshold of a model of two classes is from; None for other models.
    """

    task: Task
    pipeline: Pipeline
    outputs: tuple[Output, ...]
    positive: int = 1
    decision: Threshold | None = None

    @property
    def threshold(self) -> float | None:
        """The score above which the value is the positive class; None without a threshold."""
        return next((o.threshold for o in self.outputs if o.threshold is not None), None)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes by index; empty for a regression."""
        return self.outputs[0].classes

    def answer(self, windows: NDArray[np.float32]) -> Answers:
        """The answers to windows `[n, length, channels]`, which the graph must reproduce.

        They are `value` `[n]`, `score` `[n]` except for a regression, and for a classification
        `probabilities` `[n, classes]`.
        """
        if self.task == "regression":
            return {"value": self.pipeline.predict(windows).astype(np.float32)}
        if self.task == "anomaly":
            score = self.pipeline.transform(windows)[:, 0]
            return {"value": (score > 1).astype(np.int64), "score": score}
        probabilities = self.pipeline.predict_proba(windows).astype(np.float32)
        if self.threshold is None:
            value = probabilities.argmax(axis=1).astype(np.int64)
            score = probabilities.max(axis=1)
        else:
            score = probabilities[:, self.positive]
            value = np.where(score > np.float32(self.threshold), self.positive, 1 - self.positive)
        return {"value": value.astype(np.int64), "score": score, "probabilities": probabilities}

    def margin(self, answers: Answers) -> NDArray[np.float32]:
        """The change of the score that would change each answer's class, `[n]`; inf if none."""
        if self.task == "regression":
            return np.full(len(answers["value"]), np.inf, dtype=np.float32)
        if self.threshold is not None:
            return np.abs(answers["score"] - np.float32(self.threshold))
        ordered = np.sort(answers["probabilities"], axis=1)
        margin: NDArray[np.float32] = ordered[:, -1] - ordered[:, -2]
        return margin


def fit(train: Windowed, truth: Truth, recipe: Recipe, candidate: Candidate | None = None) -> Model:
    """Fit a candidate on the training windows.

    Args:
        train: windows of the training part.
        truth: target values of the recording's rows.
        recipe: the recipe.
        candidate: what to fit; None fits the default of the task. Of a detector only its last step
            counts, an unfitted monitor.

    Raises:
        DataError: see `check_learnable`; or too few normal windows, or too many for memory.
    """
    check_learnable(train, truth, recipe)
    target = recipe.target
    # One thread: the order of a sum depends on the number of threads, and so would the bytes of
    # the bundle, which are to be reproducible.
    with threadpool_limits(limits=1):
        if isinstance(target, Anomaly):
            return _detector(train, recipe, target, candidate)
        chosen = candidate or default(recipe.described, target.task, recipe.seed)
        if isinstance(target, Classification):
            return _classifier(train, truth, recipe, chosen)
        return _regressor(train, truth, target, chosen)


def check_learnable(train: Windowed, truth: Truth, recipe: Recipe) -> None:
    """Check that the training part has something to learn.

    Raises:
        DataError: too few windows, a class without a window, or a constant target.
    """
    if len(train) < MIN_WINDOWS:
        raise DataError(
            f"the training part has {len(train)} windows, at least {MIN_WINDOWS} are needed"
        )
    y, target = truth.y[train.rows], recipe.target
    if isinstance(target, Regression) and y.min() == y.max():
        raise DataError(f"the target is {y[0]:g} in the whole training part: nothing to learn")
    if not isinstance(target, Classification):
        return
    counts = np.bincount(y, minlength=len(truth.classes))
    absent = [name for name, count in zip(truth.classes, counts, strict=True) if not count]
    if absent or len(counts) < TWO:
        raise DataError(
            f"column '{target.column}': the training part has no window of "
            f"{' or '.join(absent) or 'a second class'}; a classification needs every class there"
        )


def positive_class(truth: Truth, recipe: Recipe) -> int:
    """Index of the class that the score is about: the recipe's `positive`, or the last class."""
    target = recipe.target
    named = target.positive if isinstance(target, Classification) else None
    two = len(truth.classes) == TWO and named is not None
    return truth.classes.index(str(named)) if two else len(truth.classes) - 1


def _classifier(train: Windowed, truth: Truth, recipe: Recipe, candidate: Candidate) -> Model:
    y = truth.y[train.rows]
    features = clone(candidate.features).fit(train.values)
    X = features.transform(train.values)
    positive, decision = positive_class(truth, recipe), None
    if len(truth.classes) == TWO:
        held, fold = _held_out(candidate.steps, X, y, folds(train, truth, recipe))
        known = fold >= 0
        decision = choose(y[known] == positive, held[known, positive], fold[known])
    fitted = fitted_quietly(clone(candidate.steps), X, y)
    pipeline = Pipeline([("features", features), *fitted.steps])
    threshold = None if decision is None else decision.value
    outputs = _class_outputs(truth.classes, truth.classes[positive], threshold)
    return Model("classification", pipeline, outputs, positive, decision)


def _regressor(train: Windowed, truth: Truth, target: Regression, candidate: Candidate) -> Model:
    features = clone(candidate.features).fit(train.values)
    X = features.transform(train.values)
    fitted = fitted_quietly(clone(candidate.steps), X, truth.y[train.rows])
    meaning = "estimate" if target.remaining is None else "remaining useful life"
    output = Output(name="value", dtype="float32", meaning=meaning, unit=target.unit)
    return Model("regression", Pipeline([("features", features), *fitted.steps]), (output,))


def _detector(
    train: Windowed, recipe: Recipe, target: Anomaly, candidate: Candidate | None
) -> Model:
    features = detector_features(train, recipe, target.smooth)
    parts = normal_blocks(train, recipe)
    own = monitor(recipe, target) if candidate is None else clone(candidate.steps[-1])
    own.fit(features.transform(train.values), folds=parts)
    outputs = (
        Output(
            name="value",
            dtype="int64",
            meaning="1 where the score is above its limit",
            classes=NORMAL_AND_NOT,
        ),
        Output(
            name="score",
            dtype="float32",
            meaning="distance from normal, as a ratio to its limit",
            threshold=1.0,
        ),
    )
    pipeline = Pipeline([("features", features), ("monitor", own)])
    return Model("anomaly", pipeline, outputs)


def monitor(recipe: Recipe, target: Anomaly, detectors: Sequence[str] = ()) -> Monitor:
    """The unfitted monitor of a recipe, with its detectors or with others."""
    named = detectors or target.detectors
    return Monitor(named, target.false_alarms, recipe.seed, len(positions(target.smooth)))


def normal_blocks(train: Windowed, recipe: Recipe) -> list[tuple[Indices, Indices]]:
    """Blocks of normal windows that are held out, with enough windows to learn from beside each.

    Raises:
        DataError: there are too few windows for a single block.
    """
    gap = -(-recipe.window.length // recipe.window.hop)
    parts = [(fitted, out) for fitted, out in blocks(train, gap) if len(fitted) >= MIN_WINDOWS]
    if not parts:
        raise DataError(
            f"the training part has {len(train)} normal windows; without a block that is held out, "
            f"and {recipe.window.length} samples around it, fewer than {MIN_WINDOWS} remain to "
            "learn from; record more normal hours"
        )
    return parts


def detector_features(
    train: Windowed, recipe: Recipe, smooth: int
) -> WindowFeatures | SlidingFeatures:
    """The fitted features of a detector's window, at its end or at several moments for smoothing.

    Raises:
        DataError: the features of all windows would take more memory than is allowed.
    """
    if smooth == 1:
        return recipe.described.fit(train.values)
    features = SlidingFeatures(recipe.described, smooth).fit(train.values)
    size = len(train) * features.width * 4
    if size > MAX_BYTES:
        raise DataError(
            f"target.smooth: the features of {len(train)} training windows, each at "
            f"{len(positions(smooth))} moments, take {size / 2**30:.0f} GiB, the limit is "
            f"{MAX_BYTES >> 30}; set window.hop to "
            f"{-(-size * recipe.window.hop // MAX_BYTES)} or more"
        )
    return features


def _held_out(
    steps: Pipeline,
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    parts: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities of each window, `[n, classes]`, from a fit without its fold, `[n]`.

    The fold is -1 where the other folds lack a class.
    """
    held = np.full((len(y), len(np.unique(y))), np.nan)
    fold = np.full(len(y), -1)
    for number, (fitted, out) in enumerate(parts):
        if len(np.unique(y[fitted])) == held.shape[1]:
            held[out] = fitted_quietly(clone(steps), X[fitted], y[fitted]).predict_proba(X[out])
            fold[out] = number
    return held, fold


def _class_outputs(
    classes: tuple[str, ...], positive: str, threshold: float | None
) -> tuple[Output, ...]:
    about = "the winning class" if threshold is None else f"'{positive}'"
    return (
        Output(name="value", dtype="int64", meaning="index of the class", classes=classes),
        Output(
            name="score",
            dtype="float32",
            meaning=f"probability of {about}",
            threshold=threshold,
        ),
        Output(
            name="probabilities",
            dtype="float32",
            meaning="probability of each class",
            classes=classes,
        ),
    )
