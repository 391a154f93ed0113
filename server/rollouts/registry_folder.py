"""The registry in a folder, whose stages are signed with its online key."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from models.bundle.package import StoredBundle, load_bundle
from models.errors import BundleError
from models.rollout.stage import Stage
from server.rollouts.errors import DocumentError
from serving.publishing.keys import Keys, KeysError
from serving.publishing.releases import RegistryError
from serving.publishing.rollouts import Rollout, read_rollouts, write_stage

_REFUSED = (RegistryError, KeysError, OSError)


class RegistryFolder:
    """Plans and stages of a registry. Each thread has an object of its own.

    Args:
        folder: the registry's folder.
        keys: a folder with the trusted root, and with the online key where stages are signed.

    Attributes:
        identity: SHA-256 of the registry's first root, which never changes.

    Raises:
        DocumentError: it is no registry.
    """

    def __init__(self, folder: Path, keys: Keys) -> None:
        self._folder, self._keys = folder, keys
        self._seen: tuple[int, int, int] | None = None
        self._known: tuple[Rollout, ...] = ()
        root = folder / "metadata" / "1.root.json"
        try:
            self.identity = hashlib.sha256(root.read_bytes()).hexdigest()
        except OSError as exc:
            raise DocumentError(f"{folder} is no registry: {root} cannot be read: {exc}") from exc

    def rollouts(self) -> tuple[Rollout, ...]:
        """The last rollout of each stream; verified once for each publication.

        Raises:
            DocumentError: they cannot be read, or are not signed as they must be.
        """
        try:
            found = (self._folder / "metadata" / "timestamp.json").stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen != self._seen:
                self._known = read_rollouts(self._folder, self._keys)
                self._seen = seen
        except _REFUSED as exc:
            raise DocumentError(str(exc)) from exc
        return self._known

    def bundles(self, stream: str, seqs: Iterable[int]) -> list[StoredBundle]:
        """Bundles of a stream that are here whole, by their numbers.

        Args:
            stream: name of the stream.
            seqs: their numbers; one that is not here is left out.

        Raises:
            DocumentError: one of them is damaged.
        """
        folder = self._folder / "targets" / "bundles" / stream
        paths = [path for seq in seqs for path in sorted((folder / str(seq)).glob("*.zip"))]
        try:
            return [load_bundle(path) for path in paths]
        except (BundleError, OSError) as exc:
            raise DocumentError(f"{folder} has a bundle that cannot be read: {exc}") from exc

    def write(self, stage: Stage) -> None:
        """Sign a stage, and publish it.

        Raises:
            DocumentError: it cannot be written, or does not follow the newest one.
        """
        self._seen = None
        try:
            write_stage(self._folder, self._keys, stage)
        except _REFUSED as exc:
            raise DocumentError(str(exc)) from exc
