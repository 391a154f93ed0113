"""Which answers become an alarm: the first of a stretch, for each asset by itself."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any


class Onset:
    """Follows the alarms of each asset, as far as there are any.

    An asset whose answers are no alarms costs no memory. One that goes over from one kind of alarm
    to another begins a new one. An answer that is missing changes nothing.

    Args:
        alarms: class indices that count as an alarm.
        max_assets: assets that are followed while they have an alarm; beyond, the one whose alarm
            began first is forgotten, and its next alarm is taken for a new one.
    """

    def __init__(self, alarms: Sequence[int], max_assets: int) -> None:
        self._alarms: AbstractSet[int] = frozenset(alarms)
        self._max_assets = max_assets
        self._under_way: dict[str, int] = {}

    def of(self, assets: Sequence[str], values: Sequence[Any]) -> Sequence[int]:
        """The places of the answers that begin an alarm.

        Args:
            assets: asset of each answer, in the order of their times.
            values: class index of each answer; None where there is none.
        """
        if not self._under_way and self._alarms.isdisjoint(values):
            return ()
        return [
            place
            for place, (asset, value) in enumerate(zip(assets, values, strict=True))
            if self._begins(asset, value)
        ]

    def _begins(self, asset: str, value: int | None) -> bool:
        if value is None:
            return False
        if value not in self._alarms:
            self._under_way.pop(asset, None)
            return False
        before = self._under_way.get(asset)
        if before is None and len(self._under_way) >= self._max_assets:
            del self._under_way[next(iter(self._under_way))]
        self._under_way[asset] = value
        return before != value
