"""Signals that leak the target: recorded after the event, or the target under another name.

A small decision tree predicts the target from each signal alone, on held-out folds. A signal that
is as good as equal to the target is an error; one that predicts nearly all of it may be physics,
and is a warning. Flags such as an alarm contact are tested by value: a value that only ever occurs
with one class, and flags that together mark nearly all of a class. See Kaufman et al. (2012),
"Leakage in data mining", for the kinds of leaks.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from trainer.checks.finding import Finding
from trainer.checks.unit_classes import units_of_classes
from trainer.dataset.runs import run_numbers
from trainer.dataset.splits import folds
from trainer.dataset.subject import Subject
from trainer.dataset.windows import Windowed
from trainer.errors import first_few

NAME = "target-leak"
# A signal with this balanced accuracy alone, or this R2, is a warning. Balanced, so that a rare
# class counts as much as a common one.
TELLING = 0.98
TELLING_R2 = 0.95
# From this balanced accuracy on, a signal of few values is the target itself: an error.
EQUAL = 0.999
# Squared correlation from which on a signal is the target, scaled and shifted: what remains is a
# thousandth of the target's spread.
AFFINE = 1 - 1e-6
# Share of a class that flags must mark together to count as the target.
MARKED = 0.9
# Share of a flag's windows that must have one class.
PURE = 0.99
# Fewer windows or runs may coincide with a class by chance.
_MIN_ROWS, _MIN_RUNS = 10, 3
# Signals with more values than this are no flags.
_MAX_VALUES = 10
# Bounds of the work: windows searched for flags, windows for trees, and windows of a rare class.
_MAX_WINDOWS, _MAX_TREE_WINDOWS, _MAX_RARE = 200_000, 20_000, 2_000
# Stands for a missing value: below all others, so that a tree can separate it by one threshold.
_NOTHING = np.float32(-3e38)
_LEAVE_OUT = "leave it out: on a gateway it is not known when the model needs it"
_EXPLAIN = "leave it out if it is recorded or computed after the event; strong physics may stay"


def target_leak(subject: Subject) -> Iterator[Finding]:
    """Report signals that are the target, or that alone predict nearly all of it."""
    windows = _labelled(subject)
    y = subject.truth.y[windows.rows]
    if not len(windows) or y.min() == y.max():
        return
    if subject.recipe.target.task == "regression":
        yield from _of_numbers(subject, windows)
        return
    if units_of_classes(subject) is not None:
        # Whatever tells the units apart tells the classes; that is said once, by another check.
        yield from (one for one in _of_classes(subject, windows, {}) if one.severity == "error")
        return
    flags = _Flags(subject, windows)
    together = list(flags.together())
    yield from together
    yield from _of_classes(subject, windows, {} if together else flags.telling())


def _labelled(subject: Subject) -> Windowed:
    """The windows to test, at most `_MAX_WINDOWS`.

    They are the training part's; or the test part's for a detector, whose training windows are
    all normal.
    """
    is_detector = subject.recipe.target.task == "anomaly"
    part = subject.parts.test if is_detector else subject.parts.train
    if is_detector and not subject.truth.labelled:
        return part.take(np.empty(0, dtype=np.int64))
    return part.take(_spread(len(part), _MAX_WINDOWS))


def _of_numbers(subject: Subject, windows: Windowed) -> Iterator[Finding]:
    few = windows.take(_spread(len(windows), _MAX_TREE_WINDOWS))
    y = subject.truth.y[few.rows]
    equal, telling = [], {}
    for name, column in _signals(subject, few):
        present = column > _NOTHING
        if _squared_correlation(column[present], y[present]) >= AFFINE:
            equal.append(name)
            continue
        held = _held_out(DecisionTreeRegressor(max_leaf_nodes=64), column, subject, few)
        known = np.isfinite(held)
        r2 = r2_score(y[known], held[known]) if known.sum() > _MIN_ROWS else 0.0
        if r2 >= TELLING_R2:
            telling[name] = f"{name} (R2 {r2:.4f})"
    if equal:
        evidence = (
            f"signal {first_few(equal)} is the target itself, times a factor and plus an offset"
        )
        yield Finding(NAME, "error", evidence, _LEAVE_OUT, signals=_unquoted(equal))
    if telling:
        evidence = (
            "one signal alone predicts nearly all of the target, on held-out folds: "
            f"{first_few(list(telling.values()))}{_without(subject, few, _unquoted(telling))}"
        )
        yield Finding(NAME, "warning", evidence, _EXPLAIN, signals=_unquoted(telling))


def _without(subject: Subject, windows: Windowed, names: tuple[str, ...]) -> str:
    """What a line on the last sample of all signals reaches with and without some, in words."""
    y, last = subject.truth.y[windows.rows], windows.values[:, -1].astype(np.float64)
    last[~np.isfinite(last)] = np.nan
    others = [index for index, name in enumerate(subject.recording.channels) if name not in names]
    if not others:
        return "; there is no other signal"
    line = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), Ridge())
    reached = []
    for columns in (last, last[:, others]):
        held = np.full(len(y), np.nan)
        for fitted, out in folds(windows, subject.truth, subject.recipe):
            if len(fitted):
                held[out] = line.fit(columns[fitted], y[fitted]).predict(columns[out])
        known = np.isfinite(held)
        reached.append(r2_score(y[known], held[known]))
    return f"; a plain line on all signals has R2 {reached[0]:.2f}, and {reached[1]:.2f} without"


def _of_classes(subject: Subject, windows: Windowed, flags: Mapping[str, str]) -> Iterator[Finding]:
    few = windows.take(_with_rare(subject.truth.y[windows.rows]))
    y = subject.truth.y[few.rows]
    leaves = max(4, 2 * len(np.unique(y)))
    equal, telling = {}, dict(flags)
    for name, column in _signals(subject, few):
        tree = DecisionTreeClassifier(max_leaf_nodes=leaves, class_weight="balanced")
        held = _held_out(tree, column, subject, few)
        known = np.isfinite(held)
        if len(np.unique(y[known])) < len(np.unique(y)):
            continue
        share = balanced_accuracy_score(y[known], held[known])
        if share >= EQUAL and len(np.unique(column)) <= max(_MAX_VALUES, leaves):
            equal[name] = f"{name} (balanced accuracy {share:.4f})"
        elif share >= TELLING:
            telling[name] = f"{name} (balanced accuracy {share:.4f})"
    if equal:
        evidence = (
            f"each value of {first_few(list(equal.values()))} means one class, on held-out folds"
        )
        yield Finding(NAME, "error", evidence, _LEAVE_OUT, signals=_unquoted(equal))
    rest = {name: text for name, text in telling.items() if name not in equal}
    if rest:
        evidence = f"one signal alone gives a class away: {first_few(list(rest.values()))}"
        yield Finding(NAME, "warning", evidence, _EXPLAIN, signals=_unquoted(rest))


class _Flags:
    """Flags: signals of few values, some of which occur with one class only.

    Most values occur mostly with a class that more than half of the windows have. So for such a
    class only flags are reported that together mark all of it, and nothing else.
    """

    def __init__(self, subject: Subject, windows: Windowed) -> None:
        self._y = subject.truth.y[windows.rows]
        self._run = run_numbers(subject, windows.rows)
        self._names = subject.truth.classes
        self._classes = np.unique(self._y)
        self._rare = {int(c) for c in self._classes if (self._y == c).mean() <= 1 / 2}
        self._marks: dict[tuple[str, int], NDArray[np.bool_]] = {}
        for name, column in _signals(subject, windows):
            self._try(name, column)

    def _try(self, name: str, column: NDArray[np.float32]) -> None:
        values = np.unique(column[: 100 * _MAX_VALUES])
        if len(values) > _MAX_VALUES or len(values := np.unique(column)) > _MAX_VALUES:
            return
        for value in values:
            found = column == value
            for klass in self._classes:
                right = found & (self._y == klass)
                enough = right.sum() >= _MIN_ROWS and len(np.unique(self._run[right])) >= _MIN_RUNS
                if enough and right.sum() >= PURE * found.sum():
                    known = self._marks.get((name, int(klass)), np.zeros_like(found))
                    self._marks[name, int(klass)] = known | found

    def telling(self) -> dict[str, str]:
        """A description of each flag of a rare class, by the name of its signal."""
        return {
            name: f"{name} (a value that means '{self._names[klass]}' in "
            f"{int((found & (self._y == klass)).sum())} of {int(found.sum())} windows)"
            for (name, klass), found in self._marks.items()
            if klass in self._rare
        }

    def together(self) -> Iterator[Finding]:
        """Report flags of one class that together mark nearly all of it."""
        for klass in self._classes:
            marks = {name: found for (name, of), found in self._marks.items() if of == klass}
            if len(marks) < 2:  # noqa: PLR2004  a single flag is reported by `telling`
                continue
            positive, any_of = self._y == klass, np.logical_or.reduce(list(marks.values()))
            found, all_of = int((any_of & positive).sum()), int(positive.sum())
            if found < (MARKED if int(klass) in self._rare else EQUAL) * all_of:
                continue
            if int(klass) not in self._rare and (any_of & ~positive).any():
                continue
            yield Finding(
                NAME,
                "error",
                f"signals {first_few(list(marks))} together mark {found} of "
                f"{all_of} windows of '{self._names[klass]}', and {int((any_of & ~positive).sum())}"
                f" of {int((~positive).sum())} others",
                _LEAVE_OUT,
                signals=_unquoted(marks),
            )


def _signals(subject: Subject, windows: Windowed) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Each signal's name, and its last sample in each window, `[n]`, without missing values."""
    for index, name in enumerate(subject.recording.channels):
        last = windows.values[:, -1, index]
        yield f"'{name}'", np.where(np.isnan(last), _NOTHING, last)


