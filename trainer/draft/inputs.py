"""The signals of a draft, and the columns that are left out, each with the reason."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, floor, log10
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainer.checks.signals import far_and_repeated
from trainer.draft.clock import Clock
from trainer.draft.column import Column
from trainer.draft.fleet import Fleet
from trainer.draft.goal import Goal
from trainer.draft.naming import named, signal_name

MAX_SIGNALS: Final = 500
"""Most signals of a draft; further columns are left out."""
_EMPTY: Final = 0.95
_ID: Final = re.compile(
    r"(.*[_\s.-])?(id|uid|udi|uuid|nr|no|index|idx|row|nummer|number|sn|key)", re.IGNORECASE
)
_CHANGES: Final = re.compile(r".*(changepoint|split|fold|train|test|subset).*", re.IGNORECASE)
_PERSON: Final = re.compile(
    r"(.*[_\s.-])?(operator|user|worker|inspector|technician|employee|author|shift[_\s]?leader"
    r"|bediener|werker|pr(ü|ue)fer|nutzer|benutzer|mitarbeiter)([_\s.-](name|initials))?",
    re.IGNORECASE,
)
_EMISSION: Final = re.compile(r"nox|no2?|co2?|sox|so2|hc|nh3|pm10|pm2\.?5", re.IGNORECASE)
_METER_ROWS: Final = 100
_NUMBERED: Final = 20
_STEADY: Final = 0.99
_RISING: Final = 0.5
_RESTARTS: Final = 5
_ORDERS: Final = (
    ("l", "m", "h"),
    ("low", "medium", "high"),
    ("off", "on"),
    ("closed", "open"),
    ("no", "yes"),
    ("aus", "ein"),
    ("zu", "auf"),
    ("stop", "start"),
)


@dataclass(frozen=True)
class Input:
    """One signal.

    Attributes:
        name: its name.
        keys: its further keys in `[[signals]]`.
        notes: what a person should know of it.
    """

    name: str
    keys: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def column(self) -> str:
        """The column that it is read from."""
        return str(self.keys.get("column", self.name))

    def with_key(self, key: str, value: object, note: str) -> "Input":
        """The same with a further key."""
        return replace(self, keys={**self.keys, key: value}, notes=(*self.notes, note))


def inputs_of(
    columns: Mapping[str, Column], clock: Clock, fleet: Fleet, goal: Goal
) -> tuple[list[Input], dict[str, str]]:
    """The signals, and the reason for each column that is none."""
    found: list[Input] = []
    left_out: dict[str, str] = {}
    for column in columns.values():
        reason = _used(column, clock, fleet, goal) or _useless(column, fleet)
        if not reason and len(found) == MAX_SIGNALS:
            reason = f"there are {MAX_SIGNALS} signals already; name fewer columns"
        if reason:
            left_out[column.name] = reason
        else:
            found.append(_input(column, [one.name for one in found]))
    return found, left_out


def _used(column: Column, clock: Clock, fleet: Fleet, goal: Goal) -> str:
    """What else a column is used for; empty if it may be a signal."""
    if column.name == goal.column:
        return "it is the target"
    if column.name in fleet.columns:
        return "it names the asset"
    if column.name in clock.columns and not (clock.counts and goal.is_remaining):
        return "it is the time"
    if column.name in clock.rejected:
        return "it looks like the time, and cannot be used as it"
    if _EMISSION.fullmatch(named(column.name)[0]) and _EMISSION.fullmatch(
        named(goal.column or "")[0]
    ):
        return (
            "it is an emission like the target, which comes about with it; take it in if it is "
            "measured when the answer is needed"
        )
    return ""


def _useless(column: Column, fleet: Fleet) -> str:
    """Why a column can be no signal; empty if it can."""
    plain = {"empty": "it has no value", "time": "it holds dates; a model sees numbers and states"}
    if reason := plain.get(column.kind):
        return reason
    if column.missing >= _EMPTY:
        return f"{column.missing:.0%} of its rows have no value"
    if column.distinct == 1:
        only = f"{column.known[0]:g}" if column.kind == "number" else next(iter(column.states))
        return f"it is constant: always {only}"
    if column.kind == "text":
        return f"it holds {column.distinct} different texts: names or remarks, not states"
    if column.kind == "state":
        return _person(column)
    return _counting(column, fleet)


def _person(column: Column) -> str:
    """Why a column of states says who was there rather than what was measured; empty if not so."""
    if _PERSON.fullmatch(named(column.name)[0]) is None:
        return ""
    return "by its name it says who was there; take it in if the line sends that to the gateway"


def _counting(column: Column, fleet: Fleet) -> str:
    """Why a column of numbers counts or names rows; empty if it does not."""
    known = column.known
    if reason := _by_name(column):
        return reason
    if len(known) != len(column.numbers) or len(known) < _METER_ROWS:
        return ""
    order = np.argsort(fleet.piece, kind="stable")
    steps = np.diff(column.numbers[order])[np.diff(fleet.piece[order]) == 0]
    if not len(steps) or _restarts(column, fleet.asset):
        return ""
    return _rising(column, steps)


def _rising(column: Column, steps: NDArray[np.float64]) -> str:
    """Why a column that goes on by these steps counts; empty if it does not."""
    known, usual = column.known, float(np.median(steps))
    if usual != 0 and np.mean(np.isclose(steps, usual)) >= _STEADY:
        return f"it counts from row to row by {usual:g}: later values were never trained on"
    seen = f"({known.min():.6g} to {known.max():.6g})"
    if np.mean(steps >= 0) >= _STEADY and np.mean(steps > 0) >= _RISING:
        return (
            f"it is a meter, which only rises {seen}: later values were never trained on. Record "
            "its rate instead"
        )
    if column.is_whole and (steps >= 0).all() and column.distinct >= _NUMBERED:
        return (
            f"it never falls {seen}, as numbers of rolls, batches or orders do: later ones were "
            "never trained on"
        )
    return ""


def _by_name(column: Column) -> str:
    """Why a column of numbers, by its name, is no measurement; empty if it may be one."""
    name, every = named(column.name)[0], len(column.known)
    if column.is_whole and column.distinct == every and _ID.fullmatch(name):
        return "it numbers the rows: every row has a number of its own"
    if _CHANGES.fullmatch(name) and column.distinct <= 2:  # noqa: PLR2004  a mark
        return "by its name it marks rows for an evaluation; on a gateway nobody knows it"
    return ""


def _restarts(column: Column, asset: NDArray[np.int64]) -> bool:
    """Whether a count begins anew with each of several assets, as the age of a run does."""
    _, first = np.unique(asset, return_index=True)
    starts = column.numbers[first]
    return len(first) >= _RESTARTS and bool(np.isclose(starts, np.median(starts)).mean() > _RISING)


def _input(column: Column, taken: Sequence[str]) -> Input:
    name = signal_name(column.name, taken)
    keys: dict[str, Any] = {} if name == column.name else {"column": column.name}
    unit = column.unit or named(column.name)[1]
    keys |= {"unit": unit} if unit else {}
    notes = [f"{column.missing:.1%} of the rows have no value"] if column.missing else []
    if column.kind == "state":
        if {state.casefold() for state in column.states} <= {"true", "false"}:
            return Input(name, keys, (*notes, "true is 1, false is 0"))
        keys["codes"], is_ordered = _codes(column)
        notes.append(
            f"states: {', '.join(f'{k} ({n} rows)' for k, n in column.states.items())}"[:200]
        )
        if not is_ordered:
            notes.append("UNSURE: codes number the states by the alphabet; order them by meaning")
        return Input(name, keys, tuple(notes))
    low, high = float(column.known.min()), float(column.known.max())
    stray = far_and_repeated(column.known)
    if stray is not None:
        value, count, low, high = stray
        notes.append(
            f"UNSURE: {value:g} in {count} rows is far from all others and outside of the range, "
            "so it counts as missing"
        )
    notes.insert(0, f"seen: {_digits(low, high)}")
    keys["range"] = plausible(low, high)
    return Input(name, keys, tuple(notes))


def _digits(low: float, high: float) -> str:
    """Two numbers with as many digits as tell them apart."""
    few = f"{low:.6g} to {high:.6g}"
    return few if f"{low:.5g}" != f"{high:.5g}" else f"{low:.12g} to {high:.12g}"


def _codes(column: Column) -> tuple[dict[str, int], bool]:
    """Codes of states in the order that their names have, else by the alphabet, and which it is."""
    states = sorted(column.states)
    is_ordered = len(states) == 2  # noqa: PLR2004  either order of two is as good
    for order in _ORDERS:
        if {state.casefold() for state in states} <= set(order):
            states.sort(key=lambda state: order.index(state.casefold()))
            is_ordered = True
    return {state: code for code, state in enumerate(states)}, is_ordered


def plausible(low: float, high: float) -> list[float]:
    """A range of twice the span on either side; not below zero where nothing was."""
    span = (high - low) or abs(high) or 1.0
    below, above = low - span, high + span
    if low >= 0:
        below = max(0.0, below)
    if high <= 0:
        above = min(0.0, above)
    unit = 10.0 ** floor(log10(span))
    return [_neat(floor(below / unit) * unit), _neat(ceil(above / unit) * unit)]


def _neat(number: float) -> float:
    rounded = float(f"{number:.12g}")
    return int(rounded) if rounded == round(rounded) and abs(rounded) < 1e15 else rounded  # noqa: PLR2004  whole in a double
