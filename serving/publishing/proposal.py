"""A proposal: a root, or lists of bundles, with some but not all of the signatures they need.

Where several people must agree, each of them holds a key in a place of his own. The first one
changes something as usual; what he has signed waits in `pending.json` in the registry's folder, of
which gateways know nothing. The others sign it there one after the other (`registry sign`), and it
is published when enough have signed, by the first of them who holds the online key.

Whoever can write to the folder can remove a proposal, or put back an earlier one that was never
published. He cannot change it: each signer verifies the signatures, and sees what would change.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, get_args

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Delegations, Metadata, Root, Targets, VerificationResult

from models.bundle.stream_list import stream_of
from models.files import write_atomically
from models.rollout.files import planned
from serving.publishing import delegation
from serving.publishing.documents import content_of, parsed, releases_of
from serving.publishing.publication import TUF_ROLES, Publication, Role
from serving.publishing.releases import RegistryError, Release
from serving.publishing.seal_record import TufRole
from serving.publishing.stream_lists import check_own

NAME: Final = "pending.json"
MAX_PROPOSAL_BYTES: Final = 64_000_000
"""Bytes of a proposal at most: some 200,000 bundles whose lists are signed anew at once."""
_LIST: Final = re.compile(r"bundles\.[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DISCARD: Final = "'registry sign --discard' removes it"


@dataclass(frozen=True)
class Proposal:
    """A root, or lists of bundles, that wait for signatures.

    Attributes:
        role: whose keys sign.
        documents: the documents with their signatures, by TUF role: the root alone, or the list of
            bundles and those of streams.
        sha256: digest of what is signed, without the signatures.
        signed: ids of the keys that have signed all of it.
        missing: number of signatures that are still needed.
        changes: what would change, as sentences.
        is_published: whether gateways see it.
    """

    role: Literal["root", "targets"]
    documents: Mapping[TufRole, Metadata[Any]]
    sha256: str
    signed: tuple[str, ...]
    missing: int
    changes: tuple[str, ...]
    is_published: bool = False

    @property
    def version(self) -> int:
        """The version of the first document."""
        return int(next(iter(self.documents.values())).signed.version)


def waiting(publication: Publication) -> Proposal | None:
    """The proposal that waits in the registry; None if there is none that could be published.

    Raises:
        RegistryError: the file is damaged, or nobody who may sign has signed it.
    """
    path = _path(publication)
    if not path.exists():
        return None
    documents = _read(path)
    if not all(_is_next(publication, role, one) for role, one in documents.items()):
        return None  # something else was published in the meantime
    if min(one.signed.expires for one in documents.values()) <= datetime.now(UTC):
        raise RegistryError(f"{path} has waited until it expired; {_DISCARD}: begin anew")
    found = _judged(publication, documents)
    if not found.signed:
        raise RegistryError(f"{path} is signed by nobody who may sign; {_DISCARD}")
    return found


def propose(publication: Publication, documents: Mapping[TufRole, Metadata[Any]]) -> Proposal:
    """Leave documents, which have been signed with the keys at hand, for the other signers.

    Args:
        publication: the registry as it is.
        documents: what is proposed, by TUF role.

    Raises:
        RegistryError: it has no signature that counts.
        OSError: the file cannot be written.
    """
    found = _judged(publication, documents)
    if not found.signed:
        raise RegistryError("none of the keys at hand may sign this")
    _write(publication, documents)
    return found


def add_signatures(publication: Publication, proposal: Proposal) -> Proposal:
    """Sign a proposal with all keys at hand that may sign it, and write it back.

    Raises:
        OSError: the file cannot be written.
    """
    for metadata in proposal.documents.values():
        for keyid in _signers(publication, metadata):
            if keyid in publication.signers:
                metadata.sign(publication.signers[keyid], append=True)
    _write(publication, proposal.documents)
    return _judged(publication, proposal.documents)


def discard(publication: Publication) -> None:
    """Remove the proposal.

    Raises:
        OSError: the file cannot be removed.
    """
    _path(publication).unlink(missing_ok=True)


def _is_next(publication: Publication, role: TufRole, metadata: Metadata[Any]) -> bool:
    """Whether a document is newer than what is published, and built on that."""
    version = metadata.signed.version
    if stream_of(role) is not None:
        return bool(version > publication.lists.version(role))
    base = publication.root if role == Root.type else publication.targets
    return bool(version == base.signed.version + 1)


def _judged(publication: Publication, documents: Mapping[TufRole, Metadata[Any]]) -> Proposal:
    """Count the valid signatures by the current root and, for a root, by the new one too."""
    role: Literal["root", "targets"] = "root" if Root.type in documents else "targets"
    digest, results = hashlib.sha256(), []
    for metadata in documents.values():
        try:
            payload = metadata.signed_bytes
        except RepositoryError as exc:  # of a number that canonical JSON does not have
            raise RegistryError(f"{_path(publication)} cannot be verified; {_DISCARD}") from exc
        digest.update(payload)
        judges = [publication.root.signed, *([metadata.signed] if role == "root" else [])]
        results += [
            judge.get_verification_result(role, payload, metadata.signatures) for judge in judges
        ]
    return Proposal(
        role=role,
        documents=documents,
        sha256=digest.hexdigest(),
        signed=tuple(_signed_all(results) if role == "targets" else _signed_any(results)),
        missing=max(max(0, one.threshold - len(one.signed)) for one in results),
        changes=tuple(
            _changes_of_root(publication.root.signed, documents[Root.type].signed)
            if role == "root"
            else _changes_of_lists(publication, documents)
        ),
    )


def _signed_any(results: list[VerificationResult]) -> Iterable[str]:
    return dict.fromkeys(keyid for one in results for keyid in one.signed)


def _signed_all(results: list[VerificationResult]) -> Iterable[str]:
    return [keyid for keyid in results[0].signed if all(keyid in one.signed for one in results)]


def _signers(publication: Publication, metadata: Metadata[Any]) -> Iterable[str]:
    """Ids of all keys whose signature counts."""
    role = metadata.signed.type
    found = list(publication.keyids(role))
    return found + (list(metadata.signed.roles["root"].keyids) if role == "root" else [])


def replaced_by(publication: Publication, root: Root) -> set[Role]:
    """The roles whose keys are others in a new root."""
    before, roles = publication.root.signed.roles, get_args(Role)
    return {
        role
        for role in roles
        if any(set(before[one].keyids) != set(root.roles[one].keyids) for one in TUF_ROLES[role])
    }


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


def _changes_of_lists(
    publication: Publication, documents: Mapping[TufRole, Metadata[Any]]
) -> Iterator[str]:
    """What would change, in all lists together: a bundle that is moved changes nothing."""
    old: dict[str, Release] = {}
    new: dict[str, Release] = {}
    for role, metadata in documents.items():
        stream, after = stream_of(role), metadata.signed
        whose = f"the list of {stream}" if stream is not None else "a list of bundles"
        yield f"{whose}, version {after.version}, valid until {after.expires:%Y-%m-%d}"
        if stream is not None:
            check_own(role, after)
        before = publication.listed(role).signed
        old |= {release.path: release for release in releases_of(before)}
        new |= {release.path: release for release in releases_of(after)}
    for path in sorted(old.keys() | new.keys()):
        if path not in new:
            yield f"removed: {_said(old[path])}"
        elif path not in old:
            yield f"added: {_said(new[path])}"
        elif old[path] != new[path]:
            yield f"changed: {_said(old[path])} becomes {_said(new[path])}"
    if Targets.type in documents:
        yield from _changes_of_targets(publication.targets.signed, documents[Targets.type].signed)


def _changes_of_targets(before: Targets, after: Targets) -> Iterator[str]:
    """What would change beside bundles."""
    if delegation.is_by_stream(before) != delegation.is_by_stream(after):
        yield "changed: each stream has a list of bundles of its own from now on, or no more"
    plain = {
        path
        for path in before.targets.keys() | after.targets.keys()
        if path != delegation.BY_STREAM and not path.startswith("bundles/")
    }
    for path in sorted(plain):
        if before.targets.get(path) != after.targets.get(path):
            yield _changed(path, is_there=path in after.targets)
    if before.delegations != after.delegations:
        yield f"changed: who else may sign: {_said_of(before.delegations, after.delegations)}"


def _changed(path: str, *, is_there: bool) -> str:
    found = planned(path)
    if found is None:
        return f"changed, and no bundle: {path!r:.200}"
    stream, rollout = found
    return f"{'added' if is_there else 'removed'}: the plan of rollout {rollout} of {stream}"


def _said_of(before: Delegations | None, after: Delegations | None) -> str:
    """The delegations that are new, others or gone."""
    old, new = ((one.roles if one is not None else None) or {} for one in (before, after))
    said = [
        f"{', '.join(keyid[:8] for keyid in role.keyids)} may sign {', '.join(role.paths or ())}"
        for name, role in new.items()
        if old.get(name) != role
    ]
    said += [f"nobody may sign {', '.join(old[name].paths or ())}" for name in old.keys() - new]
    return "; ".join(said) or "nobody"


def _said(release: Release) -> str:
    revoked = ", revoked" if release.revoked else ""
    return (
        f"{release.stream}#{release.seq}, {release.length} bytes, floor seq {release.floor_seq},"
        f" sha256 {release.sha256}{revoked}"
    )


def _read(path: Path) -> dict[TufRole, Metadata[Any]]:
    """The documents of a proposal: one as it is, or several by their roles."""
    content = content_of(path, MAX_PROPOSAL_BYTES)
    several = _several(content)
    if several is None:
        try:
            return {Targets.type: parsed(Targets, content, path)}
        except RegistryError:
            return {Root.type: parsed(Root, content, path)}
    if not all(role == Targets.type or _LIST.fullmatch(role) for role in several):
        raise RegistryError(f"{path} has other documents than lists of bundles; {_DISCARD}")
    return {
        role: parsed(Targets, json.dumps(one).encode(), path)
        for role, one in sorted(several.items())
    }


def _several(content: bytes) -> dict[str, Any] | None:
    """The documents of a proposal that has several; None for one document."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    documents = found.get("documents") if isinstance(found, dict) else None
    return documents if isinstance(documents, dict) and documents else None


def _write(publication: Publication, documents: Mapping[TufRole, Metadata[Any]]) -> None:
    if documents.keys() in ({Root.type}, {Targets.type}):  # which earlier releases can sign
        (content,) = (one.to_bytes() for one in documents.values())
    else:
        fields = {role: json.loads(one.to_bytes()) for role, one in documents.items()}
        content = json.dumps({"documents": fields}).encode()
    if len(content) > MAX_PROPOSAL_BYTES:
        raise RegistryError(
            f"the proposal would have {len(content)} bytes; allowed are {MAX_PROPOSAL_BYTES}: sign"
            " in a folder that has all the keys, or split the registry"
        )
    write_atomically(_path(publication), content, below=publication.folder.parent)


def _path(publication: Publication) -> Path:
    return publication.folder.parent / NAME
