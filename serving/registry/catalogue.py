"""The catalogue: which of the signed files are bundles of a stream, and which of them may run.

Pure decisions on what `serving.registry.trust` has verified. A bundle is signed twice over, by the
path it has in the registry and by the description beside it; where the two differ nothing of it is
believed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from models.bundle.identity import BundleRef
from serving.registry.refusals import (
    BelowFloorError,
    MetadataError,
    NotPublishedError,
    OversizedError,
    RevokedError,
    WrongStreamError,
)

_BUNDLE_PATH: Final = re.compile(
    r"bundles/(?P<stream>[A-Za-z0-9][A-Za-z0-9._-]{0,63})/(?P<seq>[1-9][0-9]{0,15})/"
    r"(?P<sha256>[0-9a-f]{64})\.zip"
)


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A file of the registry as its publisher has signed it.

    Attributes:
        path: below targets/.
        sha256: of its bytes; None if it was signed with another digest only.
        length: in bytes.
        description: any JSON; of a bundle {"stream", "seq", "floor_seq", "revoked"}.
    """

    path: str
    sha256: str | None
    length: int
    description: Any


@dataclass(frozen=True, slots=True)
class Target:
    """A signed bundle.

    Attributes:
        ref: the bundle, as its publisher has signed it.
        path: below targets/.
        floor_seq: the publisher lets no older bundle of the stream run.
        revoked: the publisher has withdrawn it.
    """

    ref: BundleRef
    path: str
    floor_seq: int = 0
    revoked: bool = False


def select(files: Iterable[SignedFile], stream: str, seq: int | None, *, max_bytes: int) -> Target:
    """Find the bundle of a stream that may run.

    Args:
        files: everything that is signed.
        stream: whose bundle.
        seq: which one; None takes the newest that is neither revoked nor below the floor.
        max_bytes: longest bundle that the operator allows.

    Raises:
        NotPublishedError, RevokedError, BelowFloorError, OversizedError: why it may not run.
        WrongStreamError, MetadataError: the stream's entries contradict themselves.
    """
    targets = _targets(files, stream)
    floor = max((target.floor_seq for target in targets.values()), default=0)
    if seq is None:
        sound = (s for s, target in targets.items() if s >= floor and not target.revoked)
        seq = max(sound, default=max(targets, default=0))
    target = targets.get(seq)
    if target is None:
        newest = ", ".join(map(str, sorted(targets)[-5:])) or "none"
        wish = f"seq {seq}" if seq else "bundle"
        raise NotPublishedError(f"{stream} has no {wish}; the newest published: {newest}")
    if target.revoked:
        raise RevokedError(f"{stream} seq {seq} was revoked by its publisher")
    if seq < floor:
        raise BelowFloorError(f"{stream} seq {seq} is below {floor}, the oldest that may run")
    if target.ref.size > max_bytes:
        raise OversizedError(
            f"{stream} seq {seq} has {target.ref.size} bytes, allowed are {max_bytes}"
            " (registry.max_bundle_bytes)"
        )
    return target


def _targets(files: Iterable[SignedFile], stream: str) -> Mapping[int, Target]:
    targets: dict[int, Target] = {}
    for file in files:
        match = _BUNDLE_PATH.fullmatch(file.path)
        if match is None or match["stream"] != stream:
            continue
        target = _target(file, match)
        seq = target.ref.seq
        if seq in targets:
            raise MetadataError(f"two bundles are signed as {stream} seq {seq}")
        targets[seq] = target
    return targets


def _target(file: SignedFile, match: re.Match[str]) -> Target:
    said: Any = file.description if isinstance(file.description, dict) else {}
    stream, seq, sha256 = match["stream"], int(match["seq"]), match["sha256"]
    found = (said.get("stream"), said.get("seq"))
    if found != (stream, seq):
        raise WrongStreamError(f"{file.path} is signed as stream and seq {found!r:.100}")
    if file.sha256 != sha256:
        raise WrongStreamError(f"{file.path} is signed with sha256 {file.sha256!r:.80}")
    floor_seq, revoked = said.get("floor_seq", 0), said.get("revoked", False)
    if type(floor_seq) is not int or type(revoked) is not bool:
        raise MetadataError(
            f"{file.path}: floor_seq must be a whole number and revoked a boolean, "
            f"found {floor_seq!r:.20} and {revoked!r:.20}"
        )
    ref = BundleRef(stream, seq, sha256, file.length)
    return Target(ref, file.path, floor_seq, revoked)
