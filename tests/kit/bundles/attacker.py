"""An attacker who can write into a registry's folder and has stolen some of its keys."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # it is public
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from models.rollout.files import stored_as
from serving.publishing.keys import Keys

Signers = Mapping[str, CryptoSigner]


def stolen(keys: Keys) -> dict[str, CryptoSigner]:
    """The present key of each TUF role."""
    root = Metadata[Root].from_file(str(keys.root)).signed
    held = keys.signers()
    return {name: held[role.keyids[0]] for name, role in root.roles.items()}


def forge(
    folder: Path,
    signers: Signers,
    change: Callable[[Targets], None] = lambda _: None,
    *,
    skip: int = 1,
) -> None:
    """Change the targets, and sign all roles but the root with the keys at hand.

    Args:
        folder: folder metadata/ of the registry.
        signers: signer of each TUF role: targets, snapshot, timestamp.
        change: function that changes the targets.
        skip: number by which the versions of the metadata rise.
    """
    timestamp = Metadata[Timestamp].from_file(str(folder / "timestamp.json"))
    version = timestamp.signed.snapshot_meta.version
    snapshot = Metadata[Snapshot].from_file(str(folder / f"{version}.snapshot.json"))
    version = snapshot.signed.meta["targets.json"].version
    targets = Metadata[Targets].from_file(str(folder / f"{version}.targets.json"))
    change(targets.signed)
    snapshot.signed.meta["targets.json"] = _sealed(targets, signers, folder, skip)
    timestamp.signed.snapshot_meta = _sealed(snapshot, signers, folder, skip)
    _sealed(timestamp, signers, folder, skip)


def _sealed(metadata: Metadata[Any], signers: Signers, folder: Path, skip: int) -> MetaFile:
    signed = metadata.signed
    signed.version += skip
    metadata.sign(signers[signed.type])
    content = metadata.to_bytes()
    prefix = "" if signed.type == "timestamp" else f"{signed.version}."
    (folder / f"{prefix}{signed.type}.json").write_bytes(content)
    return MetaFile(signed.version, len(content), {"sha256": sha256(content).hexdigest()})


def forge_stages(
    folder: Path,
    signers: Signers,
    change: Callable[[Targets], None],
    *,
    signed_by: CryptoSigner | None = None,
) -> None:
    """Change the list of stages, and sign it, snapshot and timestamp.

    Args:
        folder: folder metadata/ of the registry.
        signers: signer of each TUF role: snapshot, timestamp.
        change: function that changes the list.
        signed_by: signer of the list; None for that of the snapshot, which is the online key.
    """
    timestamp = Metadata[Timestamp].from_file(str(folder / "timestamp.json"))
    version = timestamp.signed.snapshot_meta.version
    snapshot = Metadata[Snapshot].from_file(str(folder / f"{version}.snapshot.json"))
    version = snapshot.signed.meta["stages.json"].version
    stages = Metadata[Targets].from_file(str(folder / f"{version}.stages.json"))
    change(stages.signed)
    stages.signed.version += 1
    stages.sign(signed_by or signers["snapshot"])
    content = stages.to_bytes()
    (folder / f"{stages.signed.version}.stages.json").write_bytes(content)
    digest = sha256(content).hexdigest()
    snapshot.signed.meta["stages.json"] = MetaFile(
        stages.signed.version, len(content), {"sha256": digest}
    )
    timestamp.signed.snapshot_meta = _sealed(snapshot, signers, folder, 1)
    _sealed(timestamp, signers, folder, 1)


def put_file(registry: Path, target: str, content: bytes, listed: Targets) -> None:
    """Put a file into a registry, and into a list that is signed afterwards."""
    digest = sha256(content).hexdigest()
    path = registry / "targets" / stored_as(target, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    listed.targets[target] = TargetFile(len(content), {"sha256": digest}, target)
