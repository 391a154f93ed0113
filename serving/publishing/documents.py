"""The signed documents of a registry as they are read from its folder.

Others may be able to write there, so reading is bounded, believes only regular files, and turns
whatever it finds into a `RegistryError`.
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from models.bundle.stream_list import MAX_LIST_BYTES
from serving.publishing import delegation
from serving.publishing.releases import RegistryError, Release
from serving.publishing.seal_record import Seal, TufRole

S = TypeVar("S", Root, Snapshot, Targets, Timestamp)
# As a gateway reads them (`tuf.ngclient.UpdaterConfig`).
_MAX_BYTES: Final = {
    "root": 512_000,
    "timestamp": 16_384,
    "snapshot": 2_000_000,
    "targets": MAX_LIST_BYTES,
}


@dataclass(frozen=True, slots=True)
class Document(Generic[S]):
    """A document that was read; its signatures are not verified yet.

    Attributes:
        path: path of the file.
        metadata: the parsed document.
        content: bytes of the file.
    """

    path: Path
    metadata: Metadata[S]
    content: bytes

    @property
    def seal(self) -> Seal:
        """Version and digest of the document."""
        digest = hashlib.sha256(self.content).hexdigest()
        return Seal(version=self.metadata.signed.version, sha256=digest)

    @property
    def role(self) -> TufRole:
        """The TUF role that the document is of, by the name of its file."""
        name = self.path.name.removesuffix(".json")
        version, _, rest = name.partition(".")
        return rest if version.isdecimal() else name

    def verify(self, by: Metadata[Root] | Metadata[Targets], origin: Path) -> None:
        """Verify the signatures by a root, or those of a delegated role by the list of bundles.

        Args:
            by: the trusted root, or the list of bundles.
            origin: path of that document, for the message.

        Raises:
            RegistryError: too few of the keys that may sign have signed.
        """
        signed = self.metadata.signed
        role = self.role if isinstance(by.signed, Targets) else signed.type
        try:
            by.signed.verify_delegate(role, self.metadata.signed_bytes, self.metadata.signatures)
        except RepositoryError as exc:
            raise RegistryError(
                f"{role} metadata version {signed.version} is not signed by the keys that"
                f" {origin} has: somebody else changed the registry, or this root is not its newest"
            ) from exc

    def checked(self, named: MetaFile) -> "Document[S]":
        """The document itself, compared with what another one says of it.

        Args:
            named: version, length and digest as the signed snapshot or timestamp has them.

        Raises:
            RegistryError: the document is another one.
        """
        try:
            named.verify_length_and_hashes(self.content)
        except RepositoryError as exc:
            raise RegistryError(
                f"{self.path} is not the one that was signed: {exc}; somebody has exchanged it"
            ) from exc
        return self


def read(
    kind: type[S], folder: Path, version: int | None = None, *, role: TufRole | None = None
) -> Document[S]:
    """Read the document of a role.

    Args:
        kind: class of the role in `tuf`.
        folder: path of the registry's metadata/.
        version: version of the document; None for the timestamp, which has one name only.
        role: name of a delegated role; None for one that the root has.

    Raises:
        RegistryError: the document is missing, damaged, or of another role or version.
    """
    name = f"{role or kind.type}.json"
    name = name if version is None else f"{version}.{name}"
    document = read_file(kind, folder / name)
    if version not in (None, document.metadata.signed.version):
        raise RegistryError(f"{folder / name} holds version {document.metadata.signed.version}")
    return document


def read_file(kind: type[S], path: Path) -> Document[S]:
    """Read a document from a file of any name; see `read`."""
    content = content_of(path, _MAX_BYTES[kind.type])
    return Document(path, parsed(kind, content, path), content)


def parsed(kind: type[S], content: bytes, path: Path) -> Metadata[S]:
    """Parse a document.

    Raises:
        RegistryError: the content is not TUF metadata, or that of another role.
    """
    try:
        metadata = Metadata[S].from_bytes(content)
    except RepositoryError as exc:
        raise RegistryError(f"{path} is not TUF metadata: {exc}") from exc
    if metadata.signed.type != kind.type:
        raise RegistryError(f"{path} is {metadata.signed.type} metadata, not {kind.type}")
    return metadata


def content_of(path: Path, most: int) -> bytes:
    """The bytes of a regular file of limited size; a named pipe would block for ever.

    Args:
        path: path of the file.
        most: bytes that it may have.

    Raises:
        RegistryError: it is missing, longer, or no regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise RegistryError(f"{path} is not a file")
            content = file.read(most + 1)
    except OSError as exc:
        remedy = ""
        if isinstance(exc, FileNotFoundError):
            remedy = "; bring it back from a copy"
            if not path.parent.exists():
                remedy = "; 'registry init' makes a new registry"
        raise RegistryError(f"{path} cannot be read: {exc.strerror}{remedy}") from exc
    if len(content) > most:
        raise RegistryError(f"{path} has more than {most} bytes, which no gateway reads")
    return content


