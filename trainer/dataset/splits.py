"""Splits the windows into a training part and a test part.

The metrics of the test part must hold on new data. So a time series is split in time, by group or
by a column, and both parts are windowed separately: no window contains rows of both, and the last
rows of two windows on either side are at least a window apart. Rows without a time axis may be
drawn at random.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from models.bundle.manifest import WindowSpec
from trainer.dataset.clock import Clock, clock_of
from trainer.dataset.targets import Truth
from trainer.dataset.windows import Windowed, window_rows
from trainer.errors import DataError, listed
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe
from trainer.recipe.split_section import GroupSplit, PredefinedSplit, ShuffledSplit, TimeSplit

FOLDS = 5
MAX_PIECES = 100_000
NS_PER_S = 10**9
# Most names in a message, and in the sentence on the split; the report lists all of them.
_LISTED = 12

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parts:
    """Training and test windows.

    Attributes:
        train: windows of the training part.
        test: windows of the test part.
        said: a sentence on how the rows were split, for the manifest and the report.
        unknown: number of windows of both parts that were left out because their truth is unknown.
        unusable: number of training windows that were left out because a row in them is abnormal.
        abnormal: those of them that end with an abnormal row; a detector never learns from them.
    """

    train: Windowed
    test: Windowed
    said: str
    unknown: int
    unusable: int
    abnormal: Windowed


def split(
    recording: Recording,
    truth: Truth,
    recipe: Recipe,
    spec: WindowSpec,
    *,
    advance: Callable[[int], object] = int,
) -> Parts:
    """Split the recording as the recipe says, and window both parts.

    Windows whose truth is unknown are in neither part, and training windows must be `usable`.

    Raises:
        DataError: a part would be empty, or there are too few assets or rows of a class.
    """

    def windowed(rows: Indices, pieces: Recording = recording) -> Windowed:
        whole = window_rows(pieces, rows, spec, recipe.channels, advance=advance)
        return replace(whole, asset=recording.asset[whole.rows])

    if isinstance(recipe.split, ShuffledSplit):
        train, test, said = _shuffled(windowed(np.arange(len(recording))), truth, recipe)
    else:
        train, test, said = _apart(recording, truth, recipe.split, recipe, windowed)
    counts = len(train), len(test)
    train, test = (part.take(truth.known[part.rows]) for part in (train, test))
    unknown = sum(counts) - len(train) - len(test)
    used = train.take(truth.usable[train.rows])
    for name, part, count in zip(("training", "test"), (used, test), counts, strict=True):
        if not len(part):
            known = len(train) if name == "training" else 0
            reason = _why_none(count, known, recording, clock_of(recording, recipe))
            raise DataError(
                f"split.method '{recipe.split.method}' leaves the {name} part no window of "
                f"{spec.length} samples: {reason}"
            )
    abnormal = train.take(~truth.usable[train.rows] & (truth.y[train.rows] == 1))
    return Parts(used, test, said, unknown, len(train) - len(used), abnormal)


def _why_none(windows: int, known: int, recording: Recording, clock: Clock) -> str:
    """Why a part has no window: there are no rows, no known truth, or no wholly normal window."""
    if windows and known:
        return (
            f"none of its {windows} windows is wholly normal; correct target.normal, or the split"
        )
    if windows:
        return (
            f"its {windows} windows end with rows whose target is empty; correct it, or the split"
        )
    if len(recording) > 1 and recording.timed and recording.times_ns[0] == recording.times_ns[-1]:
        moment = clock.moment(int(recording.times_ns[0]))
        return f"all {len(recording)} rows have the same time, {moment}; correct data.time"
    return (
        f"there are {len(recording)} rows of {len(recording.assets)} asset(s); give more, or lower "
        "window.length"
    )


def folds(train: Windowed, truth: Truth, recipe: Recipe) -> Iterator[tuple[Indices, Indices]]:
    """Folds for cross-validation, made as the split is: windows to fit on, windows held out."""
    group = _grouped(train, truth, recipe)
    if group is not None and len(np.unique(group)) >= FOLDS:
        yield from _by_group(group, recipe.seed)
    elif recipe.data.time is None and truth.classes and recipe.target.task == "classification":
        drawn = StratifiedKFold(FOLDS, shuffle=True, random_state=recipe.seed)
        yield from drawn.split(np.zeros(len(train)), truth.y[train.rows])
    else:
        yield from blocks(train, -(-recipe.window.length // recipe.window.hop))


def blocks(train: Windowed, gap: int) -> Iterator[tuple[Indices, Indices]]:
    """Folds that hold out a block in time of every asset, `gap` windows away from the others."""
    order = np.argsort(train.asset, kind="stable")
    _, counts = np.unique(train.asset, return_counts=True)
    count = np.repeat(counts, counts)
    position = np.arange(len(train)) - np.repeat(np.cumsum(counts) - counts, counts)
    for fold in range(FOLDS):
        first, last = -(-fold * count // FOLDS), -(-(fold + 1) * count // FOLDS)
        held = (position >= first) & (position < last)
        near = (position >= first - gap) & (position < last + gap)
        yield np.sort(order[~near]), np.sort(order[held])


def _apart(
    recording: Recording,
    truth: Truth,
    wanted: TimeSplit | GroupSplit | PredefinedSplit,
    recipe: Recipe,
    windowed: Callable[..., Windowed],
) -> tuple[Windowed, Windowed, str]:
    """Both parts, windowed separately, and a sentence on the split."""
    if isinstance(wanted, TimeSplit):
        tested, near, said = _later(recording, wanted, clock_of(recording, recipe))
        return windowed(np.flatnonzero(~tested)), windowed(np.flatnonzero(tested & ~near)), said
    if isinstance(wanted, PredefinedSplit):
        tested, said = _predefined(recording, truth, wanted)
    else:
        tested, said = _some_groups(recording, truth, wanted.test, recipe.seed)
    pieces = _pieces(recording, tested) if recipe.window.length > 1 else recording
    train, test = (windowed(np.flatnonzero(part), pieces) for part in (~tested, tested))
    return train, test, said


def _later(
    recording: Recording, wanted: TimeSplit, clock: Clock
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], str]:
    """Mask of the test rows, mask of those too near to the training rows, and a sentence."""
    if wanted.train_rows is not None:
        tested = recording.rank() >= wanted.train_rows
        said = f"time: the first {wanted.train_rows} rows of each asset train, the rest test"
        last = np.full(len(recording.assets), np.iinfo(np.int64).min)
        np.maximum.at(last, recording.asset[~tested], recording.times_ns[~tested])
        since = recording.times_ns - last[recording.asset]
    else:
        share = wanted.test or 0.0
        cut = recording.times_ns[int(len(recording) * (1 - share))]
        tested = recording.times_ns >= cut
        said = f"time: rows from {clock.moment(int(cut))} on test ({share:.0%})"
        since = recording.times_ns - cut
    near = tested & (since < wanted.gap_s * NS_PER_S)
    if wanted.gap_s:
        said += f"; {int(near.sum())} rows within {wanted.gap_s:g} s of the training part left out"
    return tested, near, said


def _predefined(
    recording: Recording, truth: Truth, wanted: PredefinedSplit
) -> tuple[NDArray[np.bool_], str]:
    if wanted.column is None:
        chosen = [index for index, f in enumerate(recording.files) if wanted.is_test_file(f)]
        names = [recording.files[index] for index in chosen]
        if not names:
            raise DataError(
                f"split.test_files: {listed(wanted.test_files, _LISTED)} match none of the "
                f"files {listed(recording.files, _LISTED, like=wanted.test_files[0])}"
            )
        # The sentence goes to every gateway: it tells the files by their digests, not their names.
        marks = sorted(recording.digests[name][:8] for name in names)
        said = f"predefined: the rows of {len(names)} of {len(recording.files)} files test, sha256 "
        return np.isin(recording.file, chosen), said + listed(marks, _LISTED)
    member = _member(truth)
    found = np.unique(member)
    absent = [label for label in wanted.test if label not in found]
    if absent:
        raise DataError(
            f"split.test: no row has '{absent[0]}' in column '{wanted.column}'; found there: "
            f"{listed(found.tolist(), _LISTED, like=absent[0])}"
        )
    said = f"predefined: rows whose '{wanted.column}' is {listed(wanted.test, _LISTED)} test"
    return np.isin(member, wanted.test), said


def _some_groups(
    recording: Recording, truth: Truth, share: float, seed: int
) -> tuple[NDArray[np.bool_], str]:
    """Mask of the test rows, a random share of the groups, and a sentence."""
    groups, group, what = recording.assets, recording.asset, "asset"
    if truth.member is not None:
        named, group = np.unique(truth.member, return_inverse=True)
        groups, what = tuple(named.tolist()), "group"
    count = len(groups)
    if count < 2:  # noqa: PLR2004  one to train on, one to test on
        raise DataError(f"split.method is 'group', but there is one {what} only; use 'time'")
    drawn = np.random.default_rng(seed).permutation(count)
    alike = _of_one_class(drawn, group, truth)
    how = ", a share of each class that several have" if alike else ""
    chosen = np.concatenate([_share_of(some, share) for some in alike or [drawn]])
    names = listed([groups[index] for index in np.sort(chosen)], _LISTED)
    return np.isin(group, chosen), f"group: {len(chosen)} of {count} {what}s test{how}: {names}"


def _share_of(drawn: Indices, share: float) -> Indices:
    """The first of the groups, at least one, so that at least one remains."""
    return drawn[: min(max(1, round(share * len(drawn))), len(drawn) - 1)]


def _of_one_class(drawn: Indices, group: Indices, truth: Truth) -> list[Indices]:
    """The groups of each class that several have; none where one group has several classes.

    Where each file is of one class, a blind draw may well leave a class out of the test part.
    """
    y, of = truth.y[truth.known], group[truth.known]
    labels = np.unique(y) if truth.classes else np.empty(0)
    lowest, highest = np.full(len(drawn), len(truth.classes)), np.full(len(drawn), -1)
    if len(labels) > 1:
        np.minimum.at(lowest, of, y)
        np.maximum.at(highest, of, y)
    alike = [drawn[lowest[drawn] == one] for one in labels]
    is_pure = len(labels) > 1 and bool((lowest >= highest).all())
    return [some for some in alike if len(some) > 1] if is_pure else []


def _pieces(recording: Recording, tested: NDArray[np.bool_]) -> Recording:
    """Make every stretch of an asset's rows in one part an asset of its own.

    So no window spans a gap that the rows of the other part leave.
    """
    order = np.argsort(recording.asset, kind="stable")
    new = (np.diff(recording.asset[order]) != 0) | (np.diff(tested[order]) != 0)
    piece = np.empty(len(recording), dtype=np.int64)
    piece[order] = np.concatenate([[0], np.cumsum(new)])
    count = int(piece.max()) + 1
    if count > MAX_PIECES:
        raise DataError(
            f"the split cuts the rows into {count} stretches, at most {MAX_PIECES} are windowed "
            "apart; part them by longer stretches, or set window.length to 1"
        )
    return replace(recording, assets=tuple(map(str, range(count))), asset=piece)


def _member(truth: Truth) -> NDArray[Any]:
    if truth.member is None:
        raise AssertionError("the truth was read without split.column")
    return truth.member


def _shuffled(whole: Windowed, truth: Truth, recipe: Recipe) -> tuple[Windowed, Windowed, str]:
    whole = whole.take(truth.known[whole.rows])
    share, method = recipe.split.test, recipe.split.method
    y = truth.y[whole.rows]
    kept: dict[str, Any] = {}
    if recipe.target.task == "classification" and method != "random":
        rare = [truth.classes[c] for c, n in enumerate(np.bincount(y)) if n < FOLDS]
        if rare:
            raise DataError(
                f"class '{rare[0]}' has fewer than {FOLDS} rows: too few to split; record more, or "
                "give it one name with another class in target.classes"
            )
        kept = {"stratify": y}
    train, test = train_test_split(
        np.arange(len(whole)), test_size=share, random_state=recipe.seed, **kept
    )
    said = f"{method}: {share:.0%} of the rows, drawn at random, test"
    if method == "random-optimistic":
        said = (
            f"{said}. OPTIMISTIC: this is a time series, neighbours of the test rows were "
            "trained on, and the metrics will not hold on new data"
        )
    return whole.take(np.sort(train)), whole.take(np.sort(test)), said


def _grouped(train: Windowed, truth: Truth, recipe: Recipe) -> NDArray[Any] | None:
    """The group of each window, which folds do not split: of the recipe's split, or its asset."""
    wanted = recipe.split
    if isinstance(wanted, GroupSplit):
        return train.asset if wanted.column is None else _member(truth)[train.rows]
    if isinstance(wanted, PredefinedSplit) and recipe.data.names_assets:
        return train.asset
    return None


def _by_group(group: NDArray[Any], seed: int) -> Iterator[tuple[Indices, Indices]]:
    for part in np.array_split(np.random.default_rng(seed).permutation(np.unique(group)), FOLDS):
        held = np.isin(group, part)
        yield np.flatnonzero(~held), np.flatnonzero(held)
