"""Keeps the process as small as its work: what a model's load took goes back to the system.

glibc keeps freed memory in arenas, one a thread, and building a session frees far more than serving
needs afterwards (onnxruntime#25325). Elsewhere (musl) there is nothing to do, and nothing is done.
"""

import ctypes
import gc
from typing import Final

_M_ARENA_MAX: Final = -8  # malloc.h; mallopt(3)
_LIBC: Final = ctypes.CDLL(None)


def share_arenas() -> None:
    """Let all threads allocate from one arena; to be called before the first thread starts."""
    if hasattr(_LIBC, "mallopt"):
        _LIBC.mallopt(_M_ARENA_MAX, 1)


def settle() -> None:
    """Take all that is there now out of garbage collection, before the first message.

    What start-up has made stays for good, and to walk it took the hot thread 10 ms each time that
    the collector looked at all generations, on whichever thread.
    """
    give_back()
    gc.freeze()


def give_back() -> None:
    """Collect garbage and return free pages; takes milliseconds, so never on the hot thread."""
    gc.collect()
    if hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(0)
