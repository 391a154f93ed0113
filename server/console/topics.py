"""Which topics carry predictions, and what a topic says about the one that it carries."""

import re
from typing import Final, NamedTuple

_LEVEL: Final = re.compile(r"\{[a-z][a-z0-9_]*\}")
_STREAM: Final = "{stream}"


class Named(NamedTuple):
    """What a topic says about its prediction.

    Attributes:
        stream: name of the stream; None where the payload names it.
        asset: key of the asset; None where the payload names it.
    """

    stream: str | None
    asset: str | None


class PredictionTopic:
    """An MQTT topic filter of predictions, some of whose levels may be named.

    `plant/{line}/{asset}/_inference/{stream}` takes the stream from the level of that name, and the
    asset from all other named levels, joined by slashes. What no level names is read from the
    payload: `+/+/+/_inference/+` takes both from there.

    Args:
        text: topic filter, with `+`, `#` and `{names}` for levels.

    Attributes:
        filter: the filter as the broker knows it.

    Raises:
        ValueError: it is no filter.
    """

    def __init__(self, text: str) -> None:
        levels = text.split("/")
        for number, level in enumerate(levels, start=1):
            is_last = number == len(levels)
            if level == "+" or (level == "#" and is_last) or _LEVEL.fullmatch(level):
                continue
            if set(level) & set("+#{}\x00"):
                raise ValueError(
                    f"level '{level}' of '{text}' must be text, +, a {{name}} or, as the last, #"
                )
        if not text or text.startswith("$share/"):
            raise ValueError(f"'{text}' must be a topic filter that is neither empty nor shared")
        self.filter = "/".join("+" if _LEVEL.fullmatch(level) else level for level in levels)
        self._levels = levels

    def match(self, topic: str) -> Named | None:
        """What a topic says about its prediction; None if it does not match the filter."""
        found = topic.split("/")
        levels = self._levels
        if levels[-1] == "#":
            levels = levels[:-1]
            # "a/#" matches "a" as well (MQTT 5, 4.7.1.2).
            found = found[: len(levels)]
        if len(found) != len(levels):
            return None
        stream, asset = None, []
        for wanted, level in zip(levels, found, strict=True):
            if wanted == _STREAM:
                stream = level
            elif wanted.startswith("{"):
                asset.append(level)
            elif wanted not in ("+", level):
                return None
        return Named(stream, "/".join(asset) or None)
