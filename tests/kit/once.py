"""What is made once in a run of the tests, whichever of its workers asks for it first."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

RUN = "MILLHAND_TEST_RUN"
"""Variable that names the folder which the workers of a run share (tests/conftest.py)."""


def once(name: str, make: Callable[[], bytes]) -> bytes:
    """What `make` has returned in this process or another one of the run.

    Others that ask meanwhile wait until it is made. Outside a run of tests, as in a benchmark,
    nothing is kept.

    Args:
        name: name of the thing, which can be that of a file.
        make: makes it; where it fails, the next that asks tries again.
    """
    if RUN not in os.environ:
        return make()
    path = Path(os.environ[RUN]) / name
    with path.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            begun = path.with_name(f"{name}.begun")
            begun.write_bytes(make())
            begun.rename(path)
    return path.read_bytes()
