"""Blocks of samples in, windows out: for signals of thousands of samples a second.

    blocks of an asset            samples                       windows
    x 1,024 at 10:00:00.00  ┐
    y 1,024 at 10:00:00.00  ├──►  1,024 x [x, y, z]  ┐
    z 1,024 at 10:00:00.00  ┘     40 us apart        ├──►  [length, channels]
    x 1,024 at 10:00:00.04  ┐                        │     wherever one ends in the blocks so far
    ...                     ┴──►  ...                ┘

The windows are those that `Windows` would cut if the samples came one by one: a value that is NaN
or out of range is missing, and a pause longer than `max_gap_ms` restarts the window. A block has
the time of its first sample; the others follow at the model's `sample_period_ms`.

Axes on topics of their own are joined: the blocks since the last sample are a round, complete when
every signal has reported, and closed with missing values when a block of another time arrives. Two
blocks have the same time, or follow each other, if their times agree to half a block: a sensor's
clock may be that coarse, and at a larger tolerance a block could pass for its neighbour (ADR 11).

The contract is that of `Windows`.
"""

from binascii import a2b_base64, b2a_base64
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import Channel, WindowSpec
from models.errors import ReadingError
from models.input.quality import Quality
from models.windowing.asset_state import NS_PER_MS
from models.windowing.offsets import Narrowing
from models.windowing.series import Due, Grid, Series
from models.windowing.windows import Batch

MAX_HOPS: Final = 1_024
"""Longest block in hops, which is also the largest number of windows that one message completes."""
MAX_BATCH_VALUES: Final = 4_000_000
"""Values (16 MB) that `take` returns at most at a time, unless a single window has more."""
_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
_UNBOUNDED: Final = 2**63
_GOOD, _BAD = Quality.GOOD, Quality.BAD
_NONE: Final[NDArray[np.intp]] = np.empty(0, np.intp)


class _Round:
    """Blocks of the same time, one for each topic; some of them may not have arrived yet."""

    __slots__ = ("is_doubtful", "is_whole", "reported", "start_ns", "values")

    def __init__(self, start_ns: int, values: NDArray[np.float32]) -> None:
        self.start_ns = start_ns  # latest event time of the first samples of its blocks
        self.values = values  # float32 [samples, channels], NaN where there is no value, or not yet
        self.reported: set[int] = set()  # indices of the signals whose block has arrived
        self.is_whole = True  # whether every value that was reported is usable
        self.is_doubtful = False  # whether a block was not GOOD

    def dump(self) -> list[Any]:
        """The round as JSON can carry it, values in base64."""
        values = b2a_base64(np.ascontiguousarray(self.values).data, newline=False).decode()
        return [self.start_ns, values, sorted(self.reported), self.is_whole, self.is_doubtful]

    @classmethod
    def load(cls, dumped: Sequence[Any], width: int) -> Self:
        """The round that `dump` has described, of `width` signals."""
        start_ns, values, reported, is_whole, is_doubtful = dumped
        flat = np.frombuffer(bytearray(a2b_base64(values)), np.float32)
        loaded = cls(start_ns, flat.reshape(-1, width))
        loaded.reported, loaded.is_whole, loaded.is_doubtful = set(reported), is_whole, is_doubtful
        return loaded


class _AssetState:
    """What is remembered of one asset."""

    __slots__ = ("round", "series")

    def __init__(self) -> None:
        self.series = Series()
        self.round: _Round | None = None


class _Range:
    """Usable values of each signal, in the precision in which values come.

    In float32 a limit that cannot be represented is moved inwards to the next float32, so that a
    value is within the limits if and only if it is within those of the manifest.
    """

    __slots__ = ("ceiling", "floor", "high", "low")

    def __init__(self, channels: Sequence[Channel], dtype: type[np.floating[Any]]) -> None:
        limits = [signal.valid_range or (-_FLOAT32_MAX, _FLOAT32_MAX) for signal in channels]
        low, high = np.array(limits).clip(-_FLOAT32_MAX, _FLOAT32_MAX).T
        self.low, self.high = low.astype(dtype), high.astype(dtype)  # least and greatest, by signal
        if dtype is np.float32:
            up, down = dtype(np.inf), dtype(-np.inf)
            self.low = np.where(self.low < low, np.nextafter(self.low, up), self.low)
            self.high = np.where(self.high > high, np.nextafter(self.high, down), self.high)
        self.floor, self.ceiling = self.low.max(), self.high.min()  # usable for every signal


