"""A recipe as a draft proposes it, with all that is unsure."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainer.draft.clock import Clock, clock_of
from trainer.draft.column import Column, column_of, texts_of
from trainer.draft.excerpt import Excerpts
from trainer.draft.fleet import Fleet, fleet_of
from trainer.draft.goal import Goal, goal_of, target_column
from trainer.draft.inputs import Input, inputs_of
from trainer.draft.marks import Marks, marks_of
from trainer.draft.naming import signal_name
from trainer.draft.table import Table, read_table
from trainer.draft.wishes import Wishes
from trainer.errors import DataError, first_few
from trainer.ingest.sources import stem
from trainer.recipe.window_section import AUTO_LENGTHS

MIN_ROWS: Final = 50
"""Fewer rows are no recording that a model could learn from."""
MAX_FILES: Final = 1000
_LISTED: Final = 20
_LENGTHS: Final = {"anomaly": 30, "classification": 30, "regression": 10}
_LENGTH_OF_RUN: Final = 30
# A detector on rows that are minutes apart sees a shift, as far as the window stays short.
_SLOW_NS: Final = 60 * 10**9
_SHIFT_NS: Final = 8 * 3600 * 10**9
_LONGEST: Final = 100
_ROWS_A_WINDOW: Final = 10
_PAUSE: Final = 10
_TOGETHER: Final = 0.5
_HELD: Final = 3
_NS: Final = 1e9


@dataclass(frozen=True)
class Proposal:
    """All sections of a draft.

    Attributes:
        stream: the stream's name.
        looked_at: a sentence on what was looked at.
        data: keys of `[data]`.
        data_notes: comments on these, by key.
        signals: the signals.
        left_out: the reason for each column that is no signal.
        window: keys of `[window]`; none without a time axis.
        window_notes: comments on these, by key.
        goal: target and split.
        allow: names of checks whose errors are allowed.
        doubts: sentences on what is unsure.
        clock: the time axis.
        fleet: the assets.
        columns: all columns.
    """

    stream: str
    looked_at: str
    data: Mapping[str, Any]
    data_notes: Mapping[str, str]
    signals: Sequence[Input]
    left_out: Mapping[str, str]
    window: Mapping[str, Any]
    window_notes: Mapping[str, str]
    goal: Goal
    doubts: tuple[str, ...]
    clock: Clock
    fleet: Fleet
    columns: Mapping[str, Column]
    allow: tuple[str, ...] = ()

    def without(self, names: Sequence[str], reason: str) -> "Proposal":
        """The same with some signals left out for one more reason."""
        gone = {one.column: reason for one in self.signals if one.name in names}
        kept = [one for one in self.signals if one.name not in names]
        return replace(self, signals=kept, left_out={**self.left_out, **gone})


def propose(files: Sequence[Path], begun: Excerpts, wishes: Wishes, folder: Path) -> Proposal:
    """Look at files, and propose a recipe that will lie in a folder.

    Raises:
        DataError: a file cannot be read, the files have nothing in common, or there are too few
            rows.
        UsageError: an option does not fit the files.
    """
    tables = _tables(files, begun)
    rows = sum(len(table.frame) for table in tables)
    shared, partial = _shared(tables)
    separator = tables[0].separator or ","
    marks = marks_of((texts_of(tables, name) for name in shared), separator)
    columns = {name: column_of(tables, name, marks) for name in shared}
    target = target_column(list(columns), wishes)
    clock = clock_of(tables, columns, target)
    fleet = fleet_of(tables, columns, clock, target)
    goal = goal_of(tables, columns[target] if target else None, wishes, clock, fleet)
    signals, left_out = inputs_of(columns, clock, fleet, goal)
    data, data_notes = _data(tables, columns, clock, fleet, folder)
    window, window_notes = _window(clock, fleet, goal, rows)
    doubts = (marks.doubt, _renamed(partial), *clock.doubts, *fleet.doubts, *goal.doubts)
    part = f", the beginning of {len(begun.cut)} of them only" if begun.cut else ""
    proposal = Proposal(
        stream=_stream(tables, goal),
        looked_at=f"{len(tables)} {'file' if len(tables) == 1 else 'files'}{part}, {rows} rows",
        data=_with_marks(data, marks),
        data_notes=data_notes,
        signals=signals,
        left_out={**left_out, **partial},
        window=window,
        window_notes=window_notes,
        goal=goal,
        doubts=tuple(filter(None, doubts)),
        clock=clock,
        fleet=fleet,
        columns=columns,
    )
    return _in_changes(proposal)


def _tables(files: Sequence[Path], begun: Excerpts) -> list[Table]:
    """Read the files; their names are relative to the folder that holds all of them."""
    common = Path(os.path.commonpath([path.parent for path in files]))
    names = [os.path.relpath(path, common) for path in files]
    tables = [
        read_table(path, begun.paths[path], name) for path, name in zip(files, names, strict=True)
    ]
    rows = sum(len(table.frame) for table in tables)
    if rows < MIN_ROWS:
        raise DataError(f"{first_few(names)}: {rows} rows in all; at least {MIN_ROWS} are needed")
    return tables


def _with_marks(data: Mapping[str, Any], marks: Marks) -> dict[str, Any]:
    """The keys of `[data]` with those of numbers behind the separator."""
    first = {key: data[key] for key in ("files", "separator") if key in data}
    found = {"decimal": marks.decimal, "thousands": marks.thousands}
    return {**first, **{key: value for key, value in found.items() if value}, **data}


def _shared(tables: Sequence[Table]) -> tuple[list[str], dict[str, str]]:
    """The columns that all files have, and the others with the reason."""
    names = list(dict.fromkeys(name for table in tables for name in table.frame.columns))
    counts = {name: sum(name in table.frame.columns for table in tables) for name in names}
    shared = [name for name in names if counts[name] == len(tables)]
    if not shared or len({table.has_header for table in tables}) > 1:
        raise DataError(
            f"{tables[0].name} and {tables[-1].name}: have no column in common; draft a recipe for "
            "each kind of file"
        )
    separators = {table.separator: table.name for table in tables}
    if len(separators) > 1:
        raise DataError(
            f"{' and '.join(list(separators.values())[:2])}: separate their columns differently; "
            "export all in one way"
        )
    others = {
        name: f"only {counts[name]} of {len(tables)} files have it"
        for name in names
        if counts[name] < len(tables)
    }
    return shared, others


def _renamed(partial: Mapping[str, str]) -> str:
    """What to look at where files differ in their columns; empty where they do not."""
    if not partial:
        return ""
    names = first_few([f"'{name}'" for name in partial])
    return (
        f"{names}: not all files have these columns, so "
        "they are left out; if one was renamed, give it one name in all files"
    )


def _data(
    tables: Sequence[Table],
    columns: Mapping[str, Column],
    clock: Clock,
    fleet: Fleet,
    folder: Path,
) -> tuple[dict[str, Any], dict[str, str]]:
    first = tables[0]
    data: dict[str, Any] = {"files": _files([table.path for table in tables], folder)}
    notes = {"files": "relative to this recipe"}
    if first.separator is not None:
        data["separator"] = first.separator
    if encoding := next((table.encoding for table in tables if table.encoding), None):
        data["encoding"] = encoding
        notes["encoding"] = "UNSURE: it is not UTF-8; look at the names of the signals"
    if not first.has_header:
        data["columns"] = list(first.frame.columns)
        notes["columns"] = "the files have no header: give the columns their names here and below"
    words = {word: count for one in columns.values() for word, count in one.absent.items()}
    if words:
        data["na_values"] = list(words)
        told = ", ".join(f"'{word}' in {count}" for word, count in words.items())
        notes["na_values"] = f"UNSURE: words among numbers, taken for no value: {told} rows"
    if clock.axis is not None:
        data["time"] = dict(clock.axis)
        notes["time"] = "; ".join(filter(None, (clock.behind, _step(clock, fleet))))
    data |= fleet.keys
    if fleet.behind:
        notes[next(iter(fleet.keys))] = fleet.behind
    return data, notes


def _files(paths: Sequence[Path], folder: Path) -> list[str]:
    """Paths relative to a folder, or one pattern that matches exactly these."""
    relative = [os.path.relpath(path, folder) for path in paths]
    parents, suffixes = {path.parent for path in paths}, {path.suffix for path in paths}
    if len(paths) > _LISTED and len(parents) == 1 and len(suffixes) == 1:
        parent, suffix = parents.pop(), suffixes.pop()
        if suffix and {*parent.glob(f"*{suffix}")} == {*paths}:
            return [os.path.join(os.path.relpath(parent, folder), f"*{suffix}")]  # noqa: PTH118  may begin with ..
    if len(paths) > MAX_FILES:
        raise DataError(
            f"{len(paths)} files are named, at most {MAX_FILES} can be listed: put them, and no "
            "others, into one folder"
        )
    return relative


def _steps(clock: Clock, fleet: Fleet) -> NDArray[np.int64]:
    """Nanoseconds between the rows of one asset, without those of the same time."""
    order = np.lexsort((clock.times_ns, fleet.asset))
    steps = np.diff(clock.times_ns[order])[np.diff(fleet.asset[order]) == 0]
    positive: NDArray[np.int64] = steps[steps > 0]
    return positive


def _step(clock: Clock, fleet: Fleet) -> str:
    steps = _steps(clock, fleet)
    if not clock.columns or not len(steps):
        return ""
    usual = np.median(steps)
    pauses = int((steps > _PAUSE * usual).sum())
    share = np.mean(np.isclose(steps, usual, rtol=0.1))
    return f"a row every {usual / _NS:g} s in {share:.0%} of the rows, {pauses} longer pauses"


def _window(
    clock: Clock, fleet: Fleet, goal: Goal, rows: int
) -> tuple[dict[str, Any], dict[str, str]]:
    task = str(goal.target["task"])
    if clock.axis is None:
        return {}, {}
    steps = _steps(clock, fleet)
    usual = float(np.median(steps)) if len(steps) else 0.0
    length = _LENGTH_OF_RUN if goal.is_remaining else _LENGTHS[task]
    if task == "anomaly" and clock.columns and usual >= _SLOW_NS:
        length = max(length, min(_LONGEST, round(_SHIFT_NS / usual)))
    if not clock.columns and task == "regression":
        return {"length": 1}, {"length": "UNSURE: the time is not known, so the model sees a row"}
    # Assets of fewer rows than a window would never be answered.
    shortest = int(np.bincount(fleet.asset).min())
    longest = max(1, min(shortest, rows // _ROWS_A_WINDOW))
    length = min(length, longest)
    window: dict[str, Any] = {"length": length}
    notes = {"length": "UNSURE: samples that the model sees at once; as long as what matters lasts"}
    if task == "regression" and not goal.is_remaining and longest >= AUTO_LENGTHS[1]:
        # Nobody sees a dead time in a file: training finds out which of these reaches it.
        window = {"lengths": [one for one in AUTO_LENGTHS if one <= longest]}
        notes = {"lengths": "samples that the model sees at once; training takes the best of these"}
    if length > 1 and usual and (steps > _PAUSE * usual).any() and not goal.is_remaining:
        window["max_gap_s"] = float(f"{_PAUSE * usual / _NS:.6g}")
        notes["max_gap_s"] = "after a longer pause a window begins anew"
    return window, notes


def _in_changes(proposal: Proposal) -> Proposal:
    """The same for records of changes, whose rows have a few of the signals each."""
    numbers = [proposal.columns[one.column] for one in proposal.signals]
    present = [np.isfinite(one.numbers) for one in numbers if one.kind == "number"]
    clock = proposal.clock
    if len(present) < 2 or not clock.columns:  # noqa: PLR2004  one signal is always together
        return proposal
    counts = np.sum(present, axis=0)
    if np.mean(2 * counts > len(present)) >= _TOGETHER:
        return proposal
    period_s = float(f"{np.median(_steps(clock, proposal.fleet)) / _NS:.6g}")
    ages = {one.name: _age(one, clock, period_s) for one in numbers}
    said = (
        "most rows have a few of the signals only, as a record of changes has: check rows, "
        "max_age_s and trigger"
    )
    note = "a value holds as long as this; the signal is recorded when it changes"
    signals = [
        one.with_key("max_age_s", ages[one.column], note) if one.column in ages else one
        for one in proposal.signals
    ]
    grid = {"period_s": period_s, "max_gap_s": 60 * period_s, "trigger": "period"}
    return replace(
        proposal,
        data={**proposal.data, "rows": "messages"},
        signals=signals,
        window={**proposal.window, **grid},
        window_notes={
            **proposal.window_notes,
            "trigger": "a sample each period, of the last values",
        },
        doubts=(*proposal.doubts, said),
    )


def _age(column: Column, clock: Clock, period_s: float) -> float:
    """How long a value of a signal usually holds, in seconds, with a margin."""
    times = np.sort(clock.times_ns[np.isfinite(column.numbers)])
    apart = np.quantile(np.diff(times), 0.95) / _NS if len(times) > 1 else period_s
    return float(f"{_HELD * max(apart, period_s):.3g}")


def _stream(tables: Sequence[Table], goal: Goal) -> str:
    base = re.sub(r"[\d_\-. ]+$", "", stem(tables[0].path)) or tables[0].path.parent.name or "draft"
    what = goal.column or ("rul" if goal.is_remaining else "anomaly")
    return signal_name(f"{base}-{what}", ())[:60].lower()
