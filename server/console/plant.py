"""The assets of the plant: the newest prediction of each, and the points that are kept of it."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from time import time
from typing import Final

import orjson

from models.input.quality import NAMES
from server.console.asset import AssetState
from server.console.history.points import Point
from server.console.settings import Console
from server.console.topics import Named
from serving.mqtt.packets import Received

_QUALITIES: Final = {name: number for number, name in enumerate(NAMES)}
_NUMBERS: Final = frozenset({int, float})
_MAX_NAME: Final = 256
_MAX_AHEAD_MS: Final = 60_000
_MAX_POINTS: Final = 100_000


class Plant:
    """Takes predictions, and knows the newest of each asset. The event loop's thread owns it.

    Args:
        console: limits.

    Attributes:
        assets: the assets by stream and key, those that were silent for longest first.
        ignored: messages that are no prediction, by reason.
        forgotten: assets that made room for others.
        forget: is called with each asset that makes room for another.
    """

    def __init__(self, console: Console) -> None:
        self.assets: OrderedDict[tuple[str, str], AssetState] = OrderedDict()
        self.ignored: Counter[str] = Counter()
        self.forgotten = 0
        self.forget: Callable[[AssetState], None] = lambda _: None
        self._max_assets = console.max_assets
        self._max_payload_bytes = console.max_payload_bytes
        self._point_ms = console.point_ms
        self._oldest_ms = int(console.history_hours * 3_600_000)
        self._changed: list[AssetState] = []
        self._points: list[Point] = []

    def take(self, named: Named, message: Received) -> None:
        """Take one prediction; what is none is counted under `ignored`."""
        if len(message.payload) > self._max_payload_bytes:
            self.ignored["too_large"] += 1
            return
        try:
            document = orjson.loads(message.payload)
        except orjson.JSONDecodeError:
            self.ignored["not_json"] += 1
            return
        if type(document) is not dict:
            self.ignored["not_an_object"] += 1
            return
        get = document.get
        stream, asset = named.stream or get("stream"), named.asset or get("asset")
        value = get("value")
        if value is not None and type(value) not in _NUMBERS:
            self.ignored["value"] += 1
            return
        if type(stream) is not str or type(asset) is not str:
            self.ignored["unnamed"] += 1
            return
        state = self.assets.get((stream, asset)) or self._made(stream, asset)
        if state is None:
            return
        state.document, state.value = document, value
        state.explain(get("why"))
        state.quality = quality = _QUALITIES.get(str(get("quality")), 2)
        state.received = received = message.at_ns // 1_000_000
        if not state.is_changed:
            state.is_changed, state.is_saved = True, False
            self._changed.append(state)
        score, at = get("score"), get("timestamp")
        if type(at) is not int or not -self._oldest_ms < at - received < _MAX_AHEAD_MS:
            at = received  # the source's clock cannot be right, or it has given no time
        thinning = state.thinning
        begin = at - at % self._point_ms
        if begin != thinning.begin:
            self._close(state)
            thinning.restart(begin)
        thinning.add(value, score if type(score) in _NUMBERS else None, quality)

    def restore(self, state: AssetState) -> None:
        """Show what was known of an asset before a restart, unless something newer is known."""
        key = state.stream, state.asset
        if key not in self.assets and len(self.assets) < self._max_assets:
            self.assets[key] = state
            self._changed.append(state)

    def changed(self, revision: int) -> Sequence[AssetState]:
        """The assets of which something has arrived since the last call."""
        changed, self._changed = self._changed, []
        for state in changed:
            state.settle(revision)
            key = state.stream, state.asset
            if key in self.assets:
                self.assets.move_to_end(key)
        return changed

    def points(self) -> Sequence[Point]:
        """The points that are finished by now, each once."""
        due = now_ms() - 2 * self._point_ms
        for state in self.assets.values():
            if 0 <= state.thinning.begin <= due:
                self._close(state)
                state.thinning.begin = -1
        points, self._points = self._points, []
        return points

    def close(self) -> Sequence[Point]:
        """All points, finished or not, at the end."""
        for state in self.assets.values():
            self._close(state)
        return self._points

    def _close(self, state: AssetState) -> None:
        point = state.thinning.point(state.stream, state.asset)
        if point is not None and len(self._points) < _MAX_POINTS:
            self._points.append(point)

    def _made(self, stream: str, asset: str) -> AssetState | None:
        """A new asset; it takes the place of the one that was silent for longest if it must."""
        if not (0 < len(stream) <= _MAX_NAME and 0 < len(asset) <= _MAX_NAME):
            self.ignored["unnamed"] += 1
            return None
        if len(self.assets) >= self._max_assets:
            _, silent = self.assets.popitem(last=False)
            self._close(silent)
            self.forgotten += 1
            self.forget(silent)
        state = self.assets[stream, asset] = AssetState(stream, asset)
        return state


def now_ms() -> int:
    """The time of day, milliseconds since 1970."""
    return int(time() * 1000)
