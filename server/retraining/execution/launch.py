"""The first code of a command's process: it limits itself, and becomes the program then.

The limits stay over `execv` (execve(2)), and hold for each process that the program starts. It
ends with the thread that has started it, so that no training outlives a server that was killed.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Final

NOT_STARTED: Final = 127
"""Exit code where the program cannot be started, as shells have it."""
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main() -> None:
    """Set the limits that the first argument names, and run the program that it names."""
    request = json.loads(sys.argv[3])
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):  # Linux alone
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != request["parent"]:  # it has died before this was asked for
        sys.exit(NOT_STARTED)
    with suppress(OSError):  # a sandbox may forbid it
        os.nice(request["nice"])
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, request["memory_bytes"]),
        (resource.RLIMIT_FSIZE, request["file_bytes"]),
    ):
        _lower(kind, most)
    command = request["command"]
    try:
        os.execv(command[0], command)  # noqa: S606  the settings name the program; no shell
    except OSError as exc:
        sys.stderr.write(f"{command[0]} cannot be run: {exc.strerror}\n")
        sys.exit(NOT_STARTED)


def _lower(kind: int, most: int) -> None:
    """Set a limit, but never above what the process may have anyway."""
    _, hard = resource.getrlimit(kind)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(kind, (wanted, wanted))