class Blocks:
    """The windows of many assets, cut from blocks; keeps the contract of `Windows`.

    Args:
        spec: length and hop in samples, their period, and the gap that restarts a window.
        channels: the model's inputs, in the order of the last axis.
        max_assets: how many assets are remembered; beyond, the one that has been silent for
            longest is forgotten.

    Attributes:
        due: how many windows wait to be taken.
        forgotten: how many assets were forgotten; one that comes back starts with an empty window.
        missing: in how many samples each signal was missing, by its name.
        restarts: how many windows were restarted because of a gap.

    Raises:
        ValueError: `spec` has no sample period.
    """

    def __init__(
        self, spec: WindowSpec, channels: Sequence[Channel], max_assets: int = 10_000
    ) -> None:
        if spec.sample_period_ms is None:
            raise ValueError("blocks need window.sample_period_ms")
        self.spec = spec
        self.channels = tuple(channels)
        self.missing: Counter[str] = Counter()
        self.restarts = self.forgotten = self.due = 0
        self._max_assets = max_assets
        self._assets: OrderedDict[str, _AssetState] = OrderedDict()  # longest silent first
        self._grid = Grid(
            length=spec.length,
            hop=spec.hop,
            width=len(channels),
            period_ns=spec.sample_period_ms * NS_PER_MS,
            max_gap_ns=spec.max_gap_ms * NS_PER_MS if spec.max_gap_ms else _UNBOUNDED,
        )
        self._in_order = tuple(range(len(channels)))
        self._max_samples = MAX_HOPS * spec.hop
        self._required = [i for i, channel in enumerate(channels) if channel.missing == "require"]
        self._ranges = {4: _Range(channels, np.float32), 8: _Range(channels, np.float64)}
        self._narrow = Narrowing(channels)
        self._waiting: deque[tuple[str, Due]] = deque()

    def __len__(self) -> int:
        """How many assets are remembered."""
        return len(self._assets)

    def push(  # noqa: PLR0913 - as Windows.push, and which sample the time is of
        self,
        asset: str,
        time_ns: int,
        channels: Sequence[int],
        values: NDArray[Any],
        quality: Quality = Quality.GOOD,
        *,
        arrived: bool = False,
    ) -> int:
        """Add one block.

        Args:
            asset: key of the asset.
            time_ns: event time of the first sample, nanoseconds since 1970.
            channels: indices of the signals that the block carries, each once.
            values: float32 or float64 of shape `[samples, channels]`; NaN where there is no value.
            quality: quality of the block; values of a BAD block are not used.
            arrived: whether `time_ns` is the time of arrival, because the source states none. It is
                then taken as the time of the last sample, and no block is late.

        Returns:
            How many windows became due; `take` hands them over.

        Raises:
            ReadingError: the block was not used. Reason `late`: it begins more than half a block
                before the end of the last one. Reason `duplicate`: a block of that time was added
                before. Reason `block_length`: it is empty, is longer than `MAX_HOPS` hops, or
                differs in length from the blocks of the other axes.
        """
        count = len(values)
        if not 0 < count <= self._max_samples:
            raise ReadingError("block_length")
        state = self._assets.get(asset) or self._open(asset)
        self._assets.move_to_end(asset)
        span_ns = self._grid.span_ns(count)
        start_ns = time_ns - span_ns if arrived else time_ns
        under_way, due = state.round, self.due
        if under_way is None or not self._is_joining(under_way, channels, start_ns, count):
            if not arrived:
                self._check_fresh(state, start_ns, span_ns // 2)
            if under_way is not None:
                self._complete(asset, state, under_way)
            under_way = state.round = _Round(start_ns, self._blank(channels, count))
        self._report(under_way, channels, values, quality)
        under_way.start_ns = max(under_way.start_ns, start_ns)
        if len(under_way.reported) == len(self.channels):
            self._complete(asset, state, under_way)
        return self.due - due

    def take(self) -> Batch:
        """Remove windows that are due, up to `MAX_BATCH_VALUES`; `due` says how many are left."""
        grid = self._grid
        room = max(1, MAX_BATCH_VALUES // (grid.length * grid.width))
        parts: list[tuple[str, Due]] = []
        while self._waiting and room:
            asset, part = self._waiting.popleft()
            if len(part.times_ns) > room:
                part, rest = part.split(room)
                self._waiting.appendleft((asset, rest))
            parts.append((asset, part))
            room -= len(part.times_ns)
        count = sum(len(part.times_ns) for _, part in parts)
        values = np.empty((count, grid.length, grid.width), np.float32)
        at = 0
        for _, part in parts:
            values[at : at + len(part.values)] = part.values
            at += len(part.values)
        self.due -= count
        return Batch(
            assets=[asset for asset, part in parts for _ in part.times_ns],
            times_ns=[time_ns for _, part in parts for time_ns in part.times_ns],
            qualities=[quality for _, part in parts for quality in part.qualities],
            values=values,
        )

    def awaited(self, asset: str) -> list[str]:
        """Signals that the asset's current round waits for; empty where none has begun."""
        state = self._assets.get(asset)
        if state is None or state.round is None:
            return []
        reported = state.round.reported
        return [signal.name for index, signal in enumerate(self.channels) if index not in reported]

    @property
    def is_stateless(self) -> bool:
        """Always false: a window may span several blocks."""
        return False

    def states(self) -> Iterator[tuple[str, list[Any]]]:
        """See `Windows.states`."""
        for asset in list(self._assets):
            if state := self._assets.get(asset):
                yield asset, [state.series.dump(), state.round and state.round.dump()]

    def restore(self, asset: str, dumped: Sequence[Any]) -> None:
        """See `Windows.restore`."""
        state = self._assets[asset] = _AssetState()
        self._assets.move_to_end(asset)
        state.series = Series.load(dumped[0])
        state.round = _Round.load(dumped[1], len(self.channels)) if dumped[1] else None

    def forget(self, assets: Iterable[str]) -> None:
        """See `Windows.forget`."""
        for asset in self._assets.keys() & set(assets):
            del self._assets[asset]

    def discard(self) -> None:
        """Drop the windows that are due."""
        self._waiting.clear()
        self.due = 0

    def _open(self, asset: str) -> _AssetState:
        if len(self._assets) >= self._max_assets:
            self._assets.popitem(last=False)
            self.forgotten += 1
        return self._assets.setdefault(asset, _AssetState())

    def _is_joining(
        self, under_way: _Round, channels: Sequence[int], start_ns: int, count: int
    ) -> bool:
        """Whether a block belongs to the round: of its time, and of signals without a block yet."""
        if not under_way.reported.isdisjoint(channels):
            return False
        if abs(start_ns - under_way.start_ns) > self._grid.span_ns(count) // 2:
            return False
        if len(under_way.values) != count:
            raise ReadingError("block_length")
        return True

    def _check_fresh(self, state: _AssetState, start_ns: int, slack_ns: int) -> None:
        """Refuse a block that begins before the last one has ended, or repeats it."""
        last_start_ns, last_ns = state.series.start_ns, state.series.last_ns
        if state.round is not None:
            last_start_ns = state.round.start_ns
            last_ns = last_start_ns + self._grid.span_ns(len(state.round.values))
        if start_ns == last_start_ns:
            raise ReadingError("duplicate")
        if start_ns < last_ns - slack_ns:
            raise ReadingError("late")

    def _blank(self, channels: Sequence[int], count: int) -> NDArray[np.float32]:
        """Missing values for a round; none where one block has all signals, in order."""
        rows = 0 if tuple(channels) == self._in_order else count
        return np.full((rows, len(self.channels)), np.nan, np.float32)

    def _report(
        self, into: _Round, channels: Sequence[int], values: NDArray[Any], quality: Quality
    ) -> None:
        """Put a block's usable values into its round."""
        usable, is_whole = self._usable(channels, values, quality)
        if len(into.values):
            into.values[:, list(channels)] = usable
        else:
            into.values = usable
        into.reported.update(channels)
        into.is_whole = into.is_whole and is_whole
        into.is_doubtful = into.is_doubtful or quality is not _GOOD

    def _usable(
        self, channels: Sequence[int], values: NDArray[Any], quality: Quality
    ) -> tuple[NDArray[np.float32], bool]:
        """The values as float32, NaN where one is not usable; and whether all are usable."""
        if quality is _BAD:
            return np.full(values.shape, np.nan, np.float32), False
        known = self._ranges[values.itemsize]  # float32 or float64
        # The cheapest check that decides comes first. NaN fails each comparison.
        if values.min() >= known.floor and values.max() <= known.ceiling:
            return self._narrow(values, channels), True
        low, high = (limits[list(channels)] for limits in (known.low, known.high))
        if all(
            column.min() >= low[index] and column.max() <= high[index]
            for index, column in enumerate(values.T)
        ):
            return self._narrow(values, channels), True
        within = (values >= low) & (values <= high)
        return self._narrow(np.where(within, values, np.nan), channels), False

    def _complete(self, asset: str, state: _AssetState, done: _Round) -> None:
        """Append the samples of the round, and cut the windows that end in them."""
        state.round = None
        self.restarts += state.series.restart_after(done.start_ns, self._grid)
        due = state.series.extend(done.start_ns, done.values, self._flawed(done), self._grid)
        if due is not None:
            self._waiting.append((asset, due))
            self.due += len(due.times_ns)

    def _flawed(self, done: _Round) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Indices of the samples that are UNCERTAIN or BAD, and of the BAD; counts the missing."""
        if done.is_whole and len(done.reported) == len(self.channels) and not done.is_doubtful:
            return _NONE, _NONE
        missing = np.isnan(done.values)
        for channel, count in zip(self.channels, missing.sum(axis=0).tolist(), strict=True):
            if count:
                self.missing[channel.name] += count
        uncertain = np.flatnonzero(missing.any(axis=1) | done.is_doubtful)
        return uncertain, np.flatnonzero(missing[:, self._required].any(axis=1))
