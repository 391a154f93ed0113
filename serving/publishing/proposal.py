"""A proposal: a root or a list of bundles that has some, but not all of the signatures it needs.

Where several people must agree, each of them holds a key in a place of his own. The first one
changes something as usual; what he has signed waits in `pending.json` in the registry's folder, of
which gateways know nothing. The others sign it there one after the other (`registry sign`), and it
is published when enough have signed, by the first of them who holds the online key.

Whoever can write to the folder can remove a proposal, or put back an earlier one that was never
published. He cannot change it: each signer verifies the signatures, and sees what would change.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Delegations, Metadata, Root, Targets

from models.files import write_atomically
from models.rollout.files import planned
from serving.publishing.documents import read_file, releases_of
from serving.publishing.publication import Publication
from serving.publishing.releases import RegistryError, Release

NAME: Final = "pending.json"
_DISCARD: Final = "'registry sign --discard' removes it"


@dataclass(frozen=True)
class Proposal:
    """A root or a list of bundles that waits for signatures.

    Attributes:
        role: what is signed.
        metadata: the document with its signatures.
        sha256: digest of what is signed, without the signatures.
        signed: ids of the keys that have signed.
        missing: number of signatures that are still needed.
        changes: what would change, as sentences.
        is_published: whether gateways see it.
    """

    role: Literal["root", "targets"]
    metadata: Metadata[Any]
    sha256: str
    signed: tuple[str, ...]
    missing: int
    changes: tuple[str, ...]
    is_published: bool = False


def waiting(publication: Publication) -> Proposal | None:
    """The proposal that waits in the registry; None if there is none that could be published.

    Raises:
        RegistryError: the file is damaged, or nobody who may sign has signed it.
    """
    path = _path(publication)
    if not path.exists():
        return None
    metadata = _read(path)
    role: Literal["root", "targets"] = metadata.signed.type
    base = publication.root if role == "root" else publication.targets
    if metadata.signed.version != base.signed.version + 1:
        return None  # something else was published in the meantime
    if metadata.signed.expires <= datetime.now(UTC):
        raise RegistryError(f"{path} has waited until it expired; {_DISCARD}: begin anew")
    found = _judged(publication, metadata)
    if not found.signed:
        raise RegistryError(f"{path} is signed by nobody who may sign; {_DISCARD}")
    return found


def propose(publication: Publication, metadata: Metadata[Any]) -> Proposal:
    """Leave a document, which has been signed with the keys at hand, for the other signers.

    Raises:
        RegistryError: it has no signature that counts.
        OSError: the file cannot be written.
    """
    found = _judged(publication, metadata)
    if not found.signed:
        raise RegistryError("none of the keys at hand may sign this")
    _write(publication, metadata)
    return found


def add_signatures(publication: Publication, proposal: Proposal) -> Proposal:
    """Sign a proposal with all keys at hand that may sign it, and write it back.

    Raises:
        OSError: the file cannot be written.
    """
    metadata = proposal.metadata
    for keyid in _signers(publication, metadata):
        if keyid in publication.signers and keyid not in proposal.signed:
            metadata.sign(publication.signers[keyid], append=True)
    _write(publication, metadata)
    return _judged(publication, metadata)


def discard(publication: Publication) -> None:
    """Remove the proposal.

    Raises:
        OSError: the file cannot be removed.
    """
    _path(publication).unlink(missing_ok=True)


def _judged(publication: Publication, metadata: Metadata[Any]) -> Proposal:
    """Count the valid signatures by the current root and, for a root, by the new one too."""
    role: Literal["root", "targets"] = metadata.signed.type
    try:
        payload = metadata.signed_bytes
    except RepositoryError as exc:  # of a number that canonical JSON does not have
        raise RegistryError(f"{_path(publication)} cannot be verified; {_DISCARD}") from exc
    judges = [publication.root.signed, *([metadata.signed] if role == "root" else [])]
    results = [
        judge.get_verification_result(role, payload, metadata.signatures) for judge in judges
    ]
    return Proposal(
        role=role,
        metadata=metadata,
        sha256=hashlib.sha256(payload).hexdigest(),
        signed=tuple(dict.fromkeys(keyid for one in results for keyid in one.signed)),
        missing=max(max(0, one.threshold - len(one.signed)) for one in results),
        changes=tuple(
            _changes_of_root(publication.root.signed, metadata.signed)
            if role == "root"
            else _changes_of_targets(publication.targets.signed, metadata.signed)
        ),
    )


def _signers(publication: Publication, metadata: Metadata[Any]) -> Iterable[str]:
    """Ids of all keys whose signature counts."""
    role = metadata.signed.type
    found = list(publication.keyids(role))
    return found + (list(metadata.signed.roles["root"].keyids) if role == "root" else [])


def _changes_of_root(before: Root, after: Root) -> Iterator[str]:
    yield f"a new root, version {after.version}, valid until {after.expires:%Y-%m-%d}"
    for role, new in after.roles.items():
        old = before.roles[role]
        gone = [str(keyid)[:8] for keyid in old.keyids if keyid not in new.keyids]
        came = [str(keyid)[:8] for keyid in new.keyids if keyid not in old.keyids]
        if gone or came or old.threshold != new.threshold:
            yield (
                f"{role}: {new.threshold} of {len(new.keyids)} keys must sign, before"
                f" {old.threshold} of {len(old.keyids)}; new keys: {', '.join(came) or 'none'};"
                f" no longer valid: {', '.join(gone) or 'none'}"
            )


def _changes_of_targets(before: Targets, after: Targets) -> Iterator[str]:
    yield f"a list of bundles, version {after.version}, valid until {after.expires:%Y-%m-%d}"
    old = {release.path: release for release in releases_of(before)}
    new = {release.path: release for release in releases_of(after)}
    for path in sorted(old.keys() | new.keys()):
        if path not in new:
            yield f"removed: {_said(old[path])}"
        elif path not in old:
            yield f"added: {_said(new[path])}"
        elif old[path] != new[path]:
            yield f"changed: {_said(old[path])} becomes {_said(new[path])}"
    for path in sorted((before.targets.keys() | after.targets.keys()) - old.keys() - new.keys()):
        if before.targets.get(path) != after.targets.get(path):
            yield _changed(path, is_there=path in after.targets)
    if before.delegations != after.delegations:
        yield f"changed: who else may sign: {_said_of(after.delegations)}"


def _changed(path: str, *, is_there: bool) -> str:
    found = planned(path)
    if found is None:
        return f"changed, and no bundle: {path!r:.200}"
    stream, rollout = found
    return f"{'added' if is_there else 'removed'}: the plan of rollout {rollout} of {stream}"


def _said_of(delegations: Delegations | None) -> str:
    roles = (delegations.roles if delegations is not None else None) or {}
    said = [
        f"{', '.join(keyid[:8] for keyid in role.keyids)} may sign {', '.join(role.paths or ())}"
        for role in roles.values()
    ]
    return "; ".join(said) or "nobody"


def _said(release: Release) -> str:
    revoked = ", revoked" if release.revoked else ""
    return (
        f"{release.stream}#{release.seq}, {release.length} bytes, floor seq {release.floor_seq},"
        f" sha256 {release.sha256}{revoked}"
    )


def _read(path: Path) -> Metadata[Any]:
    try:
        return read_file(Targets, path).metadata
    except RegistryError:
        return read_file(Root, path).metadata


def _write(publication: Publication, metadata: Metadata[Any]) -> None:
    folder = publication.folder.parent
    write_atomically(_path(publication), metadata.to_bytes(), below=folder)


def _path(publication: Publication) -> Path:
    return publication.folder.parent / NAME
