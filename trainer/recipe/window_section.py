"""The recipe's section `[window]`: how samples become windows."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.bundle.manifest import MAX_DUE_VALUES, MAX_GAP_PERIODS, Finite, WindowSpec
from trainer.recipe.data_section import Source
from trainer.recipe.section import Section
from trainer.recipe.time_section import MAX_S

# Samples times signals. At least 32 golden windows of this size, and one for each way in which a
# signal may be missing, must fit into the bundle's `golden.npz`.
MAX_WINDOW_VALUES = 100_000
AUTO_LENGTHS = (1, 5, 15, 30, 60, 120)
"""Lengths that `lengths = "auto"` compares, where the rows are long enough for them."""
MAX_LENGTHS = 6
Length = Annotated[int, Field(ge=1, le=65_536)]


class Window(Section):
    """How samples become windows; `models.windowing` describes the rules.

    Attributes:
        length: number of samples in a window.
        lengths: several lengths instead, of which the trainer takes the best on folds; `auto`
            compares up to six from 1 to 120 samples. None takes `length`.
        hop: number of samples from one window to the next.
        period_s: seconds between samples; None measures it, as the median of the data.
        max_gap_s: seconds; after a longer pause the window begins anew. None allows any pause.
        trigger: when a sample is taken: `all_fresh` when every signal has a new reading,
            `every_reading` at each reading, `period` on a grid of `period_s`.
    """

    length: Length = 1
    lengths: (
        Literal["auto"] | Annotated[tuple[Length, ...], Field(min_length=1, max_length=MAX_LENGTHS)]
    ) | None = None
    hop: Length = 1
    period_s: Annotated[Finite, Field(gt=0, le=MAX_S)] | None = None
    max_gap_s: Annotated[Finite, Field(gt=0, le=MAX_S)] | None = None
    trigger: Literal["all_fresh", "every_reading", "period"] = "all_fresh"

    @model_validator(mode="after")
    def _has_one_length(self) -> Self:
        if self.lengths is not None and "length" in self.model_fields_set:
            raise ValueError("both length and lengths are given; leave one of them out")
        return self

    @model_validator(mode="after")
    def _grid_is_bounded(self) -> Self:
        if self.trigger != "period":
            return self
        period_ms, max_gap_ms = _ms(self.period_s), _ms(self.max_gap_s)
        if period_ms is None or max_gap_ms is None:
            raise ValueError("trigger 'period' needs period_s and max_gap_s; give both")
        if not period_ms <= max_gap_ms <= MAX_GAP_PERIODS * period_ms:
            raise ValueError(
                f"with trigger 'period' max_gap_s must be 1 to {MAX_GAP_PERIODS} times period_s, "
                f"found {self.max_gap_s:g} and {self.period_s:g}"
            )
        return self

    def wanted(self, signals: int) -> tuple[int, ...]:
        """The lengths to compare for so many signals, rising; one where there is no choice."""
        if self.lengths is None:
            return (self.length,)
        if self.lengths == "auto":
            return tuple(n for n in AUTO_LENGTHS if n * signals <= MAX_WINDOW_VALUES) or (1,)
        return tuple(sorted({*self.lengths}))

    def of_length(self, length: int) -> Self:
        """The section with one length, and nothing to choose."""
        return self.model_copy(update={"length": length, "lengths": None})

    def spec(self, period_ms: float | None) -> WindowSpec:
        """The window as the manifest describes it.

        `period_ms` is the measured period, for a recipe without one; None without a time axis.
        """
        return WindowSpec(
            length=self.length,
            hop=self.hop,
            sample_period_ms=period_ms if self.period_s is None else _exact_ms(self.period_s),
            max_gap_ms=_ms(self.max_gap_s),
            trigger=self.trigger,
        )


def input_mistakes(names: Sequence[str], window: Window, data: Source | None) -> list[str]:
    """Mistakes in the names of signals, and in a window of so many signals over this data."""
    found = [f"signals: two are named '{n}'" for n in sorted({*names}) if names.count(n) > 1]
    found += [
        f"signals: '{name}' would lie inside '{outer}', because a dot in a name makes a level in "
        "a message; rename one of them"
        for name in names
        for outer in names
        if name.startswith(f"{outer}.")
    ]
    if (values := window.length * len(names)) > MAX_WINDOW_VALUES:
        found.append(f"window.length: {values} values a window, allowed are {MAX_WINDOW_VALUES}")
    if (due := values * window.spec(None).max_due) > MAX_DUE_VALUES:
        found.append(
            f"window.max_gap_s: after such a pause windows of {due} values are due at once, "
            f"allowed are {MAX_DUE_VALUES}; lower it, or raise hop"
        )
    if window.length > 1 and data is not None and data.time is None:
        found.append(
            f"window.length is {window.length}, but data.time is not given: without a time axis "
            "every row is a window of its own, and length must be 1"
        )
    return found


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else max(1, round(seconds * 1000))


def _exact_ms(seconds: float) -> float:
    """Milliseconds with their fraction, but without its rounding error: 1.1 s are 1100 ms."""
    return float(f"{seconds * 1000:.12g}")
