"""How old the metadata of the registry are: since when nobody could have told the gateway more."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from serving.registry.high_water_mark import NOT_BEFORE, HighWaterMark
from serving.registry.refusals import TrustAnchorError


class Freshness:
    """Remembers when metadata were accepted last.

    One thread notes it, and any thread may read it.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._at_s: float | None = None

    @property
    def age_s(self) -> float | None:
        """Seconds since then; None before the first time."""
        return None if self._at_s is None else max(0.0, self._clock() - self._at_s)

    def begin(self, state_dir: Path) -> None:
        """Go on from what earlier runs have accepted; by the time of day, if that is set."""
        try:
            seen = HighWaterMark.read(state_dir / "trust.json").seen
        except (OSError, TrustAnchorError):
            return  # the next look says what is wrong
        now = datetime.now(UTC)
        if NOT_BEFORE < seen <= now:
            self._at_s = self._clock() - (now - seen).total_seconds()

    def note(self) -> None:
        """Note that metadata were accepted now."""
        self._at_s = self._clock()
