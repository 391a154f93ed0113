"""The truth of every row: the index of a class, a number, or whether it is abnormal."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.windowing.asset_state import NS_PER_MS
from trainer.dataset.remaining_life import remaining
from trainer.errors import DataError, listed
from trainer.ingest.columns import NO_VALUE
from trainer.ingest.recording import Recording
from trainer.recipe.document import Anomaly, Classification, Recipe, Regression

MAX_CLASSES = 1000
NORMAL_AND_NOT = ("normal", "anomaly")
# Share of rows from which on a word such as `None` is too frequent to be taken for "no label".
FREQUENT = 0.01


@dataclass(frozen=True, slots=True)
class Truth:
    """What the model should answer at each row of a recording.

    Attributes:
        y: the truth of each row, `[rows]`: int64 index of the class, float64 number, or int64 1 for
            an abnormal row and 0 for a normal one.
        known: mask of the rows whose truth is known, `[rows]`.
        usable: mask of the rows whose window may be trained on, `[rows]`; for anomaly detection
            those whose window has only normal rows.
        classes: names of the classes; empty for a regression.
        labelled: whether the recording has labels; anomaly detection works without.
        member: text of the column `split.column` at each row, `[rows]`; None if there is none.
        digests: SHA-256 of the tables that the truth was read from beside the recording, by name.
        notes: sentences on what these tables say.
    """

    y: NDArray[Any]
    known: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    classes: tuple[str, ...]
    labelled: bool = True
    member: NDArray[Any] | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def truth(recording: Recording, recipe: Recipe) -> Truth:
    """Derive the truth of a recording, as the recipe's target says.

    Raises:
        DataError: a label is not a class, there are too many classes or no labels, or a table of
            RUL does not fit.
    """
    target = recipe.target
    if isinstance(target, Classification):
        return _classes(recording, target)
    if isinstance(target, Regression):
        return _numbers(recording, target, recipe)
    return _normality(recording, target, recipe)


def with_tables(recording: Recording, known: Truth) -> Recording:
    """Add the digests and notes of the tables that the truth was read from to the recording."""
    return replace(
        recording,
        digests={**recording.digests, **known.digests},
        notes=(*recording.notes, *known.notes),
    )


def _classes(recording: Recording, target: Classification) -> Truth:
    labels, said = _without_words(recording, target.column, {*target.names, *target.ignore})
    if target.ignore:
        ignored = np.isin(labels, target.ignore)
        labels = np.where(ignored, "", labels)
        count = int(ignored.sum())
        said = (*said, f"column '{target.column}': {count} rows have a label of target.ignore")
    found = {str(label) for label in np.unique(labels)} - {""}
    names = target.names or {label: label for label in sorted(found, key=_by_number)}
    if len(names) > MAX_CLASSES:
        raise DataError(
            f"column '{target.column}': has {len(names)} different labels, at most {MAX_CLASSES} "
            "classes are learned; is it a number to be learned by task = 'regression'?"
        )
    strange = sorted(found - set(names))
    if strange:
        row = int(np.argmax(labels == strange[0]))
        raise DataError(
            f"{recording.place(row)}, column '{target.column}': found '{strange[0]}'; "
            f"target.classes are {', '.join(names)}; add it there, where several labels may have "
            "one name, to target.ignore if it stands for no class, or to data.na_values"
        )
    classes = tuple(dict.fromkeys(names.values()))
    if target.positive is not None and target.positive not in classes:
        raise DataError(
            f"column '{target.column}': target.positive is '{target.positive}', the classes there "
            f"are {', '.join(classes)}"
        )
    index = {"": -1, **{label: classes.index(name) for label, name in names.items()}}
    y = np.array([index[label] for label in labels], dtype=np.int64)
    return Truth(y=y, known=y >= 0, usable=y >= 0, classes=classes, notes=(*said, *_alike(names)))


def _without_words(
    recording: Recording, column: str, listed: set[str]
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The labels without rare words such as `None`, which mean "no label", and a note on them.

    Raises:
        DataError: such a word is frequent, and the recipe does not list it.
    """
    labels, notes = recording.texts[column], []
    for word in sorted(NO_VALUE - {""} - listed):
        said = labels == word
        count = int(said.sum())
        if count >= FREQUENT * len(labels):
            raise DataError(
                f"{recording.place(int(said.argmax()))}, column '{column}': found '{word}' in "
                f"{count} of {len(labels)} rows; if it is a label, list it, with the others, in "
                f"target.classes, or as target.normal of a detector; if these rows have no label, "
                f'set data.na_values = ["{word}"]'
            )
        if count:
            labels = np.where(said, "", labels)
            notes.append(f"column '{column}': '{word}' in {count} rows is taken as no label")
    return labels, tuple(notes)


