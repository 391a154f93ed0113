"""What the windows of a stream remember, as values that can be written down and restored."""

from typing import Any, NamedTuple


class State(NamedTuple):
    """What a stream's windows remembered of one asset; the asset None is the stream itself."""

    stream: str
    asset: str | None
    remembered: list[Any]
