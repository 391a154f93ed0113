"""The log: one line for each event, which is a constant sentence followed by fields.

Values are written as JSON, so that a topic with a newline or an escape sequence cannot forge a line
or reach the terminal. Payloads and secrets are never logged. A warning that could repeat with each
message goes through `Limited`, so that the disk does not fill. Where systemd's journal reads the
lines, each begins with its priority (`serving.program.standard_error`).
"""

import logging
import sys
from collections.abc import Callable
from time import monotonic
from typing import Final, Literal

import orjson

from models.printable import printable
from serving.program import standard_error

Level = Literal["info", "warning", "error"]
"""From which severity on events are logged."""
_PRIORITIES: Final = {
    logging.INFO: standard_error.INFO,
    logging.WARNING: standard_error.WARNING,
    logging.ERROR: standard_error.ERROR,
}
_LOGGER = logging.getLogger("millhand")


class _Formatter(logging.Formatter):
    """Writes `LEVEL sentence field=value ...`; systemd's journal adds the time."""

    def __init__(self, *, has_priority: bool, ending: str) -> None:
        super().__init__()
        self._has_priority, self._ending = has_priority, ending

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = getattr(record, "fields", {})
        pairs = "".join(f" {name}={printable(_text(value))}" for name, value in fields.items())
        line = f"{record.levelname} {record.getMessage()}{pairs}{self._ending}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        if self._has_priority:
            line = standard_error.marked(line, _PRIORITIES[record.levelno])
        return line


def start(level: Level = "info", worker: int | None = None) -> None:
    """Begin to log to standard error, which systemd's journal stores.

    Args:
        level: least severity that is logged.
        worker: number that each line ends with, where several processes write to one log.
    """
    handler = logging.StreamHandler(sys.stderr)
    has_priority = standard_error.is_journal(sys.stderr)
    ending = "" if worker is None else f" worker={worker}"
    handler.setFormatter(_Formatter(has_priority=has_priority, ending=ending))
    _LOGGER.handlers = [handler]
    _LOGGER.setLevel(level.upper())
    _LOGGER.propagate = False


def info(sentence: str, **fields: object) -> None:
    """Log a step in the life of the process, such as a connection or an activated model."""
    _LOGGER.info(sentence, extra={"fields": fields})


def warning(sentence: str, **fields: object) -> None:
    """Log a problem from which the process recovers by itself."""
    _LOGGER.warning(sentence, extra={"fields": fields})


def error(sentence: str, **fields: object) -> None:
    """Log a loss of data, or a problem that an operator has to solve."""
    _LOGGER.error(sentence, extra={"fields": fields})


class Limited:
    """Logs warnings of the same kind at most once in an interval.

    The next line of a key says in the field `held_back` how many were left out before it. Keys are
    codes from a bounded set, so their number has no limit here.

    Args:
        interval_s: least number of seconds between two lines of the same key.
        clock: monotonic time in seconds.
    """

    def __init__(self, interval_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._last: dict[str, tuple[float, int]] = {}

    def warning(self, key: str, sentence: str, **fields: object) -> None:
        """Log a warning, unless one of this key was logged within the last `interval_s`."""
        now = self._clock()
        since, held_back = self._last.get(key, (-self._interval_s, 0))
        if now - since < self._interval_s:
            self._last[key] = (since, held_back + 1)
            return
        self._last[key] = (now, 0)
        warning(sentence, **fields, **({"held_back": held_back} if held_back else {}))


def _text(value: object) -> str:
    return orjson.dumps(value, default=str).decode()  # paths and errors as text