def _alike(names: Mapping[str, str]) -> tuple[str, ...]:
    """A note on labels that differ only in upper and lower case and mean different classes."""
    seen: dict[str, str] = {}
    for label, name in names.items():
        other = seen.setdefault(label.casefold(), label)
        if names[other] != name:
            said = f"labels '{other}' and '{label}' are two classes; if they mean the same, give "
            return (f"{said}both one name in target.classes",)
    return ()


def _numbers(recording: Recording, target: Regression, recipe: Recipe) -> Truth:
    if target.column is not None:
        y = recording.numbers[target.column]
        known = np.isfinite(y)
        return Truth(y=y, known=known, usable=known, classes=())
    left = remaining(recording, target, recipe.data)
    known = np.isfinite(left.y)
    return Truth(left.y, known, known, classes=(), digests=left.digests, notes=left.notes)


def _normality(recording: Recording, target: Anomaly, recipe: Recipe) -> Truth:
    if target.column is None:
        everywhere = np.ones(len(recording), dtype=np.bool_)
        nowhere = np.zeros(len(recording), dtype=np.int64)
        return Truth(nowhere, everywhere, everywhere, NORMAL_AND_NOT, labelled=False)
    labels, said = _without_words(recording, target.column, {target.normal})
    known = labels != ""
    if not (labels == target.normal).any():
        found = listed([f"'{one}'" for one in sorted({*map(str, labels[known])})], 20)
        raise DataError(
            f"column '{target.column}': no row says '{target.normal}', which target.normal is; "
            f"found there: {found or 'nothing at all'}"
        )
    y = np.where(known & (labels != target.normal), 1, 0).astype(np.int64)
    usable = ~_within(recording, (y == 1) | ~known, recipe)
    return Truth(y=y, known=known, usable=usable, classes=NORMAL_AND_NOT, notes=said)


def _within(recording: Recording, flagged: NDArray[np.bool_], recipe: Recipe) -> NDArray[np.bool_]:
    """Whether the window that ends with a row contains a flagged row of its asset, `[rows]`."""
    order = np.argsort(recording.asset, kind="stable")
    total = np.concatenate([[0], np.cumsum(flagged[order])])
    end = np.arange(1, len(order) + 1)
    first = end - 1 - recording.rank()[order]
    if recipe.window.trigger == "period":
        start = _since(recording.times_ns[order], first, _reach_ns(recipe))
    else:
        per_sample = 1 if recipe.window.trigger == "every_reading" else recording.rows_per_sample
        start = np.maximum(end - recipe.window.length * per_sample, first)
    found = np.empty(len(order), dtype=np.bool_)
    found[order] = total[end] > total[start]
    return found


def _reach_ns(recipe: Recipe) -> int:
    """How far back a window on a grid reaches: its length, and the age of held values before it."""
    held_ms = max(channel.max_age_ms or 0 for channel in recipe.channels)
    spec = recipe.window.spec(None)
    return spec.length * spec.period_ns + held_ms * NS_PER_MS


def _since(
    times_ns: NDArray[np.int64], first: NDArray[np.int64], reach_ns: int
) -> NDArray[np.int64]:
    """For each row the first row of its asset that is at most `reach_ns` older.

    Args:
        times_ns: event times of rows sorted by asset, nanoseconds since 1970, `[rows]`.
        first: the first row of all of each row's asset, `[rows]`.
        reach_ns: nanoseconds.
    """
    start = np.empty_like(first)
    bounds = [*np.unique(first).tolist(), len(first)]
    for low, high in pairwise(bounds):
        of_asset = times_ns[low:high]
        start[low:high] = low + np.searchsorted(of_asset, of_asset - reach_ns)
    return start


def _by_number(label: str) -> tuple[float, str]:
    """Sort key: numbers by their value, then texts."""
    try:
        return float(label), label
    except ValueError:
        return float("inf"), label
