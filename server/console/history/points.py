"""Thins predictions: one point of an asset stands for all of a few seconds."""

from typing import NamedTuple


class Point(NamedTuple):
    """What the predictions of one asset were within a few seconds.

    Attributes:
        stream: name of the stream.
        asset: key of the asset.
        begin: begin of the time, milliseconds since 1970, a multiple of its length.
        low: least value; None where no prediction had one.
        high: greatest value; None likewise.
        last: value of the newest prediction; None likewise.
        score: greatest score; None where there was none.
        quality: worst quality, 0 (GOOD) to 2 (BAD).
    """

    stream: str
    asset: str
    begin: int
    low: float | None
    high: float | None
    last: float | None
    score: float | None
    quality: int


class Thinning:
    """The predictions of one asset that belong to the same point.

    It is filled for each prediction, so it is plain attributes and no more.
    """

    __slots__ = ("begin", "high", "last", "low", "quality", "score")

    def __init__(self) -> None:
        self.begin = -1
        self.low: float | None = None
        self.high: float | None = None
        self.last: float | None = None
        self.score: float | None = None
        self.quality = 0

    def add(self, value: float | None, score: float | None, quality: int) -> None:
        """Add one prediction."""
        if value is not None:
            self.last = value
            if self.low is None or value < self.low:
                self.low = value
            if self.high is None or value > self.high:
                self.high = value
        if score is not None and (self.score is None or score > self.score):
            self.score = score
        self.quality = max(self.quality, quality)

    def point(self, stream: str, asset: str) -> Point | None:
        """The point so far; None if there is no prediction in it."""
        if self.begin < 0:
            return None
        return Point(
            stream, asset, self.begin, self.low, self.high, self.last, self.score, self.quality
        )

    def restart(self, begin: int) -> None:
        """Begin the next point."""
        self.begin = begin
        self.low = self.high = self.last = self.score = None
        self.quality = 0
