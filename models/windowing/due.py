"""Windows that wait to be taken, as the columns of a batch."""

from dataclasses import dataclass, field

from models.input.quality import Quality


@dataclass(slots=True)
class Due:
    """Windows that are due, in the order in which they became due.

    Attributes:
        assets: key of each window's asset.
        times_ns: event time of each window's last sample, nanoseconds since 1970.
        qualities: worst quality among each window's samples.
        windows: float32 `[length, channels]` of each window, as bytes.
    """

    assets: list[str] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)
    qualities: list[Quality] = field(default_factory=list)
    windows: list[bytes] = field(default_factory=list)
