"""One column of all files together: what its values are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.states import MAX_TEXT, state_text
from trainer.draft.marks import Marks, as_numbers
from trainer.draft.table import Table
from trainer.ingest.columns import NO_VALUE
from trainer.ingest.dates.formats import formats_of

MAX_STATES: Final = 20
"""Most different texts of a column that is taken for a signal of states."""
_MOSTLY: Final = 0.9
_FEW_WORDS: Final = 5
_SAMPLED: Final = 500

Kind = Literal["empty", "number", "state", "text", "time"]


@dataclass(frozen=True)
class Column:
    """What is known of a column.

    Attributes:
        name: its name in the files.
        kind: what its values are; `text` are texts too many for states.
        numbers: its values, `[rows]` of all tables in order, NaN for none; empty for other kinds.
        states: how often each state occurs, most frequent first; empty for numbers.
        absent: words among its numbers that stand for no value, and how often each occurs.
        missing: share of the rows without a value.
        distinct: number of different values.
        unit: the unit that a line below the header gives; empty without one.
    """

    name: str
    kind: Kind
    numbers: NDArray[np.float64]
    states: Mapping[str, int] = field(default_factory=dict)
    absent: Mapping[str, int] = field(default_factory=dict)
    missing: float = 0.0
    distinct: int = 0
    unit: str = ""

    @property
    def known(self) -> NDArray[np.float64]:
        """Its numbers, without rows that have none."""
        return self.numbers[np.isfinite(self.numbers)]

    @property
    def is_whole(self) -> bool:
        """Whether all of its numbers are whole."""
        return bool(len(self.known)) and bool((self.known == np.round(self.known)).all())


def texts_of(tables: Sequence[Table], name: str) -> "pd.Series[Any]":
    """A column of all tables as text, "" for no text."""
    parts = [table.frame[name] for table in tables]
    whole = pd.concat(parts, ignore_index=True)
    return whole.astype("str").where(whole.notna(), "").str.strip()


def column_of(tables: Sequence[Table], name: str, marks: Marks) -> Column:
    """Look at a column that all tables have."""
    text = texts_of(tables, name)
    unit = next((one.units[name] for one in tables if name in one.units), "")
    given = text[~text.isin(NO_VALUE)]
    missing = 1 - len(given) / max(1, len(text))
    nothing = np.empty(0, dtype=np.float64)
    if not len(given):
        return Column(name, "empty", nothing, missing=1.0, unit=unit)
    if _is_time(given):
        return Column(name, "time", nothing, missing=missing, distinct=given.nunique())
    numbers = as_numbers(text, marks)
    words = given[np.isnan(numbers[given.index])].value_counts()
    share = 1 - words.sum() / len(given)
    if len(words) and share < _MOSTLY and len(words) > _FEW_WORDS:
        share = 0.0
    if share >= _MOSTLY and (not len(words) or len(words) <= _FEW_WORDS):
        missing = float(np.isnan(numbers).mean())
        absent = {str(word): int(count) for word, count in words.items()}
        distinct = len(np.unique(numbers[np.isfinite(numbers)]))
        return Column(name, "number", numbers, {}, absent, missing, distinct, unit)
    return _worded(name, given, missing, unit)


def _is_time(given: "pd.Series[Any]") -> bool:
    sample = given.iloc[:: max(1, len(given) // _SAMPLED)]
    return bool(np.mean([bool(formats_of(text)) for text in sample]) >= _MOSTLY)


def _worded(name: str, given: "pd.Series[Any]", missing: float, unit: str) -> Column:
    counts = given.map(state_text).value_counts()
    states = {str(state): int(count) for state, count in counts.items()}
    are_states = len(states) <= MAX_STATES and max(map(len, states)) <= MAX_TEXT
    kind: Kind = "state" if are_states else "text"
    few = dict(list(states.items())[: MAX_STATES + 1])
    nothing = np.empty(0, dtype=np.float64)
    return Column(name, kind, nothing, few, {}, missing, len(states), unit)
