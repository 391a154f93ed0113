"""Which process uses a state folder: a lock of the kernel, which is gone when the process ends.

Two programs on one state folder would write over each other's journal and bundles. The lock also
tells `millhand-agent check` that an agent runs here, before it connects to anything.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from serving.errors import TransientError

FILE_NAME: Final = "agent.lock"
_FLOCK: Final = struct.Struct("hhqqi4x")
"""struct flock of 64-bit Linux (fcntl(2)): type, whence, start, length, process id."""


@contextmanager
def held(state_dir: Path) -> Iterator[bool]:
    """Hold the lock of a state folder until the context is left.

    Args:
        state_dir: folder, which exists.

    Yields:
        Whether the lock is held. It is not where its file belongs to somebody else, as after a
        start by hand as root, or where the file system has no locks; the program goes on without.

    Raises:
        TransientError: another process holds it.
    """
    try:
        file = os.open(state_dir / FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError:
        yield False
        return
    try:
        # A POSIX lock belongs to the process: no child inherits it, unlike that of flock(2).
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(file)
        if exc.errno not in (errno.EACCES, errno.EAGAIN):
            yield False
            return
        raise TransientError(
            f"{state_dir} is used by process {holder(state_dir) or 'that has just ended'}, which "
            f"serves models from it: stop it, or give this one another state_dir"
        ) from exc
    try:
        yield True
    finally:
        os.close(file)


def holder(state_dir: Path) -> int | None:
    """Process id of the program that uses a state folder; None if there is none, or on no access.

    It only looks: a lock that was taken to try it could keep a program from starting.
    """
    try:
        file = os.open(state_dir / FILE_NAME, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        question = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, process = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_GETLK, question))
    except OSError:
        return None
    finally:
        os.close(file)
    return None if kind == fcntl.F_UNLCK else process
