"""The signed documents of a registry, read and verified from the trusted root downwards."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from serving.publishing import delegation
from serving.publishing.documents import Document, S, list_of, read, seals_of
from serving.publishing.keys import Keys
from serving.publishing.root_chain import newest_root
from serving.publishing.seal_record import REMEDY, RolledBackError, Seal, SealRecord, TufRole
from serving.publishing.stream_lists import seals_of_lists


@dataclass(frozen=True, slots=True)
class Chain:
    """Documents that belong together.

    Attributes:
        root: the trusted root.
        targets: the list of bundles.
        snapshot: the version of the list of bundles.
        timestamp: the version of the snapshot.
        stages: the list of stages; None without rollouts.
    """

    root: Document[Root]
    targets: Document[Targets]
    snapshot: Document[Snapshot]
    timestamp: Document[Timestamp]
    stages: Document[Targets] | None

    @property
    def seals(self) -> dict[TufRole, Seal]:
        """Version and digest of each document, by TUF role."""
        found: list[Document[Any]] = [self.root, self.targets, self.snapshot, self.timestamp]
        lists = seals_of_lists(self.targets.metadata.signed, self.snapshot.metadata.signed)
        return lists | seals_of(*found, *([self.stages] if self.stages is not None else []))


def read_chain(folder: Path, keys: Keys, record: SealRecord) -> Chain:
    """Read the current documents in `folder`, and verify them by the root of `keys`.

    Args:
        folder: path of the registry's metadata/.
        keys: the folder with the trusted root.
        record: what was signed or seen here last.

    Raises:
        RegistryError: a document is missing, or not signed by the keys that our root has.
    """
    root = newest_root(folder, keys)
    timestamp = read(Timestamp, folder)
    root_file = folder / f"{root.metadata.signed.version}.root.json"
    if not keys.accepts_restored and not root_file.is_file():
        raise lacks_root(root_file, keys)  # its documents may have signatures by older keys

    def verified(document: Document[S], by: Document[Any] = root) -> Document[S]:
        # What we have sealed ourselves needs no signature by today's keys: a rotation may have
        # been cut before its new keys had signed everything.
        if record.roles.get(document.role) != document.seal:
            document.verify(by.metadata, keys.root if by is root else by.path)
        return document

    named = verified(timestamp).metadata.signed.snapshot_meta
    snapshot = verified(read(Snapshot, folder, named.version)).checked(named)
    listed = list_of(snapshot)
    targets = verified(read(Targets, folder, listed.version)).checked(listed)
    stages = None
    if delegation.keyids(targets.metadata.signed):
        listed = list_of(snapshot, delegation.ROLE)
        found = read(Targets, folder, listed.version, role=delegation.ROLE)
        stages = verified(found, targets).checked(listed)
    return Chain(root, targets, snapshot, timestamp, stages)


def lacks_root(path: Path, keys: Keys) -> RolledBackError:
    """The error that says that the registry lacks the trusted root."""
    return RolledBackError(
        f"{path} is missing, or is not {keys.root}: an older copy of the registry was put back."
        f" {REMEDY}"
    )


def holds(path: Path, content: bytes) -> bool:
    """Whether a file has this content."""
    try:
        return path.is_file() and path.read_bytes() == content
    except OSError:
        return False
