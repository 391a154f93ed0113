"""Ctrl-C and SIGTERM as a request to stop, which lets the work in progress finish in order."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Remembers that the user has asked to stop.

    Python would raise KeyboardInterrupt anywhere, in the middle of writing a file too. Here the
    signals only set a flag, and interrupt nothing but `wait`.

    Attributes:
        requested: whether SIGINT or SIGTERM has arrived.
    """

    def __init__(self) -> None:
        self.requested = False
        self._is_waiting = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM until the context is left.

        Only the main thread may call it, because Python runs signal handlers there.
        """
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def wait(self, waiting: Callable[[], object]) -> None:
        """Call `waiting` unless a stop was requested; a request while it runs ends it at once."""
        try:
            self._is_waiting = not self.requested
            if self._is_waiting:
                waiting()
            self._is_waiting = False
        except KeyboardInterrupt:
            pass  # raised by `_on_signal`, which has set `requested`
        except BaseException:
            self._is_waiting = False
            raise

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        if self._is_waiting:
            self._is_waiting = False
            raise KeyboardInterrupt
