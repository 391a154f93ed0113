"""Runs a program under the system call filter of a unit, as systemd would set it.

python -m tests.kit.gateway.sandbox UNIT PROGRAM ARGUMENTS...

systemd builds such a filter with libseccomp as well; its sets (`@system-service`) are asked of
systemd-analyze. A system call that the filter does not allow fails with EPERM, as
SystemCallErrorNumber= says.
"""

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

_ALLOW: Final = 0x7FFF0000  # SCMP_ACT_ALLOW of seccomp.h
_FAIL: Final = 0x00050000 | errno.EPERM  # SCMP_ACT_ERRNO
_LIBRARY: Final = "libseccomp.so.2"


def allowed(unit: Path) -> set[str]:
    """Names of the system calls that the lines SystemCallFilter= of a unit allow together."""
    names: set[str] = set()
    for line in unit.read_text().splitlines():
        key, _, value = line.partition("=")
        if key != "SystemCallFilter":
            continue
        listed = {name for word in value.lstrip("~").split() for name in _expanded(word)}
        names = names - listed if value.startswith("~") else names | listed
    return names


def confine(names: set[str]) -> None:
    """Have every system call of this process and of its children fail that is not in `names`.

    Raises:
        OSError: libseccomp is not there, or the kernel takes no filter.
    """
    library = ctypes.CDLL(_LIBRARY)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(_FAIL))
    for name in sorted(names):
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # the others do not exist on this processor
            library.seccomp_rule_add(context, _ALLOW, number, 0)
    if (failed := library.seccomp_load(context)) != 0:
        raise OSError(-failed, "the filter cannot be loaded")


def _expanded(word: str) -> set[str]:
    if not word.startswith("@"):
        return {word}
    answer = subprocess.run(
        ["/usr/bin/systemd-analyze", "--no-pager", "syscall-filter", word],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    listed = [line.strip() for line in answer.stdout.splitlines()[1:]]
    members = [line for line in listed if line and not line.startswith("#")]
    return {name for member in members for name in _expanded(member)}


if __name__ == "__main__":
    confine(allowed(Path(sys.argv[1])))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606  the test's own program, no shell
