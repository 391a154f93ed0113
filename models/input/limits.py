"""Limits of what a gateway takes in: payload size, number of assets, plausible source times."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, Field

from models.input.admission import TimeBounds
from models.settings import Count, Seconds, Section


class IntakeLimits(Section):
    """Which messages are too large, and which source times are not plausible."""

    # The largest that can be set is an eighth of the service's MemoryMax (systemd/).
    max_payload_bytes: Annotated[int, Field(ge=16, le=64 << 20)] = 1 << 20
    max_assets: Count = 10_000
    # A reading from the future would make all that follow it `late` until its time has come.
    max_future_s: Seconds = 60.0
    # A source whose clock was never set starts in 1970 (Unix) or 1980 (FAT, GPS).
    earliest: AwareDatetime = datetime(2000, 1, 1, tzinfo=UTC)

    @property
    def time_bounds(self) -> TimeBounds:
        """The plausible source times, in the unit of the readings."""
        return TimeBounds(
            earliest_ns=round(self.earliest.timestamp() * 1e9),
            max_future_ns=round(self.max_future_s * 1e9),
        )
