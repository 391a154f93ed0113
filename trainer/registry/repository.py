"""The registry: a folder of bundles, and of signed metadata about which of them may run.

    metadata/<n>.root.json        which keys may sign what           offline root keys
    metadata/<n>.targets.json     which bundles there are            the publisher's key
    metadata/<n>.snapshot.json    which targets metadata is current  the online key
    metadata/timestamp.json       which snapshot is current          the online key
    targets/bundles/<stream>/<seq>/<sha256>.zip

It is a TUF repository (theupdateframework.io) made of plain files: a folder, a web server, an
object store or a USB stick can carry it, and none of them has to be trusted. A change writes its
new files first and the timestamp last, each atomically, so a reader sees the old publication or the
new one, after a power cut too. docs/adr/0002-tuf-registry.md has the reasons, docs/registry.md the
use.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from models.files import write_atomically
from trainer.registry.keys import Keys, KeysError
from trainer.registry.publication import Publication, Role, read_releases, trusted_root
from trainer.registry.releases import (
    DEFAULT_VALIDITY,
    RegistryError,
    Release,
    SignatureStatus,
    TrustedRoot,
    Validity,
    check_seq,
    find,
    read_release,
)

_LOCK_WAIT_S: Final = 60.0
_LOCK_LOOK_S: Final = 0.05


def init(
    directory: Path,
    keys: Keys,
    *,
    validity: Validity = DEFAULT_VALIDITY,
    root_keys: int = 1,
    root_threshold: int = 1,
) -> TrustedRoot:
    """Make an empty registry, and its keys.

    Args:
        directory: the registry's folder; it may exist, but not contain metadata.
        keys: a folder for the keys, which contains none yet.
        validity: how long the first signatures are valid.
        root_keys: number of root keys to make, each to be kept in another place.
        root_threshold: number of root keys that must sign a new root.

    Raises:
        RegistryError: there is a registry already, or the folder cannot be written.
        KeysError: there are keys already, or the folder cannot be written.
    """
    if not 1 <= root_threshold <= root_keys:
        raise RegistryError(f"root_threshold is {root_threshold}; allowed are 1 to {root_keys}")
    if keys.root.exists() or keys.signers():
        raise KeysError(f"{keys.folder} has keys already: give each registry a folder of its own")
    with _changing(directory):
        if (directory / "metadata").exists():
            raise RegistryError(f"{directory} is a registry already; it is left as it is")
        publication = Publication(directory / "metadata", keys, validity)
        publication.add_keys("root", root_keys, threshold=root_threshold)
        publication.add_keys("targets")
        publication.add_keys("online")
        publication.sign_root()
        publication.sign_targets()
        publication.sign_online()
    return trusted_root(keys)


def publish(
    directory: Path,
    bundle_path: Path,
    keys: Keys,
    *,
    floor_seq: int | None = None,
    validity: Validity = DEFAULT_VALIDITY,
) -> Release:
    """Sign a bundle and put it into the registry.

    Args:
        directory: the registry's folder.
        bundle_path: path of the bundle; it is read and verified first.
        keys: a folder with the targets key and the online key.
        floor_seq: lowest seq of the stream that may run from now on; None leaves it.
        validity: how long the signatures are valid.

    Raises:
        BundleError: the bundle is invalid.
        RegistryError: its seq is not above the highest of its stream, or the registry cannot be
            read, verified or written.
        KeysError: a key is missing.
    """
    bundle = read_release(bundle_path)
    release = Release.from_bundle(bundle, floor_seq)
    with _changing(directory):
        publication = Publication.load(directory / "metadata", keys, validity)
        publication.require("targets", "online")
        check_seq(release, publication.releases())
        write_atomically(directory / "targets" / release.path, bundle.content)
        publication.put(release)
        publication.sign_targets()
        publication.sign_online()
    return release


def revoke(
    directory: Path, stream: str, seq: int, keys: Keys, *, validity: Validity = DEFAULT_VALIDITY
) -> Release:
    """Withdraw a bundle: from their next refresh on, gateways refuse to activate it.

    Raises:
        RegistryError: there is no such bundle, or see `publish`.
        KeysError: a key is missing.
    """
    with _changing(directory):
        publication = Publication.load(directory / "metadata", keys, validity)
        publication.require("targets", "online")
        release = replace(find(publication.releases(), stream, seq), revoked=True)
        publication.put(release)
        publication.sign_targets()
        publication.sign_online()
    return release


def refresh(
    directory: Path, keys: Keys, *, validity: Validity = DEFAULT_VALIDITY
) -> SignatureStatus:
    """Sign snapshot and timestamp anew; targets and root too, if due and their keys are there.

    A timer should run it several times within `validity.online`.

    Raises:
        RegistryError, KeysError: see `publish`.
    """
    with _changing(directory):
        publication = Publication.load(directory / "metadata", keys, validity)
        publication.require("online")
        if publication.is_due("root") and publication.can_sign("root"):
            publication.sign_root()
        if publication.is_due("targets") and publication.can_sign("targets"):
            publication.sign_targets()
        publication.sign_online()
        return publication.status()


def rotate(
    directory: Path,
    role: Role,
    keys: Keys,
    *,
    validity: Validity = DEFAULT_VALIDITY,
) -> TrustedRoot:
    """Replace the keys of a role by new ones, and sign with them what the old ones signed.

    Gateways follow without any action: the new root is signed by the old root keys, and by the new
    root keys if these were replaced (TUF specification, section 5.3). The old key files stay in the
    folder, but gateways no longer accept them. The root keys are needed, and the online key to
    replace the targets key.

    Raises:
        RegistryError, KeysError: see `publish`.
    """
    with _changing(directory):
        publication = Publication.load(directory / "metadata", keys, validity)
        publication.require("root")
        if role == "targets":
            publication.require("online")
        publication.replace_keys(role)
        if role == "targets":
            publication.sign_targets()
        if role != "root":
            publication.sign_online()
    return trusted_root(keys)


def listing(directory: Path) -> tuple[Release, ...]:
    """The registry's releases by stream and seq, without verification, for people to read.

    Raises:
        RegistryError: there is no registry, or it cannot be read.
    """
    return read_releases(directory / "metadata")


@contextmanager
def _changing(directory: Path) -> Iterator[None]:
    """Let one process at a time change the registry, and raise RegistryError for disk errors."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / ".lock").open("wb") as lock:
            ends_at = time.monotonic() + _LOCK_WAIT_S
            while not _locked(lock):
                if time.monotonic() > ends_at:
                    raise RegistryError(f"{directory} is being changed by another process")
                time.sleep(_LOCK_LOOK_S)
            yield
    except OSError as exc:
        raise RegistryError(f"{exc.filename or directory}: {exc.strerror}") from exc


def _locked(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
