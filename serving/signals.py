"""What signals do to a program: some end it, and those that ask for a reload are logged."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

from serving import log
from serving.program.early_signals import RELOADING

_Call = Callable[[], None]
_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


class StopError(BaseException):
    """The process shall end although it has not begun to serve; no `except Exception` takes it."""


class Signals:
    """Signals that the process has received.

    Args:
        log_interval_s: seconds in which one that is ignored is logged at most once.

    Attributes:
        stopped_by: name of the signal that ends the process; empty so far.
    """

    def __init__(self, log_interval_s: float) -> None:
        self.stopped_by = ""
        self._stop: _Call | None = None
        self._ignored: set[str] = set()
        self._limited = log.Limited(log_interval_s)
        for number in _STOPPING:
            signal.signal(number, self._end)
        for number in RELOADING:
            signal.signal(number, self._ignore)

    @property
    def have_ended_start(self) -> bool:
        """Whether one has ended the process before it served.

        What the start is left by then is `StopError`, or an error in its place: a library in C that
        is interrupted while it is loaded raises one of its own.
        """
        return bool(self.stopped_by) and self._stop is None

    def end_by(self, stop: _Call) -> None:
        """From now on a signal ends the hot loop by `stop`; before, it ends the process at once.

        Raises:
            StopError: one has come already, and what it interrupted has gone on all the same.
        """
        if self.stopped_by:
            raise StopError
        self._stop = stop

    def report(self) -> None:
        """Log the signals that were ignored since the last call.

        The hot loop calls it, because a handler may interrupt another line that is being logged.
        """
        while self._ignored:
            name = self._ignored.pop()
            remedy = "the configuration is read at a start only: restart the service to change it"
            self._limited.warning(name, "signal ignored", signal=name, remedy=remedy)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        self.stopped_by = signal.Signals(number).name
        if self._stop is None:
            raise StopError
        self._stop()

    def _ignore(self, number: int, _frame: FrameType | None) -> None:
        self._ignored.add(signal.Signals(number).name)
