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
    {"state": "resolved", "withdrawn": ["9f2c..."]}                   of the bundles on disk
    {"state": "downloading", "received": 65536, "total": 3145728}
    {"state": "verified", "sha256": ..., "seq": 7, "length": 3145728}
    {"state": "current", ...the same...}                              nothing was downloaded
    {"state": "rollout", "part": {...}}                               see serving.registry.part
    {"state": "refused", "error": "rollback", "message": ...}         a code of refusals.py
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

from models.address import without_secrets
from models.bundle.identity import BundleRef
from serving.child import Flag, Patience, lines, started
from serving.registry.access import OPEN, Access
from serving.registry.part import Part, Situation
from serving.registry.refusals import (
    PullCancelledError,
    PullFailedError,
    PullTimeoutError,
    error_of,
)

MAX_REQUEST_BYTES: Final = 64 << 10
"""Bytes that the child reads as its request."""

_OUTCOME: Final = frozenset({"sha256", "seq", "length"})
_MESSAGE_KEYS: Final = {
    "resolving": frozenset[str](),
    "resolved": frozenset({"withdrawn"}),
    "downloading": frozenset({"received", "total"}),
    "verified": _OUTCOME,
    "current": _OUTCOME,
    "refused": frozenset({"error", "message"}),
    "rollout": frozenset({"part"}),
}


def _ignore(_withdrawn: Sequence[str]) -> None:
    """For callers that have nothing on disk."""


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
        quarantined: digests of bundles that have failed on this gateway.
        has_run: numbers of the bundles that have served here, if none before them is allowed.
        deadline_s: seconds that the whole pull may take.
        check: whether to verify and select only, without a download.
        refused: digests of bundles that are not downloaded either, because they were refused here.
        kept: digests of the bundles of the stream that are on disk.
        access: what identifies this gateway to the registry, and where redirects may lead.
        situation: what this gateway knows of itself, for its part in a rollout; None selects
            without regard to rollouts.
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
    quarantined: tuple[str, ...] = ()
    has_run: tuple[int, ...] = ()
    refused: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    access: Access = OPEN
    situation: Situation | None = None

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
        situation = Situation(**fields["situation"]) if fields["situation"] else None
        return cls(**(fields | paths | {"access": access, "situation": situation}))


def pull(
    request: PullRequest,
    *,
    on_progress: Callable[[int, int], None],
    cancelled: Flag,
    on_resolved: Callable[[Sequence[str]], None] = _ignore,
    on_rollout: Callable[[Part], None] = lambda _: None,
) -> BundleRef:
    """Select, download and verify a bundle in a child process; blocks, so call it on a worker.

    Args:
        request: which bundle, and the limits.
        on_progress: called on this thread with the bytes received and the bytes of the whole
            bundle, at each per cent and at most twice a second.
        cancelled: event to set, on any thread, to end the pull within about 0.1 s.
        on_resolved: called on this thread, once the signed list is verified, with the digests of
            `request.kept` that the publisher has withdrawn; also where the pull is refused then.
        on_rollout: called on this thread with the part of this gateway in the rollout of the
            stream, before the bundle is selected; not called where there is none.

    Returns:
        The bundle that was selected. Its file, whose bytes are those that are signed, is
        `destination_dir / ref.file_name`; after a check, and for a bundle of `request.refused`,
        nothing was downloaded.

    Raises:
        UntrustedBundleError, DigestMismatchError: the bundle is refused; the code names the attack.
        TransientError: the pull failed for now; see `serving.registry.refusals` for the kinds.
    """
    patience = Patience(
        ends_at=monotonic() + request.deadline_s,
        cancelled=cancelled,
        on_timeout=PullTimeoutError(
            "the pull was not finished by the deadline (registry.deadline_s); the next one"
            " continues what was received"
        ),
        on_cancel=PullCancelledError(
            "the pull was cancelled; the next one continues what was received"
        ),
    )
    try:
        message = _outcome(request, patience, on_progress, on_resolved, on_rollout)
    except OSError as exc:
        raise PullFailedError(f"the child cannot be started: {exc.strerror}") from exc
    if message["state"] == "refused":
        raise error_of(message["error"], without_secrets(message["message"]))
    return BundleRef(request.stream, message["seq"], message["sha256"], message["length"])


def _outcome(
    request: PullRequest,
    patience: Patience,
    on_progress: Callable[[int, int], None],
    on_resolved: Callable[[Sequence[str]], None],
    on_rollout: Callable[[Part], None],
) -> dict[str, Any]:
    """The last message of the child: what was selected, or why the bundle is refused."""
    with started("serving.registry.pull_child", request.to_json()) as child:
        for line in lines(child.stdout, patience):
            message = _message(line)
            if message["state"] == "downloading":
                on_progress(message["received"], message["total"])
            elif message["state"] == "resolved":
                on_resolved(message["withdrawn"])
            elif message["state"] == "rollout":
                on_rollout(_part(message))
            elif message["state"] != "resolving":
                return message
    raise PullFailedError("the child ended without an answer; its log says why")


def _part(message: dict[str, Any]) -> Part:
    try:
        return Part(**message["part"])
    except TypeError as exc:
        raise PullFailedError(f"the child's message cannot be read: {exc}") from exc


def _message(line: bytes) -> dict[str, Any]:
    try:
        message: dict[str, Any] = json.loads(line)
        missing = _MESSAGE_KEYS[message["state"]] - message.keys()
    except (ValueError, TypeError, KeyError) as exc:
        raise PullFailedError(f"the child's message cannot be read: {line[:200]!r}") from exc
    if missing:
        raise PullFailedError(f"the child's message lacks {', '.join(sorted(missing))}")
    return message
