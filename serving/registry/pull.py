"""The agent's side of a pull: it starts a child process, reads its messages, and ends it in time.

The registry is verified in a child process, `serving.registry.pull_child`, so that TUF and its
cryptography (24 MB) are never loaded by the serving process, and verification never holds the
interpreter lock of the hot loop. This file imports none of that. ADR 2 has the measurements.

Contract: `pull` blocks until the bundle is there or the deadline has passed, so it is called on a
worker. It may be called from several threads: pulls on the same state directory wait for each
other. Every error is one of ours, and none of them concerns the model that serves:

- UntrustedBundleError and DigestMismatchError refuse the bundle. The caller reports the code, and
  waits for another desired state or the next poll.
- TransientError: the caller tries again after a wait. What was downloaded is continued then.

When `pull` returns or raises, the child has ended or was killed.

The request is written to the child's standard input as one JSON document. The child answers with
one JSON object a line on its standard output:

    {"state": "resolving"}
    {"state": "downloading", "received": 65536, "total": 3145728}
    {"state": "verified", "sha256": ..., "seq": 7, "length": 3145728}
    {"state": "current", ...the same...}                              a check: nothing downloaded
    {"state": "refused", "error": "rollback", "message": ...}         a code of refusals.py
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

from models.address import without_secrets
from models.bundle.identity import BundleRef
from serving.registry.access import OPEN, Access
from serving.registry.refusals import (
    PullCancelledError,
    PullFailedError,
    PullTimeoutError,
    error_of,
)

MAX_REQUEST_BYTES: Final = 32 << 10
"""Bytes that the child reads as its request."""
MAX_OUTPUT_BYTES: Final = 1 << 20
"""Bytes that the child may write; a child that writes more is killed."""
_POLL_S: Final = 0.1  # between two looks at `cancelled` and at the deadline
_EXIT_GRACE_S: Final = 2.0  # for a child that has answered to end by itself

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
    """Which bundle to download, and within which limits.

    Attributes:
        url: address of the registry, by file://, http:// or https://.
        root: path of the trusted root metadata that the operator has installed.
        state_dir: folder for the metadata cache registry/ and the high-water mark trust.json.
        stream: stream of the bundle.
        seq: number of the bundle; None for the newest that may run.
        destination_dir: folder into which the bundle is downloaded, as <sha256>.zip.
        max_bytes: bytes of the longest bundle that is allowed.
        deadline_s: seconds that the whole pull may take.
        check: whether to verify and select only, without a download.
        access: what identifies this gateway to the registry, and where redirects may lead.
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
    access: Access = OPEN

    def to_json(self) -> bytes:
        """The request as the child reads it: UTF-8 JSON, paths as text."""
        return json.dumps(asdict(self), default=str).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "PullRequest":
        """Read what `to_json` has written.

        Raises:
            ValueError, TypeError, KeyError: the content is not such a request.
        """
        fields = json.loads(content)
        paths = {name: Path(fields[name]) for name in ("root", "state_dir", "destination_dir")}
        access = Access.from_json(fields["access"])
        return cls(**(fields | paths | {"access": access}))


def pull(
    request: PullRequest,
    *,
    on_progress: Callable[[int, int], None],
    cancelled: threading.Event,
) -> BundleRef:
    """Select, download and verify a bundle in a child process; blocks, so call it on a worker.

    Args:
        request: which bundle, and the limits.
        on_progress: called on this thread with the bytes received and the bytes of the whole
            bundle, about twice a second.
        cancelled: event to set, on any thread, to end the pull within about 0.1 s.

    Returns:
        The bundle that was selected. Its file, whose bytes are those that are signed, is
        `destination_dir / ref.file_name`; after a check nothing was downloaded.

    Raises:
        UntrustedBundleError, DigestMismatchError: the bundle is refused; the code names the attack.
        TransientError: the pull failed for now; see `serving.registry.refusals` for the kinds.
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
        raise error_of(message["error"], without_secrets(message["message"]))
    return BundleRef(request.stream, message["seq"], message["sha256"], message["length"])


@contextmanager
def _child(request: PullRequest) -> Iterator[IO[bytes]]:
    """Start the child, send it the request, and yield its output; afterwards it has ended.

    After an answer it has `_EXIT_GRACE_S` to end by itself; on an error it is killed at once.
    """
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
            # A child that has ended already breaks the pipe; its missing answer is the error.
            with suppress(BrokenPipeError), child.stdin as request_pipe:
                request_pipe.write(request.to_json())
            yield child.stdout
            with suppress(subprocess.TimeoutExpired):
                child.wait(_EXIT_GRACE_S)
        finally:
            child.kill()


def _lines(output: IO[bytes], ends_at: float, cancelled: threading.Event) -> Iterator[bytes]:
    """The lines of the child's output, until it ends or has written `MAX_OUTPUT_BYTES`.

    Raises:
        PullCancelledError: `cancelled` was set.
        PullTimeoutError: the monotonic clock has reached `ends_at`.
    """
    unfinished, total = b"", 0
    with DefaultSelector() as selector:
        selector.register(output, EVENT_READ)
        while True:
            if cancelled.is_set():
                raise PullCancelledError(
                    "the pull was cancelled; the next one continues what was received"
                )
            if monotonic() >= ends_at:
                raise PullTimeoutError(
                    "the pull was not finished by the deadline (registry.deadline_s); the next one"
                    " continues what was received"
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
        raise PullFailedError(f"the child's message cannot be read: {line[:200]!r}") from exc
    if missing:
        raise PullFailedError(f"the child's message lacks {', '.join(sorted(missing))}")
    return message
