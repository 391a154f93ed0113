"""Signatures by several people, in separate places one after the other; see `proposal`."""

from dataclasses import replace
from pathlib import Path

from serving.publishing import audit_trail, proposal
from serving.publishing.change import changing, put_root, record
from serving.publishing.keys import Keys
from serving.publishing.proposal import Proposal
from serving.publishing.publication import Publication, Role
from serving.publishing.releases import DEFAULT_VALIDITY, RegistryError, Validity


def waiting(directory: Path, keys: Keys, *, validity: Validity = DEFAULT_VALIDITY) -> Proposal:
    """What waits in the registry for further signatures.

    Raises:
        RegistryError: nothing waits, or see `publish`.
        KeysError: a key cannot be read.
    """
    with changing(directory, keys):
        publication = Publication.load(directory / "metadata", keys, validity)
        return _waiting(publication)


def sign(
    directory: Path, seen: Proposal, keys: Keys, *, validity: Validity = DEFAULT_VALIDITY
) -> Proposal:
    """Add the signatures of the keys at hand to what waits, and publish it if it is complete.

    It is complete once enough keys have signed it, and the folder has the online key, and the new
    keys if it replaces some.

    Args:
        directory: the registry's folder.
        seen: what the signer has seen, from `waiting`.
        keys: a folder with a key of the role.
        validity: how long the signatures of the online key are valid.

    Returns:
        The proposal; `is_published` says whether gateways see it now.

    Raises:
        RegistryError: something else waits by now, or see `publish`.
        KeysError: a key is missing.
    """
    with changing(directory, keys):
        publication = Publication.load(directory / "metadata", keys, validity)
        found = _waiting(publication)
        if found.sha256 != seen.sha256:
            raise RegistryError(
                f"{directory} has another proposal by now than the one shown; nothing was signed"
            )
        if not publication.holds("online"):
            publication.require_one(found.role)
        record(publication, "sign", role=found.role, sha256=found.sha256, changes=found.changes)
        signed = proposal.add_signatures(publication, found)
        if signed.missing or not _publish_complete(publication, signed):
            return signed
        proposal.discard(publication)
        return replace(signed, is_published=True)


def discard(directory: Path, keys: Keys) -> None:
    """Remove what waits for further signatures.

    Raises:
        RegistryError: the folder cannot be written.
    """
    with changing(directory, keys):
        audit_trail.record(keys.audit, "discard", directory)
        (directory / proposal.NAME).unlink(missing_ok=True)


def _publish_complete(publication: Publication, complete: Proposal) -> bool:
    """Publish a proposal that enough keys have signed, if the other keys it needs are there."""
    if complete.role == "targets":
        if not publication.can_sign("online"):
            return False
        for role, document in complete.documents.items():
            if role == "targets":
                publication.targets = document
            else:
                publication.lists.put(role, document)
            publication.put_targets(role)
        publication.sign_online()
        return True
    (root,) = complete.documents.values()
    replaced = proposal.replaced_by(publication, root.signed)
    publication.root = root
    needed: set[Role] = replaced - {"root"} | ({"online"} if "targets" in replaced else set())
    if not all(publication.can_sign(role) for role in needed):
        return False
    put_root(publication, replaced)
    return True


def _waiting(publication: Publication) -> Proposal:
    found = proposal.waiting(publication)
    if found is None:
        raise RegistryError(f"nothing waits for signatures in {publication.folder.parent}")
    return found
