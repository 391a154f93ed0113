"""Bundles on the gateway's disk, and which of them serves: enough to start without a network.

    <state_dir>/bundles/<sha256>.zip     verified bundles, named by their digest
    <state_dir>/active/<stream>.json     which one serves, which served before, what is pinned
    <state_dir>/shadow/<stream>.json     what runs in its shadow, see shadow_record.py of updates
    <state_dir>/subscriptions.json       filters the broker's session has
    <state_dir>/drift/<stream>           what drift was counted, see agent/journal/drift_state.py
    <state_dir>/deaths.json              deaths of the program by a model, see serving/incidents
    <state_dir>/quarantine.json          bundles that must not serve here again
    <state_dir>/proofs/<sha256>.json     how its proof ended, see serving/proof/records.py
    <state_dir>/registry/, trust.json    the trust plane's own state

Every file is replaced atomically and fsynced: a power cut leaves the old one or the new one.
"""

import hashlib
import json
import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.bundle.archive import read_member
from models.bundle.identity import BundleRef
from models.bundle.manifest import MemberFile, Name, Sha256
from models.bundle.package import StoredBundle, load_bundle
from models.errors import BundleError, DigestMismatchError
from models.files import write_atomically

_LEFT_OVER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Active:
    """What one stream runs, and what it ran before.

    Attributes:
        serving: the bundle that serves.
        earlier: bundles that served before and are still on disk, newest first.
        pinned: seq that a push has selected; None follows the newest that is published.
    """

    serving: BundleRef
    earlier: tuple[BundleRef, ...] = ()
    pinned: int | None = None

    @property
    def candidates(self) -> tuple[BundleRef, ...]:
        """What to try at a start, best first."""
        return (self.serving, *self.earlier)

    @property
    def has_run(self) -> tuple[int, ...]:
        """Numbers of the bundles that have served here, as far as they are kept."""
        return tuple(ref.seq for ref in self.candidates)


class _Entry(BaseModel):
    """A bundle in the file active/<stream>.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seq: Annotated[int, Field(ge=1)]
    version: str
    sha256: Sha256


class _Record(BaseModel):
    """The file active/<stream>.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stream: Name
    serving: _Entry
    earlier: tuple[_Entry, ...] = ()
    pinned: Annotated[int, Field(ge=1)] | None = None


