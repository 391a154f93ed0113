"""Bootstrap intervals of metrics, for test windows that depend on each other.

Consecutive windows have similar errors, and so have the windows of one asset: if windows were drawn
one by one, the intervals would be much too narrow. So whole groups are drawn (assets, files, values
of a column), or blocks in time as long as the errors are correlated (Künsch 1989; Politis and
Romano 1992), or single rows where rows are independent.

What is correlated over a longer time than a block is left out of the variance, as by a lag window
of that length (Künsch 1989). So a block is as long as the window that the correlation time of the
losses is summed over, which is five of these times (Sokal 1997). The length that gives the variance
its least mean squared error (Politis and White 2004) is too short for an interval: a bandwidth for
tests has to be larger than one for estimates (Sun, Phillips and Jin 2008).

Where a metric is to hold for other groups than those of the test part and there are fewer than five
of them, it has no interval: a few groups do not show how much groups differ (Cameron, Gelbach and
Miller 2008). Where there are at most fifty groups or blocks, one at a time is left out instead: a
jackknife. Where a bootstrap draws few units, the quantiles are taken further out, as Student's are
compared with the normal ones (Hesterberg 2015, "What teachers should know about the bootstrap").
The interval of a share that was right in every draw ends where that many trials allow, not at
100 %.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from trainer.evaluation.correlation_time import correlation_time
from trainer.evaluation.jackknife import jackknifed
from trainer.evaluation.metrics import WeightedMetrics, Weights

RESAMPLES = 1000
MIN_GROUPS = 5
"""With fewer groups in the test part nothing is said about the uncertainty for other groups."""
_MOST_LEFT_OUT = 50
_MOST_WEIGHTS = 50_000_000
_MIN_RESAMPLES = 200
_WORK = 400_000_000
"""Windows times resamples; with more windows fewer resamples are drawn, at least 200."""
_CHUNK = 4_000_000
_TAIL = 0.025
_DEFINED = 0.9

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Units:
    """The units of a bootstrap, each drawn as a whole: groups, blocks in time, or rows.

    Attributes:
        kind: what a unit is.
        order: indices of the windows, sorted by group and time, `[n]`.
        start: position in `order` of the first window of each group, and the end of the last group,
            `[groups + 1]`.
        length: number of windows in a block; not used for groups and rows.
        of: what the groups are, in the plural.
        is_bound: whether the test part, or each asset in it, is so short beside the time for which
            its errors are correlated that blocks may be too short.
    """

    kind: Literal["groups", "blocks", "rows"]
    order: NDArray[np.int64]
    start: NDArray[np.int64]
    length: int = 1
    of: str = "assets"
    is_bound: bool = False

    @property
    def count(self) -> int:
        """The number of units that do not overlap."""
        if self.kind == "groups":
            return len(self.start) - 1
        # What is left at the end of an asset belongs to its last block.
        return int(np.maximum(np.diff(self.start) // self.length, 1).sum())

    @property
    def too_few(self) -> bool:
        """Whether there are too few groups to tell how uncertain a metric is for other groups."""
        return self.kind == "groups" and self.count < MIN_GROUPS

    @property
    def is_small(self) -> bool:
        """Whether there are so few groups or blocks that a jackknife is better than a bootstrap."""
        few = 1 < self.count <= _MOST_LEFT_OUT and self.count * len(self.order) <= _MOST_WEIGHTS
        return self.kind != "rows" and few

    @property
    def said(self) -> str:
        """How the resamples are drawn, or why there are none, for the report."""
        if self.too_few:
            return (
                f"no interval: the metrics are to hold for other {self.of}, and {self.count} in "
                f"the test part do not show how much these differ; {MIN_GROUPS} are needed"
            )
        if self.count < 2:  # noqa: PLR2004  one does not vary
            return "no interval: the test part has one window only"
        what = {
            "groups": f"{self.count} {self.of}, whole",
            "blocks": f"{self.count} blocks of {self.length} windows of one asset",
            "rows": f"{self.count} rows",
        }
        how = "a jackknife" if self.is_small else "a bootstrap"
        narrow = (
            "; they may be too narrow, because the test part is short beside the time for which "
            "its errors are correlated"
        )
        return f"95 % intervals by {how} over {what[self.kind]}{narrow if self.is_bound else ''}"

    def each(self) -> Weights:
        """Weights that leave one group or block at a time, `[units, n]`."""
        numbers = self.numbers()
        alone: Weights = (numbers == np.arange(numbers.max() + 1)[:, None]).astype(np.float64)
        return alone

    def draw(self, rng: np.random.Generator, resamples: int) -> Weights:
        """Draw resamples: how often each window is in each of them, `[resamples, n]`."""
        weights = np.empty((resamples, len(self.order)))
        for row in weights:
            row[self.order] = self._times(rng)
        return weights

    def numbers(self) -> NDArray[np.int64]:
        """Index of the unit that each window belongs to, `[n]`."""
        asset = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))
        found = np.empty(len(self.order), dtype=np.int64)
        if self.kind == "groups":
            found[self.order] = asset
        else:
            size = np.diff(self.start)[asset]
            last = np.maximum(size // self.length - 1, 0)
            block = np.minimum((np.arange(len(asset)) - self.start[asset]) // self.length, last)
            found[self.order] = np.unique(asset * len(asset) + block, return_inverse=True)[1]
        return found

    def _times(self, rng: np.random.Generator) -> NDArray[np.int64]:
        count, assets = len(self.order), len(self.start) - 1
        if self.kind == "groups":
            drawn = np.bincount(rng.integers(0, assets, assets), minlength=assets)
            return np.repeat(drawn, np.diff(self.start))
        if self.kind == "rows":
            return np.bincount(rng.integers(0, count, count), minlength=count)
        return self._blocks(rng)

    def _blocks(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw circular moving blocks, in each asset as many as cover it once."""
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


