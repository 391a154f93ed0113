"""The agent's side of a pull: start the child, hear what it says, end it in time.

Trust is worked out in a child process, `serving.registry.pull_child`, so that TUF and its
cryptography (24 MB) never enter the serving agent, and verification never holds the interpreter
lock of the hot loop. This file imports nothing of that. docs/adr/0002-tuf-registry.md has the
figures.

One JSON request goes to the child's standard input; lines of JSON come back:

    {"state": "resolving"}
    {"state": "downloading", "received": 65536, "total": 3145728}
    {"state": "verified", "sha256": ..., "seq": 7, "length": 3145728}
    {"state": "current", ...the same...}                              a check: nothing was fetched
    {"state": "refused", "error": "rollback", "message": ...}         code of refusals.py
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from time import monotonic
from typing import IO, Any, Final

from models.bundle.identity import BundleRef
from serving.registry.refusals import (
    PullCancelledError,
    PullFailedError,
    PullTimeoutError,
    error_of,
)

MAX_REQUEST_BYTES: Final = 32 << 10
MAX_OUTPUT_BYTES: Final = 1 << 20
_POLL_S: Final = 0.1
_EXIT_GRACE_S: Final = 2.0

_OUTCOME: Final = frozenset({"sha256", "seq", "length"})
_MESSAGE_KEYS: Final = {
    "resolving": frozenset[str](),
    "downloading": frozenset({"received", "total"}),
    "verified": _OUTCOME,
    "current": _OUTCOME,
    "refused": frozenset({"error", "message"}),
}

# As `python -m serving.registry.pull_child`, but with nothing imported from the working directory
# or from PYTHON* variables, and with this installation of millhand wherever it lies.
_BOOT: Final = (
    "import sys; sys.path.append(sys.argv[1]); from serving.registry.pull_child import main; main()"
)


@dataclass(frozen=True, slots=True)
class PullRequest:
    """What to bring, and within which limits.

    Attributes:
        url: of the registry, file://, http:// or https://.
        root: the trusted root metadata that the operator installed.
        state_dir: for the trust plane's own state.
        stream: of which stream.
        seq: which bundle; None for the newest that may run.
        destination_dir: where it goes, as <sha256>.zip.
        max_bytes: longest bundle allowed.
        deadline_s: longest time for all of it.
        check: only resolve, download nothing.
    """

    url: str
    root: Path
    state_dir: Path
    stream: str
    seq: int | None
    destination_dir: Path
    max_bytes: int
    deadline_s: float
    check: bool = False

    def to_json(self) -> bytes:
        """Write it for the child."""
        return json.dumps(asdict(self), default=str).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "PullRequest":
        """Read what `to_json` wrote.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        fields = json.loads(content)
        paths = {name: Path(fields[name]) for name in ("root", "state_dir", "destination_dir")}
        return cls(**(fields | paths))


def pull(
    request: PullRequest,
    *,
    on_progress: Callable[[int, int], None],
    cancelled: threading.Event,
) -> BundleRef:
    """Have a child resolve, download and verify a bundle; to be called on a worker thread.

    Args:
        request: what to bring.
        on_progress: called with bytes received and bytes in all, at most about twice a second.
        cancelled: ends the child soon after it is set.

    Returns:
        The bundle that the registry vouches for. Its file is `destination_dir / ref.file_name`;
        after a check nothing was fetched.

    Raises:
        UntrustedBundleError, DigestMismatchError: refused; the code names the attack.
        TransientError: one of its kinds in serving.registry.refusals; it may go well another time.
    """
    ends_at = monotonic() + request.deadline_s
    with _child(request) as output:
        for line in _lines(output, ends_at, cancelled):
            message = _message(line)
            if message["state"] == "downloading":
                on_progress(message["received"], message["total"])
            elif message["state"] != "resolving":
                break
        else:
            raise PullFailedError("the child ended without an answer; its log says why")
    if message["state"] == "refused":
        raise error_of(message["error"], message["message"])
    return BundleRef(request.stream, message["seq"], message["sha256"], message["length"])


@contextmanager
def _child(request: PullRequest) -> Iterator[IO[bytes]]:
    """A child that has the request, and is gone afterwards: by itself, or killed on an error."""
    command = [sys.executable, "-I", "-c", _BOOT, str(Path(__file__).parents[2])]
    try:
        child = subprocess.Popen(  # noqa: S603  our own interpreter and code, no shell
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
    except OSError as exc:
        raise PullFailedError(f"the child cannot be started: {exc.strerror}") from exc
    assert child.stdin is not None  # noqa: S101  asked for above
    assert child.stdout is not None  # noqa: S101  asked for above
    with child:
        try:
            with (
                suppress(BrokenPipeError),
                child.stdin as request_pipe,
            ):  # it is dead: its end will tell
                request_pipe.write(request.to_json())
            yield child.stdout
            with suppress(subprocess.TimeoutExpired):
                child.wait(_EXIT_GRACE_S)
        finally:
            child.kill()


def _lines(output: IO[bytes], ends_at: float, cancelled: threading.Event) -> Iterator[bytes]:
    """What the child says, line by line, until it ends, talks too much, or time is up."""
    unfinished, total = b"", 0
    with DefaultSelector() as selector:
        selector.register(output, EVENT_READ)
        while True:
            if cancelled.is_set():
                raise PullCancelledError("cancelled; what was received is continued next time")
            if monotonic() >= ends_at:
                raise PullTimeoutError(
                    "not done by the deadline (registry.deadline_s); what was received is"
                    " continued next time"
                )
            if not selector.select(_POLL_S):
                continue
            chunk = os.read(output.fileno(), 65_536)
            total += len(chunk)
            if not chunk or total > MAX_OUTPUT_BYTES:
                return
            *lines, unfinished = (unfinished + chunk).split(b"\n")
            yield from lines


def _message(line: bytes) -> dict[str, Any]:
    try:
        message: dict[str, Any] = json.loads(line)
        missing = _MESSAGE_KEYS[message["state"]] - message.keys()
    except (ValueError, TypeError, KeyError) as exc:
        raise PullFailedError(f"the child said what is no answer: {line[:200]!r}") from exc
    if missing:
        raise PullFailedError(f"the child left out {', '.join(sorted(missing))}")
    return message
