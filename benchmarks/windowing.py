"""`python -m benchmarks.windowing`: recorded rows a second that are made into windows.

The batch form, with which the trainer makes windows, is measured in turns with the incremental form
of the gateway. Both make the same windows of the same rows of eight signals; the incremental form
gets fewer rows. `windows` is what the trainer uses: consecutive windows overlap in memory, others
are copied. `copied` is the time with all windows copied. Printed are medians over the rounds.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np

from models.bundle.manifest import Channel, WindowSpec
from trainer.dataset.message_windows import replay
from trainer.dataset.windows import Windowed, window_rows
from trainer.ingest.recording import Recording

WIDTH, LENGTH, PERIOD_MS = 8, 30, 1000
FORMS = ("incremental", "windows", "copied")
MAX_ROWS = 500_000
"""Five times as many windows of `LENGTH` samples take 2.4 GB."""
Form = Callable[[], object]
_NS_PER_MS = 1_000_000
_PLAIN = WindowSpec(length=LENGTH, max_gap_ms=10 * PERIOD_MS)
_GRID = WindowSpec(
    length=LENGTH, sample_period_ms=PERIOD_MS, max_gap_ms=10 * PERIOD_MS, trigger="period"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of recording.

    Attributes:
        name: name that is printed.
        assets: number of assets, which take turns.
        missing: share of the values that are missing.
        spoilt: share of the rows that have the time of another row: repeated, or late.
        max_age_ms: longest time that a value of a signal is used, milliseconds; None: no limit.
        spec: specification of the windows.
    """

    name: str
    assets: int = 1
    missing: float = 0.0
    spoilt: float = 0.0
    max_age_ms: int | None = None
    spec: WindowSpec = _PLAIN

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The signals of the model."""
        return tuple(
            Channel(name=f"c{index}", valid_range=(-4.0, 4.0), max_age_ms=self.max_age_ms)
            for index in range(WIDTH)
        )


SHAPES = (
    Shape("one asset"),
    Shape("100 assets in turns", assets=100),
    Shape("10,000 assets in turns", assets=10_000),
    Shape("2 % missing", missing=0.02),
    Shape("2 % missing, held 5 s", missing=0.02, max_age_ms=5000),
    Shape("1 % late or repeated", assets=100, spoilt=0.01),
    Shape("grid", spec=_GRID),
    Shape("grid, 100 assets, 2 % missing", assets=100, missing=0.02, max_age_ms=5000, spec=_GRID),
    Shape(
        "grid, 5 points a row", spec=_GRID.model_copy(update={"sample_period_ms": PERIOD_MS // 5})
    ),
)


def recorded(shape: Shape, count: int) -> Recording:
    """Return rows of normally distributed values; those of an asset are about a second apart."""
    dice = np.random.default_rng(1)
    values = dice.normal(size=(count, WIDTH))
    values[dice.random(values.shape) < shape.missing] = np.nan
    number = np.arange(count, dtype=np.int64)
    times_ns = (number // shape.assets * PERIOD_MS + dice.integers(0, 300, count)) * _NS_PER_MS
    spoilt = np.flatnonzero(dice.random(count) < shape.spoilt)
    spoilt = spoilt[spoilt >= 2 * shape.assets]
    source = spoilt - shape.assets * dice.integers(1, 3, len(spoilt))
    times_ns[spoilt], values[spoilt] = times_ns[source], values[source]
    return Recording(
        channels=tuple(f"c{index}" for index in range(WIDTH)),
        assets=tuple(f"a{index}" for index in range(shape.assets)),
        asset=number % shape.assets,
        times_ns=times_ns,
        timed=True,
        values=values,
        files=("recorded",),
        file=np.zeros(count, dtype=np.int64),
        line=number,
    )


def measure(shape: Shape, count: int, rounds: int) -> list[float]:
    """Return the rows a second of each form, medians over the rounds in which they take turns."""
    whole = recorded(shape, count)
    # Enough rows of an asset to fill its windows, but few, as this form is slow.
    fewer = whole.take(np.arange(min(count, max(count // 20, (LENGTH + 1) * shape.assets))))

    def at_once() -> Windowed:
        return window_rows(whole, np.arange(count), shape.spec, shape.channels)

    forms: list[tuple[int, Form]] = [
        (len(fewer), lambda: replay(fewer, np.arange(len(fewer)), shape.spec, shape.channels, int)),
        (count, lambda: at_once().values),
        (count, lambda: np.ascontiguousarray(at_once().values)),
    ]
    paces: list[list[float]] = [[] for _ in forms]
    for _ in range(rounds):
        for (rows, form), pace in zip(forms, paces, strict=True):
            began_s = perf_counter()
            form()
            pace.append(rows / (perf_counter() - began_s))
    return [median(pace) for pace in paces]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.windowing", description=__doc__)
    parser.add_argument(
        "--rows",
        type=int,
        default=MAX_ROWS,
        help="number of rows, at most %(default)s and by default",
    )
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (%(default)s)")
    options = parser.parse_args()
    if not 0 < options.rows <= MAX_ROWS:
        parser.error(f"--rows is 1 to {MAX_ROWS}, found {options.rows}")
    print(f"{'rows a second':30}{''.join(f'{form:>14}' for form in FORMS)}")
    for shape in SHAPES:
        paces = measure(shape, options.rows, options.rounds)
        print(f"{shape.name:30}{''.join(f'{pace:14,.0f}' for pace in paces)}", flush=True)


if __name__ == "__main__":
    main()
