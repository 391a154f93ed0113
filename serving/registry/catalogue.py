"""The catalogue: which of the signed target files are bundles of a stream, and which may run.

Pure: it decides on target files (TUF specification, 4.5) whose signatures `serving.registry.trust`
has verified.

Rules:

- A bundle is the target `bundles/<stream>/<seq>/<sha256>.zip`. Other targets are ignored.
- Its `custom` object repeats `stream` and `seq`, and its SHA-256 is that of the path. Where they
  disagree, the whole stream is refused, because one of them was signed by mistake or in bad faith.
- A `seq` names one bundle of a stream. Two bundles with the same `seq` are refused.
- A bundle with `revoked` true does not run, nor one whose `seq` is below the highest `floor_seq` of
  the stream: so the publisher withdraws one bundle, or all before a certain one.
- Without a `seq` asked for, the newest bundle that may run is selected.
- A bundle that has failed on this gateway (`serving.incidents.quarantine`) is not selected.
- No bundle that is asked for by its `seq` may be older than one that has served on this gateway and
  may still run, so that whoever may publish `desired` cannot bring back an old model.
- A bundle longer than the operator allows is refused before it is downloaded.
- A list that is of one stream only must have nothing else in it (`models.bundle.stream_list`).
- A rollout keeps bundles from those that follow the newest, see `serving.registry.part`.

For example: of the bundles 5, 6 with `floor_seq` 6, and 7 with `revoked` true, the bundle 6 is
selected; asking for 5 raises BelowFloorError, asking for 7 RevokedError, asking for 8
NotPublishedError.
"""

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from models.bundle.identity import BundleRef
from models.bundle.stream_list import MAX_LIST_BYTES, belongs
from serving.registry.refusals import (
    BelowFloorError,
    DowngradeError,
    MetadataError,
    NotPublishedError,
    OversizedError,
    QuarantinedError,
    RevokedError,
    WrongStreamError,
)

