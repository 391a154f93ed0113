"""The registry: a folder of bundles and of the signed metadata that says which may run.

    metadata/<n>.root.json        which keys may sign what           offline root keys
    metadata/<n>.targets.json     which bundles there are            the publisher's key
    metadata/<n>.snapshot.json    which targets metadata is current  the online key
    metadata/timestamp.json       which snapshot is current          the online key
    targets/bundles/<stream>/<seq>/<sha256>.zip

It is a TUF repository (theupdateframework.io) made of plain files: a folder, a web server, an
object store or a stick can carry it, and none of them has to be trusted. What a change adds is
written first and the timestamp last, each file atomically, so a reader or a power cut meets the old
publication or the new one. docs/adr/0002-tuf-registry.md has the reasons, docs/registry.md the use.
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
from trainer.registry.publication import Publication, Role, listed, trusted_root
from trainer.registry.releases import (
    USUAL,
    RegistryError,
    Release,
    Standing,
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
    validity: Validity = USUAL,
    root_keys: int = 1,
    root_threshold: int = 1,
) -> TrustedRoot:
    """Make an empty registry, and its keys.

    Args:
        directory: for the registry; may exist, but hold no metadata.
        keys: a folder that is new, or holds no keys.
        validity: how long the first signatures hold.
        root_keys: how many root keys to make, each to be kept in another place.
        root_threshold: how many of them it takes to sign a new root.

    Raises:
        RegistryError: there is a registry already, or the folder cannot be written.
        KeysError: there are keys already, or the folder cannot be written.
    """
    if not 1 <= root_threshold <= root_keys:
        raise RegistryError(f"root_threshold is {root_threshold}; allowed are 1 to {root_keys}")
    if keys.root.exists() or keys.held():
        raise KeysError(f"{keys.folder} holds keys already: give each registry a folder of its own")
    with _changing(directory):
        if (directory / "metadata").exists():
            raise RegistryError(f"{directory} holds a registry already; it is left as it is")
        publication = Publication(directory / "metadata", keys, validity)
        publication.add_keys("root", root_keys, threshold=root_threshold)
        publication.add_keys("targets")
        publication.add_keys("online")
        publication.seal_root()
        publication.seal_targets()
        publication.seal_online()
    return trusted_root(keys)


def publish(
    directory: Path,
    bundle_path: Path,
    keys: Keys,
    *,
    floor_seq: int | None = None,
    validity: Validity = USUAL,
) -> Release:
    """Sign a bundle and put it into the registry.

    Args:
        directory: the registry.
        bundle_path: the bundle; it is read and verified first.
        keys: with the targets and the online key.
        floor_seq: the oldest seq of the stream that may run from now on.
        validity: how long the signatures hold.

    Raises:
        BundleError: the bundle is not sound.
        RegistryError: its seq is not above the highest of its stream, or the registry cannot be
            read, believed or written.
        KeysError: a key is missing.
    """
    bundle = read_release(bundle_path)
    release = Release.of(bundle, floor_seq)
    with _changing(directory):
        publication = Publication.load(directory / "metadata", keys, validity)
        publication.require("targets", "online")
        check_seq(release, publication.releases())
        write_atomically(directory / "targets" / release.path, bundle.content)
        publication.put(release)
        publication.seal_targets()
        publication.seal_online()
    return release


def revoke(
    directory: Path, stream: str, seq: int, keys: Keys, *, validity: Validity = USUAL
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
        publication.seal_targets()
        publication.seal_online()
    return release


def refresh(directory: Path, keys: Keys, *, validity: Validity = USUAL) -> Standing:
    """Sign snapshot and timestamp anew; targets and root too, where due and their keys are held.

    To be run by a timer, several times within `validity.online`.

    Raises:
        RegistryError, KeysError: see `publish`.
    """
    with _changing(directory):
        publication = Publication.load(directory / "metadata", keys, validity)
        publication.require("online")
        if publication.is_due("root") and publication.holds("root"):
            publication.seal_root()
        if publication.is_due("targets") and publication.holds("targets"):
            publication.seal_targets()
        publication.seal_online()
        return publication.standing()


def rotate(
    directory: Path,
    role: Role,
    keys: Keys,
    *,
    validity: Validity = USUAL,
) -> TrustedRoot:
    """Replace the keys of a role by new ones, and sign with them what the old ones signed.

    Gateways follow by themselves: the new root is signed by the old root keys, and by the new ones
    too where it is these that changed. The old files stay in the folder, good for nothing any more.
    Needs the root keys, and the online key unless that or the root is what is replaced.

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
            publication.seal_targets()
        if role != "root":
            publication.seal_online()
    return trusted_root(keys)


def listing(directory: Path) -> tuple[Release, ...]:
    """What the registry says it holds, by stream and seq; unverified, for people to read.

    Raises:
        RegistryError: there is no registry, or it cannot be read.
    """
    return listed(directory / "metadata")


@contextmanager
def _changing(directory: Path) -> Iterator[None]:
    """One change at a time, and any fault of the disk in our words."""
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
