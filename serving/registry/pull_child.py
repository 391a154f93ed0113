"""The child of a pull, `python -m serving.registry.pull_child`: one request in, answers out.

`serving.registry.pull` starts it and documents the words. It exits with 0 whenever it said how it
went; a bug is a traceback on standard error and another exit code. It ends by itself a little after
its deadline, also where the agent that started it is no longer there.
"""

import json
import math
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from models.errors import MillhandError
from serving.registry.fetch import Fetcher
from serving.registry.pull import MAX_REQUEST_BYTES, PullRequest
from serving.registry.trust import TrustedRegistry, exclusive

Send = Callable[[dict[str, object]], None]

_PROGRESS_EVERY_S = 0.5
_EXIT_GRACE_S = 5
_NICENESS = 10


def main() -> None:
    """Read the request from standard input and answer it on standard output."""
    request = PullRequest.from_json(sys.stdin.buffer.read(MAX_REQUEST_BYTES))
    signal.alarm(math.ceil(request.deadline_s) + _EXIT_GRACE_S)
    with suppress(OSError):  # a sandbox may forbid it
        os.nice(_NICENESS)  # predictions come first
    try:
        answer = _answer(request, _send)
    except MillhandError as exc:
        answer = {"state": "refused", "error": exc.code, "message": str(exc)}
    _send(answer)


def _answer(request: PullRequest, send: Send) -> dict[str, object]:
    send({"state": "resolving"})
    with exclusive(request.state_dir), Fetcher() as fetcher:
        registry = TrustedRegistry(
            request.url,
            request.root,
            request.state_dir,
            fetcher=fetcher,
            max_bytes=request.max_bytes,
        )
        registry.refresh()
        target = registry.select(request.stream, request.seq)
        if not request.check:
            registry.download(target, request.destination_dir, _throttled(send))
    ref = target.ref
    state = "current" if request.check else "verified"
    return {"state": state, "sha256": ref.sha256, "seq": ref.seq, "length": ref.size}


def _throttled(send: Send) -> Callable[[int, int], None]:
    """Tell of the first bytes, the last, and some in between."""
    due = 0.0

    def on_progress(received: int, total: int) -> None:
        nonlocal due
        if monotonic() >= due or received == total:
            due = monotonic() + _PROGRESS_EVERY_S
            send({"state": "downloading", "received": received, "total": total})

    return on_progress


def _send(message: dict[str, object]) -> None:
    sys.stdout.write(f"{json.dumps(message)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