def list_of(snapshot: Document[Snapshot], role: TufRole = "targets") -> MetaFile:
    """What the snapshot says of the list of bundles, or of that of a delegated role.

    Raises:
        RegistryError: it says nothing.
    """
    found = snapshot.metadata.signed.meta.get(f"{role}.json")
    if found is None:
        raise RegistryError(f"{snapshot.path} does not name {role}.json; the registry is damaged")
    return found


def releases_of(targets: Targets) -> tuple[Release, ...]:
    """All bundles of a list, sorted by stream and seq.

    Raises:
        RegistryError: an entry is not what a publisher writes.
    """
    listed = (
        Release.from_target(file.path, file.length, _custom(file))
        for file in targets.targets.values()
        if file.path != delegation.BY_STREAM
    )
    found = (release for release in listed if release is not None)
    return tuple(sorted(found, key=lambda release: (release.stream, release.seq)))


def seals_of(*documents: Document[Any]) -> dict[TufRole, Seal]:
    """The seals of documents by role."""
    return {document.role: document.seal for document in documents}


def read_releases(folder: Path) -> tuple[Release, ...]:
    """Read the releases from the metadata in `folder`, without verification.

    Raises:
        RegistryError: the metadata is missing or damaged.
    """
    timestamp = read(Timestamp, folder).metadata.signed
    snapshot = read(Snapshot, folder, timestamp.snapshot_meta.version)
    targets = read(Targets, folder, list_of(snapshot).version).metadata.signed
    lists = (
        read(Targets, folder, list_of(snapshot, role).version, role=role).metadata.signed
        for role in delegation.lists(targets)
    )
    found = [release for listed in (targets, *lists) for release in releases_of(listed)]
    return tuple(sorted(found, key=lambda release: (release.stream, release.seq)))


def check_length(kind: str, content: bytes, remedy: str) -> None:
    """Refuse a document that is longer than what gateways read, before anything is written.

    Args:
        kind: class of the document in `tuf`.
        content: the document.
        remedy: what to do about it.

    Raises:
        RegistryError: it is longer.
    """
    if len(content) > _MAX_BYTES[kind]:
        raise RegistryError(
            f"the {kind} metadata would have {len(content)} bytes, and gateways read"
            f" {_MAX_BYTES[kind]}; nothing was published: {remedy}"
        )


def prune(folder: Path, role: TufRole, newest: int, kept: int) -> None:
    """Delete versions that only a gateway in the middle of a refresh could still ask for.

    Args:
        folder: path of the registry's metadata/.
        role: the role.
        newest: the newest version; versions may have gaps.
        kept: number of versions that are kept, with the newest one.
    """
    name = f"{role}.json"
    found = (path.name.partition(".") for path in folder.glob(f"*.{name}"))
    versions = {int(first) for first, _, rest in found if rest == name and first.isdecimal()}
    older = sorted(version for version in versions if version < newest)
    for version in older[: 1 - kept]:
        (folder / f"{version}.{name}").unlink(missing_ok=True)


def _custom(target: Any) -> Any:  # noqa: ANN401  a TargetFile, and any JSON
    return target.unrecognized_fields.get("custom")
