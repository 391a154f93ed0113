"""Signals that give the target away: recorded after the event, or the target under another name.

Each signal is tried alone, by a small tree on held-out folds. What is as good as equal to the
target is an error; what merely tells nearly everything may be physics, and is a warning. Flags
such as an alarm contact are tried by value: one that is only ever set together with a class, and
flags that together mark nearly all of it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from trainer.checks.events import run_numbers
from trainer.checks.finding import Finding
from trainer.dataset.splits import folds
from trainer.dataset.subject import Subject
from trainer.dataset.windows import Windowed
from trainer.errors import first_few

NAME = "target-leak"
TELLING = 0.98
"""Balanced accuracy of one signal alone, from which on it is named."""
TELLING_R2 = 0.99
EQUAL = 0.999
AFFINE = 1 - 1e-6
"""Squared correlation; what remains is a thousandth of the target's spread."""
MARKED = 0.9
"""Share of a class that flags mark together, from which on they are the target."""
PURE = 0.99
_MIN_ROWS, _MIN_RUNS = 10, 3
_MAX_VALUES = 10
_MAX_WINDOWS, _MAX_TREE_WINDOWS, _MAX_RARE = 200_000, 20_000, 2_000
_NOTHING = np.float32(-3e38)
_ALLOW = "leave it out: it cannot be known in time on the gateway"
_KEEP = "leave it out if it is recorded or computed after the event; strong physics may stay"


def target_leak(subject: Subject) -> Iterator[Finding]:
    """Signals that are the target, or tell nearly all of it alone."""
    windows = _labelled(subject)
    y = subject.truth.y[windows.rows]
    if not len(windows) or y.min() == y.max():
        return
    if subject.recipe.target.task == "regression":
        yield from _of_numbers(subject, windows)
        return
    flags = _Flags(subject, windows)
    together = list(flags.together())
    yield from together
    yield from _of_classes(subject, windows, {} if together else flags.telling())


def _labelled(subject: Subject) -> Windowed:
    """Windows to look at: the training part's; a detector's are all normal, so the test part's."""
    is_detector = subject.recipe.target.task == "anomaly"
    part = subject.parts.test if is_detector else subject.parts.train
    if is_detector and not subject.truth.labelled:
        return part.take(np.empty(0, dtype=np.int64))
    return part.take(_spread(len(part), _MAX_WINDOWS))


def _of_numbers(subject: Subject, windows: Windowed) -> Iterator[Finding]:
    few = windows.take(_spread(len(windows), _MAX_TREE_WINDOWS))
    y = subject.truth.y[few.rows]
    equal, telling = [], []
    for name, column in _signals(subject, few):
        present = column > _NOTHING
        if _squared_correlation(column[present], y[present]) >= AFFINE:
            equal.append(name)
            continue
        held = _held_out(DecisionTreeRegressor(max_leaf_nodes=64), column, subject, few)
        known = np.isfinite(held)
        r2 = r2_score(y[known], held[known]) if known.sum() > _MIN_ROWS else 0.0
        if r2 >= TELLING_R2:
            telling.append(f"{name} (R2 {r2:.4f})")
    if equal:
        said = f"signal {first_few(equal)} is the target itself, times a factor and plus an offset"
        yield Finding(NAME, "error", said, _ALLOW)
    if telling:
        said = (
            "one signal alone predicts nearly all of the target, on held-out folds: "
            f"{first_few(telling)}"
        )
        yield Finding(NAME, "warning", said, _KEEP)


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
        said = f"each value of {first_few(list(equal.values()))} means one class, on held-out folds"
        yield Finding(NAME, "error", said, _ALLOW)
    rest = [said for name, said in telling.items() if name not in equal]
    if rest:
        said = f"one signal alone gives a class away: {first_few(rest)}"
        yield Finding(NAME, "warning", said, _KEEP)


class _Flags:
    """Signals of few values of which one goes with one class only.

    Of a class of more than half of the windows, most values are: there only flags that together
    mark it whole, and nothing else, are told.
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
        """What to say of each flag, by its signal."""
        return {
            name: f"{name} (a value that means '{self._names[klass]}' in "
            f"{int((found & (self._y == klass)).sum())} of {int(found.sum())} windows)"
            for (name, klass), found in self._marks.items()
            if klass in self._rare
        }

    def together(self) -> Iterator[Finding]:
        """Flags of one class that mark nearly all of it."""
        for klass in self._classes:
            marks = {name: found for (name, of), found in self._marks.items() if of == klass}
            if len(marks) < 2:  # noqa: PLR2004  one alone is tried by itself
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
                _ALLOW,
            )


def _signals(subject: Subject, windows: Windowed) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Each signal's last sample in the windows, with a number for "no value"."""
    for index, name in enumerate(subject.recording.channels):
        last = windows.values[:, -1, index]
        yield f"'{name}'", np.where(np.isnan(last), _NOTHING, last)


def _held_out(
    tree: Any,  # noqa: ANN401  a tree of scikit-learn, which has no types
    column: NDArray[np.float32],
    subject: Subject,
    windows: Windowed,
) -> NDArray[np.float64]:
    """What trees that have not seen a window say of it; NaN where no fold could."""
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
    """At most so many positions, evenly apart."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _with_rare(y: NDArray[Any]) -> NDArray[np.int64]:
    """Positions evenly apart, and more of the classes that would be too few of them."""
    chosen = [_spread(len(y), _MAX_TREE_WINDOWS)]
    for klass in np.unique(y) if len(y) > _MAX_TREE_WINDOWS else ():
        of_class = np.flatnonzero(y == klass)
        chosen.append(of_class[_spread(len(of_class), _MAX_RARE)])
    return np.unique(np.concatenate(chosen))
