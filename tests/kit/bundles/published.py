"""A registry of a test's own, with its keys beside it."""

from dataclasses import dataclass
from pathlib import Path

from models.bundle.package import Bundle
from trainer.registry import repository
from trainer.registry.keys import Keys
from trainer.registry.releases import Release


@dataclass(frozen=True)
class Published:
    """A registry in a folder.

    Attributes:
        folder: of the registry; `url` names it.
        keys: that sign it.
    """

    folder: Path
    keys: Keys

    @classmethod
    def create(cls, folder: Path) -> "Published":
        """Make an empty one below `folder`."""
        made = cls(folder / "registry", Keys(folder / "keys"))
        repository.init(made.folder, made.keys)
        return made

    @property
    def url(self) -> str:
        """As the agent's configuration names it."""
        return self.folder.as_uri()

    def publish(self, bundle: Bundle) -> Release:
        """Sign a bundle and put it in."""
        path = self.folder.parent / f"{bundle.manifest.stream}-{bundle.manifest.seq}.zip"
        path.write_bytes(bundle.content)
        return repository.publish(self.folder, path, self.keys)

    def bundle_path(self, release: Release) -> Path:
        """Where the bytes of a release lie."""
        return self.folder / "targets" / release.path
