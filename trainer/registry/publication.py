"""A publication: the four signed documents of a TUF registry that belong together.

The timestamp refers to the snapshot, the snapshot to the list of targets, and the root has the
keys. To publish is to load these documents, change them, and sign them again from bottom to top.

Nothing is signed that is based on metadata which our own keys did not sign: whoever can write to
the registry's folder must not get a signature by it. This is the only file of the trainer that
imports tuf.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from models.files import write_atomically
from trainer.registry.keys import Keys, KeysError
from trainer.registry.releases import RegistryError, Release, SignatureStatus, TrustedRoot, Validity

S = TypeVar("S", Root, Snapshot, Targets, Timestamp)
Role = Literal["root", "targets", "online"]

# Versions of targets and snapshot that are kept for gateways in the middle of a refresh.
KEPT_VERSIONS: Final = 10
_TUF_ROLES: Final = {
    "root": ("root",),
    "targets": ("targets",),
    "online": ("snapshot", "timestamp"),
}
_LIST: Final = "targets.json"


@dataclass
class Publication:
    """The documents of a registry; a new instance is empty, for the first publication.

    Attributes:
        folder: path of the registry's metadata/.
        keys: the folder with the signing keys and the trusted root.
        validity: how long new signatures are valid.
        root: the root metadata, with the keys of each role.
        targets: the list of bundles.
        snapshot: the version of the list of bundles.
        timestamp: the version of the snapshot.
    """

    folder: Path
    keys: Keys
    validity: Validity
    root: Metadata[Root] = field(default_factory=lambda: _unsigned(Root()))
    targets: Metadata[Targets] = field(default_factory=lambda: _unsigned(Targets()))
    snapshot: Metadata[Snapshot] = field(default_factory=lambda: _unsigned(Snapshot()))
    timestamp: Metadata[Timestamp] = field(default_factory=lambda: _unsigned(Timestamp()))

    def __post_init__(self) -> None:
        self._signers = self.keys.signers()

    @classmethod
    def load(cls, folder: Path, keys: Keys, validity: Validity) -> "Publication":
        """Read the current documents in `folder`, and verify them by the root of `keys`.

        Raises:
            RegistryError: a document is missing, or not signed by the keys that our root has.
            KeysError: a key cannot be read.
        """
        root = _parsed(Root, _content(keys.root), keys.root)
        _verify(root, root, keys.root)
        timestamp = _metadata(Timestamp, folder)
        _verify(timestamp, root, keys.root)
        snapshot = _metadata(Snapshot, folder, timestamp.signed.snapshot_meta.version)
        _verify(snapshot, root, keys.root)
        targets = _metadata(Targets, folder, snapshot.signed.meta[_LIST].version)
        _verify(targets, root, keys.root)
        return cls(folder, keys, validity, root, targets, snapshot, timestamp)

    def require(self, *roles: Role) -> None:
        """Check before a change that it can be signed.

        Raises:
            KeysError: the folder has fewer keys of a role than must sign.
        """
        for role in roles:
            if not self.can_sign(role):
                needed = self.root.signed.roles[_TUF_ROLES[role][0]]
                ids = ", ".join(f"{role}-{keyid[:8]}.pem" for keyid in needed.keyids)
                raise KeysError(
                    f"{self.keys.folder} lacks the {role} key: signing needs {needed.threshold}"
                    f" of {ids}"
                )

    def can_sign(self, role: Role) -> bool:
        """Whether the folder has enough keys to sign as `role`."""
        needed = self.root.signed.roles[_TUF_ROLES[role][0]]
        return len(self._signers.keys() & set(needed.keyids)) >= needed.threshold

    def is_due(self, role: Literal["root", "targets"]) -> bool:
        """Whether the metadata of `role` should be signed anew."""
        signed = self.root.signed if role == "root" else self.targets.signed
        return self.validity.is_due(role, signed.expires)

    def releases(self) -> tuple[Release, ...]:
        """All bundles of the list, sorted by stream and seq."""
        return _releases(self.targets.signed)

    def put(self, release: Release) -> None:
        """Add a release to the list of bundles, or replace its entry."""
        self.targets.signed.targets[release.path] = TargetFile(
            release.length,
            {"sha256": release.sha256},
            release.path,
            {"custom": release.description},
        )

    def add_keys(self, role: Role, count: int = 1, *, threshold: int = 1) -> None:
        """Make keys that may sign as `role` once the root is signed."""
        for tuf_role in _TUF_ROLES[role]:
            self.root.signed.roles[tuf_role].threshold = threshold
        for _ in range(count):
            signer = self.keys.create(role)
            self._signers[signer.public_key.keyid] = signer
            for tuf_role in _TUF_ROLES[role]:
                self.root.signed.add_key(signer.public_key, tuf_role)

    def replace_keys(self, role: Role) -> None:
        """Replace the keys of `role` by as many new ones, and sign a root with these."""
        root = self.root.signed
        before = root.roles[_TUF_ROLES[role][0]]
        former, threshold = list(before.keyids), before.threshold
        for tuf_role in _TUF_ROLES[role]:
            for keyid in former:
                root.revoke_key(keyid, tuf_role)
        self.add_keys(role, len(former), threshold=threshold)
        self.sign_root(former if role == "root" else ())

    def sign_root(self, former: Sequence[str] = ()) -> None:
        """Sign a new root, with the `former` root keys too; it takes effect at once."""
        self._sign(self.root, f"{self.root.signed.version + 1}.root.json", former)
        write_atomically(self.keys.root, self.root.to_bytes())

    def sign_targets(self) -> None:
        """Sign a new list of bundles; readers do not see it before `sign_online`."""
        name = f"{self.targets.signed.version + 1}.{_LIST}"
        self.snapshot.signed.meta[_LIST] = self._sign(self.targets, name)

    def sign_online(self) -> None:
        """Sign snapshot and timestamp; the new timestamp makes all changes visible at once."""
        name = f"{self.snapshot.signed.version + 1}.snapshot.json"
        self.timestamp.signed.snapshot_meta = self._sign(self.snapshot, name)
        self._sign(self.timestamp, "timestamp.json")
        self._prune("snapshot", self.snapshot.signed.version)
        self._prune("targets", self.targets.signed.version)

    def status(self) -> SignatureStatus:
        """When the signatures expire, and warnings about those that expire soon."""
        expires = {
            "root": self.root.signed.expires,
            "targets": self.targets.signed.expires,
            "snapshot": self.snapshot.signed.expires,
            "timestamp": self.timestamp.signed.expires,
        }
        warnings = tuple(
            f"{role} metadata expires on {expires[role]:%Y-%m-%d}: refresh with the {role} key"
            for role in ("root", "targets")
            if self.validity.is_due(role, expires[role])
        )
        return SignatureStatus(expires, warnings)

    def _sign(self, metadata: Metadata[S], name: str, former: Sequence[str] = ()) -> MetaFile:
        """Increment the version, set the expiry, sign with all available keys, and write."""
        role: str = metadata.signed.type
        metadata.signed.version += 1
        metadata.signed.expires = datetime.now(UTC).replace(microsecond=0) + self.validity.of(role)
        metadata.signatures.clear()
        for keyid in (*self._keyids(role), *former):
            if keyid in self._signers:
                metadata.sign(self._signers[keyid], append=True)
        content = metadata.to_bytes()
        write_atomically(self.folder / name, content)
        digest = hashlib.sha256(content).hexdigest()
        return MetaFile(metadata.signed.version, len(content), {"sha256": digest})

    def _keyids(self, tuf_role: str) -> list[str]:
        return self.root.signed.roles[tuf_role].keyids

    def _prune(self, role: str, newest: int) -> None:
        """Delete versions that only a gateway in the middle of a refresh could still ask for."""
        for path in self.folder.glob(f"*.{role}.json"):
            version = path.name.partition(".")[0]
            if version.isdecimal() and int(version) <= newest - KEPT_VERSIONS:
                path.unlink()


def read_releases(folder: Path) -> tuple[Release, ...]:
    """Read the releases from the metadata in `folder`, without verification.

    Raises:
        RegistryError: the metadata is missing or damaged.
    """
    timestamp = _metadata(Timestamp, folder).signed
    snapshot = _metadata(Snapshot, folder, timestamp.snapshot_meta.version).signed
    return _releases(_metadata(Targets, folder, snapshot.meta[_LIST].version).signed)


def trusted_root(keys: Keys) -> TrustedRoot:
    """The trusted root in the folder of keys, to be installed on gateways.

    Raises:
        RegistryError: the root is missing or damaged.
    """
    content = _content(keys.root)
    version = _parsed(Root, content, keys.root).signed.version
    return TrustedRoot(keys.root, hashlib.sha256(content).hexdigest(), version)


def _metadata(kind: type[S], folder: Path, version: int | None = None) -> Metadata[S]:
    name = f"{kind.type}.json" if version is None else f"{version}.{kind.type}.json"
    metadata = _parsed(kind, _content(folder / name), folder / name)
    if version not in (None, metadata.signed.version):
        raise RegistryError(f"{folder / name} holds version {metadata.signed.version}")
    return metadata


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise RegistryError(
            f"{path} cannot be read: {exc.strerror}; 'registry init' makes a new registry"
        ) from exc


def _verify(found: Metadata[S], root: Metadata[Root], origin: Path) -> None:
    signed = found.signed
    try:
        root.signed.verify_delegate(signed.type, found.signed_bytes, found.signatures)
    except RepositoryError as exc:
        raise RegistryError(
            f"{signed.type} metadata version {signed.version} is not signed by the keys that"
            f" {origin} has: somebody else changed the registry, or this root is not its newest"
        ) from exc


def _parsed(kind: type[S], content: bytes, path: Path) -> Metadata[S]:
    try:
        metadata = Metadata[S].from_bytes(content)
    except RepositoryError as exc:
        raise RegistryError(f"{path} is not TUF metadata: {exc}") from exc
    if metadata.signed.type != kind.type:
        raise RegistryError(f"{path} is {metadata.signed.type} metadata, not {kind.type}")
    return metadata


def _releases(targets: Targets) -> tuple[Release, ...]:
    listed = (Release.from_target(f.path, f.length, f.custom) for f in targets.targets.values())
    found = (release for release in listed if release is not None)
    return tuple(sorted(found, key=lambda release: (release.stream, release.seq)))


def _unsigned(signed: S) -> Metadata[S]:
    signed.version = 0  # signing increments it to 1
    return Metadata(signed)