_BUNDLE_PATH: Final = re.compile(
    r"bundles/(?P<stream>[A-Za-z0-9][A-Za-z0-9._-]{0,63})/(?P<seq>[1-9][0-9]{0,15})/"
    r"(?P<sha256>[0-9a-f]{64})\.zip"
)


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A target file of the registry, as its publisher has signed it.

    Attributes:
        path: path below targets/, with slashes.
        sha256: digest of its bytes, 64 hexadecimal digits; None if only other digests are signed.
        length: its bytes.
        description: its `custom` object, which may be any JSON; that of a bundle has the keys
            `stream`, `seq`, `floor_seq` and `revoked`, of which the last two may be missing.
    """

    path: str
    sha256: str | None
    length: int
    description: Any


@dataclass(frozen=True, slots=True)
class Target:
    """A signed bundle.

    Attributes:
        ref: reference to the bundle, with the size that is signed.
        path: path of the bundle below targets/, with slashes.
        floor_seq: lowest `seq` of the stream that may run, as signed with this bundle; 0 for any.
        revoked: whether the publisher has withdrawn the bundle.
    """

    ref: BundleRef
    path: str
    floor_seq: int = 0
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Here:
    """What this gateway allows, beside what its publisher does.

    Attributes:
        max_bytes: bytes of the longest bundle that the operator allows.
        quarantined: digests of bundles that have failed here.
        has_run: numbers of bundles that have served here. A bundle that is asked for may not be
            older than the newest of them that may still run; empty allows any.
        passed_over: numbers of bundles that are not selected as the newest, because a rollout
            keeps them from here.
        max_list_bytes: bytes of the longest signed document that is read.
    """

    max_bytes: int
    quarantined: AbstractSet[str] = frozenset()
    has_run: AbstractSet[int] = frozenset()
    passed_over: AbstractSet[int] = frozenset()
    max_list_bytes: int = MAX_LIST_BYTES


def select(files: Iterable[SignedFile], stream: str, seq: int | None, here: Here) -> Target:
    """Select the bundle of a stream that may run.

    Args:
        files: all target files that are signed.
        stream: stream of the bundle.
        seq: number of the bundle; None selects the newest that may run.
        here: what this gateway allows.

    Raises:
        NotPublishedError, RevokedError, BelowFloorError, QuarantinedError, DowngradeError,
        OversizedError: the bundle may not run, for the reason that the class names.
        WrongStreamError, MetadataError: what is signed for the stream contradicts itself.
    """
    targets = _targets(files, stream)
    floor = _floor(targets)
    allowed = {
        number
        for number, target in targets.items()
        if number >= floor and not target.revoked and target.ref.sha256 not in here.quarantined
    }
    newest_run = max(here.has_run & allowed, default=0)
    if seq is None:
        candidates = allowed - here.passed_over
        if here.passed_over and not candidates:
            raise NotPublishedError(
                f"{stream} has no bundle that may run here now: the newer ones wait for a rollout"
            )
        # Where none may run, the newest is taken, so that the error says why it may not.
        seq, newest_run = max(candidates, default=max(targets, default=0)), 0
    target = _allowed(targets, stream, seq, floor)
    if target.ref.sha256 in here.quarantined:
        raise QuarantinedError(
            f"{stream} seq {seq} has failed on this gateway and is in quarantine; publish a mended"
            f" bundle, or clear it with: millhand-agent models --clear {stream}#{seq}"
        )
    if seq < newest_run:
        raise DowngradeError(
            f"{stream} seq {seq} is older than seq {newest_run}, which has served here; revoke the"
            " newer ones, or set allow_downgrade = true under [updates] of the gateway"
        )
    if target.ref.size > here.max_bytes:
        raise OversizedError(
            f"{stream} seq {seq} has {target.ref.size} bytes, allowed are at most {here.max_bytes}"
            " (registry.max_bundle_bytes)"
        )
    return target


def withdrawn(files: Iterable[SignedFile], stream: str, kept: AbstractSet[str]) -> list[str]:
    """Find the bundles that the publisher has withdrawn since they came here.

    Args:
        files: all target files that are signed.
        stream: stream of the bundles.
        kept: digests of the bundles of the stream that are on disk.

    Returns:
        Digests of those that are revoked or below the floor of the stream, sorted. One that is not
        published any more is none of them: a publisher may tidy up.

    Raises:
        WrongStreamError, MetadataError: what is signed for the stream contradicts itself.
    """
    targets = _targets(files, stream)
    floor = _floor(targets)
    return sorted(
        target.ref.sha256
        for seq, target in targets.items()
        if (target.revoked or seq < floor) and target.ref.sha256 in kept
    )


def check_list(files: tuple[SignedFile, ...], stream: str) -> tuple[SignedFile, ...]:
    """Refuse the list of a stream that has files of others in it.

    Args:
        files: all target files of the list.
        stream: the stream that the list is of.

    Raises:
        WrongStreamError: the list has another file than bundles of the stream.
    """
    strange = next((file.path for file in files if not belongs(file.path, stream)), None)
    if strange is not None:
        raise WrongStreamError(f"the list of {stream} has a file of another: {strange!r:.200}")
    return files


def may_run(files: Iterable[SignedFile], stream: str) -> AbstractSet[int]:
    """Numbers of the bundles of a stream that their publisher lets run.

    Raises:
        WrongStreamError, MetadataError: what is signed for the stream contradicts itself.
    """
    targets = _targets(files, stream)
    floor = _floor(targets)
    return {seq for seq, target in targets.items() if seq >= floor and not target.revoked}


def _floor(targets: Mapping[int, Target]) -> int:
    """The lowest number of the stream that may run."""
    return max((target.floor_seq for target in targets.values()), default=0)


def _allowed(targets: Mapping[int, Target], stream: str, seq: int, floor: int) -> Target:
    """The bundle with this number, if its publisher lets it run."""
    target = targets.get(seq)
    if target is None:
        newest = ", ".join(map(str, sorted(targets)[-5:])) or "none"
        wanted = f"seq {seq}" if seq else "bundle"
        raise NotPublishedError(
            f"the registry has no {wanted} of {stream}; the newest published: {newest}"
        )
    if target.revoked:
        raise RevokedError(f"{stream} seq {seq} was revoked by its publisher")
    if seq < floor:
        raise BelowFloorError(
            f"{stream} seq {seq} is below {floor}, the oldest that its publisher lets run"
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
    custom: Any = file.description if isinstance(file.description, dict) else {}
    stream, seq, sha256 = match["stream"], int(match["seq"]), match["sha256"]
    signed = (custom.get("stream"), custom.get("seq"))
    if signed != (stream, seq):
        raise WrongStreamError(f"{file.path} is signed as stream and seq {signed!r:.100}")
    if file.sha256 != sha256:
        raise WrongStreamError(f"{file.path} is signed with sha256 {file.sha256!r:.80}")
    floor_seq, revoked = custom.get("floor_seq", 0), custom.get("revoked", False)
    # Exact types: in Python True is an int, and JSON's 1.0 is equal to 1.
    if type(floor_seq) is not int or type(revoked) is not bool:
        raise MetadataError(
            f"{file.path}: floor_seq must be a whole number and revoked a boolean, "
            f"found {floor_seq!r:.20} and {revoked!r:.20}"
        )
    ref = BundleRef(stream, seq, sha256, file.length)
    return Target(ref, file.path, floor_seq, revoked)
