"""Ctrl-C and SIGTERM as a wish to end, which never tears apart what is being done."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Remembers that somebody wants an end.

    Attributes:
        asked: whether somebody does.
    """

    def __init__(self) -> None:
        self.asked = False
        self._is_waiting = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Take the signals over until the context is left; of the main thread only."""
        before = {one: signal.signal(one, self._hear) for one in _SIGNALS}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def wait(self, waiting: Callable[[], object]) -> None:
        """Call `waiting`, which may be torn apart: it ends at once when somebody wants an end."""
        try:
            self._is_waiting = not self.asked
            if self._is_waiting:
                waiting()
            self._is_waiting = False
        except KeyboardInterrupt:
            pass  # `asked` says it
        except BaseException:
            self._is_waiting = False
            raise

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        if self._is_waiting:
            self._is_waiting = False
            raise KeyboardInterrupt
