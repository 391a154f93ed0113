"""Returns memory to the operating system that only the loading of a model needed.

glibc keeps freed memory in arenas, one for each thread, and building a session frees far more than
serving needs afterwards (onnxruntime#25325). Other C libraries (musl) have no such functions; there
these calls do less, and nothing fails.
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
    """Have all threads allocate from one arena; call it before the first thread starts."""
    if hasattr(_LIBC, "mallopt"):
        _LIBC.mallopt(_M_ARENA_MAX, 1)


def settle() -> None:
    """Exclude all objects that exist now from garbage collection; call it after start-up.

    They stay until the process ends. A full collection walked them each time, which stopped the hot
    thread for 10 ms, whichever thread had begun it.
    """
    give_back()
    gc.freeze()
    gc.enable()


def give_back() -> None:
    """Collect garbage, and return unused memory; it takes milliseconds: not for the hot thread.

    Freed memory goes back to the system. Code and constants of libraries are removed from the
    process as well: half of the pages that start-up or the building of a session has touched are
    not needed again, and the others come back from the page cache when they are next used.
    """
    gc.collect()
    if hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(0)
    if hasattr(_LIBC, "madvise"):
        for begin, end in _unwritten():
            _LIBC.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _MADV_DONTNEED)


def _unwritten() -> Iterator[tuple[int, int]]:
    """Address ranges of mapped files that are read-only and equal to the file.

    Only those may be dropped: the kernel reads them again from the file. Pages in which the dynamic
    loader has filled in addresses (RELRO) are read-only too, but differ from the file; the kernel
    counts them as anonymous, or as swapped out.
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
