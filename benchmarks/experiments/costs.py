"""The memory and the processor time of a process."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_TIMES = slice(13, 17)  # utime, stime, cutime, cstime: proc(5), counted from 0


@dataclass(frozen=True, slots=True)
class Memory:
    """The proportional and the resident set size; zero once the process has ended.

    In the proportional set size (PSS) a page that n processes share counts as 1/n of a page. The
    benchmark's own process imports neither NumPy nor onnxruntime, with which it would make a
    contender look smaller.
    """

    pss_bytes: int = 0
    rss_bytes: int = 0


def memory(pid: int) -> Memory:
    """Return the memory of a process now."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return Memory()
    kilobytes = {
        name: int(rest.split()[0])
        for name, colon, rest in (line.partition(":") for line in rollup.splitlines()[1:])
        if colon
    }
    return Memory(kilobytes["Pss"] * 1024, kilobytes["Rss"] * 1024)


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a running process and of its children that have ended.

    The kernel counts in steps of 10 ms.
    """
    status = Path(f"/proc/{pid}/stat").read_text()
    fields = status.rpartition(")")[2].split()  # the name before may hold spaces
    return sum(map(int, fields[_TIMES.start - 2 : _TIMES.stop - 2])) / _TICKS_PER_S
