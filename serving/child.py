"""Child processes of a program that serves: one request in, lines of JSON out, and an end in time.

What may crash, take hours or need much memory runs in a process of its own: the verification of a
registry (`serving.registry`), and the proof of a bundle (`serving.proof`). The child reads its
request from standard input, and writes one JSON object a line to standard output.

Both functions block for as long as the child runs, so they are called on a worker.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from time import monotonic
from typing import IO, Final, Protocol

from models.errors import MillhandError
from serving.program.start import sheltered

MAX_OUTPUT_BYTES: Final = 1 << 20
"""Bytes that a child may write; after them nothing more of it is read."""
_POLL_S: Final = 0.1  # between two looks at `cancelled` and at the deadline
_EXIT_GRACE_S: Final = 2.0  # for a child that has answered to end by itself

# As `python -m MODULE`, but with nothing imported from the working directory or from PYTHON*
# variables, and with this installation of millhand wherever it lies.
_BOOT: Final = (
    "import sys; sys.path.append(sys.argv[1]);"
    " from importlib import import_module; import_module(sys.argv[2]).main()"
)


class Flag(Protocol):
    """An event that is looked at, such as `threading.Event`."""

    def is_set(self) -> bool:
        """Whether it has happened."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a child is waited for, and with which errors waiting ends.

    Attributes:
        ends_at: time of the monotonic clock at which it ends, in seconds.
        cancelled: event to set, on any thread, to end it within about 0.1 s.
        on_timeout: error that is raised at `ends_at`.
        on_cancel: error that is raised when `cancelled` is set.
    """

    ends_at: float
    cancelled: Flag
    on_timeout: MillhandError
    on_cancel: MillhandError


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs `main()` of one of our modules in a process of its own.

    Args:
        module: name of the module.
        *arguments: what `main` finds from `sys.argv[3]` on.
    """
    place = str(Path(__file__).parents[1])
    return [sys.executable, "-I", "-c", _BOOT, place, module, *arguments]


@contextmanager
def started(
    module: str, request: bytes, stderr: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a child, send it its request, and yield it; afterwards it has ended.

    It has `_EXIT_GRACE_S` to end by itself when the context is left, or is killed at once where
    that is by an error. No other process is touched. Signals that ask for a reload are blocked in
    the child for as long as it lives.

    Args:
        module: name of the module whose `main()` runs in the child.
        request: what the child reads from its standard input.
        stderr: file descriptor of the child's standard error; None: that of this process.

    Raises:
        OSError: the child cannot be started.
    """
    # `systemctl kill -s HUP` signals all processes of a service, not the agent alone.
    with sheltered():
        child = subprocess.Popen(  # noqa: S603  our own interpreter and code, no shell
            command(module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    assert child.stdin is not None  # noqa: S101  asked for above
    with child:
        try:
            # A child that has ended already breaks the pipe; its missing answer is the error.
            with suppress(BrokenPipeError), child.stdin as request_pipe:
                request_pipe.write(request)
            yield child
            with suppress(subprocess.TimeoutExpired):
                child.wait(_EXIT_GRACE_S)
        finally:
            child.kill()


def lines(output: IO[bytes] | None, patience: Patience) -> Iterator[bytes]:
    """The lines of a child's output, until it ends or has written `MAX_OUTPUT_BYTES`.

    Raises:
        MillhandError: `patience.on_timeout` or `patience.on_cancel`.
    """
    assert output is not None  # noqa: S101  `started` asks for it
    unfinished, total = b"", 0
    with DefaultSelector() as selector:
        selector.register(output, EVENT_READ)
        while True:
            if patience.cancelled.is_set():
                raise patience.on_cancel
            if monotonic() >= patience.ends_at:
                raise patience.on_timeout
            if not selector.select(_POLL_S):
                continue
            chunk = os.read(output.fileno(), 65_536)
            total += len(chunk)
            if not chunk or total > MAX_OUTPUT_BYTES:
                return
            *whole, unfinished = (unfinished + chunk).split(b"\n")
            yield from whole
