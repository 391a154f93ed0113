"""The state of a stream's windows, as plain values that can be written to disk and restored."""

from typing import Any, NamedTuple


class State(NamedTuple):
    """What a stream's windows remembered of one asset.

    Attributes:
        stream: name of the stream.
        asset: key of the asset; None for what belongs to the stream as a whole.
        remembered: numbers, texts and lists of them, as `models.windowing` returns them; of the
            stream itself, the event time of its last arrival, and what its inputs have learned.
    """

    stream: str
    asset: str | None
    remembered: list[Any]
