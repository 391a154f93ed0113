"""Detects drift: whether live data still have the distributions of the training data (ADR 15).

    the last `window` samples of an asset, in BLOCKS blocks    reference.json
    one histogram a view ──────────────────────► distance ◄──── one histogram a view
                                                    │
                          above the limit of the view: an alarm, decided once a block

A quantity is a signal, or the model's score. It has up to three views:

    level      the value, in cells with equally many training samples
    relation   a signal minus its linear regression on the other signals: load and season move
               signals together and leave it alone; a failing sensor or a changed plant does not
    condition  repeated (equal to the asset's last sample), outside (far beyond the training range),
               missing, or ordinary

The distance is the 1-Wasserstein distance in standard deviations. Unlike the population stability
index (PSI) it goes on growing beyond the training range. Its limits were measured by the trainer on
stretches of undisturbed training data of the same length: successive readings of a plant are alike,
so that limits from tables, which assume independent samples, give far too many alarms.

There is no dependency but NumPy, no clock and no I/O: the agent and `millhand-trainer drift` run
the same code. Drift is reported; it never changes a prediction.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.bundle.reference import CELLS, Reference

BLOCKS: Final = 8
"""Blocks in a window. When a block is full, it replaces the oldest, and the window is compared."""
MAX_BYTES: Final = 8 << 20
"""Bytes of all histograms of a stream, which bound the number of assets that are watched."""
ORDINARY, REPEATED, OUTSIDE, MISSING = range(4)
_WIDTH: Final = CELLS + 1  # the last cell counts samples without a value, and is not compared
_MAX_COUNTS: Final = 1 << 20  # elements of the arrays of one step, 8 MB
_LEAST_PRESENT: Final = 0.25  # share of a window with a value; fewer do not show a distribution

Floats = NDArray[np.float64]


class Decision(NamedTuple):
    """The result of the comparison of one window.

    Attributes:
        asset: key of the asset.
        position: index of the window's last sample among the samples of the same call of `feed`.
        ratios: distance of each view divided by its limit, float64 `[views]`; above 1 is an alarm.
    """

    asset: str
    position: int
    ratios: Floats


class Finding(NamedTuple):
    """The view with the largest ratio of distance to limit, over all assets.

    Attributes:
        asset: key of the asset.
        name: name of the quantity: of a signal, or `score`.
        view: kind of the view: `level`, `relation` or `condition`.
        ratio: its distance divided by its limit; above 1 is an alarm.
    """

    asset: str
    name: str
    view: str
    ratio: float


class Drift:
    """Compares the samples of each asset with the reference of the model.

    It does not block and has no lock: use it on one thread at a time.

    Args:
        reference: reference of the model.
        max_assets: number of assets that are watched at most; `MAX_BYTES` may allow fewer. A
            further asset replaces the one that has been silent for longest, but only if as many
            samples have come since as fill a block of every watched asset.

    Attributes:
        reference: as given.
        block: number of samples in a block.
        max_assets: number of assets that are watched at most, with `MAX_BYTES` taken into account.
        unwatched: number of samples of assets for which there was no room.
    """

    def __init__(self, reference: Reference, max_assets: int = 10_000) -> None:
        self.reference = reference
        self.unwatched = 0
        self.block = reference.window // BLOCKS
        self._size = len(reference.views) * _WIDTH
        self._layout = _layout(reference)
        self.max_assets = max(1, min(max_assets, MAX_BYTES // (4 * BLOCKS * self._size)))
        self._stretches: OrderedDict[str, _Stretch] = OrderedDict()  # longest silent first
        self._fed = 0
        self._first = np.arange(len(reference.views)) * _WIDTH

    def __len__(self) -> int:
        """Number of assets that are watched."""
        return len(self._stretches)

    def feed(
        self, assets: Sequence[str], rows: NDArray[np.float32], scores: NDArray[Any]
    ) -> Iterator[Decision]:
        """Count samples, and compare each window that they complete.

        A generator: samples are counted as it is consumed, so it has to be exhausted.

        Args:
            assets: key of each sample's asset, `n` of them; those of an asset in order of time.
            rows: values of the signals, float32 `[n, channels]`, NaN = missing.
            scores: score of the model for each sample, or its value if it has no score, `[n]`.

        Yields:
            The result of each window that was completed.
        """
        step = max(1, _MAX_COUNTS // self._size)
        for start in range(0, len(assets), step):
            part = slice(start, start + step)
            values = np.column_stack([rows[part], scores[part]]).astype(np.float64)
            for decision in self._feed(assets[part], values):
                yield decision._replace(position=start + decision.position)

    def worst(self) -> Finding | None:
        """The view with the largest ratio in the last windows of all assets; None without one."""
        best: Finding | None = None
        for asset, stretch in self._stretches.items():
            if stretch.ratios is not None:
                index = int(stretch.ratios.argmax())
                ratio = float(stretch.ratios[index])
                if best is None or ratio > best.ratio:
                    best = Finding(asset, *self.reference.views[index], ratio)
        return best

    def alarmed(self) -> list[str]:
        """Keys of the assets whose last window has a view beyond its limit."""
        return [
            asset
            for asset, stretch in self._stretches.items()
            if stretch.ratios is not None and stretch.ratios.max() > 1
        ]

    def states(self) -> Iterator[tuple[str, bytes]]:
        """Each watched asset and its state, the one that has been silent for longest first.

        Samples may be fed meanwhile. All states of a reference have the same length; they are in
        the byte order of this machine.
        """
        for asset in list(self._stretches):
            if stretch := self._stretches.get(asset):
                yield asset, stretch.state(self._layout)

    def restore(self, asset: str, state: bytes) -> None:
        """Restore the state of an asset, which `states` yielded for the same reference.

        Without room for the asset, nothing is restored.

        Raises:
            ValueError: the state is not one of this reference.
        """
        if len(state) != self._layout.itemsize:
            raise ValueError(f"the state has {len(state)} bytes, not {self._layout.itemsize}")
        if len(self._stretches) < self.max_assets or asset in self._stretches:
            stretch = _Stretch.of(np.frombuffer(state, self._layout)[0])
            stretch.last_fed = self._fed
            self._stretches[asset] = stretch

    def _feed(self, assets: Sequence[str], values: Floats) -> Iterator[Decision]:
        order, owners = self._sorted(assets)
        if not len(order):
            return
        values = values[order]
        before = np.empty_like(values)
        before[1:] = values[:-1]
        first = np.flatnonzero(np.diff(owners.place, prepend=-1))
        last = np.append(first[1:], len(order)) - 1
        for start, end, stretch in zip(
            first.tolist(), last.tolist(), owners.stretches, strict=True
        ):
            before[start], stretch.last = stretch.last, values[end]
        filled = np.array([stretch.filled for stretch in owners.stretches], dtype=np.int64)
        position = np.arange(len(order)) + (filled - first)[owners.place]
        yield from self._count(owners, position // self.block, order, self._cells(values, before))

    def _count(
        self,
        owners: "_Owners",
        block: NDArray[np.int64],
        order: NDArray[np.int64],
        cells: NDArray[np.int64],
    ) -> Iterator[Decision]:
        """Add samples to their blocks, and compare the window of an asset when a block is full."""
        begins = (np.diff(owners.place, prepend=-1) != 0) | (np.diff(block, prepend=-1) != 0)
        group = np.cumsum(begins) - 1
        count = int(group[-1]) + 1
        flat = cells + (group * self._size)[:, np.newaxis]
        counts = np.bincount(flat.ravel(), minlength=count * self._size)
        counts = counts.reshape(count, self._size)
        starts = np.flatnonzero(begins)
        ends = np.append(starts[1:], len(order))
        for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            stretch = owners.stretches[owners.place[start]]
            stretch.add(counts[number], end - start)
            if stretch.filled == self.block:
                whole = stretch.turn()
                if whole is not None:
                    stretch.ratios = self._compare(whole)
                    asset = owners.names[owners.place[start]]
                    yield Decision(asset, int(order[end - 1]), stretch.ratios)

    def _compare(self, counts: NDArray[np.int64]) -> Floats:
        reference = self.reference
        window = counts.reshape(-1, _WIDTH)[:, :CELLS].astype(np.float64)
        present = window.sum(axis=1)
        distance = reference.distance(window)
        distance[present < _LEAST_PRESENT * reference.window] = 0.0
        ratios: Floats = distance / reference.limits
        return ratios

    def _cells(self, values: Floats, before: Floats) -> NDArray[np.int64]:
        """The cell of each sample in each view, as an index into an asset's counts."""
        reference = self.reference
        lacks = np.isnan(values)
        seen = values
        if reference.weights is not None:
            z = (values[:, :-1] - reference.mean) / reference.scale
            seen = np.concatenate([values, z @ reference.weights], axis=1)
        cells = np.empty((len(values), len(reference.views)), dtype=np.int64)
        levels = seen.shape[1]
        cells[:, :levels] = (seen[:, :, np.newaxis] >= reference.edges).sum(axis=2)
        cells[:, :levels][np.isnan(seen)] = CELLS  # counted, but not compared
        condition = np.where(values == before, REPEATED, ORDINARY)
        condition[(values < reference.low) | (values > reference.high)] = OUTSIDE
        condition[lacks] = MISSING
        cells[:, levels:] = condition
        return cells + self._first

    def _sorted(self, assets: Sequence[str]) -> tuple[NDArray[np.int64], "_Owners"]:
        """The samples that are watched, those of an asset together and in order."""
        numbers: dict[str, int] = {}
        index = np.array([numbers.setdefault(asset, len(numbers)) for asset in assets])
        all_stretches = [self._stretch(asset) for asset in numbers]
        self._fed += len(assets)
        if None in all_stretches:
            watched = np.array([stretch is not None for stretch in all_stretches])[index]
            self.unwatched += int((~watched).sum())
            order = np.flatnonzero(watched)
            order = order[np.argsort(index[order], kind="stable")]
        else:
            order = np.argsort(index, kind="stable")
        kept = [n for n, stretch in enumerate(all_stretches) if stretch is not None]
        renumbered = np.searchsorted(kept, index[order])
        names = list(numbers)
        stretches = [stretch for stretch in all_stretches if stretch is not None]
        return order, _Owners([names[n] for n in kept], stretches, renumbered)

    def _stretch(self, asset: str) -> "_Stretch | None":
        stretch = self._stretches.get(asset)
        if stretch is None:
            if len(self._stretches) >= self.max_assets and not self._make_room():
                return None
            stretch = self._stretches[asset] = _Stretch(self._size, len(self.reference.names))
        self._stretches.move_to_end(asset)
        stretch.last_fed = self._fed
        return stretch

    def _make_room(self) -> bool:
        silent = next(iter(self._stretches))
        if self._fed - self._stretches[silent].last_fed < self.max_assets * self.block:
            return False
        del self._stretches[silent]
        return True


