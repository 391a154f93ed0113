"""A registry of a test's own, with its keys beside it."""

from dataclasses import dataclass
from pathlib import Path

from models.bundle.package import Bundle
from serving.publishing import repository
from serving.publishing.keys import Keys
from serving.publishing.releases import Release


@dataclass(frozen=True)
class Published:
    """A registry in a folder.

    Attributes:
        folder: folder of the registry.
        keys: keys that sign it.
    """

    folder: Path
    keys: Keys

    @classmethod
    def create(cls, folder: Path) -> "Published":
        """Make an empty registry and its keys below a folder."""
        made = cls(folder / "registry", Keys(folder / "keys"))
        repository.init(made.folder, made.keys)
        return made

    @property
    def url(self) -> str:
        """The URL for the agent's configuration."""
        return self.folder.as_uri()

    def publish(self, bundle: Bundle) -> Release:
        """Sign a bundle and publish it."""
        path = self.folder.parent / f"{bundle.manifest.stream}-{bundle.manifest.seq}.zip"
        path.write_bytes(bundle.content)
        return self.publish_file(path)

    def publish_file(self, path: Path) -> Release:
        """Sign a bundle that is in a file, and publish it."""
        return repository.publish(self.folder, path, self.keys)

    def bundle_path(self, release: Release) -> Path:
        """The path of a published bundle."""
        return self.folder / "targets" / release.path
