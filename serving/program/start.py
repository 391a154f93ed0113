"""The first moments of a program, before the libraries are there that it needs."""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from serving.program.early_signals import RELOADING


@contextmanager
def sheltered() -> Iterator[None]:
    """Start children that signals of `RELOADING` cannot end before they ignore them.

    A child inherits the signals that are blocked (signal(7)), but not the handlers of its parent.
    Until `serving.program.early_signals.settle` it has the default action, which ends it: while
    Python itself starts, and while the first modules are imported.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, RELOADING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def starting() -> Iterator[None]:
    """Make the imports of a program quick.

    Imports leave no garbage, so none is collected: `serving.memory.settle` does once they are done.
    Pydantic does not look through all installed packages for plugins of its own, and loads none.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
