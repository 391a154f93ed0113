"""The limits that a child process sets for itself before it touches what nobody has tried yet."""

import ctypes
import math
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from serving.proof.refusals import ProofFailedError

_STACK_BYTES: Final = 8 << 20  # what a thread has where the stack is not limited
_STATUS: Final = Path("/proc/self/status")  # proc_pid_status(5)
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_OOM_SCORE: Final = Path("/proc/self/oom_score_adj")  # proc_pid_oom_score_adj(5)
_MOST_LIKELY: Final = b"1000"


def confine(seconds: float, memory_bytes: int) -> None:
    """Limit the time and the memory that this process may take from now on; it never gets more.

    A crash writes no core file. If the machine runs out of memory for another reason, the kernel
    ends this process first. The stack is half as large as in the serving process, so that what
    loads here loads there.

    Args:
        seconds: seconds of one processor core; after them SIGXCPU ends the process.
        memory_bytes: bytes of memory; an allocation beyond them fails. RLIMIT_DATA counts what is
            reserved for writing, also where it is not touched (getrlimit(2)).

    Raises:
        ProofFailedError: the system forbids to set limits, or this is not Linux.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):  # Linux alone; this process ends with the one that started it
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with suppress(OSError):  # a sandbox may forbid it
        descriptor = os.open(_OOM_SCORE, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        os.write(descriptor, _MOST_LIKELY)
        os.close(descriptor)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = math.ceil(used.ru_utime + used.ru_stime + seconds)
    try:
        stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
        stack = _STACK_BYTES if stack == resource.RLIM_INFINITY else stack
        _lower(resource.RLIMIT_CORE, 0)
        _lower(resource.RLIMIT_STACK, stack // 2)
        _lower(resource.RLIMIT_CPU, cpu_s, cpu_s + 1)
        _lower(resource.RLIMIT_DATA, memory_of("VmData") + memory_bytes)
    except (OSError, ValueError) as exc:
        raise ProofFailedError(
            f"the limits of the proof cannot be set: {exc}; where systemd starts the program, its "
            "unit must allow setrlimit and prlimit64, as systemd/millhand-agent.service does"
        ) from exc


def memory_of(key: str) -> int:
    """A figure of this process in bytes, by its name in proc_pid_status(5), such as `VmRSS`.

    Raises:
        OSError: there is no such file or figure.
    """
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) << 10
    raise OSError(f"{_STATUS} has no {key}")


def _lower(kind: int, soft: int, hard: int | None = None) -> None:
    """Set a limit, but never above what the process may have anyway."""
    _, most = resource.getrlimit(kind)
    wanted = soft if hard is None else hard
    if most != resource.RLIM_INFINITY:
        soft, wanted = min(soft, most), min(wanted, most)
    resource.setrlimit(kind, (soft, wanted))
