"""What every change of a registry has in common: a lock, a line of audit, and a root's effect."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from serving.publishing import audit_trail, delegation, proposal
from serving.publishing.keys import Keys
from serving.publishing.publication import TUF_ROLES, Publication, Role
from serving.publishing.releases import RegistryError, Validity
from serving.publishing.seal_record import TufRole
from serving.publishing.stream_lists import is_signed


@contextmanager
def changing(directory: Path, keys: Keys) -> Iterator[None]:
    """Let one process at a time sign with the keys, and raise RegistryError for disk errors."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with keys.locked():
            yield
    except OSError as exc:
        raise RegistryError(f"{exc.filename or directory}: {exc.strerror}") from exc


def record(publication: Publication, act: str, **facts: object) -> None:
    """Write the line of the audit trail, before anything is changed."""
    held = {role: [keyid[:8] for keyid in publication.holds(role)] for role in get_args(Role)}
    audit_trail.record(
        publication.keys.audit,
        act,
        publication.folder.parent,
        **facts,
        keys={role: keyids for role, keyids in held.items() if keyids},
        versions_before=publication.versions(),
        accepts_restored=publication.keys.accepts_restored,
    )


def add_keys(publication: Publication, role: Role, count: int = 1, *, threshold: int = 1) -> None:
    """Make keys that may sign as `role` once the root is signed."""
    for tuf_role in TUF_ROLES[role]:
        publication.root.signed.roles[tuf_role].threshold = threshold
    for _ in range(count):
        signer = publication.keys.create(role)
        publication.signers[signer.public_key.keyid] = signer
        for tuf_role in TUF_ROLES[role]:
            publication.root.signed.add_key(signer.public_key, tuf_role)


def replace_keys(publication: Publication, role: Role) -> list[str]:
    """Replace the keys of `role` by as many new ones, and return the ids of the former ones."""
    root = publication.root.signed
    before = root.roles[TUF_ROLES[role][0]]
    former, threshold = list(before.keyids), before.threshold
    for tuf_role in TUF_ROLES[role]:
        for keyid in former:
            root.revoke_key(keyid, tuf_role)
    add_keys(publication, role, len(former), threshold=threshold)
    return former


def due_lists(publication: Publication) -> list[TufRole]:
    """The lists of streams that should be signed anew; each of them is read and verified."""
    found = []
    for role in delegation.lists(publication.targets.signed):
        listed = publication.lists.of(role)
        if (
            publication.keys.accepts_restored
            or not is_signed(listed, publication.root.signed)
            or publication.validity.is_due(role, listed.signed.expires)
        ):
            found.append(role)
        else:
            publication.lists.forget(role)
    return found


def put_root(publication: Publication, replaced: set[Role]) -> None:
    """Publish a signed root, and sign with the new keys what the replaced ones signed."""
    publication.put_root()
    renews_delegation = publication.stages is not None and publication.can_sign("targets")
    if "targets" in replaced:
        publication.sign_targets("targets", *delegation.lists(publication.targets.signed))
    elif "online" in replaced and renews_delegation:
        publication.sign_targets()
    if replaced - {"root"}:
        publication.sign_online()
    else:
        publication.remember()


def for_targets(directory: Path, keys: Keys, validity: Validity) -> Publication:
    """The publication, with what is needed to sign a list of bundles or to propose one.

    Raises:
        RegistryError: it cannot be read or verified, or a proposal waits for signatures.
        KeysError: a key is missing.
    """
    publication = Publication.load(directory / "metadata", keys, validity)
    publication.require_one("targets")
    if publication.can_sign("targets"):
        publication.require("online")
    require_none_waiting(publication)
    return publication


def sign_targets(publication: Publication) -> int:
    """Publish the lists that were changed, or leave them for others; number of missing signatures.

    Raises:
        RegistryError: see `serving.publishing.proposal.propose`.
        OSError: a file cannot be written.
    """
    roles = sorted(publication.changed)
    if publication.can_sign("targets"):
        publication.sign_targets(*roles)
        publication.sign_online()
        return 0
    documents = {role: publication.listed(role) for role in roles}
    for document in documents.values():
        publication.advance(document)
    return proposal.propose(unchanged(publication), documents).missing


def unchanged(publication: Publication) -> Publication:
    """The publication as it is on the disk, before the change that is proposed.

    Raises:
        RegistryError, KeysError: see `Publication.load`.
    """
    return Publication.load(publication.folder, publication.keys, publication.validity)


def require_none_waiting(publication: Publication) -> None:
    """Check before a change that nothing waits for signatures.

    Raises:
        RegistryError: something waits; the message has the remedy.
    """
    found = proposal.waiting(publication)
    if found is not None:
        raise RegistryError(
            f"{publication.folder.parent} has a proposal that waits for {found.missing} signatures"
            f" ({found.changes[-1]}): sign it first by 'registry sign', or remove it by"
            " 'registry sign --discard'"
        )
