"""The lists of bundles of single streams, each of which is read when it is asked for.

A registry may have hundreds of them, and a change is of one. What the snapshot, which is verified,
says of a list is known without reading it: so an older copy is noticed whichever list is changed.

The version of a list is that of the snapshot that names it first. So it rises also where a list
was lost with the newest copy of the registry, and nobody knows any more how far it was.
"""

from collections.abc import Iterable
from pathlib import Path

from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets

from models.bundle.stream_list import belongs, role_of, stream_of
from serving.publishing import delegation
from serving.publishing.documents import read
from serving.publishing.releases import RegistryError
from serving.publishing.seal_record import Seal, TufRole


class StreamLists:
    """The lists of streams of a registry.

    Args:
        folder: path of the registry's metadata/.
        targets: the list of bundles, with the keys that have signed the lists.
        snapshot: the snapshot, which names them, also when they are signed anew.
    """

    def __init__(self, folder: Path, targets: Targets, snapshot: Snapshot) -> None:
        self._folder = folder
        self._signers = Metadata(Targets(delegations=targets.delegations))
        self._snapshot = snapshot
        self._found: dict[TufRole, Metadata[Targets]] = {}

    def of(self, role: TufRole) -> Metadata[Targets]:
        """The list of a role; an empty one where the registry has none.

        Raises:
            RegistryError: it is missing, damaged, not signed, or has files of another stream.
        """
        if role not in self._found:
            self._found[role] = self._read(role)
        return self._found[role]

    def put(self, role: TufRole, metadata: Metadata[Targets]) -> None:
        """Replace a list by one that is signed already."""
        self._found[role] = metadata

    def forget(self, role: TufRole) -> None:
        """Keep a list in memory no longer."""
        self._found.pop(role, None)

    def known(self) -> Iterable[TufRole]:
        """The roles whose lists were read."""
        return self._found.keys()

    def role(self, metadata: Metadata[Targets]) -> TufRole | None:
        """The role of a list that was read; None for any other document."""
        return next((role for role, one in self._found.items() if one is metadata), None)

    def version(self, role: TufRole) -> int:
        """The version of a list that is published; 0 for none."""
        named = self._snapshot.meta.get(f"{role}.json")
        return named.version if named is not None else 0

    def _read(self, role: TufRole) -> Metadata[Targets]:
        named = self._snapshot.meta.get(f"{role}.json")
        if named is None or role not in delegation.lists(self._signers.signed):
            empty = Metadata(Targets())
            empty.signed.version = 0  # signing raises it
            return empty
        found = read(Targets, self._folder, named.version, role=role).checked(named)
        found.verify(self._signers, self._folder / "targets.json")
        check_own(role, found.metadata.signed)
        return found.metadata


def check_own(role: TufRole, listed: Targets) -> None:
    """Refuse the list of a stream that has files of others in it.

    Raises:
        RegistryError: the list has another file than bundles of the stream, or delegates further.
    """
    stream = stream_of(role) or ""
    strange = [path for path in listed.targets if not belongs(path, stream)]
    if strange or listed.delegations is not None:
        what = f"{strange[0]!r:.200}" if strange else "further delegations"
        raise RegistryError(f"the list of {stream} has {what} in it, which no gateway takes")


def seals_of_lists(targets: Targets, snapshot: Snapshot) -> dict[TufRole, Seal]:
    """Version and digest of each list, as the snapshot has them.

    Raises:
        RegistryError: the snapshot lacks one.
    """
    found = {}
    for role in delegation.lists(targets):
        named = snapshot.meta.get(f"{role}.json")
        digest = (named.hashes or {}).get("sha256") if named is not None else None
        if named is None or digest is None:
            raise RegistryError(f"the snapshot does not name {role}.json; the registry is damaged")
        found[role] = Seal(version=named.version, sha256=digest)
    return found


def is_signed(listed: Metadata[Targets], root: Root) -> bool:
    """Whether the present keys have signed a list, be it of all or of a stream."""
    try:
        root.verify_delegate("targets", listed.signed_bytes, listed.signatures)
    except UnsignedMetadataError:
        return False
    return True


def divide(targets: Targets, lists: StreamLists) -> list[TufRole]:
    """Move the bundles of the list of all to those of their streams, and mark it.

    Args:
        targets: the list of bundles.
        lists: the lists of streams, which are still to be delegated to and signed.

    Returns:
        The roles of the streams.
    """
    roles = set()
    for path, file in list(targets.targets.items()):
        stream = path.split("/")[1] if path.count("/") else ""
        if belongs(path, stream):
            roles.add(role_of(stream))
            lists.of(role_of(stream)).signed.targets[path] = file
            del targets.targets[path]
    delegation.mark(targets)
    return sorted(roles)


def unite(targets: Targets, lists: StreamLists) -> list[TufRole]:
    """Move the bundles of the lists of streams back to the list of all; these stay, and are empty.

    A list that was taken away would be refused by gateways that have seen it.

    Args:
        targets: the list of bundles, which is still to be signed.
        lists: the lists of streams, likewise.

    Returns:
        The roles of the streams.
    """
    roles = delegation.lists(targets)
    for role in roles:
        listed = lists.of(role).signed
        targets.targets.update(listed.targets)
        listed.targets.clear()
    delegation.unmark(targets)
    return sorted(roles)
