"""The target, its task and the split: what the model is to answer, and how that is measured."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.states import state_text
from trainer.dataset.splits import FOLDS
from trainer.draft.clock import Clock
from trainer.draft.column import Column, texts_of
from trainer.draft.fleet import Fleet
from trainer.draft.naming import named
from trainer.draft.table import Table
from trainer.draft.wishes import Wishes
from trainer.errors import DataError, UsageError
from trainer.ingest.columns import NO_VALUE
from trainer.recipe.time_section import UNIT_NS

_TARGET: Final = re.compile(
    r"target|label|class|klasse|y|output|fault|fehler|failure|anomaly|condition|zustand|rul",
    re.IGNORECASE,
)
_NORMAL: Final = re.compile(
    r"normal|ok|good|healthy|none|no|0|false|gut|gesund|i\.?o\.?", re.IGNORECASE
)
_CLASSES: Final = 10
_ROWS_A_CLASS: Final = 20
_FREQUENT: Final = 0.01
_TEST: Final = 0.25
_GROUPS: Final = 5
_LISTED: Final = 20
_TOLD: Final = 0.6
"""Share of the median run at which the remaining life is capped; 125 of the 199 cycles of C-MAPSS
FD001, the cap that most publications use, are 0.63."""


@dataclass(frozen=True)
class Goal:
    """The sections `[target]` and `[split]`.

    Attributes:
        column: the target's column; None where there is none.
        target: keys of `[target]`.
        split: keys of `[split]`.
        behind: short comments, by key of either section.
        doubts: sentences on what is unsure.
    """

    column: str | None
    target: Mapping[str, Any]
    split: Mapping[str, Any]
    behind: Mapping[str, str]
    doubts: tuple[str, ...] = ()

    @property
    def is_remaining(self) -> bool:
        """Whether the remaining useful life is to be predicted."""
        return "remaining" in self.target


def target_column(names: Sequence[str], wishes: Wishes) -> str | None:
    """The target's column, by the option or by a name that says so; None if there is none.

    Raises:
        UsageError: no column has the name of the option.
    """
    if wishes.target is None:
        if wishes.task == "remaining-life":
            return None
        told = [one for one in names if _TARGET.fullmatch(named(one)[0])]
        return told[-1] if told else None
    wanted = wishes.target.strip()
    alike = [
        one for one in names if wanted.casefold() in (one.casefold(), named(one)[0].casefold())
    ]
    if wanted in names:
        return wanted
    if len(alike) == 1:
        return alike[0]
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
    quoted = ", ".join(f"'{one}'" for one in near)
    meant = f"; nearest {'is' if len(near) == 1 else 'are'} {quoted}" if near else ""
    raise UsageError(
        f"--target {wishes.target}: there is no such column in all of the files; there are "
        f"{', '.join(names[:_LISTED])}{', ...' if len(names) > _LISTED else ''}{meant}"
    )


def goal_of(
    tables: Sequence[Table], target: Column | None, wishes: Wishes, clock: Clock, fleet: Fleet
) -> Goal:
    """Derive the target and the split.

    Raises:
        DataError: the target has one value only.
        UsageError: the task does not suit the target or the data.
    """
    doubts: list[str] = []
    if target is not None and wishes.target is None:
        doubts.append(f"'{target.name}' is taken as the target because of its name")
    behind: dict[str, str] = {}
    if wishes.task == "remaining-life":
        stopped = [i for i, table in enumerate(tables) if table.path.name in wishes.left]
        keys = _remaining(wishes, clock, fleet, ~np.isin(fleet.file, stopped))
        behind |= _told(keys, wishes)
        labels = None
    else:
        keys, labels = _target(tables, target, wishes, behind)
    if target is None and wishes.task is None:
        doubts.append(
            "no target is named, so the model learns what is normal from all training rows: leave "
            "abnormal rows out, or name their column by --target"
        )
    split, unsure = _split(keys, labels, wishes, clock, fleet)
    column = None if target is None or "remaining" in keys else target.name
    return Goal(column, keys, split, behind, (*doubts, *unsure))


def _target(
    tables: Sequence[Table],
    column: Column | None,
    wishes: Wishes,
    behind: dict[str, str],
) -> tuple[dict[str, Any], "pd.Series[Any] | None"]:
    if column is None:
        if wishes.task not in (None, "anomaly"):
            raise UsageError(f"--task {wishes.task}: needs --target, the column to predict")
        return {"task": "anomaly"}, None
    labels = _labels(texts_of(tables, column.name))
    counts = labels[labels != ""].value_counts()
    if len(counts) < 2:  # noqa: PLR2004  a model needs two answers to choose from
        found = f"only '{counts.index[0]}'" if len(counts) else "no value"
        raise DataError(
            f"target '{column.name}': has {found} in all {len(labels)} rows that were looked at; "
            "name another target, or files in which it changes"
        )
    task = wishes.task or _task(column, len(labels))
    if task == "regression":
        if column.kind != "number":
            raise UsageError(f"--task regression: '{column.name}' is not a column of numbers")
        unit = column.unit or named(column.name)[1]
        return {"task": task, "column": column.name, **({"unit": unit} if unit else {})}, None
    if task == "anomaly":
        return _anomaly(column.name, counts, behind), None
    if wishes.task and column.kind == "number" and _task(column, len(labels)) == "regression":
        _check_frequent(column.name, counts)
    return _classes(column.name, counts, behind), labels


def _check_frequent(name: str, counts: "pd.Series[Any]") -> None:
    """Check that numbers which are to be classes occur often enough.

    Raises:
        UsageError: one of them does not.
    """
    if counts.min() < FOLDS:
        raise UsageError(
            f"--task classification: '{name}' has {len(counts)} different numbers, such as "
            f"{counts.index[-1]} in {counts.min()} row(s), where a class needs {FOLDS}; take "
            "--task regression, or a column of classes"
        )


def _task(column: Column, rows: int) -> str:
    few = column.is_whole and column.distinct <= min(_CLASSES, rows / _ROWS_A_CLASS)
    return "classification" if column.kind != "number" or few else "regression"


def _labels(text: "pd.Series[Any]") -> "pd.Series[Any]":
    """Labels in one spelling; a word such as None is one where it is frequent."""
    labels = text.map(state_text)
    rare = [word for word in NO_VALUE if (labels == word).mean() < _FREQUENT]
    return labels.where(~labels.isin(rare), "")


def _classes(name: str, counts: "pd.Series[Any]", behind: dict[str, str]) -> dict[str, Any]:
    labels = sorted(map(str, counts.index), key=lambda label: (not _is_number(label), label))
    if all(map(_is_number, labels)):
        labels.sort(key=float)
    shown = ", ".join(f"{label}: {counts[label]}" for label in labels[:6])
    behind["column"] = f"rows of each class: {shown}"[:90]
    keys: dict[str, Any] = {"task": "classification", "column": name}
    if len(labels) <= _LISTED:
        keys["classes"] = labels
    if len(labels) == 2:  # noqa: PLR2004  one of two is found or not
        keys["positive"], behind["positive"] = _positive(counts)
    return keys


def _positive(counts: "pd.Series[Any]") -> tuple[str, str]:
    """Which of two classes is to be found, and a short comment on it."""
    frequent, rarer = map(str, counts.index)
    if counts.iloc[0] > counts.iloc[1]:
        return rarer, "the rarer class is what is to be found"
    if _NORMAL.fullmatch(rarer) and not _NORMAL.fullmatch(frequent):
        frequent, rarer = rarer, frequent
    return rarer, "UNSURE: what is to be found; both classes are as frequent"


def _anomaly(name: str, counts: "pd.Series[Any]", behind: dict[str, str]) -> dict[str, Any]:
    told = [str(label) for label in counts.index if _NORMAL.fullmatch(str(label))]
    normal = told[0] if told else str(counts.index[0])
    behind["normal"] = "by its name" if told else "UNSURE: the most frequent label"
    return {"task": "anomaly", "column": name, "normal": normal}


def _remaining(
    wishes: Wishes, clock: Clock, fleet: Fleet, complete: NDArray[np.bool_]
) -> dict[str, Any]:
    """Keys for the remaining life; `complete` marks rows of runs that ended with a failure."""
    if clock.axis is None or fleet.count < 2:  # noqa: PLR2004  runs to compare
        raise UsageError(
            "--task remaining-life: needs a time axis and several assets that ran until they "
            "failed; neither a column nor the files tell the assets apart"
        )
    if not complete.any():
        raise UsageError("--left: names every file; runs that ended with a failure are needed too")
    unit = str(clock.axis.get("unit", "h"))
    unit = unit if unit in UNIT_NS else "h"
    times = pd.Series(clock.times_ns[complete]).groupby(fleet.asset[complete]).agg(["min", "max"])
    median = float((times["max"] - times["min"]).median()) / UNIT_NS[unit]
    cap = wishes.cap if wishes.cap is not None else float(f"{_TOLD * median:.2g}")
    left = {"left": dict(wishes.left)} if wishes.left else {}
    return {"task": "regression", "remaining": unit, "cap": cap, **left, "unit": unit}


def _told(keys: Mapping[str, Any], wishes: Wishes) -> dict[str, str]:
    """Short comments on the keys for the remaining life."""
    told = {"remaining": "every asset failed at its last row, unless left says otherwise"}
    if wishes.cap is None:
        told["cap"] = (
            f"UNSURE: 0.6 of the median run, in {keys['remaining']}; earlier rows tell little"
        )
    return told


def _split(
    target: Mapping[str, Any],
    labels: "pd.Series[Any] | None",
    wishes: Wishes,
    clock: Clock,
    fleet: Fleet,
) -> tuple[dict[str, Any], list[str]]:
    _check_method(wishes, clock, fleet, has_classes=labels is not None)
    if wishes.test_files:
        return {"method": "predefined", "test_files": list(wishes.test_files)}, []
    if wishes.train_rows is not None:
        return {"method": "time", "train_rows": wishes.train_rows}, []
    method = wishes.method
    if method is None and "remaining" not in target and clock.axis is not None:
        method = "group" if fleet.count >= _GROUPS else "time"
    elif method is None and fleet.count >= (2 if "remaining" in target else _GROUPS):
        method = "group"
    elif method is None:
        method = "random" if labels is None else "stratified"
    if method != "time" or labels is None or wishes.method is not None:
        return {"method": method, "test": _TEST}, []
    return _in_time(labels, clock)


def _check_method(wishes: Wishes, clock: Clock, fleet: Fleet, *, has_classes: bool) -> None:
    """Check that the data has what the wanted split needs.

    Raises:
        UsageError: it has not.
    """
    method, timed = wishes.method, clock.axis is not None
    if (method == "time" or wishes.train_rows is not None) and not timed:
        option = "--split time" if method == "time" else "--train-rows"
        raise UsageError(f"{option}: needs a time axis, and no column is the time")
    if method == "group" and fleet.count < 2:  # noqa: PLR2004  one to train on, one to test on
        raise UsageError("--split group: needs several assets, and there is one only")
    if method in ("stratified", "random") and timed:
        raise UsageError(
            f"--split {method}: makes a model of a time series look better than it is, because "
            "neighbours of a test row are trained on; use time or group"
        )
    if method == "stratified" and not has_classes:
        raise UsageError("--split stratified: needs a target of classes; use random")


def _in_time(labels: "pd.Series[Any]", clock: Clock) -> tuple[dict[str, Any], list[str]]:
    """A split in time, or one at random where a class would be missing from a part."""
    ordered = labels.to_numpy()[np.argsort(clock.times_ns, kind="stable")]
    cut = int(len(ordered) * (1 - _TEST))
    parts = [ordered[:cut], ordered[cut:]]
    lacking = [
        label
        for label in sorted({*ordered} - {""})
        if min(int((part == label).sum()) for part in parts) < FOLDS
    ]
    if not lacking:
        return {"method": "time", "test": _TEST}, []
    said = (
        f"'{lacking[0]}' is missing from the first three quarters or from the last quarter of the "
        "time, so the test part is drawn at random: its metrics are too good. Record more, or use "
        'method = "time" as soon as each class occurs in both'
    )
    return {"method": "random-optimistic", "test": _TEST}, [said]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