class _Owners(NamedTuple):
    """Assets of a batch of samples; `place` is the index of each sample's asset in the lists."""

    names: list[str]
    stretches: "list[_Stretch]"
    place: NDArray[np.int64]


class _Stretch:
    """Counts of the last samples of one asset, in `BLOCKS` blocks that are used in turn.

    Attributes:
        blocks: counts of each block, uint32 `[BLOCKS, views * _WIDTH]`.
        filled: number of samples in the current block.
        turned: number of blocks that were filled so far.
        last_fed: number of samples of all assets up to the last one of this asset.
        last: last sample, by which a repeated one is recognised, `[quantities]`.
        ratios: result of the last comparison, `[views]`; None before the first.
    """

    __slots__ = ("blocks", "filled", "last", "last_fed", "ratios", "turned")

    def __init__(self, size: int, quantities: int) -> None:
        self.blocks = np.zeros((BLOCKS, size), dtype=np.uint32)
        self.filled = self.turned = self.last_fed = 0
        self.last: Floats = np.full(quantities, np.nan)
        self.ratios: Floats | None = None

    def add(self, counts: NDArray[np.int64], samples: int) -> None:
        self.blocks[self.turned % BLOCKS] += counts.astype(np.uint32)
        self.filled += samples

    def turn(self) -> NDArray[np.int64] | None:
        """Begin the next block; returns the counts of the window, None until it has all blocks."""
        self.turned, self.filled = self.turned + 1, 0
        whole = self.blocks.sum(axis=0, dtype=np.int64) if self.turned >= BLOCKS else None
        self.blocks[self.turned % BLOCKS] = 0
        return whole

    def state(self, layout: np.dtype[np.void]) -> bytes:
        record = np.empty(1, layout)
        record["filled"], record["turned"], record["last"] = self.filled, self.turned, self.last
        record["ratios"] = np.nan if self.ratios is None else self.ratios
        record["blocks"] = self.blocks
        return record.tobytes()

    @classmethod
    def of(cls, record: np.void) -> "_Stretch":
        stretch = cls(record["blocks"].shape[1], len(record["last"]))
        stretch.filled, stretch.turned = int(record["filled"]), int(record["turned"])
        stretch.last, stretch.blocks = record["last"].copy(), record["blocks"].copy()
        if not np.isnan(record["ratios"]).all():
            stretch.ratios = record["ratios"].copy()
        return stretch


def _layout(reference: Reference) -> np.dtype[np.void]:
    """Fields of a saved state: a fixed layout takes less space than JSON, and no time to parse."""
    return np.dtype(
        [
            ("filled", np.int64),
            ("turned", np.int64),
            ("last", np.float64, len(reference.names)),
            ("ratios", np.float64, len(reference.views)),
            ("blocks", np.uint32, (BLOCKS, len(reference.views) * _WIDTH)),
        ]
    )