def _unquoted(names: Iterable[str]) -> tuple[str, ...]:
    """The names of signals without the quotes that sentences have them in."""
    return tuple(name[1:-1] for name in names)


def _held_out(
    tree: Any,  # noqa: ANN401  a tree of scikit-learn, which has no types
    column: NDArray[np.float32],
    subject: Subject,
    windows: Windowed,
) -> NDArray[np.float64]:
    """Predictions for each window by trees that were not fitted on it, `[n]`; NaN without one."""
    y = subject.truth.y[windows.rows]
    held = np.full(len(y), np.nan)
    tree.set_params(random_state=0)
    if len(np.unique(column)) == 1:
        return held
    for fitted, out in folds(windows, subject.truth, subject.recipe):
        if len(fitted) and len(np.unique(y[fitted])) > 1:
            held[out] = tree.fit(column[fitted, None], y[fitted]).predict(column[out, None])
    return held


def _squared_correlation(column: NDArray[np.float32], y: NDArray[Any]) -> float:
    if len(column) < _MIN_ROWS or np.ptp(column) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(column.astype(np.float64), y)[0, 1] ** 2)


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` indices below `count`, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _with_rare(y: NDArray[Any]) -> NDArray[np.int64]:
    """Indices evenly spaced, and more of the classes that would be too rare among them."""
    chosen = [_spread(len(y), _MAX_TREE_WINDOWS)]
    for klass in np.unique(y) if len(y) > _MAX_TREE_WINDOWS else ():
        of_class = np.flatnonzero(y == klass)
        chosen.append(of_class[_spread(len(of_class), _MAX_RARE)])
    return np.unique(np.concatenate(chosen))
