"""Large graphs as files in memory, from which onnxruntime reads without holding Python's lock.

From bytes it copies the graph while no other thread of the program can run, half a second and more
for 1,000 MB. From a file it lets them run. The file has no name and is sealed (memfd_create(2),
fcntl(2)), so that what is read is still what was hashed.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_SEALS: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


@contextmanager
def sealed(content: bytes) -> Iterator[Path | None]:
    """Keep a sealed file with this content for as long as the context lasts.

    Yields:
        Its path; None where the system does not give such a file, or has no room for it.
    """
    file = None
    with suppress(OSError):
        file = _written(content)
    if file is None:
        yield None
        return
    try:
        path = Path(f"/proc/self/fd/{file}")
        yield path if path.exists() else None
    finally:
        os.close(file)


def _written(content: bytes) -> int:
    """The descriptor of a sealed file with this content."""
    file = os.memfd_create("graph", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(file, "wb", closefd=False) as stream:
            stream.write(content)
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(file)
        raise
    return file
