"""The registry: a folder of bundles, and of signed metadata about which of them may run.

    metadata/<n>.root.json        which keys may sign what           offline root keys
    metadata/<n>.targets.json     which bundles there are            the publisher's keys
    metadata/<n>.snapshot.json    which targets metadata is current  the online key
    metadata/timestamp.json       which snapshot is current          the online key
    targets/bundles/<stream>/<seq>/<sha256>.zip
    pending.json                  what waits for further signatures

It is a TUF repository (theupdateframework.io) made of plain files: a folder, a web server, an
object store or a USB stick can carry it, and none of them has to be trusted. A change writes its
new files first and the timestamp last, each atomically, so a reader sees the old publication or the
new one, after a power cut too. docs/adr/0002-tuf-registry.md has the reasons, docs/registry.md the
use.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from models.bundle.package import Bundle
from models.files import write_atomically
from serving.publishing import audit_trail, proposal, stream_lists
from serving.publishing.change import (
    add_keys,
    changing,
    due_lists,
    for_targets,
    put_root,
    record,
    replace_keys,
    require_none_waiting,
    sign_targets,
    unchanged,
)
from serving.publishing.delegation import is_by_stream
from serving.publishing.documents import check_length, read_releases
from serving.publishing.keys import Keys, KeysError
from serving.publishing.proposal import Proposal
from serving.publishing.publication import Publication, Role
from serving.publishing.releases import (
    DEFAULT_VALIDITY,
    Divided,
    RegistryError,
    Release,
    SignatureStatus,
    TrustedRoot,
    Validity,
    check_seq,
    find,
    read_release,
)
from serving.publishing.root_chain import trusted_root


def init(  # noqa: PLR0913  the options of the command line
    directory: Path,
    keys: Keys,
    *,
    validity: Validity = DEFAULT_VALIDITY,
    root_keys: int = 1,
    root_threshold: int = 1,
    targets_keys: int = 1,
    targets_threshold: int = 1,
    by_stream: bool = False,
) -> TrustedRoot:
    """Make an empty registry, and its keys.

    Args:
        directory: the registry's folder; it may exist, but not contain metadata.
        keys: a folder for the keys, which contains none yet.
        validity: how long the first signatures are valid.
        root_keys: number of root keys to make, each to be kept in another place.
        root_threshold: number of root keys that must sign a new root.
        targets_keys: number of targets keys to make, for as many people who publish.
        targets_threshold: number of targets keys that must sign a list of bundles.
        by_stream: whether each stream gets a list of bundles of its own; see `delegate`.

    Raises:
        RegistryError: there is a registry already, or the folder cannot be written.
        KeysError: there are keys already, or the folder cannot be written.
    """
    for name, count, needed in (
        ("root", root_keys, root_threshold),
        ("targets", targets_keys, targets_threshold),
    ):
        if not 1 <= needed <= count:
            raise RegistryError(f"{name}_threshold is {needed}; allowed are 1 to {count}")
    if keys.root.exists() or keys.signers():
        raise KeysError(f"{keys.folder} has keys already: give each registry a folder of its own")
    if (directory / "metadata").exists():
        raise RegistryError(f"{directory} is a registry already; it is left as it is")
    keys.make_folder()
    with changing(directory, keys):
        publication = Publication(directory / "metadata", keys, validity)
        audit_trail.record(keys.audit, "init", directory)
        add_keys(publication, "root", root_keys, threshold=root_threshold)
        add_keys(publication, "targets", targets_keys, threshold=targets_threshold)
        add_keys(publication, "online")
        if by_stream:
            publication.divide()
        publication.sign_root()
        publication.sign_targets()
        publication.sign_online()
    return trusted_root(keys)


def publish(
    directory: Path,
    bundle: Path | Bundle,
    keys: Keys,
    *,
    floor_seq: int | None = None,
    validity: Validity = DEFAULT_VALIDITY,
) -> Release:
    """Sign a bundle and put it into the registry.

    Where more targets keys must sign than the folder has, the release waits for the others, and
    says by `missing` for how many.

    Args:
        directory: the registry's folder.
        bundle: the bundle, or its path; it is read and verified first.
        keys: a folder with a targets key; and with the online key, if no other must sign.
        floor_seq: lowest seq of the stream that may run from now on; None leaves it.
        validity: how long the signatures are valid.

    Raises:
        BundleError: the bundle is invalid.
        RegistryError: its seq is not above the highest of its stream, or the registry cannot be
            read, verified or written, or is older than what was signed here before.
        KeysError: a key is missing.
    """
    given = read_release(bundle) if isinstance(bundle, Path) else bundle
    release = Release.from_bundle(given, floor_seq)
    with changing(directory, keys):
        publication = for_targets(directory, keys, validity)
        check_seq(release, publication.releases(release.stream))
        record(publication, "publish", **release.facts)
        path = directory / "targets" / release.path
        write_atomically(path, given.content, below=directory)
        publication.put(release)
        return replace(release, missing=sign_targets(publication))


def revoke(
    directory: Path, stream: str, seq: int, keys: Keys, *, validity: Validity = DEFAULT_VALIDITY
) -> Release:
    """Withdraw a bundle: from their next refresh on, gateways refuse to activate it.

    Raises:
        RegistryError: there is no such bundle, or see `publish`.
        KeysError: a key is missing.
    """
    with changing(directory, keys):
        publication = for_targets(directory, keys, validity)
        release = replace(find(publication.releases(stream), stream, seq), revoked=True)
        record(publication, "revoke", **release.facts)
        publication.put(release)
        return replace(release, missing=sign_targets(publication))


def refresh(
    directory: Path, keys: Keys, *, validity: Validity = DEFAULT_VALIDITY
) -> SignatureStatus:
    """Sign snapshot and timestamp anew; targets and root too, if due and their keys are there.

    A timer should run it several times within `validity.online`. What is due and needs more keys
    than the folder has is proposed to the others; then the folder may lack the online key.

    Raises:
        RegistryError, KeysError: see `publish`.
    """
    with changing(directory, keys):
        publication = Publication.load(directory / "metadata", keys, validity)
        proposed = _propose_due(publication)
        if proposed and not publication.can_sign("online"):
            return replace(_status(publication), missing=proposed.missing)
        publication.require("online")
        if keys.accepts_restored:
            publication.require("targets")
        record(publication, "refresh")
        if publication.is_due("root") and publication.can_sign("root"):
            publication.sign_root()
        if publication.can_sign("targets"):
            due = _due_roles(publication)
            if due:
                publication.sign_targets(*due)
        publication.sign_online()
        return replace(_status(publication), missing=proposed.missing if proposed else 0)


def delegate(directory: Path, keys: Keys, *, validity: Validity = DEFAULT_VALIDITY) -> Divided:
    """Give each stream a list of bundles of its own, so that a gateway reads no other.

    The lists are signed by the targets keys. New streams get theirs when they are published to.
    Agents of releases before this find no bundle of their streams afterwards.

    Raises:
        RegistryError, KeysError: see `publish`.
    """
    with changing(directory, keys):
        publication = for_targets(directory, keys, validity)
        record(publication, "delegate")
        streams = publication.divide()
        return Divided(streams, sign_targets(publication))


def unite(directory: Path, keys: Keys, *, validity: Validity = DEFAULT_VALIDITY) -> Divided:
    """Put the bundles of all streams back into one list: the way back from `delegate`.

    The lists of the streams stay, signed and empty, because gateways have seen them.

    Raises:
        RegistryError: the streams have no lists of their own, the one list would be longer than
            gateways read, or see `publish`.
        KeysError: see `publish`.
    """
    with changing(directory, keys):
        publication = for_targets(directory, keys, validity)
        if not is_by_stream(publication.targets.signed):
            raise RegistryError(f"{directory} has one list of bundles already; it is left as it is")
        roles = stream_lists.unite(publication.targets.signed, publication.lists)
        content = publication.targets.to_bytes()
        check_length(publication.targets.signed.type, content, "let each stream keep its list")
        record(publication, "unite")
        publication.changed.update({"targets", *roles})
        return Divided(len(roles), sign_targets(publication))


def rotate(
    directory: Path, role: Role, keys: Keys, *, validity: Validity = DEFAULT_VALIDITY
) -> TrustedRoot | None:
    """Replace the keys of a role by new ones, and sign with them what the old ones signed.

    Gateways follow without any action: the new root is signed by the old root keys, and by the new
    root keys if these were replaced (TUF specification, section 5.3). The old key files stay in the
    folder, but gateways no longer accept them. A root key is needed, and the online key to replace
    the targets keys.

    Returns:
        The new root; None if it waits for signatures by other root keys.

    Raises:
        RegistryError, KeysError: see `publish`.
    """
    with changing(directory, keys):
        publication = Publication.load(directory / "metadata", keys, validity)
        publication.require_one("root")
        require_none_waiting(publication)
        if role == "targets":
            publication.require("online")
        alone = publication.can_sign("root")
        record(publication, "rotate", role=role)
        former = replace_keys(publication, role)
        publication.advance(publication.root, former if role == "root" else ())
        if not alone:
            proposal.propose(unchanged(publication), {"root": publication.root})
            return None
        put_root(publication, {role})
    return trusted_root(keys)


def listing(directory: Path) -> tuple[Release, ...]:
    """The registry's releases by stream and seq, without verification, for people to read.

    Raises:
        RegistryError: there is no registry, or it cannot be read.
    """
    return read_releases(directory / "metadata")


def _due_roles(publication: Publication) -> list[str]:
    """The lists that should be signed anew: that of all, and those of streams."""
    lists = due_lists(publication)
    return ["targets", *lists] if publication.is_due("targets") else lists


def _status(publication: Publication) -> SignatureStatus:
    """When the signatures expire, and warnings about those that expire soon."""
    expires = {
        "root": publication.root.signed.expires,
        "targets": publication.targets.signed.expires,
        "snapshot": publication.snapshot.signed.expires,
        "timestamp": publication.timestamp.signed.expires,
    }
    warnings = [
        f"{role} metadata expires on {expires[role]:%Y-%m-%d}: refresh with the {role} key"
        for role in ("root", "targets")
        if publication.validity.is_due(role, expires[role])
    ]
    lists = due_lists(publication)
    if lists:
        first = min(publication.lists.of(role).signed.expires for role in lists)
        warnings.append(
            f"the lists of {len(lists)} streams expire from {first:%Y-%m-%d} on: refresh with the"
            " targets key"
        )
    return SignatureStatus(expires, tuple(warnings))


def _propose_due(publication: Publication) -> Proposal | None:
    """Propose what should be signed anew, and needs more keys than the folder has."""
    roles: tuple[Literal["root", "targets"], ...] = ("root", "targets")
    for role in roles:
        if publication.can_sign(role) or not publication.holds(role):
            continue
        due = _due_roles(publication) if role == "targets" else []
        if role == "root" and publication.is_due(role):
            due = ["root"]
        if not due or proposal.waiting(publication) is not None:
            continue
        record(publication, "propose", role=role)
        renewed = unchanged(publication)
        documents = {one: renewed.root if one == "root" else renewed.listed(one) for one in due}
        for document in documents.values():
            renewed.advance(document)
        return proposal.propose(publication, documents)
    return None
