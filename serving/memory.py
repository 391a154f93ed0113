"""Keeps the process as small as its work: what a model's load took goes back to the system.

glibc keeps freed memory in arenas, one a thread, and building a session frees far more than serving
needs afterwards (onnxruntime#25325). Elsewhere (musl) there is nothing to do, and nothing is done.
"""

import ctypes
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_M_ARENA_MAX: Final = -8  # malloc.h; mallopt(3)
_MADV_DONTNEED: Final = 4  # sys/mman.h; madvise(2)
_MAPS: Final = Path("/proc/self/smaps")  # proc_pid_smaps(5); Linux alone
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
    """Collect garbage and return what is not in use; takes milliseconds: not on the hot thread.

    Free memory goes back to the system, and the libraries' code and constants are taken out of the
    process: half of what start-up or the building of a session has touched is not needed again, and
    the rest comes back from the page cache as it is used.
    """
    gc.collect()
    if hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(0)
    if hasattr(_LIBC, "madvise"):
        for begin, end in _unwritten():
            _LIBC.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _MADV_DONTNEED)


def _unwritten() -> Iterator[tuple[int, int]]:
    """Where files are mapped that cannot be written and never were, so that nothing can get lost.

    Addresses that the loader has filled in are read-only too, and in no file: those pages are
    anonymous, or in swap by now.
    """
    try:
        lines = _MAPS.read_text().splitlines()
    except OSError:
        return
    mapped, is_written = "", False
    for line in lines:
        name, *words = line.split()
        if not name.endswith(":"):
            mapped = name if words[0] in {"r-xp", "r--p"} and words[-1].startswith("/") else ""
            is_written = False
        elif name in {"Anonymous:", "Swap:"}:
            is_written = is_written or words[0] != "0"
        elif name == "VmFlags:" and mapped and not is_written:
            begin, end = mapped.split("-")
            yield int(begin, 16), int(end, 16)