def groups(index: NDArray[Any], of: str) -> Units:
    """Whole groups as the units, however few: for metrics that are to hold for other groups.

    Args:
        index: index of the group of each window, `[n]`.
        of: what the groups are, in the plural.
    """
    return Units("groups", *_sorted(index), of=of)


def units(
    asset: NDArray[np.int64],
    series: Mapping[str, NDArray[Any]],
    *,
    timed: bool,
    whole: bool,
    least: int = 1,
) -> Units:
    """Choose the units of a bootstrap for metrics that are to hold for these assets.

    Args:
        asset: index of the asset of each window, in time order within an asset, `[n]`.
        series: losses by name, `[n]` each; a block must be as long as they are correlated.
        timed: whether windows follow each other in time.
        whole: whether whole assets are drawn where there are enough of them.
        least: the shortest block: the number of consecutive windows that share samples.
    """
    order, start = _sorted(asset)
    assets = len(start) - 1
    times = [correlation_time(one[order], asset[order]) for one in series.values() if timed]
    length = max([least if timed else 1, *(one.window for one in times)])
    short = length * 2 > len(order) / assets
    if assets >= MIN_GROUPS and (whole or (timed and short)):
        return Units("groups", order, start)
    if not timed:
        return Units("rows", order, start)
    # An asset that is drawn as one block does not vary at all.
    most = max(1, int(np.diff(start).max()) // 3)
    is_bound = length > most or any(one.is_bound for one in times)
    return Units("blocks", order, start, min(length, most), is_bound=is_bound)


def _sorted(group: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order of the windows by group, and where each group begins and the last one ends."""
    order = np.argsort(group, kind="stable")
    return order, np.append(np.flatnonzero(np.diff(group[order], prepend=-1)), len(order))


def intervals(
    metrics: WeightedMetrics,
    drawn: Units,
    *,
    trials: Mapping[str, NDArray[np.bool_]] | None = None,
    seed: int = 0,
) -> dict[str, Interval]:
    """The 95 % interval of each metric; a metric undefined in a tenth of the resamples has none.

    There are none at all where the groups are too few.

    Args:
        metrics: the metrics as a function of the weights of windows.
        drawn: the units of the bootstrap.
        trials: for each metric that is a share, a mask of the windows it is a share of, `[n]`.
        seed: seed of the resamples.
    """
    if drawn.too_few:
        return {}
    return {
        name: _within(bounds, trials[name], drawn) if trials and name in trials else bounds
        for name, bounds in bounds_of(metrics, drawn, seed).items()
    }


def bounds_of(metrics: WeightedMetrics, drawn: Units, seed: int) -> dict[str, Interval]:
    """The interval of each metric, by a jackknife where there are few units.

    A metric that is not defined without one of the blocks, such as recall where all that is
    abnormal is in one of them, has the interval of a bootstrap.
    """
    found: dict[str, Interval] = {}
    if drawn.is_small:
        found = jackknifed(metrics, drawn.each())
        whole = metrics(np.ones((1, len(drawn.order))))
        defined = {name for name, value in whole.items() if np.isfinite(value[0])}
        if drawn.kind == "groups" or defined <= found.keys():
            return found
    table = _table(metrics, drawn, seed)
    drawn_of = {name: _quantiles(values, drawn.count) for name, values in table.items()}
    return {name: bounds for name, bounds in drawn_of.items() if bounds is not None} | found


def _table(metrics: WeightedMetrics, drawn: Units, seed: int) -> dict[str, NDArray[np.float64]]:
    """The value of each metric on each resample, `[resamples]`."""
    rng = np.random.default_rng(seed)
    parts = [metrics(drawn.draw(rng, size)) for size in _sizes(len(drawn.order))]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _sizes(count: int) -> Iterator[int]:
    """The number of resamples in each step, so that memory and work are bounded."""
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
    """Widen the interval of a share that was 0 or 1 in every resample, by the number of trials."""
    low, high = bounds
    trials = len(np.unique(drawn.numbers()[among]))
    if low < high or not trials:
        return bounds
    beyond = float(f"{_TAIL ** (1 / trials):.4g}")
    return (beyond, high) if high == 1 else (low, 1 - beyond) if low == 0 else bounds
