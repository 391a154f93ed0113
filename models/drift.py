"""Whether what a gateway sees still looks like what the model was trained on.

    the last `window` samples of an asset, in BLOCKS blocks    reference.json
    one histogram a view ──────────────────────► distance ◄──── one histogram a view
                                                    │
                          above the view's limit: an alarm, judged once a block

A quantity is a signal, or the model's score. It is looked at in up to three ways, its views:

    level      its value, in cells with equally many training samples
    relation   a signal less what the other signals tell of it (linear): seasons and load move
               signals together and leave this alone, a sensor or a plant that changes does not
    condition  repeated (as the asset's last sample was), outside (far beyond the training range),
               missing, or ordinary

The distance is the 1-Wasserstein distance in standard deviations: unlike the population stability
index it goes on growing beyond all that was seen. Its limits come from the trainer, which has
measured them on stretches of undisturbed training data of the same length: readings of a plant
repeat themselves from sample to sample, so no table of limits fits them.

NumPy only, no clock, no I/O: the agent and `millhand-trainer drift` run the same code. It judges
and tells; it never changes an answer.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.bundle.reference import CELLS, Reference

BLOCKS: Final = 8
"""Of a window; the oldest makes room for the newest."""
MAX_BYTES: Final = 8 << 20
"""Of all histograms of a stream; it bounds how many assets are watched."""
ORDINARY, REPEATED, OUTSIDE, MISSING = range(4)
_WIDTH: Final = CELLS + 1  # the last takes what has no value, and is not compared
_MAX_COUNTS: Final = 1 << 20  # at once
_LEAST_PRESENT: Final = 0.25  # of a window; less says nothing about a distribution

Floats = NDArray[np.float64]


class Decision(NamedTuple):
    """What a whole window was judged to be.

    Attributes:
        asset: whose it is.
        position: of its last sample among those that were fed with it.
        ratios: of each view's distance to its limit, `[views]`; above 1 is an alarm.
    """

    asset: str
    position: int
    ratios: Floats


class Finding(NamedTuple):
    """The view that is furthest from its reference, of all assets.

    Attributes:
        asset: whose window it is.
        name: of the quantity.
        view: `level`, `relation` or `condition`.
        ratio: of its distance to its limit; above 1 is an alarm.
    """

    asset: str
    name: str
    view: str
    ratio: float


class Drift:
    """Watches the samples of many assets, each against the same reference.

    Args:
        reference: of the model.
        max_assets: how many are watched at most; `MAX_BYTES` may allow fewer. One more takes the
            place of the one that has been silent longest, if nobody expects that one any more:
            all watched ones have had time for a block each since.

    Attributes:
        unwatched: samples of assets that there was no room for.
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
        """How many assets are watched."""
        return len(self._stretches)

    def feed(
        self, assets: Sequence[str], rows: NDArray[np.float32], scores: NDArray[Any]
    ) -> Iterator[Decision]:
        """Count samples, and judge each window that they complete.

        Args:
            assets: whose sample each is; those of an asset in order.
            rows: values of the signals, float32 `[n, channels]`, NaN = missing.
            scores: the model's score, or its value where it has none, `[n]`.
        """
        step = max(1, _MAX_COUNTS // self._size)
        for start in range(0, len(assets), step):
            part = slice(start, start + step)
            values = np.column_stack([rows[part], scores[part]]).astype(np.float64)
            for decision in self._feed(assets[part], values):
                yield decision._replace(position=start + decision.position)

    def worst(self) -> Finding | None:
        """The furthest view of the last window of each asset; None before the first window."""
        best: Finding | None = None
        for asset, stretch in self._stretches.items():
            if stretch.ratios is not None:
                index = int(stretch.ratios.argmax())
                ratio = float(stretch.ratios[index])
                if best is None or ratio > best.ratio:
                    best = Finding(asset, *self.reference.views[index], ratio)
        return best

    def alarmed(self) -> list[str]:
        """Assets whose last window is further from the reference than a limit."""
        return [
            asset
            for asset, stretch in self._stretches.items()
            if stretch.ratios is not None and stretch.ratios.max() > 1
        ]

    def states(self) -> Iterator[tuple[str, bytes]]:
        """Each watched asset and its state, the longest silent first.

        Samples may be fed meanwhile. All states are of one length, in this machine's byte order.
        """
        for asset in list(self._stretches):
            if stretch := self._stretches.get(asset):
                yield asset, stretch.state(self._layout)

    def restore(self, asset: str, state: bytes) -> None:
        """Go on where `state` was taken, with the same reference.

        Raises:
            ValueError: the state is not one of this reference.
        """
        if len(state) != self._layout.itemsize:
            raise ValueError("a state of another reference")
        if len(self._stretches) < self.max_assets or asset in self._stretches:
            stretch = _Stretch.of(np.frombuffer(state, self._layout)[0])
            stretch.heard = self._fed
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
        """Add samples to the blocks that they belong to, and judge where a block is full."""
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
                    stretch.ratios = self._judge(whole)
                    asset = owners.names[owners.place[start]]
                    yield Decision(asset, int(order[end - 1]), stretch.ratios)

    def _judge(self, counts: NDArray[np.int64]) -> Floats:
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
        cells[:, :levels][np.isnan(seen)] = CELLS
        condition = np.where(values == before, REPEATED, ORDINARY)
        condition[(values < reference.low) | (values > reference.high)] = OUTSIDE
        condition[lacks] = MISSING
        cells[:, levels:] = condition
        return cells + self._first

    def _sorted(self, assets: Sequence[str]) -> tuple[NDArray[np.int64], "_Owners"]:
        """The samples that are watched, those of an asset together and in order."""
        numbers: dict[str, int] = {}
        index = np.array([numbers.setdefault(asset, len(numbers)) for asset in assets])
        found = [self._stretch(asset) for asset in numbers]
        self._fed += len(assets)
        if None in found:
            watched = np.array([stretch is not None for stretch in found])[index]
            self.unwatched += int((~watched).sum())
            order = np.flatnonzero(watched)
            order = order[np.argsort(index[order], kind="stable")]
        else:
            order = np.argsort(index, kind="stable")
        kept = [n for n, stretch in enumerate(found) if stretch is not None]
        renumbered = np.searchsorted(kept, index[order])
        names = list(numbers)
        stretches = [stretch for stretch in found if stretch is not None]
        return order, _Owners([names[n] for n in kept], stretches, renumbered)

    def _stretch(self, asset: str) -> "_Stretch | None":
        stretch = self._stretches.get(asset)
        if stretch is None:
            if len(self._stretches) >= self.max_assets and not self._make_room():
                return None
            stretch = self._stretches[asset] = _Stretch(self._size, len(self.reference.names))
        self._stretches.move_to_end(asset)
        stretch.heard = self._fed
        return stretch

    def _make_room(self) -> bool:
        silent = next(iter(self._stretches))
        if self._fed - self._stretches[silent].heard < self.max_assets * self.block:
            return False
        del self._stretches[silent]
        return True


class _Owners(NamedTuple):
    """Whose samples are in a batch; `place` has each sample's place in the two lists."""

    names: list[str]
    stretches: "list[_Stretch]"
    place: NDArray[np.int64]


class _Stretch:
    """One asset's last samples, counted."""

    __slots__ = ("blocks", "filled", "heard", "last", "ratios", "turned")

    def __init__(self, size: int, quantities: int) -> None:
        self.blocks = np.zeros((BLOCKS, size), dtype=np.uint32)
        self.filled = self.turned = self.heard = 0
        self.last: Floats = np.full(quantities, np.nan)
        self.ratios: Floats | None = None

    def add(self, counts: NDArray[np.int64], samples: int) -> None:
        self.blocks[self.turned % BLOCKS] += counts.astype(np.uint32)
        self.filled += samples

    def turn(self) -> NDArray[np.int64] | None:
        """Begin the next block; the counts of the window that has ended, if it is whole."""
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
    """Of a state."""
    return np.dtype(
        [
            ("filled", np.int64),
            ("turned", np.int64),
            ("last", np.float64, len(reference.names)),
            ("ratios", np.float64, len(reference.views)),
            ("blocks", np.uint32, (BLOCKS, len(reference.views) * _WIDTH)),
        ]
    )
