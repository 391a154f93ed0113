"""How the time axis of a recording is told to people: as dates, as a counter, or as rows.

Inside, every time is nanoseconds. A counter of cycles or operating hours has no date; to show its
nanoseconds as one would be to invent a day in 1970.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe
from trainer.recipe.time_section import UNIT_NS

COUNTED_UNTIL: Final = int(np.datetime64("1990-01-01", "ns").astype(np.int64))
"""Numbers from 1970 that end before this are a counter: clocks of plants show later times.

It allows 175,000 operating hours.
"""
_WORDS: Final = (("days", 86_400), ("hours", 3600), ("minutes", 60))


@dataclass(frozen=True, slots=True)
class Clock:
    """What times mean.

    Attributes:
        kind: `dates`; a `counter` that a column has; or `rows`, which are only in order.
        name: name of the counter's column; empty for the others.
        unit_ns: nanoseconds that stand for one count, or for one row.
        began_ns: time of the count 0, nanoseconds since 1970.
    """

    kind: Literal["dates", "counter", "rows"]
    name: str = ""
    unit_ns: int = 1
    began_ns: int = 0

    def count(self, times_ns: Any) -> Any:  # noqa: ANN401  a number, or an array of them
        """The counts at times in nanoseconds."""
        return (times_ns - self.began_ns) / self.unit_ns

    @property
    def axis(self) -> str:
        """The label of an axis of counts."""
        return self.name or "row"

    def moment(self, time_ns: int) -> str:
        """A time in words: `2025-03-01T10:00:00Z`, `cycle 120` or `row 120`."""
        if self.kind == "dates":
            moment = np.datetime64(int(time_ns), "ns").astype("datetime64[ms]")
            return f"{str(moment).removesuffix('.000')}Z"
        return f"{self.axis} {self.count(time_ns):.15g}"

    def span(self, length_ns: float) -> str:
        """A length of time in words: `3.5 hours`, `120 counts of 'cycle'` or `120 rows`."""
        if self.kind == "dates":
            seconds = length_ns / 1e9
            for unit, size in _WORDS:
                if seconds >= 2 * size:
                    return f"{seconds / size:.3g} {unit}"
            return f"{seconds:.3g} s"
        count = length_ns / self.unit_ns
        said = f"{count if count == round(count) else float(f'{count:.3g}'):.15g}"
        if self.kind == "rows":
            return f"{said} row{'' if count == 1 else 's'}"
        return f"{said} count{'' if count == 1 else 's'} of '{self.name}'"


def clock_of(recording: Recording, recipe: Recipe) -> Clock:
    """What the times of a recording mean.

    A time column of numbers without `origin` counts from 1970, and so do clocks of computers: it is
    a counter if its last time is too early for a plant, or if the recipe says so.
    """
    time = recipe.data.time
    if time is None or not recording.timed:
        return Clock("rows")
    given = "origin" in time.model_fields_set
    if time.unit is None or (given and not time.counter):
        return Clock("dates")
    if time.column is None:
        return Clock("rows", unit_ns=UNIT_NS[time.unit])
    is_early = int(recording.times_ns.max()) < COUNTED_UNTIL
    if not (is_early if time.counter is None else time.counter):
        return Clock("dates")
    began_ns = round(time.origin.timestamp()) * 10**9 if given else 0
    return Clock("counter", time.name, UNIT_NS[time.unit], began_ns)
