"""The first moments of a program, before the libraries are there that it needs."""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

RELOADING: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that would end the process, and are sent to make a service read its files again.

SIGHUP also comes when the terminal of a program that was started by hand is closed.
"""


@contextmanager
def sheltered() -> Iterator[None]:
    """Start children that signals of `RELOADING` cannot end before they have come to `starting`.

    A child inherits the signals that are blocked (signal(7)), but not the handlers of its parent.
    Until `starting` it has the default action, which ends it: while Python itself starts, and while
    modules are imported.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, RELOADING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def starting() -> Iterator[None]:
    """Make the imports of a program quick, and signals of `RELOADING` harmless from the first on.

    Imports leave no garbage, so none is collected: `serving.memory.settle` does once they are done.
    Pydantic does not look through all installed packages for plugins of its own, and loads none.
    `serving.signals` takes the signals over.
    """
    for number in RELOADING:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, RELOADING)  # `sheltered` may have blocked them
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
