"""A publication: the signed documents of a TUF registry that belong together.

The timestamp refers to the snapshot, the snapshot to the list of targets and to that of the stages
of rollouts, where there are some; and the root has the keys. To publish is to load these documents,
change them, and sign them again from bottom to top.

Nothing is signed that is based on metadata which our own keys did not sign, or which is older than
what was signed here before: whoever can write to the registry's folder must not get a signature by
it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from models.bundle.stream_list import role_of, stream_of
from models.files import write_atomically
from serving.publishing import delegation
from serving.publishing.chain import holds, lacks_root, read_chain
from serving.publishing.documents import (
    Document,
    S,
    check_length,
    prune,
    read,
    releases_of,
)
from serving.publishing.keys import Keys, KeysError
from serving.publishing.releases import RegistryError, Release, Validity
from serving.publishing.seal_record import Seal, SealRecord, TufRole
from serving.publishing.stream_lists import StreamLists, divide, is_signed

Role = Literal["root", "targets", "online"]

# Versions of targets and snapshot that are kept for gateways in the middle of a refresh.
KEPT_VERSIONS: Final = 10
_DIVIDE: Final = "'registry delegate' gives each stream a list of its own"
_SPLIT: Final = "divide the streams among several registries"
TUF_ROLES: Final = {
    "root": ("root",),
    "targets": ("targets",),
    "online": ("snapshot", "timestamp"),
}


@dataclass
class Publication:
    """The documents of a registry; a new instance is empty, for the first publication.

    Attributes:
        folder: path of the registry's metadata/.
        keys: the folder with the signing keys, the trusted root and the record of what was sealed.
        validity: how long new signatures are valid.
        root: the root metadata, with the keys of each role.
        targets: the list of bundles.
        snapshot: the version of the list of bundles.
        timestamp: the version of the snapshot.
        stages: the list of stages, see `serving.publishing.delegation`; None without rollouts.
        seals: version and digest of each document in the folder, by TUF role.
        lists: the lists of single streams, where the registry has them.
        changed: the lists that were changed, and are to be signed.
    """

    folder: Path
    keys: Keys
    validity: Validity
    root: Metadata[Root] = field(default_factory=lambda: _unsigned(Root()))
    targets: Metadata[Targets] = field(default_factory=lambda: _unsigned(Targets()))
    snapshot: Metadata[Snapshot] = field(default_factory=lambda: _unsigned(Snapshot()))
    timestamp: Metadata[Timestamp] = field(default_factory=lambda: _unsigned(Timestamp()))
    stages: Metadata[Targets] | None = None
    seals: dict[TufRole, Seal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.signers = self.keys.signers()
        self.lists = StreamLists(self.folder, self.targets.signed, self.snapshot.signed)
        self.changed: set[TufRole] = set()
        self._new: set[TufRole] = {"snapshot", delegation.ROLE}

    @classmethod
    def load(cls, folder: Path, keys: Keys, validity: Validity) -> "Publication":
        """Read the current documents in `folder`, and verify them by the root of `keys`.

        Raises:
            RegistryError: a document is missing, not signed by the keys that our root has, or older
                than what was signed or seen here before.
            KeysError: a key or the record of what was sealed cannot be read.
        """
        record = SealRecord.read(keys.sealed)
        chain = read_chain(folder, keys, record)
        loaded = cls(
            folder,
            keys,
            validity,
            chain.root.metadata,
            chain.targets.metadata,
            chain.snapshot.metadata,
            chain.timestamp.metadata,
            chain.stages.metadata if chain.stages is not None else None,
            chain.seals,
        )
        loaded._continue(chain.root, record)
        return loaded

    def require(self, *roles: Role) -> None:
        """Check before a change that it can be signed.

        Raises:
            KeysError: the folder has fewer keys of a role than must sign.
        """
        for role in roles:
            if not self.can_sign(role):
                self._lacks(role)

    def require_one(self, role: Role) -> None:
        """Check before a change that the folder has at least one of the keys that must sign it.

        Raises:
            KeysError: it has none.
        """
        if not self.holds(role):
            self._lacks(role)

    def can_sign(self, role: Role) -> bool:
        """Whether the folder has enough keys to sign as `role`."""
        return len(self.holds(role)) >= self.root.signed.roles[TUF_ROLES[role][0]].threshold

    def holds(self, role: Role) -> list[str]:
        """Ids of the keys in the folder that may sign as `role`."""
        return [keyid for keyid in self.keyids(TUF_ROLES[role][0]) if keyid in self.signers]

    def is_due(self, role: Literal["root", "targets"]) -> bool:
        """Whether the metadata of `role` should be signed anew."""
        if role == "targets" and self.keys.accepts_restored:
            return True  # gateways may have seen a higher version of it
        if role == "targets" and (
            delegation.is_outdated(self.targets.signed, self.root.signed)
            or not is_signed(self.targets, self.root.signed)
        ):
            return True
        signed = self.root.signed if role == "root" else self.targets.signed
        return self.validity.is_due(role, signed.expires)

    def releases(self, stream: str) -> tuple[Release, ...]:
        """All bundles of a stream, sorted by seq."""
        found = releases_of(self.targets.signed)
        if (role := role_of(stream)) in delegation.lists(self.targets.signed):
            found += releases_of(self.lists.of(role).signed)
        return tuple(release for release in found if release.stream == stream)

    def put(self, release: Release) -> None:
        """Add a release to the list that it belongs into, or replace its entry."""
        listed, role = self.targets, role_of(release.stream)
        if delegation.is_by_stream(self.targets.signed):
            listed = self.lists.of(role)
            if role not in delegation.lists(self.targets.signed):
                self.delegate(role)
            self.changed.add(role)
        else:
            self.changed.add("targets")
        listed.signed.targets[release.path] = TargetFile(
            release.length,
            {"sha256": release.sha256},
            release.path,
            {"custom": release.description},
        )

    def delegate(self, *roles: TufRole) -> None:
        """Let the present keys sign further roles; the list of bundles is to be signed then."""
        delegation.delegate(self.targets.signed, self.root.signed, *roles)
        self.changed.update({"targets", *(role for role in roles if stream_of(role) is not None)})

    def divide(self) -> int:
        """Give each stream a list of its own, and count them."""
        roles = divide(self.targets.signed, self.lists)
        self.delegate(*roles)
        return len(roles)

    def advance(self, metadata: Metadata[Any], former: Sequence[str] = ()) -> None:
        """Give a document its next version and its expiry, and sign it with all keys at hand.

        Args:
            metadata: the document.
            former: ids of root keys that the document replaces, and that must sign it too.
        """
        role: TufRole = self._role(metadata)
        if metadata is self.targets:
            delegation.delegate(self.targets.signed, self.root.signed)
        if stream_of(role) is not None:  # see `serving.publishing.stream_lists`
            metadata.signed.version = max(metadata.signed.version, self.snapshot.signed.version)
        metadata.signed.version += 1
        metadata.signed.expires = datetime.now(UTC).replace(microsecond=0) + self.validity.of(role)
        metadata.signatures.clear()
        for keyid in (*self.keyids(role), *former):
            if keyid in self.signers:
                metadata.sign(self.signers[keyid], append=True)

    def sign_root(self, former: Sequence[str] = ()) -> None:
        """Sign a new root, with the `former` root keys too; it takes effect at once."""
        self.advance(self.root, former)
        self.put_root()

    def put_root(self) -> None:
        """Write the root, which is signed already."""
        self._write(self.root, f"{self.root.signed.version}.root.json")
        write_atomically(self.keys.root, self.root.to_bytes())

    def sign_targets(self, *roles: TufRole) -> None:
        """Sign new lists, of all or of streams; readers do not see them before `sign_online`."""
        for role in roles or ("targets",):
            self.advance(self.listed(role))
            self.put_targets(role)

    def put_targets(self, role: TufRole = "targets") -> None:
        """Write a list, which is signed already."""
        listed = self.listed(role)
        name = f"{listed.signed.version}.{role}.json"
        self.snapshot.signed.meta[f"{role}.json"] = self._write(listed, name)
        self.lists.forget(role)
        self._new.add(role)

    def listed(self, role: TufRole) -> Metadata[Targets]:
        """The list of bundles, or that of a stream, by its role."""
        return self.targets if role == "targets" else self.lists.of(role)

    def sign_online(self, *, has_new_stage: bool = False) -> None:
        """Sign snapshot and timestamp; the new timestamp makes all changes visible at once.

        Args:
            has_new_stage: whether the list of stages was changed. It is signed anew also where its
                signature expires soon, or is by a key that was replaced.
        """
        if delegation.keyids(self.targets.signed) and (has_new_stage or self._needs_new_stages()):
            self._sign_stages()
        self.advance(self.snapshot)
        name = f"{self.snapshot.signed.version}.snapshot.json"
        self.timestamp.signed.snapshot_meta = self._write(self.snapshot, name)
        self.advance(self.timestamp)
        self._write(self.timestamp, "timestamp.json")
        self.remember()
        for role in self._new & self.seals.keys():
            prune(self.folder, role, self.seals[role].version, KEPT_VERSIONS)
        self.lists = StreamLists(self.folder, self.targets.signed, self.snapshot.signed)

    def _needs_new_stages(self) -> bool:
        stages = self.stages
        if not any(keyid in self.signers for keyid in self.keyids(delegation.ROLE)):
            return False
        if stages is None or self.keys.accepts_restored:
            return True
        signed = self.targets.signed.get_verification_result(
            delegation.ROLE, stages.signed_bytes, stages.signatures
        )
        return not signed or self.validity.is_due(delegation.ROLE, stages.signed.expires)

    def _sign_stages(self) -> None:
        if self.stages is None:
            self.stages = _unsigned(Targets())
            self.stages.signed.version = SealRecord.read(self.keys.sealed).version(delegation.ROLE)
        self.advance(self.stages)
        name = f"{self.stages.signed.version}.{delegation.ROLE}.json"
        self.snapshot.signed.meta[f"{delegation.ROLE}.json"] = self._write(self.stages, name)

    def versions(self) -> dict[str, int]:
        """The version of each document in the folder that was read, by TUF role."""
        read = {role for role in self.seals if stream_of(role) is None} | set(self.lists.known())
        return {role: seal.version for role, seal in self.seals.items() if role in read}

    def keyids(self, tuf_role: str) -> list[str]:
        """Ids of the keys that may sign as a TUF role."""
        if tuf_role == delegation.ROLE:
            return delegation.keyids(self.targets.signed)
        if stream_of(tuf_role) is not None:
            tuf_role = "targets"
        return self.root.signed.roles[tuf_role].keyids

    def remember(self) -> None:
        """Record beside the keys what the folder holds now."""
        record = SealRecord(roles=self.seals)
        if record != SealRecord.read(self.keys.sealed):
            record.write(self.keys.sealed)

    def _lacks(self, role: Role) -> NoReturn:
        needed = self.root.signed.roles[TUF_ROLES[role][0]]
        ids = ", ".join(f"{role}-{keyid[:8]}.pem" for keyid in needed.keyids)
        raise KeysError(
            f"{self.keys.folder} lacks the {role} key: signing needs {needed.threshold} of {ids}"
        )

    def _write(self, metadata: Metadata[Any], name: str) -> MetaFile:
        self._check_unchanged()
        content = metadata.to_bytes()
        role = self._role(metadata)
        is_one_list = role == "targets" and not delegation.is_by_stream(self.targets.signed)
        check_length(metadata.signed.type, content, _DIVIDE if is_one_list else _SPLIT)
        write_atomically(self.folder / name, content, below=self.folder.parent)
        digest = hashlib.sha256(content).hexdigest()
        self.seals[role] = Seal(version=metadata.signed.version, sha256=digest)
        return MetaFile(metadata.signed.version, len(content), {"sha256": digest})

    def _role(self, metadata: Metadata[Any]) -> TufRole:
        kind: str = metadata.signed.type
        return delegation.ROLE if metadata is self.stages else self.lists.role(metadata) or kind

    def _check_unchanged(self) -> None:
        """Notice another process that signs with keys of another folder, under another lock."""
        loaded = self.seals.get("timestamp")
        if loaded is not None and read(Timestamp, self.folder).seal != loaded:
            raise RegistryError(
                f"{self.folder.parent} was changed in the meantime by a process that signs with the"
                " keys of another folder; nothing was published: run the command again"
            )

    def _continue(self, root: Document[Root], record: SealRecord) -> None:
        """Compare what was loaded with the record, and take what is newer into it.

        Where a restored registry is accepted, versions go on from the highest that was signed here,
        because gateways refuse lower ones.
        """
        path = self.folder / f"{root.metadata.signed.version}.root.json"
        if self.keys.accepts_restored:
            self._write(root.metadata, path.name)
            for role, metadata in (
                ("targets", self.targets),
                ("snapshot", self.snapshot),
                ("timestamp", self.timestamp),
                (delegation.ROLE, self.stages),
            ):
                if metadata is not None:
                    signed = metadata.signed
                    signed.version = max(signed.version, record.version(role))
            # Gateways refuse a registry that lacks what they have seen.
            self.delegate(*(role for role in record.roles if stream_of(role) is not None))
            self.changed.update(delegation.lists(self.targets.signed))
            return
        record.check(self.seals)
        if not holds(path, root.content):
            raise lacks_root(path, self.keys)
        self.remember()


def _unsigned(signed: S) -> Metadata[S]:
    signed.version = 0  # signing increments it to 1
    return Metadata(signed)