class Store:
    """The gateway's bundles.

    Args:
        state_dir: the agent's own folder.
        keep: how many bundles of a stream stay on disk, the serving one among them.

    Attributes:
        state_dir: as given.
        bundles_dir: folder of the bundles.
        drift_dir: folder of the counts of drift.
        reserved: digests of bundles that stay on disk though no record of what serves names them.
    """

    def __init__(self, state_dir: Path, keep: int) -> None:
        self.state_dir = state_dir
        self.bundles_dir = state_dir / "bundles"
        self.drift_dir = state_dir / "drift"
        self._active_dir = state_dir / "active"
        self._subscriptions = state_dir / "subscriptions.json"
        self._keep = keep
        self._set_aside: dict[str, BundleRef] = {}
        self.reserved: frozenset[str] = frozenset()

    def active(self, stream: str) -> Active | None:
        """What the stream ran last, None if nothing or if the record is damaged."""
        try:
            content = (self._active_dir / f"{stream}.json").read_bytes()
            record = _Record.model_validate_json(content)
        except (OSError, ValidationError):
            return None
        serving, *earlier = (
            BundleRef(record.stream, entry.seq, entry.sha256, version=entry.version)
            for entry in (record.serving, *record.earlier)
        )
        return Active(serving, tuple(earlier), record.pinned)

    def commit(
        self, serving: BundleRef, pinned: int | None, unwanted: AbstractSet[str] = frozenset()
    ) -> Active:
        """Record that a bundle serves its stream, and remove those that are no longer kept.

        Args:
            serving: the bundle that serves.
            pinned: seq that a push has selected; None follows the newest that is published.
            unwanted: digests of bundles that are not kept, however new they are.

        Raises:
            OSError: the disk is full or broken; the old record stands.
        """
        stream = serving.stream
        before = self.active(stream)
        earlier = () if before is None else before.candidates
        others = tuple(
            ref for ref in earlier if ref.sha256 not in unwanted and ref.sha256 != serving.sha256
        )
        active = Active(serving, others[: self._keep - 1], pinned)
        write_atomically(self._active_dir / f"{stream}.json", _written(active))
        gone = [ref for ref in earlier if ref not in active.candidates]
        if stream in self._set_aside:
            gone.append(self._set_aside.pop(stream))
        for ref in gone:
            self._forget(ref)
        return active

    def set_aside(self, ref: BundleRef) -> None:
        """Keep a bundle that was fetched and does not serve, so that it is not fetched again.

        One a stream, and until the next one serves.
        """
        before = self._set_aside.get(ref.stream, ref)
        self._set_aside[ref.stream] = ref
        if before != ref:
            self._forget(before)

    def sweep(self) -> None:
        """Remove what no record names: fetched before a power cut, or set aside before a restart.

        To be called before anything is fetched. Next to a damaged record nothing is removed.
        """
        records = [self.active(path.stem) for path in self._active_dir.glob("*.json")]
        named = {ref.sha256 for record in records if record for ref in record.candidates}
        named |= self.reserved
        # Of `write_atomically`, in a process that was killed; another command may write right now.
        for left_over in self.state_dir.glob(f".*.{'[0-9a-f]' * 16}"):
            if left_over.stat().st_mtime < time.time() - _LEFT_OVER_S:
                left_over.unlink(missing_ok=True)
        if all(records):
            for path in self.bundles_dir.glob("*.zip"):
                if path.stem not in named:
                    path.unlink(missing_ok=True)

    def load(self, ref: BundleRef) -> StoredBundle:
        """Read a kept bundle.

        Raises:
            BundleError: it is gone or cannot be read.
            DigestMismatchError: its bytes changed on disk.
        """
        path = self.path(ref)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != ref.sha256:
                raise DigestMismatchError(f"{path} has sha256 {found} on disk")
            bundle = load_bundle(path)
        except OSError as exc:
            raise BundleError(f"{path} cannot be read: {exc.strerror}") from exc
        if bundle.sha256 != ref.sha256:
            raise DigestMismatchError(f"{path} has changed while it was read")
        return bundle

    def member(self, ref: BundleRef, file: MemberFile) -> bytes:
        """Read one member of a kept bundle, without the others.

        Args:
            ref: the bundle.
            file: the member, as the manifest of the bundle names it.

        Raises:
            BundleError: it is gone or cannot be read.
            DigestMismatchError: its bytes changed on disk.
        """
        content = read_member(self.path(ref), file.name, file.size)
        found = hashlib.sha256(content).hexdigest()
        if found != file.sha256:
            raise DigestMismatchError(f"{file.name} in {self.path(ref)} has sha256 {found} on disk")
        return content

    def digests(self) -> set[str]:
        """Digests of all bundles that are on disk."""
        return {path.stem for path in self.bundles_dir.glob("*.zip")}

    def path(self, ref: BundleRef) -> Path:
        """Where a bundle is kept."""
        return self.bundles_dir / ref.file_name

    def subscriptions(self) -> list[str]:
        """Topic filters that the broker's session may still have."""
        try:
            found = json.loads(self._subscriptions.read_bytes())
        except (OSError, ValueError):
            return []
        return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []

    def keep_subscriptions(self, filters: list[str]) -> None:
        """Remember the filters, for the day the configuration drops one."""
        if filters != self.subscriptions():
            write_atomically(self._subscriptions, json.dumps(filters, indent=1).encode())

    def _forget(self, ref: BundleRef) -> None:
        """Remove a bundle unless another stream serves or keeps it, or it is reserved."""
        if ref.sha256 in self.reserved:
            return
        for record in self._active_dir.glob("*.json"):
            other = self.active(record.stem)
            if other is not None and any(kept.sha256 == ref.sha256 for kept in other.candidates):
                return
        self.path(ref).unlink(missing_ok=True)


def _written(active: Active) -> bytes:
    entries = [
        _Entry(seq=ref.seq, version=ref.version, sha256=ref.sha256) for ref in active.candidates
    ]
    record = _Record(
        stream=active.serving.stream,
        serving=entries[0],
        earlier=tuple(entries[1:]),
        pinned=active.pinned,
    )
    return record.model_dump_json(indent=1).encode()
