"""How far a figure may be off: bootstrap intervals that know which test windows belong together.

Windows that follow each other err alike, and so do those of one machine: drawn one by one they
would pretend to be many more than they are. So whole assets are drawn, or blocks in time as long as
the errors remember (Künsch 1989; Politis and Romano 1992), or rows where each stands alone. With
few of those the quantiles are taken further out, as Student's are from the normal ones (Hesterberg
2015, "What teachers should know about the bootstrap"), and a share that was right each time ends
where that many trials allow, not at 100 %.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from trainer.evaluation.autocorrelation import memory
from trainer.evaluation.metrics import LOWER_IS_BETTER, Figures, Weights

RESAMPLES = 1000
MIN_ASSETS = 5
"""With fewer assets their blocks in time are drawn, and the interval is for those assets alone."""
_MIN_RESAMPLES = 200
_WORK = 400_000_000
"""Windows times resamples; beyond, fewer resamples are drawn, down to 200."""
_CHUNK = 4_000_000
_TAIL = 0.025
_DEFINED = 0.9

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Units:
    """What is drawn as a whole: assets, blocks in time, or rows.

    Attributes:
        kind: which of them.
        order: the windows, sorted by asset and time, `[n]`.
        start: first window of each asset in that order, and the end of the last, `[assets + 1]`.
        length: windows in a block; of assets and rows it is not used.
    """

    kind: Literal["assets", "blocks", "rows"]
    order: NDArray[np.int64]
    start: NDArray[np.int64]
    length: int = 1

    @property
    def count(self) -> int:
        """How many there are that do not overlap."""
        if self.kind == "assets":
            return len(self.start) - 1
        return len(self.order) // self.length

    @property
    def said(self) -> str:
        """One sentence for the report."""
        what = {"assets": f"{self.count} assets, whole", "rows": f"{self.count} rows"}
        blocks = f"{self.count} blocks of {self.length} windows of one asset"
        return f"95 % intervals by drawing anew {what.get(self.kind, blocks)}"

    def draw(self, rng: np.random.Generator, resamples: int) -> Weights:
        """How often each window is in each resample, `[resamples, n]`."""
        weights = np.empty((resamples, len(self.order)))
        for row in weights:
            row[self.order] = self._times(rng)
        return weights

    def numbers(self) -> NDArray[np.int64]:
        """The unit that each window belongs to, `[n]`."""
        asset = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))
        found = np.empty(len(self.order), dtype=np.int64)
        if self.kind == "assets":
            found[self.order] = asset
        else:
            block = (np.arange(len(asset)) - self.start[asset]) // self.length
            found[self.order] = np.unique(asset * len(asset) + block, return_inverse=True)[1]
        return found

    def _times(self, rng: np.random.Generator) -> NDArray[np.int64]:
        count, assets = len(self.order), len(self.start) - 1
        if self.kind == "assets":
            drawn = np.bincount(rng.integers(0, assets, assets), minlength=assets)
            return np.repeat(drawn, np.diff(self.start))
        if self.kind == "rows":
            return np.bincount(rng.integers(0, count, count), minlength=count)
        return self._blocks(rng)

    def _blocks(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Circular moving blocks: within each asset as many as cover it once."""
        size = np.diff(self.start)
        length = np.minimum(self.length, size)
        asset = np.repeat(np.arange(len(size)), -(-size // length))
        begin = (rng.random(len(asset)) * size[asset]).astype(np.int64)
        end = begin + length[asset]
        over = np.maximum(0, end - size[asset])
        change = np.zeros(len(self.order) + 1, dtype=np.int64)
        first = self.start[asset]
        np.add.at(change, first + begin, 1)
        np.add.at(change, first + np.minimum(end, size[asset]), -1)
        np.add.at(change, first, (over > 0).astype(np.int64))
        np.add.at(change, first + over, -(over > 0).astype(np.int64))
        return change[:-1].cumsum()


def units(
    asset: NDArray[np.int64],
    series: Mapping[str, NDArray[Any]],
    *,
    timed: bool,
    whole: bool,
    least: int = 1,
) -> Units:
    """What is to be drawn as a whole.

    Args:
        asset: whose window each is, `[n]`, in time order within each asset.
        series: what blocks must be long enough for, `[n]` each: losses, and where they turn.
        timed: whether windows follow each other in time.
        whole: whether the claim is for other assets than these, so that assets are drawn.
        least: windows that share samples, the shortest block.
    """
    order = np.argsort(asset, kind="stable")
    first = np.flatnonzero(np.diff(asset[order], prepend=-1))
    start = np.append(first, len(order))
    length = 1
    if timed:
        length = max([least, *(memory(one[order], asset[order]) for one in series.values())])
    short = length * 2 > len(order) / len(first)
    if len(first) >= MIN_ASSETS and (whole or (timed and short)):
        return Units("assets", order, start)
    if not timed:
        return Units("rows", order, start)
    return Units("blocks", order, start, min(length, max(1, len(order) // 3)))


def intervals(
    figures: Figures,
    drawn: Units,
    *,
    trials: Mapping[str, NDArray[np.bool_]] | None = None,
    seed: int = 0,
) -> dict[str, Interval]:
    """The 95 % interval of each figure; one that is undefined in a tenth of the draws has none.

    Args:
        figures: of weighted windows.
        drawn: what is drawn as a whole.
        trials: of a share the windows that it is a share of, `[n]`.
        seed: of the draws.
    """
    table = _table(figures, drawn, seed)
    found = {}
    for name, values in table.items():
        bounds = _quantiles(values, drawn.count)
        if bounds is not None:
            among = (trials or {}).get(name)
            found[name] = bounds if among is None else _within(bounds, among, drawn)
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """A challenger's figure less the champion's, on the same draws."""

    figure: str
    value: float
    interval: Interval

    @property
    def verdict(self) -> Literal["better", "not shown to be better", "worse"]:
        """What the interval allows to say of the challenger."""
        low, high = self.interval
        if self.figure in LOWER_IS_BETTER:
            low, high = -high, -low
        if low > 0:
            return "better"
        return "worse" if high < 0 else "not shown to be better"

    def __str__(self) -> str:
        """One sentence."""
        low, high = self.interval
        return f"{self.verdict}: {self.figure} {self.value:+.3g} ({low:+.3g} to {high:+.3g})"


def paired_difference(
    figure: str, champion: Figures, challenger: Figures, drawn: Units, *, seed: int = 0
) -> Difference | None:
    """Whether the challenger is better than the champion on the same windows.

    Both are measured on the same draws, so what is hard for both cancels. None if the figure is
    not defined.
    """

    def apart(weights: Weights) -> dict[str, NDArray[np.float64]]:
        return {figure: challenger(weights)[figure] - champion(weights)[figure]}

    value = float(apart(np.ones((1, len(drawn.order))))[figure][0])
    bounds = _quantiles(_table(apart, drawn, seed)[figure], drawn.count)
    return None if bounds is None or not np.isfinite(value) else Difference(figure, value, bounds)


def _table(figures: Figures, drawn: Units, seed: int) -> dict[str, NDArray[np.float64]]:
    """Each figure on each resample."""
    rng = np.random.default_rng(seed)
    parts = [figures(drawn.draw(rng, size)) for size in _sizes(len(drawn.order))]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _sizes(count: int) -> Iterator[int]:
    """How many resamples at a time, so that memory and work are bounded."""
    left = int(np.clip(_WORK // max(1, count), _MIN_RESAMPLES, RESAMPLES))
    step = max(1, _CHUNK // max(1, count))
    while left > 0:
        yield min(step, left)
        left -= step


def _quantiles(values: NDArray[np.float64], count: int) -> Interval | None:
    defined = values[np.isfinite(values)]
    if len(defined) < _DEFINED * len(values) or count < 2:  # noqa: PLR2004  one does not vary
        return None
    further = np.sqrt(count / (count - 1)) * stdtrit(count - 1, _TAIL)
    tail = float(ndtr(further))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(f"{low:.4g}"), float(f"{high:.4g}")


def _within(bounds: Interval, among: NDArray[np.bool_], drawn: Units) -> Interval:
    """A share that was all or nothing in every draw, as far as so many trials allow."""
    low, high = bounds
    trials = len(np.unique(drawn.numbers()[among]))
    if low < high or not trials:
        return bounds
    beyond = float(f"{_TAIL ** (1 / trials):.4g}")
    return (beyond, high) if high == 1 else (low, 1 - beyond) if low == 0 else bounds
