"""The child process of a pull: it reads one request, verifies, downloads, and writes messages.

`serving.registry.pull` starts it, and documents the messages. It exits with 0 if it has written an
answer, be it a refusal; a bug ends it with a traceback on standard error and another exit code. It
ends by itself a little after its deadline, even if the process that started it has died.
"""

import json
import math
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from time import monotonic

from models.errors import BundleError, MillhandError
from serving.registry.catalogue import Here, Target
from serving.registry.fetch import Fetcher
from serving.registry.pull import MAX_REQUEST_BYTES, PullRequest
from serving.registry.trust import TrustedRegistry, exclusive

Send = Callable[[dict[str, object]], None]

_PROGRESS_EVERY_S = 0.5
_EXIT_GRACE_S = 5  # seconds after the deadline, by which the parent has killed it as a rule
_NICENESS = 10  # nice(2): predictions come first on a gateway with few cores


def main() -> None:
    """Read the request from standard input and answer it on standard output."""
    request = PullRequest.from_json(sys.stdin.buffer.read(MAX_REQUEST_BYTES))
    signal.alarm(math.ceil(request.deadline_s) + _EXIT_GRACE_S)
    with suppress(OSError):  # a sandbox may forbid it
        os.nice(_NICENESS)
    try:
        answer = _answer(request, _send)
    except MillhandError as exc:
        answer = {"state": "refused", "error": exc.code, "message": str(exc)}
    _send(answer)


def _answer(request: PullRequest, send: Send) -> dict[str, object]:
    send({"state": "resolving"})
    here = Here(request.max_bytes, frozenset(request.quarantined), frozenset(request.has_run))
    with exclusive(request.state_dir), Fetcher(access=request.access) as fetcher:
        registry = TrustedRegistry(
            request.url,
            request.root,
            request.state_dir,
            fetcher=fetcher,
            here=here,
        )
        registry.refresh()
        withdrawn = registry.withdrawn(request.stream, frozenset(request.kept))
        send({"state": "resolved", "withdrawn": withdrawn})
        target = _select(registry, request, here, send)
        is_wanted = not request.check and target.ref.sha256 not in request.refused
        if is_wanted:
            registry.download(target, request.destination_dir, _throttled(send))
    ref = target.ref
    state = "verified" if is_wanted else "current"
    return {"state": state, "sha256": ref.sha256, "seq": ref.seq, "length": ref.size}


def _select(registry: TrustedRegistry, request: PullRequest, here: Here, send: Send) -> Target:
    """Select the bundle: as asked for, as a rollout asks, or the newest."""
    stream, situation, is_pinned = request.stream, request.situation, request.seq is not None
    if situation is None:
        return registry.select(stream, request.seq)
    try:
        signed = registry.rollout(stream)
    except BundleError:
        if not is_pinned:
            raise
        signed = None  # what a person has selected does not depend on a rollout
    if signed is None:
        return registry.select(stream, request.seq)
    from serving.registry.rollouts import part_of, select_for  # noqa: PLC0415  as in `trust`

    part = part_of(signed, situation, is_pinned=is_pinned)
    send({"state": "rollout", "part": asdict(part)})
    if is_pinned:
        return registry.select(stream, request.seq)
    return select_for(registry.files(stream), signed, part, situation, here)


def _throttled(send: Send) -> Callable[[int, int], None]:
    """Send progress at the first bytes, at the last, and at each per cent in between.

    That is twice a second at most, and a hundred messages however long it takes, because the parent
    does not read without end (`serving.child.MAX_OUTPUT_BYTES`).
    """
    due, sent = 0.0, -1

    def on_progress(received: int, total: int) -> None:
        nonlocal due, sent
        percent = 100 * received // max(total, 1)
        if (monotonic() >= due and percent != sent) or received == total:
            due, sent = monotonic() + _PROGRESS_EVERY_S, percent
            send({"state": "downloading", "received": received, "total": total})

    return on_progress


def _send(message: dict[str, object]) -> None:
    try:
        sys.stdout.write(f"{json.dumps(message)}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the program that asked has ended
        os._exit(1)


if __name__ == "__main__":
    main()
