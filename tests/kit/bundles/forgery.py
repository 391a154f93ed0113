"""A registry with a list of bundles for each stream, made by whoever has some of its keys."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # it is public
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Snapshot,
    Targets,
    Timestamp,
)

from models.bundle.stream_list import pattern_of, role_of


@dataclass
class Forgery:
    """The documents of a registry, to be changed before they are signed.

    Attributes:
        folder: folder metadata/ of the registry.
        signers: signer of each TUF role: targets, snapshot, timestamp.
        timestamp: the timestamp.
        snapshot: the snapshot.
        targets: the list of bundles.
        lists: lists of streams that are signed anew, by the name of their role.
    """

    folder: Path
    signers: Mapping[str, CryptoSigner]
    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    targets: Metadata[Targets]
    lists: dict[str, Metadata[Targets]] = field(default_factory=dict)

    def list_of(self, stream: str) -> Targets:
        """The list of a stream, which is signed anew; an empty one where there is none."""
        name = role_of(stream)
        if name not in self.lists:
            meta = self.snapshot.signed.meta.get(f"{name}.json")
            expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=90)
            self.lists[name] = Metadata(Targets(expires=expires))
            self.lists[name].signed.version = 0
            if meta is not None:
                path = self.folder / f"{meta.version}.{name}.json"
                self.lists[name] = Metadata[Targets].from_file(str(path))
        return self.lists[name].signed

    def delegate(self, stream: str, *, paths: list[str] | None = None, name: str = "") -> None:
        """Leave a stream to its own list, or other paths to a list of another name."""
        key = self.signers["targets"].public_key
        known = self.targets.signed.delegations or Delegations({}, {})
        assert known.roles is not None
        role = name or role_of(stream)
        known.keys[key.keyid] = key
        known.roles[role] = DelegatedRole(
            role, [key.keyid], 1, terminating=True, paths=paths or [pattern_of(stream)]
        )
        self.targets.signed.delegations = known

    def move(self, stream: str) -> Targets:
        """Move the bundles of a stream from the list of all to its own."""
        listed = self.list_of(stream)
        self.delegate(stream)
        files = self.targets.signed.targets
        for path in [path for path in files if path.startswith(f"bundles/{stream}/")]:
            listed.targets[path] = files.pop(path)
        return listed

    def seal(self) -> None:
        """Sign everything, one version later."""
        for name, metadata in self.lists.items():
            self.snapshot.signed.meta[f"{name}.json"] = self._sealed(metadata, name)
        self.snapshot.signed.meta["targets.json"] = self._sealed(self.targets, "targets")
        self.timestamp.signed.snapshot_meta = self._sealed(self.snapshot, "snapshot")
        self._sealed(self.timestamp, "timestamp")

    def _sealed(self, metadata: Metadata[Any], name: str) -> MetaFile:
        metadata.signed.version += 1
        metadata.sign(self.signers.get(name) or self.signers[metadata.signed.type])
        content = metadata.to_bytes()
        prefix = "" if name == "timestamp" else f"{metadata.signed.version}."
        (self.folder / f"{prefix}{name}.json").write_bytes(content)
        digest = sha256(content).hexdigest()
        return MetaFile(metadata.signed.version, len(content), {"sha256": digest})


@contextmanager
def forging(folder: Path, signers: Mapping[str, CryptoSigner]) -> Iterator[Forgery]:
    """Change the documents of a registry, and sign them at the end.

    Args:
        folder: folder metadata/ of the registry.
        signers: signer of each TUF role, and of single lists by the name of their role.
    """
    timestamp = Metadata[Timestamp].from_file(str(folder / "timestamp.json"))
    version = timestamp.signed.snapshot_meta.version
    snapshot = Metadata[Snapshot].from_file(str(folder / f"{version}.snapshot.json"))
    version = snapshot.signed.meta["targets.json"].version
    targets = Metadata[Targets].from_file(str(folder / f"{version}.targets.json"))
    forgery = Forgery(folder, signers, timestamp, snapshot, targets)
    yield forgery
    forgery.seal()
