"""One line an event: a constant sentence, then fields; and no flood.

Values are JSON, so a topic with a newline or an escape sequence in it stays on its line. Payloads
and secrets are never logged.
"""

import logging
import sys
from collections.abc import Callable
from time import monotonic

import orjson

_LOGGER = logging.getLogger("millhand")


class _Formatter(logging.Formatter):
    """`LEVEL sentence field=value ...`; the journal adds the time."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = getattr(record, "fields", {})
        told = "".join(f" {name}={_text(value)}" for name, value in fields.items())
        line = f"{record.levelname} {record.getMessage()}{told}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def start(level: int = logging.INFO) -> None:
    """Log to standard error, which the journal keeps."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    _LOGGER.handlers = [handler]
    _LOGGER.setLevel(level)
    _LOGGER.propagate = False


def info(sentence: str, **fields: object) -> None:
    """Tell of a step in the agent's life."""
    _LOGGER.info(sentence, extra={"fields": fields})


def warning(sentence: str, **fields: object) -> None:
    """Tell of trouble that the agent gets over by itself."""
    _LOGGER.warning(sentence, extra={"fields": fields})


def error(sentence: str, **fields: object) -> None:
    """Tell of a loss, or of something that needs the operator."""
    _LOGGER.error(sentence, extra={"fields": fields})


class Limited:
    """Warnings at most once an interval and key, with how many were held back.

    Keys are reasons from a bounded set, so there is no limit of their number here.

    Args:
        interval_s: least time between two lines of the same key.
        clock: monotonic seconds.
    """

    def __init__(self, interval_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._last: dict[str, tuple[float, int]] = {}

    def warning(self, key: str, sentence: str, **fields: object) -> None:
        """Log unless a line of this key was logged a moment ago."""
        now = self._clock()
        since, held_back = self._last.get(key, (-self._interval_s, 0))
        if now - since < self._interval_s:
            self._last[key] = (since, held_back + 1)
            return
        self._last[key] = (now, 0)
        warning(sentence, **fields, **({"held_back": held_back} if held_back else {}))


def _text(value: object) -> str:
    return orjson.dumps(value, default=str).decode()
