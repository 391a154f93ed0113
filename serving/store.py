"""Bundles on the gateway's disk, and which of them serves: enough to start without a network.

    <state_dir>/bundles/<sha256>.zip     verified bundles, named by their digest
    <state_dir>/active/<stream>.json     which one serves, which served before, what is pinned
    <state_dir>/subscriptions.json       filters the broker's session has
    <state_dir>/drift/<stream>           what drift was counted, see agent/journal/drift_state.py
    <state_dir>/registry/, trust.json    the trust plane's own state

Every file is replaced atomically and fsynced: a power cut leaves the old one or the new one.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.bundle.manifest import Name, Sha256
from models.bundle.package import Bundle, read_bundle
from models.errors import BundleError, DigestMismatchError
from models.files import write_atomically


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Kept(_Record):
    """A bundle on disk."""

    seq: Annotated[int, Field(ge=1)]
    version: str
    sha256: Sha256


class Active(_Record):
    """What one stream runs.

    Attributes:
        stream: whose.
        serving: the bundle that serves.
        earlier: those that served before, newest first.
        pinned: the seq that a push selected; None follows the newest published.
    """

    stream: Name
    serving: Kept
    earlier: tuple[Kept, ...] = ()
    pinned: Annotated[int, Field(ge=1)] | None = None

    @property
    def candidates(self) -> tuple[Kept, ...]:
        """What to try at a start, best first."""
        return (self.serving, *self.earlier)


class Store:
    """The gateway's bundles.

    Args:
        state_dir: the agent's own folder.
        keep: how many bundles of a stream stay on disk, the serving one among them.
    """

    def __init__(self, state_dir: Path, keep: int) -> None:
        self.state_dir = state_dir
        self.bundles_dir = state_dir / "bundles"
        self.drift_dir = state_dir / "drift"
        self._active_dir = state_dir / "active"
        self._subscriptions = state_dir / "subscriptions.json"
        self._keep = keep
        self._set_aside: dict[str, str] = {}

    def active(self, stream: str) -> Active | None:
        """What the stream ran last, None if nothing or if the record is damaged."""
        try:
            return Active.model_validate_json((self._active_dir / f"{stream}.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def commit(self, stream: str, serving: Kept, pinned: int | None) -> Active:
        """Record that a bundle serves, and remove those that are no longer kept.

        Raises:
            OSError: the disk is full or broken; the old record stands.
        """
        before = self.active(stream)
        earlier = () if before is None else before.candidates
        others = tuple(kept for kept in earlier if kept.sha256 != serving.sha256)
        record = Active(
            stream=stream, serving=serving, earlier=others[: self._keep - 1], pinned=pinned
        )
        write_atomically(
            self._active_dir / f"{stream}.json", record.model_dump_json(indent=1).encode()
        )
        gone = [kept.sha256 for kept in others[self._keep - 1 :]]
        if stream in self._set_aside:
            gone.append(self._set_aside.pop(stream))
        for sha256 in gone:
            self._forget(sha256)
        return record

    def set_aside(self, stream: str, sha256: str) -> None:
        """Keep a bundle that was fetched and does not serve, so that it is not fetched again.

        One a stream, and until the next one serves.
        """
        before = self._set_aside.get(stream, sha256)
        self._set_aside[stream] = sha256
        if before != sha256:
            self._forget(before)

    def sweep(self) -> None:
        """Remove what no record names: fetched before a power cut, or set aside before a restart.

        To be called before anything is fetched. Next to a damaged record nothing is removed.
        """
        records = [self.active(path.stem) for path in self._active_dir.glob("*.json")]
        named = {kept.sha256 for record in records if record for kept in record.candidates}
        if all(records):
            for path in self.bundles_dir.glob("*.zip"):
                if path.stem not in named:
                    path.unlink(missing_ok=True)

    def load(self, kept: Kept) -> Bundle:
        """Read a kept bundle.

        Raises:
            BundleError: it is gone or cannot be read.
            DigestMismatchError: its bytes changed on disk.
        """
        path = self.path(kept.sha256)
        try:
            content = path.read_bytes()
        except OSError as exc:
            raise BundleError(f"{path} cannot be read: {exc.strerror}") from exc
        found = hashlib.sha256(content).hexdigest()
        if found != kept.sha256:
            raise DigestMismatchError(f"{path} has sha256 {found} on disk")
        return read_bundle(content)

    def path(self, sha256: str) -> Path:
        """Where the bundle of a digest is kept."""
        return self.bundles_dir / f"{sha256}.zip"

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

    def _forget(self, sha256: str) -> None:
        """Remove a bundle unless another stream serves or keeps it."""
        for record in self._active_dir.glob("*.json"):
            other = self.active(record.stem)
            if other is not None and any(kept.sha256 == sha256 for kept in other.candidates):
                return
        self.path(sha256).unlink(missing_ok=True)
