"""The first moments of a program, before the libraries are there that it needs."""

import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

RELOADING: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that would end the process, and are sent to make a service read its files again.

SIGHUP also comes when the terminal of a program that was started by hand is closed.
"""


@contextmanager
def starting() -> Iterator[None]:
    """Make the imports of a program quick, and signals of `RELOADING` harmless from the first on.

    Imports leave no garbage, so none is collected: `serving.memory.settle` does once they are done.
    `serving.signals` takes the signals over.
    """
    for number in RELOADING:
        signal.signal(number, signal.SIG_IGN)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
