"""Which windows train and which test, so that a figure says what it would be on tomorrow's data.

A time series is cut in time or by asset, and the two parts are windowed apart: the first window of
the test part begins after the last training row, so a gap as long as the window lies between the
last rows of the two. Rows without a time axis may be drawn at random.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from models.manifest import WindowSpec
from trainer.errors import DataError
from trainer.recipe import GroupSplit, Recipe, ShuffledSplit, TimeSplit
from trainer.recording import Recording
from trainer.targets import Truth
from trainer.windowed import Windowed, window_rows

FOLDS = 5
_LISTED = 12

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parts:
    """Training and test windows, and a sentence on how they were told apart.

    Attributes:
        unknown: windows of either part that were left out because their truth is not known.
        unusable: training windows that were left out because something in them is not normal.
    """

    train: Windowed
    test: Windowed
    said: str
    unknown: int
    unusable: int


def split(
    recording: Recording,
    truth: Truth,
    recipe: Recipe,
    spec: WindowSpec,
    *,
    advance: Callable[[int], object] = int,
) -> Parts:
    """Part the recording as the recipe says, and window both parts.

    Windows whose truth is not known belong to neither part; nor do, in training, those that are
    not `usable`.

    Raises:
        DataError: a part would be empty, or there are too few assets or rows of a class.
    """

    def windowed(rows: Indices) -> Windowed:
        return window_rows(recording, rows, spec, recipe.channels, advance=advance)

    everything = np.arange(len(recording))
    if isinstance(recipe.split, ShuffledSplit):
        train, test, said = _shuffled(windowed(everything), truth, recipe)
    else:
        tested, said = _tested(recording, recipe.split, recipe.seed)
        train, test = windowed(everything[~tested]), windowed(everything[tested])
    count = len(train) + len(test)
    train, test = (part.take(truth.known[part.rows]) for part in (train, test))
    unknown = count - len(train) - len(test)
    used = train.take(truth.usable[train.rows])
    for name, part in (("training", used), ("test", test)):
        if not len(part):
            raise DataError(
                f"split.method '{recipe.split.method}' leaves the {name} part no window of "
                f"{spec.length} samples; there are {len(recording)} rows of "
                f"{len(recording.assets)} assets"
            )
    return Parts(used, test, said, unknown, unusable=len(train) - len(used))


def folds(train: Windowed, truth: Truth, recipe: Recipe) -> Iterator[tuple[Indices, Indices]]:
    """Windows to fit on and windows held out, `FOLDS` times, apart in the manner of the split."""
    method = recipe.split.method
    if method == "group" and len(np.unique(train.asset)) >= FOLDS:
        yield from _by_asset(train, recipe.seed)
    elif recipe.data.time is None and truth.classes and recipe.target.task == "classification":
        drawn = StratifiedKFold(FOLDS, shuffle=True, random_state=recipe.seed)
        yield from drawn.split(np.zeros(len(train)), truth.y[train.rows])
    else:
        yield from blocks(train, -(-recipe.window.length // recipe.window.hop))


def blocks(train: Windowed, gap: int) -> Iterator[tuple[Indices, Indices]]:
    """Folds that hold out one block in time of every asset, `gap` windows apart from the rest."""
    order = np.argsort(train.asset, kind="stable")
    _, counts = np.unique(train.asset, return_counts=True)
    count = np.repeat(counts, counts)
    position = np.arange(len(train)) - np.repeat(np.cumsum(counts) - counts, counts)
    for fold in range(FOLDS):
        first, last = -(-fold * count // FOLDS), -(-(fold + 1) * count // FOLDS)
        held = (position >= first) & (position < last)
        near = (position >= first - gap) & (position < last + gap)
        yield np.sort(order[~near]), np.sort(order[held])


def _tested(
    recording: Recording, wanted: TimeSplit | GroupSplit, seed: int
) -> tuple[NDArray[np.bool_], str]:
    """Mask of the test rows, and a sentence."""
    if isinstance(wanted, GroupSplit):
        return _some_assets(recording, wanted.test, seed)
    if wanted.train_rows is not None:
        said = f"time: the first {wanted.train_rows} rows of each asset train, the rest test"
        return recording.rank() >= wanted.train_rows, said
    share = wanted.test or 0.0
    cut = recording.times_ns[int(len(recording) * (1 - share))]
    moment = np.datetime64(int(cut), "ns").astype("datetime64[s]")
    return recording.times_ns >= cut, f"time: rows from {moment}Z on test ({share:.0%})"


def _some_assets(recording: Recording, share: float, seed: int) -> tuple[NDArray[np.bool_], str]:
    count = len(recording.assets)
    if count < 2:  # noqa: PLR2004  one to train on, one to test on
        raise DataError("split.method is 'group', but there is one asset only; use 'time'")
    drawn = np.random.default_rng(seed).permutation(count)
    chosen = drawn[: min(max(1, round(share * count)), count - 1)]
    names = [recording.assets[index] for index in np.sort(chosen)]
    listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    return np.isin(recording.asset, chosen), f"group: {len(names)} of {count} assets test: {listed}"


def _shuffled(whole: Windowed, truth: Truth, recipe: Recipe) -> tuple[Windowed, Windowed, str]:
    whole = whole.take(truth.known[whole.rows])
    share, method = recipe.split.test, recipe.split.method
    y = truth.y[whole.rows]
    kept: dict[str, Any] = {}
    if recipe.target.task == "classification" and method != "random":
        rare = [truth.classes[c] for c, n in enumerate(np.bincount(y)) if n < FOLDS]
        if rare:
            raise DataError(f"class '{rare[0]}' has fewer than {FOLDS} rows: too few to split")
        kept = {"stratify": y}
    train, test = train_test_split(
        np.arange(len(whole)), test_size=share, random_state=recipe.seed, **kept
    )
    said = f"{method}: {share:.0%} of the rows, drawn at random, test"
    if method == "random-optimistic":
        said = (
            f"{said}. OPTIMISTIC: this is a time series, neighbours of the test rows were "
            "trained on, and the figures will not hold on new data"
        )
    return whole.take(np.sort(train)), whole.take(np.sort(test)), said


def _by_asset(train: Windowed, seed: int) -> Iterator[tuple[Indices, Indices]]:
    assets = np.random.default_rng(seed).permutation(np.unique(train.asset))
    for part in np.array_split(assets, FOLDS):
        held = np.isin(train.asset, part)
        yield np.flatnonzero(~held), np.flatnonzero(held)
